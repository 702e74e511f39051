//! An apply that is carried out by a driver which does as it is told: what is reported, and what stops it.

use cfrt_engine::change::Change;
use cfrt_engine::driver::{Applied, Driver, Effect, Evidence, Observation, Settled, Wanted};
use cfrt_engine::resource::Resource;
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::*;
use crate::render::samples::{about, core, plan, sample};

/// A driver that is told by a resource's name what to do: `fails`, `hangs`, `waits`, `busy`, or anything else to succeed.
struct Told;

impl Driver<()> for Told {
    fn name(&self) -> &'static str {
        "object"
    }

    fn answer<'a>(&'a self, _: &'a (), _: &'a Question) -> Effect<'a, Answer> {
        unreachable!("nothing is asked")
    }

    fn observe<'a>(&'a self, _: &'a (), _: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(async { Ok(vec![Observation::Absent]) })
    }

    fn diff(&self, _: &Resource, _: &Observation) -> Change {
        Change::of(Action::Keep)
    }

    fn obstacle(&self, step: &cfrt_engine::plan::Step) -> Option<DriverError> {
        let busy = step.resource.id.address.name == "busy";
        busy.then(|| DriverError::new("opening it", "someone is at work").fault(Fault::Locked))
    }

    fn apply<'a>(&'a self, _: &'a (), step: &'a cfrt_engine::plan::Step) -> Effect<'a, Applied> {
        Box::pin(async {
            match step.resource.id.address.name.as_str() {
                "fails" => Err(DriverError::new("creating it", "no").fault(Fault::Forbidden)),
                "hangs" => std::future::pending().await,
                _ => Ok(Applied { wrote: true, ..Applied::default() }),
            }
        })
    }

    fn follow<'a>(&'a self, _: &'a (), resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        let waits = resource.id.address.name == "waits";
        if waits { stream::pending().boxed() } else { stream::empty().boxed() }
    }

    fn settled(&self, _: &Resource, _: &Evidence) -> Settled {
        Settled::Yes
    }
}

fn planned(names: &[&str], action: Action) -> Plan {
    let sample = |name: &&str| sample("chart", core("ConfigMap", name), Change::of(action));
    plan(names.iter().map(sample).collect())
}

#[test]
fn a_plan_of_which_a_step_can_not_be_begun_is_not_begun_at_all() {
    let before =
        |names, action| Ended::before_obstacles(&planned(names, action), &Drivers::<()>::new(vec![Box::new(Told)]));
    let ended = before(&["a", "busy"], Action::Create).expect("one of them is busy");
    assert_eq!((ended.exit, ended.started, ended.report.failed.len()), (Exit::Locked, false, 1));
    assert!(before(&["a", "busy"], Action::Keep).is_none(), "nothing is to be begun");
    assert!(before(&["a"], Action::Create).is_none());
}

async fn carried_out(names: &[&str], interrupts: usize) -> Ended {
    let plan = planned(names, Action::Create);
    let watcher = Watcher::new(&about(&[("chart", &[])]).tasks, &plan, Arc::default());
    let interrupts = stream::iter(vec![(); interrupts]).then(|()| a_while()).chain(stream::pending());
    let mut interrupts = Interrupts::of(interrupts);
    carry_out(
        &plan,
        &Drivers::new(vec![Box::new(Told)]),
        &(),
        &Options::default(),
        &mut interrupts,
        watcher,
        std::future::pending(),
    )
    .await
}

/// A run that waits and loses its lease, and that is asked to stop before.
async fn carried_out_until_lost(asked: bool) -> Ended {
    let plan = planned(&["waits", "a"], Action::Create);
    let watcher = Watcher::new(&about(&[("chart", &[])]).tasks, &plan, Arc::default());
    let (ask, mut be_asked) = mpsc::unbounded_channel();
    let lost = async {
        a_while().await;
        if asked {
            ask.send(()).expect("it is listened to");
            tokio::task::yield_now().await;
        }
        "it was taken over".to_owned()
    };
    let next = stream::poll_fn(move |context| be_asked.poll_recv(context)).chain(stream::pending());
    let (drivers, options) = (Drivers::new(vec![Box::new(Told)]), Options::default());
    carry_out(&plan, &drivers, &(), &options, &mut Interrupts::of(next), watcher, lost).await
}

#[tokio::test]
async fn a_lease_that_is_lost_ends_the_waiting_and_is_no_interrupt() {
    let Ended { report, interrupted, aborted, exit, .. } = carried_out_until_lost(false).await;
    assert_eq!((report.done, report.not_awaited, interrupted, aborted), (1, 1, false, false));
    assert_eq!(exit, Exit::Locked);
}

#[tokio::test]
async fn a_run_that_was_asked_to_stop_was_interrupted_also_where_it_loses_its_lease_after_that() {
    let Ended { interrupted, aborted, exit, .. } = carried_out_until_lost(true).await;
    assert_eq!((interrupted, aborted, exit), (true, false, Exit::Interrupted));
}

/// As long as the run needs to come as far as it can by itself.
async fn a_while() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_event_is_in_the_report_when_it_is_over() {
    let ended = carried_out(&["a", "b", "c"], 0).await;
    assert_eq!((ended.report.done, ended.outcomes.len(), ended.exit), (3, 3, Exit::Done));
}

#[tokio::test]
async fn a_failure_gives_its_exit_code() {
    let ended = carried_out(&["fails", "a"], 0).await;
    let id = ResourceId::whole(core("ConfigMap", "fails"));
    assert!(matches!(ended.outcomes.get(&id), Some(Outcome::Failed(_))));
    assert_eq!(ended.exit, Exit::NotPermitted);
}

#[tokio::test]
async fn the_first_interrupt_ends_the_waiting() {
    let ended = carried_out(&["waits", "a"], 1).await;
    let Ended { report, interrupted, exit, .. } = ended;
    assert_eq!((report.done, report.not_awaited, interrupted, exit), (1, 1, true, Exit::Interrupted));
}

#[tokio::test]
async fn the_first_interrupt_does_not_end_a_write() {
    let run = carried_out(&["hangs"], 1);
    let finished = tokio::select! {
        biased;
        _ = run => true,
        () = async { a_while().await; a_while().await } => false,
    };
    assert!(!finished);
}

#[tokio::test]
async fn the_second_interrupt_ends_it_at_once() {
    let ended = carried_out(&["hangs"], 2).await;
    assert_eq!((ended.outcomes.len(), ended.aborted, ended.exit), (0, true, Exit::Interrupted));
}
