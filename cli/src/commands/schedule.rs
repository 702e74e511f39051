//! `cfrt schedule`: the objects with which the cluster looks for drift by itself.

use cfrt_engine::driver::{DriverError, Fault};
use cfrt_providers::kube::rights::{RightsByPlace, rights};
use cfrt_providers::world::Access;
use serde_json::Value;

use crate::args::ScheduleArguments;
use crate::exit::Exit;
use crate::load::load;
use crate::pipeline::{Drawn, around, draw, tasks};
use crate::schedule::files::{Package, package};
use crate::schedule::objects::Schedule;
use crate::screen;
use crate::trouble::Trouble;

/// Prints the objects. Reads only.
///
/// # Errors
///
/// What a pod can't have; what kept the graph from being known, or the objects from being printed.
pub(crate) async fn run(arguments: &ScheduleArguments) -> Result<Exit, Trouble> {
    let sources = load(&arguments.file)?;
    let facts = tasks(&sources)?.facts;
    let package = package(&sources, &facts)?;
    let (release, runtime) = (facts.runtime.release.get_ref().as_str(), facts.runtime.namespace.get_ref().as_str());
    let namespace = arguments.namespace.as_deref().unwrap_or(runtime);
    beside_its_token(&package, namespace, runtime)?;
    let drawn = draw(&arguments.file, around(arguments.helm.as_ref()), Access::ReadOnly).await?;
    let rights = with_records(&drawn, &package, runtime);
    let schedule = Schedule {
        release,
        runtime,
        namespace,
        image: &arguments.image,
        at: &arguments.at,
        package: &package,
        rights: &rights,
    };
    screen::print(&yaml(&schedule.objects())?)?;
    Ok(Exit::Done)
}

/// What is read besides the objects: the records, helm's and ours, a token that is copied, and by what a cluster is known.
fn with_records(drawn: &Drawn, package: &Package, runtime: &str) -> RightsByPlace {
    let mut rights = rights(&drawn.world.discovery, &drawn.graph);
    rights.entry(String::new()).or_default().get("", "namespaces", "kube-system");
    rights.entry(runtime.to_owned()).or_default().list("", "secrets");
    if let Some((namespace, name)) = &package.copied {
        rights.entry(namespace.clone()).or_default().get("", "secrets", name);
    }
    rights
}

/// A pod takes Secrets from its own namespace only.
fn beside_its_token(package: &Package, namespace: &str, runtime: &str) -> Result<(), Trouble> {
    match &package.token {
        Some(token) if namespace != runtime => {
            let doing = format!("scheduling it in namespace {namespace}");
            let cause = format!(
                "its token is in Secret {runtime}/{}, where a pod of another namespace can't reach it",
                token.secret
            );
            Err(Trouble::World(DriverError::new(doing, cause).fault(Fault::Input).hint("leave out `--namespace`")))
        }
        Some(_) | None => Ok(()),
    }
}

fn yaml(objects: &[Value]) -> Result<String, Trouble> {
    let mut text = String::new();
    for object in objects {
        let object = serde_saphyr::to_string(object)
            .map_err(|error| Trouble::World(DriverError::new("writing the objects as YAML", error)))?;
        text.push_str("---\n");
        text.push_str(object.trim_end());
        text.push('\n');
    }
    Ok(text)
}
