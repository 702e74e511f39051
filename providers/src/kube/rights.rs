//! What a plan must be allowed to read, and no more: the resources of a graph to the rules of a role.

use std::collections::{BTreeMap, BTreeSet};

use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::resource::Resource;

use super::discovery::Discovery;
use super::gvk::{Gvk, Resolved};
use super::look::key;

/// What may be read in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The kinds all of whose objects are read, by group and plural: there is a list of them.
    pub kinds: BTreeSet<(String, String)>,
    /// The names of single objects, by group and plural.
    pub objects: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Rights {
    /// Also lets all objects of a kind be read.
    pub fn list(&mut self, group: &str, plural: &str) {
        self.kinds.insert((group.to_owned(), plural.to_owned()));
        self.objects.remove(&(group.to_owned(), plural.to_owned()));
    }

    /// Also lets one object be read.
    pub fn get(&mut self, group: &str, plural: &str, name: &str) {
        let kind = (group.to_owned(), plural.to_owned());
        if !self.kinds.contains(&kind) {
            self.objects.entry(kind).or_default().insert(name.to_owned());
        }
    }
}

/// The rights by namespace; under the empty one those for what lies in none.
pub type RightsByPlace = BTreeMap<String, Rights>;

/// What must be read of a graph's objects and hooks: a list where there are several of a kind in a place, as `read` has it.
pub fn rights(discovery: &Discovery, graph: &ResourceGraph) -> RightsByPlace {
    let mut wanted: BTreeMap<(&str, String, String, String), BTreeSet<String>> = BTreeMap::new();
    let read = graph.resources().iter().filter(|resource| matches!(resource.driver, "object" | "hook"));
    let brought = brought(graph);
    for resource in read {
        // Of a kind that nobody knows there is nothing to read.
        let Some(kind) = resolved(discovery, &brought, resource) else { continue };
        let (key, driver) = (key(resource), resource.driver);
        wanted.entry((driver, key.namespace, kind.gvk.group, kind.plural)).or_default().insert(key.name);
    }
    let mut places = RightsByPlace::new();
    for ((_, namespace, group, plural), names) in wanted {
        let place = places.entry(namespace).or_default();
        match names.first().filter(|_| names.len() == 1) {
            Some(name) => place.get(&group, &plural, name),
            None => place.list(&group, &plural),
        }
    }
    places.iter_mut().filter(|(namespace, _)| !namespace.is_empty()).for_each(|(_, rights)| with_autoscalers(rights));
    places
}

/// Where replicas aren't as they were applied it is looked whether an autoscaler has set them.
fn with_autoscalers(rights: &mut Rights) {
    let scales = |(group, _): &(String, String)| group == "apps";
    if rights.kinds.iter().any(scales) || rights.objects.keys().any(scales) {
        rights.list("autoscaling", "horizontalpodautoscalers");
    }
}

fn brought(graph: &ResourceGraph) -> BTreeMap<Gvk, Resolved> {
    let definitions = graph.resources().iter().filter(|resource| Gvk::of_address(&resource.id.address).is_crd());
    let kinds = definitions.filter_map(|resource| Some(Resolved::of_crd(&resource.want.document()?.body)));
    kinds.flatten().map(|kind| (kind.gvk.clone(), kind)).collect()
}

fn resolved(discovery: &Discovery, brought: &BTreeMap<Gvk, Resolved>, resource: &Resource) -> Option<Resolved> {
    let gvk = Gvk::of_address(&resource.id.address);
    discovery.find(&gvk).or_else(|| brought.get(&gvk).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_list_a_kind_needs_no_names() {
        let mut rights = Rights::default();
        rights.get("", "secrets", "a");
        rights.get("apps", "deployments", "b");
        rights.list("", "secrets");
        rights.get("", "secrets", "c");
        assert_eq!(rights.kinds, BTreeSet::from([(String::new(), "secrets".to_owned())]));
        assert_eq!(rights.objects.keys().map(|(_, plural)| plural.as_str()).collect::<Vec<_>>(), ["deployments"]);
    }
}
