//! What to do next, for everything that can end a run.

use cfrt_engine::driver::Fault;
use cfrt_engine::graph::GraphError;
use cfrt_engine::planfile::NotGenuine;

use crate::trouble::Trouble;

/// What to do about a plan that may not be carried out.
pub(crate) const REFUSED: &str = "the reasons are in the plan; change the file, or what is in the way, and plan again";

/// What to do about a step that failed, where nothing better is known.
pub(crate) const AGAIN: &str = "mend the cause and run the same command again: what is done by now is kept";

/// Something that the user can do about a trouble; `None` where the trouble says it itself.
pub(crate) fn of_trouble(trouble: &Trouble) -> Option<String> {
    match trouble {
        Trouble::Mistaken { .. } | Trouble::Interrupted => None,
        Trouble::Unreadable { .. } => Some("`cfrt plan FILE` takes the path of a TOML file".to_owned()),
        Trouble::Unwritable { .. } => Some("look at whether its folder is there and may be written".to_owned()),
        Trouble::InTheWay { .. } => {
            Some("only a plan file is written over; name another path, or move it away".to_owned())
        }
        Trouble::NoPlanFile { .. } => Some("one is made by `cfrt plan FILE -o PLANFILE`".to_owned()),
        Trouble::NotGenuine { source: NotGenuine::LineEnds, .. } => {
            Some("Git may have done that: write `*.plan.json -text` into .gitattributes".to_owned())
        }
        Trouble::NotGenuine { source: NotGenuine::Format { .. }, .. } => {
            Some("use the cfrt that made it, or make it anew: cfrt plan FILE -o PLANFILE".to_owned())
        }
        Trouble::NotGenuine { .. } | Trouble::StalePlanFile => {
            Some("make it anew, and have it approved again: cfrt plan FILE -o PLANFILE".to_owned())
        }
        Trouble::UnknownKey { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
        Trouble::UnknownKey { near: None, .. } => Some("`cfrt help file` lists all keys".to_owned()),
        Trouble::Graph(error) => Some(of_graph(error).to_owned()),
        Trouble::World(error) => of_fault(error.fault, &error.hint),
        Trouble::Unconfirmed => Some("use `--yes` to apply without being asked".to_owned()),
        Trouble::Runtime(_) => Some("look at the limits of the process: `ulimit -a`".to_owned()),
        Trouble::Screen(_) => Some("look at where the output goes, and whether there is room".to_owned()),
    }
}

/// Something that the user can do about trouble in the world: what the driver knows, or else what such trouble needs.
pub(crate) fn of_fault(fault: Fault, known: &str) -> Option<String> {
    if !known.is_empty() {
        return Some(known.to_owned());
    }
    let general = match fault {
        Fault::World | Fault::Refused | Fault::Input => return None,
        Fault::Forbidden => "`kubectl auth can-i --list` shows what you may do there",
        Fault::Locked => "once nobody else is at work on the release, run the same command again",
        Fault::Stale => "run `cfrt plan` again and look at what has moved",
        Fault::TimedOut => {
            "look at what it waits for, then run the same command again; `[wait]` in the file says for how long"
        }
    };
    Some(general.to_owned())
}

fn of_graph(error: &GraphError) -> &'static str {
    match error {
        GraphError::OpensTwo(..) | GraphError::Shared(..) => {
            "a thing is in one bracket at most; this is a fault of cfrt"
        }
        GraphError::Twice(..) => "take one of the two away: a thing can have one owner only",
        GraphError::Missing(..) => "add what is needed, or take away what needs it",
        GraphError::Circle(..) => "take one of these needs away, so that one of them can be first",
    }
}
