//! Which requests what happens to: rules in their order, or chance by a seed. Pure; the proxy only asks.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::fault::{Fault, NotAFault};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads.
    Get,
    /// Reads for as long as it is let.
    Watch,
    /// Asks what a write would do.
    DryRun,
    /// Makes something new (POST); access reviews, too.
    Create,
    /// Puts something in its place (PUT).
    Replace,
    /// Changes something (PATCH); server-side apply, too.
    Patch,
    /// Deletes.
    Delete,
}

/// A request as a schedule sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// What it does.
    pub verb: Verb,
    /// Its path, without what is behind the question mark.
    pub path: String,
}

/// Which of the requests that a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    Every,
    /// Those from a number to a number, counted from 1.
    Between(usize, usize),
}

/// What happens to some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What they do; any where nothing is said.
    pub verb: Option<Verb>,
    /// Their path, in which each `*` stands for any characters.
    pub path: String,
    /// Which of them.
    pub which: Which,
    /// What happens.
    pub fault: Fault,
}

/// What happens to which requests. Printed, it can be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// By rules, of which the first that fits a request counts.
    Rules(Vec<Rule>),
    /// By chance.
    Random {
        /// What all chance comes from.
        seed: u64,
        /// How many of a thousand requests have each fault.
        weights: Vec<(Fault, u32)>,
    },
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    /// A line that isn't `VERB PATH WHICH FAULT`.
    #[error("`{0}` is not: verb, path, which, fault")]
    Line(String),
    /// A fault that there isn't.
    #[error(transparent)]
    Fault(#[from] NotAFault),
}

/// So many faults of one request in a row are enough: whoever asks again gets through at last.
const MOST_IN_A_ROW: usize = 3;

/// What is asked for so far, by which a schedule counts.
#[derive(Debug, Default)]
pub(crate) struct Count {
    rules: HashMap<usize, usize>,
    requests: HashMap<Asked, usize>,
}

impl Schedule {
    /// Nothing happens to anything.
    pub fn quiet() -> Self {
        Self::Rules(Vec::new())
    }

    /// Chance by a seed, with a fault for every seventh request or so.
    ///
    /// What happens to a request depends on the seed, on what it asks for and on how often that was asked for before, but
    /// not on what comes between: requests that overtake each other change nothing.
    pub fn random(seed: u64) -> Self {
        let watches = [(Fault::Gone, 20), (Fault::Drop, 20)];
        let refusals = [429, 500, 502, 503, 504].map(|code| (Fault::Answer(code, None), 15));
        let losses = [(Fault::Cut, 10), (Fault::Lose, 10), (Fault::Truncate, 10), (Fault::Late(504), 10)];
        let others =
            [(Fault::Delay(20), 20), (Fault::Answer(429, Some(1)), 5), (Fault::GoAway, 10), (Fault::Down(50), 2)];
        Self::Random { seed, weights: [&watches[..], &refusals, &losses, &others].concat() }
    }

    /// What happens to a request.
    pub(crate) fn fault(&self, asked: &Asked, count: &mut Count) -> Option<Fault> {
        match self {
            Self::Rules(rules) => {
                let mut first = None;
                for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.fits(asked)) {
                    let number = count.rules.entry(index).or_default();
                    *number += 1;
                    first = first.or_else(|| rule.which.has(*number).then_some(rule.fault));
                }
                first
            }
            Self::Random { seed, weights } => {
                let number = count.requests.entry(asked.clone()).or_default();
                *number += 1;
                let fault = drawn(*seed, weights, asked, *number)?;
                let in_a_row = (1..*number).rev().take_while(|before| drawn(*seed, weights, asked, *before).is_some());
                (in_a_row.count() < MOST_IN_A_ROW).then_some(fault)
            }
        }
    }
}

/// What chance has for the so manieth request of its sort. What only a watch can have, only a watch has.
fn drawn(seed: u64, weights: &[(Fault, u32)], asked: &Asked, number: usize) -> Option<Fault> {
    let mut drawn = u32::try_from(hash(seed, asked, number) % 1000).unwrap_or(0);
    let fits = |fault: &Fault| match fault {
        Fault::Gone | Fault::Drop => asked.verb == Verb::Watch,
        Fault::Truncate | Fault::Late(_) | Fault::Lose => asked.verb != Verb::Watch,
        _ => true,
    };
    for (fault, weight) in weights.iter().filter(|(fault, _)| fits(fault)) {
        match drawn.checked_sub(*weight) {
            Some(rest) => drawn = rest,
            None => return Some(*fault),
        }
    }
    None
}

/// FNV-1a over everything that counts, stirred at the end so that near inputs lie far apart.
fn hash(seed: u64, asked: &Asked, number: usize) -> u64 {
    let text = format!("{seed} {asked} {number}");
    let sum = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let stirred = (sum ^ (sum >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    stirred ^ (stirred >> 33)
}

impl Rule {
    fn fits(&self, asked: &Asked) -> bool {
        self.verb.is_none_or(|verb| verb == asked.verb) && fits(&self.path, &asked.path)
    }
}

/// Whether a pattern stands for a text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(before) else { return false };
    (0..=text.len()).any(|place| text.get(place..).is_some_and(|text| fits(rest, text)))
}

impl Which {
    fn has(self, number: usize) -> bool {
        match self {
            Self::Every => true,
            Self::Between(first, last) => (first..=last).contains(&number),
        }
    }
}

const VERBS: [(Verb, &str); 7] = [
    (Verb::Get, "get"),
    (Verb::Watch, "watch"),
    (Verb::DryRun, "dry-run"),
    (Verb::Create, "create"),
    (Verb::Replace, "replace"),
    (Verb::Patch, "patch"),
    (Verb::Delete, "delete"),
];

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERBS.iter().find(|(verb, _)| verb == self).map_or("", |(_, word)| word))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verb {
            Some(verb) => write!(f, "{verb} {} ", self.path)?,
            None => write!(f, "any {} ", self.path)?,
        }
        match self.which {
            Which::Every => f.write_str("every")?,
            Which::Between(first, last) if first == last => write!(f, "{first}")?,
            Which::Between(first, last) => write!(f, "{first}-{last}")?,
        }
        write!(f, " {}", self.fault)
    }
}

