//! Measures whole processes in turn, and draws what was measured as a table.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::{ResUse, Wait4 as _};

use crate::process;

/// After an answer was sent, the API server still writes its line of the audit log.
const AUDIT_DELAY: Duration = Duration::from_millis(200);

/// Something that is measured.
pub(crate) struct Contestant<'a> {
    name: String,
    command: Box<dyn Fn() -> Command + 'a>,
    before: Box<dyn Fn() -> Result<()> + 'a>,
    may_differ: bool,
    aim: &'static str,
}

impl<'a> Contestant<'a> {
    /// Takes a name and what makes the command, which has to end well.
    pub(crate) fn new(name: impl Into<String>, command: impl Fn() -> Command + 'a) -> Self {
        Self { name: name.into(), command: Box::new(command), before: Box::new(|| Ok(())), may_differ: false, aim: "" }
    }

    /// Does something before each run; its time does not count.
    pub(crate) fn before(self, before: impl Fn() -> Result<()> + 'a) -> Self {
        Self { before: Box::new(before), ..self }
    }

    /// Lets the command end with 1, by which programs that compare say that there are differences.
    pub(crate) fn may_differ(self) -> Self {
        Self { may_differ: true, ..self }
    }

    /// Says what is aimed at.
    pub(crate) fn aim(self, aim: &'static str) -> Self {
        Self { aim, ..self }
    }

    fn run(&self) -> Result<Sample> {
        (self.before)()?;
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", process::describe(&command)))?;
        // Read to its end, or a program that complains much would wait for us.
        let complaint = child.stderr.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
        let ResUse { status, rusage } = child.wait4()?;
        let wall = began.elapsed();
        if process::interrupted() {
            bail!("interrupted");
        }
        let differs = self.may_differ && status.code() == Some(1);
        if !status.success() && !differs {
            bail!("{} ended with {status}: {}", process::describe(&command), complaint.trim());
        }
        Ok(Sample { wall, cpu: rusage.utime + rusage.stime, memory: rusage.maxrss })
    }
}

/// What one run took.
#[derive(Clone, Copy)]
struct Sample {
    wall: Duration,
    cpu: Duration,
    memory: u64,
}

/// What the API server was asked in one run, and how much of it could write.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// All requests.
    pub(crate) requests: usize,
    /// Those that write; dry runs do not.
    pub(crate) writes: usize,
}

/// Runs all contestants once to warm up and to count their requests, then in turn, round by round; draws a table whose
/// ratios are to the median of the first.
///
/// # Errors
///
/// When one of the commands fails.
pub(crate) fn race(contestants: &[Contestant<'_>], rounds: usize, count: impl Fn() -> Result<Asked>) -> Result<String> {
    let mut asked = Vec::new();
    for contestant in contestants {
        count()?;
        contestant.run()?;
        process::pause(AUDIT_DELAY)?;
        asked.push(count()?);
    }
    let mut samples = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        for (contestant, samples) in contestants.iter().zip(&mut samples) {
            samples.push(contestant.run()?);
        }
    }
    let rows = contestants.iter().zip(samples).zip(asked);
    let rows: Vec<Row> = rows.map(|((contestant, samples), asked)| Row::of(contestant, &samples, asked)).collect();
    Ok(table(&rows))
}

/// The medians of a contestant's runs.
struct Row {
    name: String,
    wall: Duration,
    least: Duration,
    cpu: Duration,
    memory: u64,
    asked: Asked,
    aim: &'static str,
}

impl Row {
    fn of(contestant: &Contestant<'_>, samples: &[Sample], asked: Asked) -> Self {
        let all = |of: fn(&Sample) -> Duration| samples.iter().map(of).collect::<Vec<_>>();
        Self {
            name: contestant.name.clone(),
            wall: median(all(|sample| sample.wall)),
            least: samples.iter().map(|sample| sample.wall).min().unwrap_or_default(),
            cpu: median(all(|sample| sample.cpu)),
            memory: median(samples.iter().map(|sample| sample.memory).collect()),
            asked,
            aim: contestant.aim,
        }
    }
}

/// The middle one; of an even number the upper of both, of none zero.
/// What is in the middle of several values.
pub(crate) fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<44} {:>7} {:>7} {:>9} {:>7} {:>8} {:>6}  aim\n",
        "", "ratio", "wall ms", "least ms", "CPU ms", "peak MB", "asked"
    );
    let first = rows.first().map_or(0.0, |row| row.wall.as_secs_f64());
    for Row { name, wall, least, cpu, memory, asked: Asked { requests, writes }, aim } in rows {
        let milliseconds = |time: &Duration| time.as_secs_f64() * 1e3;
        let asked = if *writes == 0 { requests.to_string() } else { format!("{requests} ({writes} writes)") };
        // Writing to a String cannot fail.
        let _written = writeln!(
            text,
            "{name:<44} {:>7.2} {:>7.1} {:>9.1} {:>7.1} {:>8.1} {asked:>6}  {aim}",
            wall.as_secs_f64() / first,
            milliseconds(wall),
            milliseconds(least),
            milliseconds(cpu),
            *memory as f64 / 1e6,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contestants_run_in_turn_after_a_round_that_only_counts() {
        let order = RefCell::new(String::new());
        let contestant = |name: &'static str| {
            let note = || {
                order.borrow_mut().push_str(name);
                Ok(())
            };
            Contestant::new(name, || Command::new("true")).before(note).aim("fast")
        };
        let count = || Ok(Asked { requests: order.borrow().len(), writes: 0 });
        let table = race(&[contestant("a"), contestant("b")], 2, count).expect("true ends well");
        assert_eq!(order.into_inner(), "ababab");
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("a ") && lines[1].ends_with(" 1  fast"), "{table}");
        assert!(lines[2].starts_with("b ") && lines[2].ends_with(" 2  fast"), "{table}");
    }

    #[test]
    fn a_command_that_fails_is_no_measurement() {
        let failing = || Contestant::new("false", || Command::new("false"));
        assert!(failing().run().is_err());
        assert!(failing().may_differ().run().is_ok());
    }

    #[test]
    fn what_a_run_takes_is_that_of_the_process() {
        let idle = Contestant::new("sleep", || {
            let mut sleep = Command::new("sleep");
            sleep.arg("0.2");
            sleep
        });
        let Sample { wall, cpu, memory } = idle.run().expect("sleep ends well");
        assert!(wall >= Duration::from_millis(200) && cpu < Duration::from_millis(100) && memory > 100_000);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(vec![4, 1, 3, 2]), 3);
        assert_eq!(median(Vec::<u64>::new()), 0);
    }
}
