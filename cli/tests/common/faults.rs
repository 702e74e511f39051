//! `cfrt` behind a proxy that brings the faults of the world to it.

use std::path::PathBuf;
use std::sync::LazyLock;

use cfrt_sandbox::{Proxy, Schedule};
use tokio::runtime::Runtime;

use super::plan::Plan;
use super::process::Ran;
use super::scenario::Scenario;
use super::tools;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// A proxy before the control plane, and the schedule by which it works.
pub(crate) struct Faulty {
    schedule: Schedule,
    /// The proxy.
    pub(crate) proxy: Proxy,
}

impl Faulty {
    /// By rules, one a line; the scenario's own namespace stands for `NAMESPACE`.
    #[track_caller]
    pub(crate) fn by(scenario: &Scenario, rules: &str) -> Self {
        let rules = rules.replace("NAMESPACE", &scenario.namespace);
        Self::of(rules.parse().expect("they are rules"))
    }

    /// By a schedule.
    #[track_caller]
    pub(crate) fn of(schedule: Schedule) -> Self {
        let kubeconfig = tools::kubeconfig();
        let started = RUNTIME.block_on(Proxy::start(&kubeconfig, None, schedule.clone()));
        Self { schedule, proxy: started.expect("there is a free port") }
    }

    /// Where those who come through the proxy log in.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.proxy.kubeconfig()
    }

    /// Runs `cfrt` through the proxy.
    pub(crate) fn cfrt(&self, scenario: &Scenario, arguments: &[&str]) -> Ran {
        scenario.program(arguments).variable("KUBECONFIG", self.kubeconfig()).run()
    }

    /// An apply through the proxy, as a judge takes it.
    #[track_caller]
    pub(crate) fn apply(&self, scenario: &Scenario) -> (Plan, Ran) {
        let ran = self.cfrt(scenario, &["apply", "desired.toml", "--yes", "--output", "json"]);
        let applied = serde_json::from_str(&ran.stdout);
        (applied.unwrap_or_else(|error| super::process::end(&format!("{error}: {ran}\n{}", self.told()))), ran)
    }

    /// Fails unless every one of the rules came about.
    #[track_caller]
    pub(crate) fn all_happened(&self) {
        let injected = self.proxy.injected();
        let Schedule::Rules(rules) = &self.schedule else { return };
        let happened = |fault: &str| injected.iter().any(|one| one.split(' ').next() == Some(fault));
        let missing: Vec<String> =
            rules.iter().map(|rule| rule.fault.to_string()).filter(|fault| !happened(fault)).collect();
        assert!(missing.is_empty(), "these did not happen: {missing:?}\n{}", self.told());
    }

    /// The schedule, by which it can be run again, and what came of it.
    pub(crate) fn told(&self) -> String {
        format!("schedule:\n{}happened:\n{}", self.schedule, self.proxy.injected().join("\n"))
    }
}
