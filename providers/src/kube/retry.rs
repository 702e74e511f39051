//! What may be done about a request that brought nothing: sent again, or left to whoever asked. All budgets are here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::client::ApiError;

/// How long a request is sent again that meets trouble, from the first time on: a leader of etcd is elected, or a load
/// balancer notices that a server is gone, well within that.
const TROUBLE: Duration = Duration::from_secs(60);

/// The same of one that the server puts off. It is at work and says so, and more than waiting can't be done about it.
const PUT_OFF: Duration = Duration::from_secs(300);

/// The longest that a server may ask us to wait at once.
const LONGEST_PUT_OFF: Duration = Duration::from_secs(30);

/// The same of one that a webhook keeps from being done: it may be about to come up, and nothing was done before that.
const WEBHOOK: Duration = Duration::from_secs(15);

/// A server takes a moment before it serves a kind that was just defined; nobody says when that is over.
const SOON: Duration = Duration::from_millis(50);

/// How often such a kind is tried again.
const ATTEMPTS_AT_A_NEW_KIND: usize = 100;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often an object that others write at the same time is read again before we give up.
const CONFLICTS: usize = 8;

/// How many requests are sent at once while the server puts some off.
const LANES: usize = 2;

/// How long after that it is spared.
const SPARED: Duration = Duration::from_secs(5);

/// An attempt that brought nothing, with all that is known of it.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is told of it.
    pub(super) error: ApiError,
    /// How long the server wants to be left alone.
    pub(super) after: Option<Duration>,
    /// Whether it never left us.
    pub(super) unsent: bool,
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// It is sent again, for this long since the first failure.
    Again(Duration),
    /// Whoever asked must decide; where it is unclear what was done, by looking.
    Over,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { error, after: None, unsent: false }
    }
}

impl Failure {
    /// What may be done about it; `harmless` where doing it twice is doing it once.
    fn remedy(&self, harmless: bool) -> Remedy {
        match &self.error {
            // 429 also stands for custom resources whose definition has just changed, "storage is (re)initializing".
            ApiError::Status { code: 429, .. } => Remedy::Again(PUT_OFF),
            ApiError::Status { code: 503, .. } => Remedy::Again(TROUBLE),
            // Where no one is behind a webhook, waiting won't help.
            error if is_by_webhook(error) && error.to_string().contains("no endpoints available") => Remedy::Over,
            error if is_by_webhook(error) => Remedy::Again(WEBHOOK),
            error if is_final(error) => Remedy::Over,
            ApiError::Status { code: 500 | 502 | 504, .. } if harmless => Remedy::Again(TROUBLE),
            ApiError::Transport(_) | ApiError::Slow(_) if harmless || self.unsent => Remedy::Again(TROUBLE),
            ApiError::Status { .. } | ApiError::Transport(_) | ApiError::Slow(_) => Remedy::Over,
            ApiError::Immutable { .. } | ApiError::Denied(_) | ApiError::Junk(_) | ApiError::Old => Remedy::Over,
            ApiError::ReadOnly(_) | ApiError::Closed(_) => Remedy::Over,
        }
    }
}

/// Whether the server didn't get an answer from whom it has to ask before it does anything.
fn is_by_webhook(error: &ApiError) -> bool {
    const CALLS: [&str; 2] = ["failed calling webhook", "conversion webhook for "];
    matches!(error, ApiError::Status { code: 500, message, .. } if CALLS.iter().any(|call| message.contains(call)))
}

/// Whether a server refuses for good what it answers like trouble: an apply of a field that a definition doesn't have, and
/// what is larger than its store takes.
fn is_final(error: &ApiError) -> bool {
    const REFUSALS: [&str; 4] =
        ["failed to create typed ", "illegal base64 data", "request is too large", "message larger than max"];
    matches!(error, ApiError::Status { code: 500, message, .. } if REFUSALS.iter().any(|words| message.contains(words)))
}

/// Whether the server may have done what was asked for before this was the answer, or before none came.
pub fn is_unclear(error: &ApiError) -> bool {
    match error {
        _ if is_by_webhook(error) || is_final(error) => false,
        ApiError::Status { code, .. } => matches!(code, 500 | 502 | 503 | 504),
        ApiError::Transport(_) | ApiError::Slow(_) | ApiError::Junk(_) => true,
        ApiError::Immutable { .. } | ApiError::Denied(_) | ApiError::Old => false,
        ApiError::ReadOnly(_) | ApiError::Closed(_) => false,
    }
}

