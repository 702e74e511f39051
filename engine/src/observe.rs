//! The graph to observations: everything is looked at side by side, and more closely only where a doubt is left.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::future::try_join_all;

use crate::change::Change;
use crate::driver::{Depth, Driver, DriverError, Drivers, Observation, Wanted};
use crate::graph::ResourceGraph;
use crate::plan::change_of;
use crate::resource::{Address, Part, Resource};

/// What was seen of each resource, by its index in the graph.
pub type Observations = Vec<Seen>;

/// What was seen of one resource.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was seen.
    pub observation: Observation,
    /// What that means for the resource by itself, where looking had to decide it: comparing is most of the work.
    pub(crate) change: Option<Change>,
}

/// Looks at every resource of a graph. Reads only.
///
/// # Errors
///
/// The first read that failed.
pub async fn observe<W: Sync>(
    graph: &ResourceGraph,
    drivers: &Drivers<W>,
    world: &W,
) -> Result<Observations, DriverError> {
    let everything: Vec<usize> = (0..graph.resources().len()).collect();
    let mut seen = vec![Observation::Absent; everything.len()];
    look(graph, drivers, world, &everything, Depth::Full, &mut seen).await?;
    let changes = changes(graph, &seen, drivers);
    // A difference only the world itself can confirm, and what is about to be adopted differs by who owns what of it.
    let writes = |index: &usize| changes[*index].as_ref().is_some_and(|change| change.action.writes());
    let id = |index: usize| &graph.resources()[index].id;
    let adopting = everything.iter().filter(|index| id(**index).part == Part::Adoption && writes(index));
    let adopted: HashSet<&Address> = adopting.map(|index| &id(*index).address).collect();
    let doubtful = |index: &usize| writes(index) || adopted.contains(&id(*index).address);
    let doubtful: Vec<usize> = everything.iter().copied().filter(doubtful).collect();
    look(graph, drivers, world, &doubtful, Depth::DryRun, &mut seen).await?;
    let certain = changes.into_iter().map(|change| change.filter(|change| !change.action.writes()));
    Ok(seen.into_iter().zip(certain).map(|(observation, change)| Seen { observation, change }).collect())
}

/// What must happen to the resources that are there. Pure.
fn changes<W>(graph: &ResourceGraph, seen: &[Observation], drivers: &Drivers<W>) -> Vec<Option<Change>> {
    let change = |(resource, seen): (&Arc<Resource>, &Observation)| match seen {
        Observation::Present { .. } | Observation::Unmoved => {
            Some(change_of(drivers.get(resource.driver), resource, seen))
        }
        Observation::Absent | Observation::Hidden { .. } => None,
    };
    graph.resources().iter().zip(seen).map(change).collect()
}

async fn look<W: Sync>(
    graph: &ResourceGraph,
    drivers: &Drivers<W>,
    world: &W,
    wanted: &[usize],
    depth: Depth,
    seen: &mut [Observation],
) -> Result<(), DriverError> {
    let mut batches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &index in wanted {
        batches.entry(graph.resources()[index].driver).or_default().push(index);
    }
    let before: &[Observation] = seen;
    let answers = try_join_all(batches.iter().map(|(driver, batch)| {
        let wanted = batch.iter().map(|&index| Wanted {
            resource: &graph.resources()[index],
            depth,
            before: (depth > Depth::Full).then(|| &before[index]),
        });
        one_batch(drivers.get(driver), world, wanted.collect())
    }))
    .await?;
    for (batch, answer) in batches.into_values().zip(answers) {
        for (index, observation) in batch.into_iter().zip(answer) {
            seen[index] = observation;
        }
    }
    Ok(())
}

async fn one_batch<W: Sync>(
    driver: &dyn Driver<W>,
    world: &W,
    wanted: Vec<Wanted<'_>>,
) -> Result<Vec<Observation>, DriverError> {
    driver.observe(world, &wanted).await
}
