//! What all tests of the engine stand on: graphs from one line of text, and a world that is a map.

pub(crate) mod drawing;
pub(crate) mod driver;
pub(crate) mod rules;
pub(crate) mod scene;
pub(crate) mod sketch;
pub(crate) mod text;
pub(crate) mod world;
pub(crate) mod write;

use std::time::Duration;

use proptest::test_runner::Config;
use tokio::runtime::Builder;

/// Runs on a clock that stands still until nothing else moves.
pub(crate) fn on_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime needs nothing").block_on(future)
}

/// Waits on that clock.
pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// At least so many cases; `PROPTEST_CASES` asks for more.
pub(crate) fn cases(least: u32) -> Config {
    let default = Config::default();
    Config { cases: default.cases.max(least), ..default }
}
