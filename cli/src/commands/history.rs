//! `cfrt history`: who has applied what, when, and how it ended.

use cfrt_providers::drivers::release::history::ReleaseName;
use cfrt_providers::journal::read_all;
use cfrt_providers::kube::client::ApiError;
use cfrt_providers::lease::claim::Standing;

use crate::args::{HistoryArguments, Output};
use crate::exit::Exit;
use crate::pipeline::reach;
use crate::render::history::{History, json, text};
use crate::screen;
use crate::trouble::Trouble;

/// Tells of the runs of a release.
///
/// # Errors
///
/// What kept them from being read or printed.
pub(crate) async fn run(arguments: &HistoryArguments) -> Result<Exit, Trouble> {
    let (world, facts, mut interrupts) = reach(&arguments.file).await?;
    let release = ReleaseName::of(&facts.runtime);
    let (lease, kube) = (&world.lease, &world.kube);
    let read = async { futures::try_join!(read_all(kube, &release), lease.place().read(kube)) };
    let (runs, claim) =
        interrupts.unless_asked(read).await.ok_or(Trouble::Interrupted)?.map_err(|error: ApiError| {
            let doing = format!("reading the journals of release {}/{}", release.namespace, release.name);
            Trouble::from(error.during(doing))
        })?;
    let at_work = claim.filter(|claim| match claim.standing(lease.holder()) {
        Standing::Lives | Standing::Held => true,
        Standing::Free | Standing::Ours | Standing::Ended | Standing::Expired => false,
    });
    let history =
        History { target: world.target.clone(), release, runs, at_work: at_work.map(|claim| claim.holder.run) };
    screen::print(&match arguments.output {
        Output::Text => text(&history),
        Output::Json => json(&history),
    })?;
    world.leave();
    Ok(Exit::Done)
}
