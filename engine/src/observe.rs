//! The graph to observations: everything is looked at side by side, and more closely only where a doubt is left.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::driver::{Depth, Driver, DriverError, Drivers, Observation, Wanted};
use crate::graph::ResourceGraph;
use crate::plan::change_of;

/// What was seen of each resource, by its index in the graph.
pub type Observations = Vec<Observation>;

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
    let doubtful = wanting(graph, &seen, drivers);
    look(graph, drivers, world, &doubtful, Depth::DryRun, &mut seen).await?;
    Ok(seen)
}

/// The resources whose difference only the world itself can confirm. Pure.
fn wanting<W>(graph: &ResourceGraph, seen: &Observations, drivers: &Drivers<W>) -> Vec<usize> {
    let present = |index: &usize| matches!(seen[*index], Observation::Present { .. });
    let doubtful = |index: &usize| {
        let resource = &graph.resources()[*index];
        change_of(drivers.get(resource.driver), resource, &seen[*index]).action.writes()
    };
    (0..seen.len()).filter(present).filter(doubtful).collect()
}

async fn look<W: Sync>(
    graph: &ResourceGraph,
    drivers: &Drivers<W>,
    world: &W,
    wanted: &[usize],
    depth: Depth,
    seen: &mut Observations,
) -> Result<(), DriverError> {
    let mut batches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &index in wanted {
        batches.entry(graph.resources()[index].driver).or_default().push(index);
    }
    let before: &Observations = seen;
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
