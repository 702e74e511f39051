//! Being asked to stop, by Ctrl-C or by whoever runs us.

use std::future::pending;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::trouble::Trouble;

/// Each time that we are asked to stop. From the moment that it is made, a signal no longer ends the process by itself.
pub(crate) struct Interrupts(BoxStream<'static, ()>);

impl Interrupts {
    /// Listens for Ctrl-C and SIGTERM.
    ///
    /// # Errors
    ///
    /// The system doesn't let us.
    pub(crate) fn listen() -> Result<Self, Trouble> {
        let listen = |kind| signal(kind).map_err(Trouble::Runtime);
        let signals = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?];
        let each = signals.map(|signal| {
            stream::unfold(signal, async |mut signal| signal.recv().await.map(|()| ((), signal))).boxed()
        });
        Ok(Self(stream::select_all(each).boxed()))
    }

    /// Waits until we are asked.
    pub(crate) async fn next(&mut self) {
        if self.0.next().await.is_none() {
            pending::<()>().await;
        }
    }

    /// What comes of some work that may be dropped at any time; nothing where we are asked to stop before its end.
    pub(crate) async fn unless_asked<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.next() => None,
            done = work => Some(done),
        }
    }

    /// Those of a test.
    #[cfg(test)]
    pub(crate) fn of(each: impl stream::Stream<Item = ()> + Send + 'static) -> Self {
        Self(each.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_to_its_end_unless_we_are_asked_to_stop() {
        let mut never = Interrupts::of(stream::empty());
        assert_eq!(never.unless_asked(async { 1 }).await, Some(1));
        let mut at_once = Interrupts::of(stream::iter([()]));
        assert_eq!(at_once.unless_asked(pending::<()>()).await, None);
    }
}