/// How long trouble of this sort is borne with.
pub(crate) fn borne_for(error: &ApiError) -> Duration {
    if error.code() == Some(429) { PUT_OFF } else { TROUBLE }
}

/// The pauses before what failed is tried again: each about twice as long as the one before, and none like another's.
fn pauses() -> ExponentialBackoff {
    let growing = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
    growing.with_jitter().without_max_times().build()
}

/// Tries again until a kind is served that this run brings, where it is one.
pub(super) async fn until_served<T, F: Future<Output = Result<T, ApiError>>>(
    is_new: bool,
    attempt: impl Fn() -> F,
) -> Result<T, ApiError> {
    let mut left = if is_new { ATTEMPTS_AT_A_NEW_KIND } else { 0 };
    loop {
        match attempt().await {
            Err(error) if left > 0 && error.is_not_found() => left -= 1,
            over => return over,
        }
        tokio::time::sleep(SOON).await;
    }
}

/// The pauses before what met others, or got lost, is done again after a look; none once it has taken as long as trouble may.
pub(crate) fn tries() -> impl Iterator<Item = Duration> {
    let began = Instant::now();
    pauses().take(CONFLICTS).take_while(move |_| began.elapsed() < TROUBLE)
}

/// What is left of the budgets of one request.
#[derive(Debug)]
pub(super) struct Budget {
    harmless: bool,
    pauses: ExponentialBackoff,
    since: Option<Instant>,
}

impl Budget {
    /// A full one.
    pub(super) fn new(harmless: bool) -> Self {
        Self { harmless, pauses: pauses(), since: None }
    }

    /// How long to wait before the next attempt; `None` where there is none.
    pub(super) fn pause(&mut self, failure: &Failure) -> Option<Duration> {
        let Remedy::Again(limit) = failure.remedy(self.harmless) else { return None };
        let since = *self.since.get_or_insert_with(Instant::now);
        let own = self.pauses.next()?;
        // What the server asks for is the least: all others who wait would come at the same moment.
        let pause = failure.after.map_or(own, |after| after.min(LONGEST_PUT_OFF) + own.min(FIRST_PAUSE));
        (since.elapsed() + pause < limit).then_some(pause)
    }
}

/// Lets few requests through at once for a while after the server has put one off, and any number otherwise.
#[derive(Debug)]
pub(super) struct Lanes {
    few: Semaphore,
    spared_until: Mutex<Option<Instant>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { few: Semaphore::new(LANES), spared_until: Mutex::default() }
    }
}

