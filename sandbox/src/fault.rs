//! What can go wrong with one request, as a word that can be printed and read again.

use std::fmt;
use std::str::FromStr;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `delay=MS`: it waits so many milliseconds before it goes on.
    Delay(u64),
    /// `answer=CODE` or `answer=CODE/SECONDS`: the server never sees it; the answer is this, perhaps with `Retry-After`.
    Answer(u16, Option<u64>),
    /// `late=CODE`: the server does it, and the answer is this all the same.
    Late(u16),
    /// `cut`: the connection ends before the server sees it.
    Cut,
    /// `lose`: the server does it, and the connection ends before its answer.
    Lose,
    /// `truncate`: the server does it, and its answer breaks off in the middle.
    Truncate,
    /// `twice`: the server gets it twice, and the second answer counts.
    Twice,
    /// `goaway`: the server does it, and asks for another connection for what comes next.
    GoAway,
    /// `mute`: the connection dies without a word, and with it whatever else is under way on it.
    Mute,
    /// `down=MS`: all connections end, and for so many milliseconds new ones are refused.
    Down(u64),
    /// `expire`: the credentials that it came with aren't taken any more.
    Expire,
    /// `gone`: a watch is told that what it asks for is too old (410).
    Gone,
    /// `drop`: a watch ends with the next event, which it doesn't get.
    Drop,
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault")]
pub struct NotAFault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(pause) => write!(f, "delay={pause}"),
            Self::Answer(code, None) => write!(f, "answer={code}"),
            Self::Answer(code, Some(after)) => write!(f, "answer={code}/{after}"),
            Self::Late(code) => write!(f, "late={code}"),
            Self::Cut => f.write_str("cut"),
            Self::Lose => f.write_str("lose"),
            Self::Truncate => f.write_str("truncate"),
            Self::Twice => f.write_str("twice"),
            Self::GoAway => f.write_str("goaway"),
            Self::Mute => f.write_str("mute"),
            Self::Down(pause) => write!(f, "down={pause}"),
            Self::Expire => f.write_str("expire"),
            Self::Gone => f.write_str("gone"),
            Self::Drop => f.write_str("drop"),
        }
    }
}

impl FromStr for Fault {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, NotAFault> {
        parsed(text).ok_or_else(|| NotAFault(text.to_owned()))
    }
}

fn parsed(text: &str) -> Option<Fault> {
    let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
    Some(match (word, value) {
        ("delay", Some(pause)) => Fault::Delay(pause.parse().ok()?),
        ("answer", Some(answer)) => match answer.split_once('/') {
            Some((code, after)) => Fault::Answer(code.parse().ok()?, Some(after.parse().ok()?)),
            None => Fault::Answer(answer.parse().ok()?, None),
        },
        ("late", Some(code)) => Fault::Late(code.parse().ok()?),
        ("down", Some(pause)) => Fault::Down(pause.parse().ok()?),
        ("cut", None) => Fault::Cut,
        ("lose", None) => Fault::Lose,
        ("truncate", None) => Fault::Truncate,
        ("twice", None) => Fault::Twice,
        ("goaway", None) => Fault::GoAway,
        ("mute", None) => Fault::Mute,
        ("expire", None) => Fault::Expire,
        ("gone", None) => Fault::Gone,
        ("drop", None) => Fault::Drop,
        (_, _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_printed() {
        let words =
            "delay=5 answer=503 answer=429/2 late=504 cut lose truncate twice goaway mute down=300 expire gone drop";
        for word in words.split(' ') {
            assert_eq!(word.parse::<Fault>().map(|fault| fault.to_string()), Ok(word.to_owned()));
        }
        for word in ["", "cuts", "cut=1", "delay", "delay=x", "answer=70000", "answer=429/"] {
            assert_eq!(word.parse::<Fault>(), Err(NotAFault(word.to_owned())));
        }
    }
}
