//! Who holds a lease: a run of cfrt, its process and its host, and whether that process is still there.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{env, process};

use crate::private;
use crate::vault::hexadecimal;

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// The run, by an id that was drawn for it.
    pub run: String,
    /// The user and the host, for people.
    pub who: String,
    /// The host up to its boot, its process namespace and the user; empty where the system doesn't tell.
    pub host: String,
    /// The process, by its number and by when it began, so that another one of that number is told from it.
    pub process: String,
}

impl Holder {
    /// This process, as the holder of a new run.
    ///
    /// # Errors
    ///
    /// No random bytes to draw an id from.
    pub fn this() -> io::Result<Self> {
        let number = process::id();
        let began = stat(number).ok().and_then(|stat| began(&stat)).unwrap_or_default();
        let (user, host) = (user(), host());
        Ok(Self {
            run: hexadecimal(&private::random::<6>()?),
            who: format!("{user}@{host}"),
            host: identity(&host).unwrap_or_default(),
            process: format!("{number} {began}"),
        })
    }

    /// Whether it is a process of the same host and user as another one, so that either can see whether the other lives.
    pub fn is_beside(&self, other: &Self) -> bool {
        !self.host.is_empty() && self.host == other.host
    }

    /// Whether its process has ended. It must be one of this host: of any other nothing is known here.
    pub fn has_ended(&self) -> bool {
        let Some((number, began_then)) = self.process.split_once(' ') else { return false };
        let Ok(number) = number.parse() else { return false };
        match stat(number) {
            Ok(stat) => is_over(&stat) || began(&stat).is_some_and(|began| began != began_then),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

/// What Linux says of a process.
fn stat(number: u32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{number}/stat"))
}

/// The columns behind the name, which stands in brackets and may hold brackets itself.
fn columns(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(") ").map_or("", |(_, columns)| columns).split(' ')
}

/// Whether only the status of a process is left, to be read by its parent.
fn is_over(stat: &str) -> bool {
    matches!(columns(stat).next(), Some("Z" | "X"))
}

/// When a process began, in ticks since the boot.
fn began(stat: &str) -> Option<String> {
    columns(stat).nth(19).map(str::to_owned)
}

/// Another boot, container or user sees other processes under the same numbers, or doesn't see all of them.
fn identity(host: &str) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let processes = fs::read_link("/proc/self/ns/pid").ok()?;
    let user = fs::metadata("/proc/self").ok()?.uid();
    Some(format!("{host} {} {} uid {user}", boot.trim(), processes.display()))
}

fn host() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let told = told.ok().map(|name| name.trim().to_owned()).or_else(|| env::var("HOSTNAME").ok());
    told.filter(|name| !name.is_empty()).unwrap_or_else(|| "a host without a name".to_owned())
}

fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    let number = || fs::metadata(Path::new("/proc/self")).map(|about| format!("uid {}", about.uid())).ok();
    named.or_else(number).unwrap_or_else(|| "someone".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_runs_has_not_ended_and_is_not_taken_for_another_one_of_its_number() {
        let this = Holder::this().expect("there is a random source");
        assert!(this.is_beside(&this) && !this.has_ended(), "{this:?}");
        let (number, began) = this.process.split_once(' ').expect("both are there");
        assert!(!began.is_empty());
        let reused = Holder { process: format!("{number} 1"), ..this.clone() };
        assert!(reused.has_ended());
        let unknown = Holder { process: "junk".to_owned(), ..this };
        assert!(!unknown.has_ended());
    }

    #[test]
    fn a_process_that_was_killed_has_ended_whether_its_parent_has_noticed_or_not() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("there is a sleep");
        let stat = stat(child.id()).expect("it runs");
        let process = format!("{} {}", child.id(), began(&stat).expect("it says when it began"));
        let holder = Holder { process, ..Holder::default() };
        assert!(!holder.has_ended());
        child.kill().expect("it can be killed");
        while !holder.has_ended() {
            std::thread::yield_now();
        }
        child.wait().expect("it was started");
        assert!(holder.has_ended());
    }

    #[test]
    fn nothing_is_known_of_the_processes_of_another_host() {
        let this = Holder::this().expect("there is a random source");
        let elsewhere = Holder { host: "elsewhere".to_owned(), ..this.clone() };
        let untold = Holder { host: String::new(), ..this.clone() };
        assert!(!this.is_beside(&elsewhere) && !untold.is_beside(&untold));
    }

    #[test]
    fn the_columns_of_a_process_are_found_behind_any_name() {
        let stat = "7 (a) b) Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        assert!(is_over(stat));
        assert_eq!(began(stat).as_deref(), Some("4711"));
        assert!(!is_over("junk") && began("junk").is_none());
    }
}
