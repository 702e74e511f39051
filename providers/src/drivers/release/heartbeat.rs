//! The sign of life of open revisions: their records are touched for as long as the run that opened them is at work.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::charts::lock;

/// How often an open record is touched: often enough for several touches in a row to fail before it counts as given up.
pub const PULSE: Duration = Duration::from_secs(60);

/// The heartbeats of a run. None of them outlives this value.
#[derive(Debug)]
pub struct Heartbeats {
    pulse: Duration,
    beating: Mutex<BTreeMap<String, Heartbeat>>,
}

#[derive(Debug)]
struct Heartbeat {
    stop: oneshot::Sender<()>,
    /// One task, which ends with the set.
    task: JoinSet<()>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::every(PULSE)
    }
}

impl Heartbeats {
    /// Heartbeats with another pulse.
    pub fn every(pulse: Duration) -> Self {
        Self { pulse, beating: Mutex::default() }
    }

    /// Calls `touch` once in every pulse from now on, until it says that there is nothing to touch any more.
    pub fn start<F>(&self, name: &str, touch: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(beat(self.pulse, stopped, touch));
        lock(&self.beating).insert(name.to_owned(), Heartbeat { stop, task });
    }

    /// Ends a heartbeat. A touch that is under way comes to its end first, so that it can't fall between a read and a write.
    pub async fn stop(&self, name: &str) {
        let beating = lock(&self.beating).remove(name);
        if let Some(Heartbeat { stop, task }) = beating {
            drop(stop);
            task.join_all().await;
        }
    }
}

async fn beat<F: Future<Output = bool>>(
    pulse: Duration,
    mut stopped: oneshot::Receiver<()>,
    mut touch: impl FnMut() -> F,
) {
    let mut beats = interval_at(Instant::now() + pulse, pulse);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            _ = beats.tick() => {}
        }
        if !touch().await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, mpsc};

    use super::*;

    /// A pulse that is over at once.
    fn quick() -> Heartbeats {
        Heartbeats::every(Duration::from_millis(1))
    }

    #[tokio::test]
    async fn a_record_is_touched_again_and_again_until_the_heartbeat_is_stopped() {
        let (touch, mut touched) = mpsc::unbounded_channel();
        let heartbeats = quick();
        heartbeats.start("a", move || std::future::ready(touch.send(()).is_ok()));
        for _ in 0..3 {
            assert!(touched.recv().await.is_some());
        }
        heartbeats.stop("a").await;
        while touched.try_recv().is_ok() {}
        assert!(touched.is_closed(), "nothing is left that could touch it");
    }

    #[tokio::test]
    async fn what_is_no_longer_ours_is_not_touched_again() {
        let (touch, mut touched) = mpsc::unbounded_channel();
        let heartbeats = quick();
        heartbeats.start("a", move || std::future::ready(touch.send(()).is_err()));
        assert_eq!((touched.recv().await, touched.recv().await), (Some(()), None));
    }

    #[tokio::test]
    async fn stopping_waits_for_a_touch_that_is_under_way() {
        let (began, ended, goes_on) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let heartbeats = quick();
        let in_touch = (Arc::clone(&began), Arc::clone(&ended), Arc::clone(&goes_on));
        heartbeats.start("a", move || {
            let (began, ended, goes_on) = in_touch.clone();
            async move {
                began.notify_one();
                goes_on.notified().await;
                ended.fetch_add(1, Ordering::SeqCst);
                true
            }
        });
        began.notified().await;
        let ((), ()) = tokio::join!(heartbeats.stop("a"), async { goes_on.notify_one() });
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn no_heartbeat_outlives_its_run() {
        let (touch, mut touched) = mpsc::unbounded_channel();
        let heartbeats = quick();
        heartbeats.start("a", move || {
            let told = touch.send(());
            async move {
                told.expect("the test listens");
                std::future::pending().await
            }
        });
        assert_eq!(touched.recv().await, Some(()));
        drop(heartbeats);
        assert_eq!(touched.recv().await, None);
    }
}
