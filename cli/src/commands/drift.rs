//! `cfrt drift`: what has moved in the cluster, and nothing else.

use cfrt_engine::drift::{Drift, drift};
use cfrt_engine::ignore::Day;
use cfrt_providers::world::Access;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::{DriftArguments, Report};
use crate::exit::Exit;
use crate::pipeline::{Prepared, look};
use crate::render::{drift as text, json, markdown};
use crate::screen;
use crate::trouble::Trouble;

/// Tells what has moved.
///
/// # Errors
///
/// What kept it from being found or printed.
pub(crate) async fn run(arguments: &DriftArguments) -> Result<Exit, Trouble> {
    let prepared = look(&arguments.file, arguments.helm.clone(), Access::ReadOnly).await?;
    let found = drift(&prepared.plan, &prepared.about.facts.ignore, today());
    let exit = Exit::of_drift(&found, arguments.detailed_exit_code);
    screen::print(&shown(arguments, &prepared, &found, exit))?;
    // As after a plan: the process ends here.
    let Prepared { world, plan, .. } = prepared;
    world.leave();
    std::mem::forget(plan);
    Ok(exit)
}

fn shown(arguments: &DriftArguments, prepared: &Prepared, found: &Drift, exit: Exit) -> String {
    match arguments.output {
        Report::Text => text::drift(&prepared.about, found),
        Report::Json => json::drift(&prepared.about, found, exit),
        Report::Markdown => markdown::drift(&prepared.about, found),
    }
}

/// The day, wherever we are, by the clock that the cluster's times are written in.
fn today() -> Day {
    let date = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let [month, day] = [date.month(), date.day()].map(i8::unsigned_abs);
    Day { year: date.year().unsigned_abs(), month, day }
}
