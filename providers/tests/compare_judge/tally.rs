//! What came out of many cases.

use std::fmt;

/// What applying a document would do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Nothing,
    Changed,
    Refused,
}

/// What both judges say: the paths that the comparison names, and the server.
pub(crate) struct Verdict {
    pub(crate) flagged: Vec<String>,
    pub(crate) effect: Effect,
}

impl Verdict {
    pub(crate) fn is_agreed(&self) -> bool {
        self.flagged.is_empty() == (self.effect == Effect::Nothing)
    }
}

/// Counts of verdicts, and the cases in which the judges disagree.
#[derive(Default)]
pub(crate) struct Tally {
    changed: usize,
    refused: usize,
    equal: usize,
    /// Differences that an apply would not change: each costs a dry run, no more.
    pub(crate) needless: Vec<String>,
    /// Changes that the comparison took for equal.
    pub(crate) missed: Vec<String>,
}

impl Extend<(String, Verdict)> for Tally {
    fn extend<T: IntoIterator<Item = (String, Verdict)>>(&mut self, cases: T) {
        for (case, verdict) in cases {
            match (&verdict.effect, verdict.flagged.is_empty()) {
                (Effect::Nothing, true) => self.equal += 1,
                (Effect::Nothing, false) => self.needless.push(format!("{case}, flagged {:?}", verdict.flagged)),
                (Effect::Changed, false) => self.changed += 1,
                (Effect::Refused, false) => self.refused += 1,
                (Effect::Changed | Effect::Refused, true) => self.missed.push(format!("{case}, {:?}", verdict.effect)),
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, refused, equal, needless, missed } = self;
        let (needless_count, missed_count) = (needless.len(), missed.len());
        write!(f, "{changed} changed, {refused} refused, {equal} equal, ")?;
        write!(f, "{needless_count} flagged without effect, {missed_count} missed")?;
        if std::env::var_os("CFRT_VERBOSE").is_some() {
            needless.iter().try_for_each(|case| write!(f, "\n    without effect: {case}"))?;
        }
        missed.iter().try_for_each(|case| write!(f, "\n    missed: {case}"))
    }
}
