//! The exit codes: a contract, in one table. It needs nothing else of the program, as the man page has the table, too.

/// How a run of `cfrt` ended. The numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is in step, or done.
    Done,
    /// Something went wrong that has no code of its own.
    Failed,
    /// Something would change; only when asked for.
    Changes,
    /// Something has moved in the world.
    Drift,
    /// Something has moved in the world, and something would change.
    DriftAndChanges,
    /// A rule or a check forbids it.
    Refused,
    /// The world is not what the plan was made for, or not the cluster that was meant.
    Stale,
    /// The plan file is not genuine.
    NotGenuine,
    /// Someone else is at work there.
    Locked,
    /// Something took longer than we wait.
    TimedOut,
    /// Some of it was applied, and some of it was not.
    PartlyApplied,
    /// The cluster does not permit it.
    NotPermitted,
    /// The command line or the file is wrong.
    Usage,
    /// The user stopped it, or said no: nothing for a script to take for done, and no error of ours either.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::Done,
        Self::Failed,
        Self::Changes,
        Self::Drift,
        Self::DriftAndChanges,
        Self::Refused,
        Self::Stale,
        Self::NotGenuine,
        Self::Locked,
        Self::TimedOut,
        Self::PartlyApplied,
        Self::NotPermitted,
        Self::Usage,
        Self::Interrupted,
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Drift => 3,
            Self::DriftAndChanges => 4,
            Self::Refused => 5,
            Self::Stale => 6,
            Self::NotGenuine => 7,
            Self::Locked => 8,
            Self::TimedOut => 9,
            Self::PartlyApplied => 10,
            Self::NotPermitted => 11,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }

    /// What it means, in the words of `cfrt help exit-codes`.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "in step, or done",
            Self::Failed => "an error without a code of its own: no cluster, no helm, a failed step",
            Self::Changes => "there are changes (only with --detailed-exitcode)",
            Self::Drift => "drift: something moved in the cluster",
            Self::DriftAndChanges => "drift and changes",
            Self::Refused => "refused by policy, or by a failed check",
            Self::Stale => "stale plan, or not the cluster that was meant",
            Self::NotGenuine => "the plan file is not genuine",
            Self::Locked => "locked: someone else is at work there",
            Self::TimedOut => "timed out",
            Self::PartlyApplied => "partly applied: something was written, and not all came to its end",
            Self::NotPermitted => "the cluster does not permit it",
            Self::Usage => "usage: the command line, the file, or a file that it names is wrong",
            Self::Interrupted => "interrupted, or not confirmed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contract() {
        let numbers = Exit::ALL.map(Exit::code);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 64, 130]);
    }
}