impl FromStr for Rule {
    type Err = NotASchedule;

    fn from_str(line: &str) -> Result<Self, NotASchedule> {
        let wrong = || NotASchedule::Line(line.to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        let [verb, path, which, fault] = words[..] else { return Err(wrong()) };
        let named = || VERBS.iter().find(|(_, word)| *word == verb).map(|(verb, _)| Some(*verb));
        let verb = if verb == "any" { Some(None) } else { named() }.ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
        let which = match which.split_once('-') {
            _ if which == "every" => Which::Every,
            Some((first, last)) => Which::Between(number(first)?, number(last)?),
            None => Which::Between(number(which)?, number(which)?),
        };
        Ok(Self { verb, path: path.to_owned(), which, fault: fault.parse()? })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(rules) => rules.iter().try_for_each(|rule| writeln!(f, "{rule}")),
            Self::Random { seed, weights } => {
                writeln!(f, "seed {seed}")?;
                weights.iter().try_for_each(|(fault, weight)| writeln!(f, "{weight} {fault}"))
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        let Some(seed) = lines.peek().and_then(|line| line.strip_prefix("seed ")?.parse().ok()) else {
            return lines.map(str::parse).collect::<Result<_, _>>().map(Self::Rules);
        };
        let weight = |line: &str| {
            let wrong = || NotASchedule::Line(line.to_owned());
            let (weight, fault) = line.split_once(' ').ok_or_else(wrong)?;
            Ok((fault.parse()?, weight.parse().map_err(|_| wrong())?))
        };
        Ok(Self::Random { seed, weights: lines.skip(1).map(weight).collect::<Result<_, NotASchedule>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(verb: Verb, path: &str) -> Asked {
        Asked { verb, path: path.to_owned() }
    }

    /// What happens to each of these requests in turn.
    fn faults(schedule: &Schedule, asked: &[Asked]) -> Vec<String> {
        let mut count = Count::default();
        let fault = |asked| schedule.fault(asked, &mut count).map_or("-".to_owned(), |fault| fault.to_string());
        asked.iter().map(fault).collect()
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("*", "/api", true),
            ("/api", "/api", true),
            ("/api", "/apis", false),
            ("*/secrets/*", "/api/v1/namespaces/n/secrets/a", true),
            ("*/secrets/*", "/api/v1/namespaces/n/secrets", false),
            ("*/secrets", "/api/v1/namespaces/n/secrets", true),
            ("/api/*/a", "/api/a/b", false),
            ("*ü", "/größe/ü", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn each_rule_counts_the_requests_that_it_fits_and_the_first_that_has_one_counts() {
        let schedule: Schedule = "get */a 2 cut\nget * 2-3 answer=503\npatch * every lose\n".parse().unwrap();
        let get = |path| asked(Verb::Get, path);
        let patch = asked(Verb::Patch, "/x");
        let requests = [get("/a"), get("/b"), get("/a"), get("/a"), get("/b"), patch.clone(), patch];
        assert_eq!(faults(&schedule, &requests), ["-", "answer=503", "cut", "-", "-", "lose", "lose"]);
    }

    #[test]
    fn a_schedule_is_read_as_it_is_printed() {
        let rules = "any * every delay=5\nwatch */pods 1 gone\ncreate /a 2-4 answer=429/2\n";
        for text in [rules.to_owned(), Schedule::random(7).to_string(), Schedule::quiet().to_string()] {
            assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.to_string()), Ok(text));
        }
        for wrong in ["get *", "get * one cut", "got * 1 cut", "get * 1 cuts", "seed 1\ncut"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn chance_depends_on_the_seed_and_the_request_and_not_on_what_comes_between() {
        let paths: Vec<String> = (0..200).map(|number| format!("/api/v1/namespaces/n/configmaps/{number}")).collect();
        let all: Vec<Asked> = paths.iter().map(|path| asked(Verb::Get, path)).collect();
        let back: Vec<Asked> = all.iter().rev().cloned().collect();
        let seeded = |seed, asked: &[Asked]| faults(&Schedule::random(seed), asked);
        let mut turned = seeded(1, &back);
        turned.reverse();
        assert_eq!(seeded(1, &all), turned);
        assert_ne!(seeded(1, &all), seeded(2, &all));
        let hit = seeded(1, &all).iter().filter(|fault| *fault != "-").count();
        assert!((15..60).contains(&hit), "{hit} of 200");
    }

    #[test]
    fn whoever_asks_again_gets_through_at_last() {
        let always = Schedule::Random { seed: 1, weights: vec![(Fault::Cut, 1000)] };
        assert_eq!(faults(&always, &vec![asked(Verb::Get, "/a"); 4]), ["cut", "cut", "cut", "-"]);
    }

    #[test]
    fn only_a_watch_is_too_old() {
        let always = Schedule::Random { seed: 1, weights: vec![(Fault::Gone, 1000)] };
        assert_eq!(faults(&always, &[asked(Verb::Get, "/a"), asked(Verb::Watch, "/a")]), ["-", "gone"]);
    }
}