impl Lanes {
    /// A place in the queue, to be kept while the request is under way.
    pub(super) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        let until = *self.spared_until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_none_or(|until| until <= Instant::now()) {
            return None;
        }
        self.few.acquire().await.ok()
    }

    /// Takes note of an attempt that brought nothing.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.error.code() == Some(429) {
            let spared = failure.after.unwrap_or_default().min(LONGEST_PUT_OFF) + SPARED;
            *self.spared_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + spared);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> ApiError {
        ApiError::Status { code, reason: String::new(), message: String::new() }
    }

    #[test]
    fn what_may_be_done_depends_on_what_is_known_and_on_what_doing_it_twice_would_do() {
        let (again, put_off, over) = (Remedy::Again(TROUBLE), Remedy::Again(PUT_OFF), Remedy::Over);
        let lost = || ApiError::Transport("lost".to_owned());
        let table = [
            // error, never sent, harmless: what, otherwise: what, unclear
            (status(429), false, put_off, put_off, false),
            (status(503), false, again, again, true),
            (status(500), false, again, over, true),
            (status(502), false, again, over, true),
            (status(504), false, again, over, true),
            (lost(), false, again, over, true),
            (lost(), true, again, again, true),
            (ApiError::Slow(60), false, again, over, true),
            (ApiError::Junk(String::new()), false, over, over, true),
            (status(400), false, over, over, false),
            (status(401), false, over, over, false),
            (status(403), false, over, over, false),
            (status(404), false, over, over, false),
            (status(409), false, over, over, false),
            (status(410), false, over, over, false),
            (status(422), false, over, over, false),
            (ApiError::Denied(String::new()), false, over, over, false),
            (ApiError::Old, false, over, over, false),
            (ApiError::ReadOnly(String::new()), false, over, over, false),
        ];
        for (error, unsent, harmless, otherwise, unclear) in table {
            let failure = Failure { error, after: None, unsent };
            let seen = (failure.remedy(true), failure.remedy(false), is_unclear(&failure.error));
            assert_eq!(seen, (harmless, otherwise, unclear), "{failure:?}");
        }
    }

    #[test]
    fn a_webhook_is_waited_for_a_little_and_not_at_all_where_no_one_is_behind_it() {
        let remedy = |message: &str| {
            let failure =
                Failure::from(ApiError::Status { code: 500, reason: String::new(), message: message.to_owned() });
            (failure.remedy(true), failure.remedy(false), is_unclear(&failure.error))
        };
        let refused = remedy("failed calling webhook \"a\": connection refused");
        assert_eq!(refused, (Remedy::Again(WEBHOOK), Remedy::Again(WEBHOOK), false));
        assert_eq!(remedy("conversion webhook for a.io/v1, Kind=Widget failed: x"), refused);
        let no_one = remedy("failed calling webhook \"a\": no endpoints available for service \"b\"");
        assert_eq!(no_one, (Remedy::Over, Remedy::Over, false));
    }

    #[test]
    fn what_is_refused_for_good_in_the_words_of_trouble_is_not_sent_again() {
        for message in [
            "failed to create typed patch object (n/a; a.io/v1, Kind=Widget): .spec.size: field not declared in schema",
            "etcdserver: request is too large",
            "illegal base64 data at input byte 4",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3000000 vs. 2097152)",
        ] {
            let failure =
                Failure::from(ApiError::Status { code: 500, reason: String::new(), message: message.to_owned() });
            assert_eq!((failure.remedy(true), is_unclear(&failure.error)), (Remedy::Over, false), "{message}");
        }
    }

    /// How often a request is sent again that always fails like this, and for how long.
    async fn spent(error: impl Fn() -> ApiError, after: Option<u64>) -> (usize, Duration) {
        let (mut budget, began, mut again) = (Budget::new(true), Instant::now(), 0);
        let failure = || Failure { error: error(), after: after.map(Duration::from_secs), unsent: false };
        while let Some(pause) = budget.pause(&failure()) {
            tokio::time::sleep(pause).await;
            again += 1;
        }
        (again, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_met_others_or_got_lost_is_tried_a_few_times_within_a_minute() {
        let (began, mut count) = (Instant::now(), 0);
        for pause in tries() {
            tokio::time::sleep(pause).await;
            count += 1;
        }
        assert_eq!(count, CONFLICTS);
        assert!(began.elapsed() < TROUBLE);
        let mut slow = tries();
        tokio::time::advance(TROUBLE).await;
        assert_eq!(slow.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_used_up_and_not_overdrawn() {
        let (again, took) = spent(|| status(503), None).await;
        assert!((9..30).contains(&again) && took <= TROUBLE && took > TROUBLE / 2, "{again} in {took:?}");
        let (again, took) = spent(|| status(429), None).await;
        assert!((30..130).contains(&again) && took <= PUT_OFF && took > PUT_OFF / 2, "{again} in {took:?}");
        assert_eq!(spent(|| status(404), None).await, (0, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_asks_for_is_waited_but_not_an_hour() {
        let (again, took) = spent(|| status(429), Some(20)).await;
        assert!(again == 14 && took >= Duration::from_secs(280), "{again} in {took:?}");
        let (again, took) = spent(|| status(429), Some(3600)).await;
        assert!((8..=9).contains(&again) && took <= PUT_OFF, "{again} in {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_puts_off_is_spared_for_a_while() {
        let lanes = Lanes::default();
        assert!(lanes.enter().await.is_none());
        lanes.note(&status(429).into());
        let (first, second) = (lanes.enter().await, lanes.enter().await);
        assert!(first.is_some() && second.is_some());
        let third = tokio::time::timeout(Duration::from_secs(1), lanes.enter()).await;
        assert!(third.is_err(), "two are under way");
        drop(first);
        assert!(lanes.enter().await.is_some());
        tokio::time::advance(SPARED).await;
        assert!(lanes.enter().await.is_none());
        lanes.note(&status(503).into());
        assert!(lanes.enter().await.is_none());
    }
}
