//! `cfrt drift`: what has moved in the cluster, and nothing else.

use std::path::Path;

use cfrt_engine::drift::{Drift, drift};
use cfrt_engine::ignore::Day;
use cfrt_providers::world::Access;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::{DriftArguments, Report};
use crate::exit::Exit;
use crate::file;
use crate::pipeline::{About, Prepared, around, look};
use crate::render::{drift as text, failure, json, junit, markdown, metrics};
use crate::screen;
use crate::trouble::Trouble;

/// Tells what has moved.
///
/// # Errors
///
/// What kept it from being found or printed.
pub(crate) async fn run(arguments: &DriftArguments) -> Result<Exit, Trouble> {
    let told = tell(arguments).await;
    if let Err(trouble) = &told {
        // The first trouble is the one to tell; a collector is to see that there was one.
        failed(arguments, trouble).unwrap_or_default();
    }
    told
}

async fn tell(arguments: &DriftArguments) -> Result<Exit, Trouble> {
    let prepared = look(&arguments.file, around(arguments.helm.as_ref()), Access::ReadOnly).await?;
    let found = drift(&prepared.plan, &prepared.about.facts.ignore, today());
    let exit = Exit::of_drift(&found, arguments.detailed_exit_code);
    screen::print(&shown(arguments, &prepared, &found, exit))?;
    let About { ref tasks, .. } = prepared.about;
    write(arguments.junit.as_deref(), || junit::drift(tasks, &found))?;
    write(arguments.metrics.as_deref(), || metrics::found(&arguments.file, &prepared.about, &found, now()))?;
    // As after a plan: the process ends here.
    let Prepared { world, plan, .. } = prepared;
    world.leave();
    std::mem::forget(plan);
    Ok(exit)
}

fn failed(arguments: &DriftArguments, trouble: &Trouble) -> Result<(), Trouble> {
    let why = anstream::adapter::strip_str(&failure::trouble(trouble)).to_string();
    write(arguments.junit.as_deref(), || junit::failed(why.trim_end()))?;
    write(arguments.metrics.as_deref(), || metrics::failed(&arguments.file, now()))
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), Trouble> {
    path.map_or(Ok(()), |path| file::write(path, &text()))
}

fn now() -> i64 {
    Timestamp::now().as_second()
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
