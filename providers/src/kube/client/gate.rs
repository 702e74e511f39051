//! The gate that every request passes: what writes leaves only once it may, and only while its lease is known to be held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Request, header};
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::BoxError;

use crate::kube::retry::Lanes;
use crate::world::Access;

/// A moment from which time is counted, also while the machine sleeps: the clock that timers go by stands still then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    awake: Instant,
    by_day: SystemTime,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        Self { awake: Instant::now(), by_day: SystemTime::now() }
    }

    /// How long ago it was, by the clock that says more. One that was set back says nothing.
    pub(crate) fn elapsed(&self) -> Duration {
        self.awake.elapsed().max(self.by_day.elapsed().unwrap_or_default())
    }

    /// One after which the machine has slept for so long.
    #[cfg(test)]
    pub(crate) fn before_a_sleep_of(long: Duration) -> Self {
        let now = Self::now();
        Self { by_day: now.by_day - long, ..now }
    }
}

/// What is written under.
#[derive(Debug, Default)]
enum Cover {
    /// Nothing that could be lost.
    #[default]
    Nothing,
    /// A lease: where it is, when it was last known to be ours, and how long that counts.
    Lease { path: String, renewed: Moment, lasts: Duration },
    /// A lease that is lost.
    Lost,
}

impl Cover {
    /// Whether a request that writes there must wait until the lease is renewed; what renews it can't.
    fn holds_back(&self, path: &str) -> bool {
        match self {
            Self::Lease { path: lease, renewed, lasts } => lease != path && renewed.elapsed() >= *lasts,
            Self::Nothing | Self::Lost => false,
        }
    }
}

/// What every request passes.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Whether requests may write.
    open: AtomicBool,
    /// What they do so under.
    cover: watch::Sender<Cover>,
    /// How many requests were let through.
    sent: AtomicUsize,
    /// Whether the server has ever answered, so that no answer is trouble and no wrong address.
    pub(super) reached: AtomicBool,
    /// How many are under way at once.
    pub(super) lanes: Lanes,
}

impl Gate {
    pub(super) fn of(access: Access) -> Arc<Self> {
        Arc::new(Self { open: AtomicBool::new(access == Access::ReadWrite), ..Self::default() })
    }

    /// How many requests were let through.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Lets through what writes, from now on.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Holds back what writes once the lease at a path was not renewed for so long.
    pub(super) fn renewed(&self, path: String, renewed: Moment, lasts: Duration) {
        self.cover.send_if_modified(|cover| match cover {
            Cover::Lost => false,
            Cover::Nothing | Cover::Lease { .. } => {
                *cover = Cover::Lease { path, renewed, lasts };
                true
            }
        });
    }

    /// Lets nothing through that writes, from now on and whatever else is said.
    pub(super) fn close(&self) {
        self.cover.send_replace(Cover::Lost);
    }

    /// Waits for as long as a request is held back.
    pub(super) fn wait<'a>(&'a self, request: &Request<Body>) -> impl Future<Output = ()> + Send + use<'a> {
        let written = (!only_reads(request)).then(|| request.uri().path().to_owned());
        async move {
            if let Some(path) = written {
                // The sender is ours, so that there is always one.
                drop(self.cover.subscribe().wait_for(|cover| !cover.holds_back(&path)).await);
            }
        }
    }

    fn look(&self, request: &Request<Body>) -> Result<(), Shut> {
        if only_reads(request) {
            return Ok(());
        }
        match &*self.cover.borrow() {
            Cover::Lost => Err(Shut::Lost),
            Cover::Nothing | Cover::Lease { .. } if !self.open.load(Ordering::Relaxed) => Err(Shut::ReadsOnly),
            cover if cover.holds_back(request.uri().path()) => Err(Shut::NotRenewed),
            Cover::Nothing | Cover::Lease { .. } => Ok(()),
        }
    }
}

/// Why what writes doesn't pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shut {
    /// It may not yet.
    ReadsOnly,
    /// The lease was not renewed for too long: it may as soon as that is done.
    NotRenewed,
    /// The lease is lost.
    Lost,
}

/// A request that does not pass.
#[derive(Debug, thiserror::Error)]
#[error("{title}")]
pub(super) struct WouldWrite {
    pub(super) title: String,
    pub(super) shut: Shut,
}

/// Counts what passes the gate, and names us to the server.
pub(super) fn guard(
    gate: Arc<Gate>,
) -> tower::filter::FilterLayer<impl Fn(Request<Body>) -> Result<Request<Body>, BoxError> + Clone + Send + Sync> {
    tower::filter::FilterLayer::new(move |mut request: Request<Body>| {
        if let Err(shut) = gate.look(&request) {
            let title = format!("{} {}", request.method(), request.uri().path());
            return Err(BoxError::from(WouldWrite { title, shut }));
        }
        gate.sent.fetch_add(1, Ordering::Relaxed);
        let agent = HeaderValue::from_static(concat!("cfrt/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        Ok(request)
    })
}

/// Reads, dry runs and access reviews. A dry run counts only where the query says so: the body isn't looked at.
pub(super) fn only_reads(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let dry_run = query.split('&').filter(|pair| pair.starts_with("dryRun=")).eq(["dryRun=All"]);
    let path = request.uri().path();
    let review = path.starts_with("/apis/authorization.k8s.io/") && path.ends_with("accessreviews")
        || path == "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::PATCH => dry_run,
        Method::POST => review,
        _ => false,
    }
}
