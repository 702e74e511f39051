//! Which other tool says that it keeps an object: Argo CD or Flux, by the marks that they leave on it.

use cfrt_engine::change::{Action, Change};
use cfrt_engine::resource::Resource;
use serde_json::Value;

use super::{APART, HELM, OWN, agreement};
use crate::kube::fields::writers;
use crate::kube::said::line;

/// A mark: whether it is a label or an annotation, and its name.
type Mark = (&'static str, &'static str);

/// Argo CD's tracking by label isn't among them: it can't be told from a chart's own label.
const MARKS: [Mark; 3] = [
    ("annotations", "argocd.argoproj.io/tracking-id"),
    ("labels", "kustomize.toolkit.fluxcd.io/name"),
    ("labels", "helm.toolkit.fluxcd.io/name"),
];

/// Who keeps an object, as its marks say: `argocd:APP`, `flux:NAMESPACE/NAME`.
pub(super) fn keeper(live: &Value) -> Option<String> {
    MARKS.into_iter().find_map(|mark| named(mark, live))
}

/// The same, but by marks that someone else has set: a chart may bring them itself.
pub(super) fn other_keeper(live: &Value, document: Option<&Value>) -> Option<String> {
    let said = |object: &Value, (place, name): Mark| object["metadata"][place][name].as_str().map(str::to_owned);
    let of_others = |mark: &Mark| {
        let is_wanted = document.is_some_and(|document| said(document, *mark) == said(live, *mark));
        !is_wanted && !is_ours(*mark, live)
    };
    MARKS.into_iter().filter(of_others).find_map(|mark| named(mark, live)).map(|keeper| line(&keeper))
}

fn named((place, name): Mark, live: &Value) -> Option<String> {
    let marks = &live["metadata"][place];
    let mark = marks[name].as_str()?;
    Some(match name.strip_suffix("/name") {
        Some(controller) => {
            format!("flux:{}/{mark}", marks[format!("{controller}/namespace")].as_str().unwrap_or_default())
        }
        None => format!("argocd:{}", mark.split(':').next().unwrap_or_default()),
    })
}

/// Whether nobody but us has written a mark, as an earlier document may have named it.
fn is_ours((place, name): Mark, live: &Value) -> bool {
    let writers = writers(live, &format!("metadata.{place}[{}]", Value::from(name)));
    !writers.is_empty() && writers.iter().all(|writer| [HELM, OWN].contains(&writer.manager))
}

/// A change, but for that of an object which another tool would only change back. A definition that is taken over is asked for
/// by the part that takes it.
pub(super) fn unless_kept_by_others(resource: &Resource, document: &Value, live: &Value, change: Change) -> Change {
    let verb = match change.action {
        Action::Update | Action::Migrate => "update",
        Action::Replace => "replace",
        Action::Create | Action::Delete | Action::Refuse | Action::Keep => return change,
    };
    if resource.settings["taken"] == APART {
        return change;
    }
    let Some(keeper) = other_keeper(live, Some(document)) else { return change };
    let kept = format!("{keeper} keeps it, too");
    let reason = if change.reason.is_empty() { kept.clone() } else { format!("{}; {kept}", change.reason) };
    change.because(reason).unless_agreed(format!(
        "{kept}, and would change it back; take it away there with its marks,\nor agree: {}",
        agreement(verb, resource)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(place: &str, marks: &Value, manager: &str) -> Value {
        let owned: serde_json::Map<String, Value> =
            marks.as_object().into_iter().flatten().map(|(name, _)| (format!("f:{name}"), json!({}))).collect();
        let fields = json!({"f:metadata": {format!("f:{place}"): owned}});
        let entry = json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields});
        json!({"metadata": {place: marks, "managedFields": [entry]}})
    }

    fn flux(controller: &str) -> Value {
        let mark = |name: &str| format!("{controller}.toolkit.fluxcd.io/{name}");
        json!({mark("name"): "apps", mark("namespace"): "flux-system"})
    }

    #[test]
    fn argo_cd_and_flux_are_named_by_the_marks_that_they_left() {
        let table = [
            ("annotations", json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:n/a"}), Some("argocd:shop")),
            ("labels", flux("kustomize"), Some("flux:flux-system/apps")),
            ("labels", flux("helm"), Some("flux:flux-system/apps")),
            ("labels", json!({"app.kubernetes.io/instance": "shop"}), None),
            ("labels", json!({"argocd.argoproj.io/tracking-id": "shop:x"}), None),
        ];
        for (place, marks, expected) in table {
            let live = live(place, &marks, "some-controller");
            assert_eq!(keeper(&live).as_deref(), expected, "{marks}");
            assert_eq!(other_keeper(&live, None).as_deref(), expected, "{marks}");
        }
    }

    #[test]
    fn a_mark_that_our_document_has_or_that_we_wrote_alone_is_no_one_else_s() {
        let mark = |app: &str| json!({"argocd.argoproj.io/tracking-id": app});
        let document = |app: &str| json!({"metadata": {"annotations": mark(app)}});
        let by = |manager: &str| live("annotations", &mark("shop:x"), manager);
        assert_eq!(other_keeper(&by("argocd-controller"), Some(&document("shop:x"))), None);
        assert_eq!(other_keeper(&by("argocd-controller"), Some(&document("a:b"))).as_deref(), Some("argocd:shop"));
        assert_eq!(other_keeper(&by("helm"), Some(&json!({}))), None, "an earlier revision of the chart had it");
        let mut both = by("helm");
        let theirs = by("argocd-controller")["metadata"]["managedFields"][0].clone();
        both["metadata"]["managedFields"].as_array_mut().expect("it is a list").push(theirs);
        assert_eq!(other_keeper(&both, Some(&json!({}))).as_deref(), Some("argocd:shop"));
        let unknown = json!({"metadata": {"annotations": mark("shop\u{1b}[2J:x")}});
        assert_eq!(other_keeper(&unknown, None).as_deref(), Some("argocd:shop [2J"), "nobody says who wrote it");
    }
}
