//! The desired state: whatever a file says, each mistake has a place in it.

use cfrt_engine::compile::compile;
use cfrt_engine::desired::parse;
use cfrt_engine::source::{Mistakes, Sources, Span, extends};
use cfrt_providers::KINDS;
use proptest::prelude::*;

use crate::mutation::{cases, damaged_texts, files};
use crate::size::soon;

const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "=",
    ".",
    ",",
    "\n",
    "#",
    "\\u0000",
    "\\",
    "\r",
    "\u{feff}",
    "\u{1b}[2J",
    "ä",
    "𝄞",
    "\u{0}",
    "1e999",
    "-0",
    "nan",
    "0x7fffffffffffffffff",
    "1979-05-27T07:32:00Z",
    "true",
    "[]",
    "{}",
    "''",
    "schema = 1\n",
    "schema = 2\n",
    "extends = ['a']\n",
    "[runtime]\n",
    "[cluster]\n",
    "[chart]\n",
    "[[secret-copy]]\n",
    "[platform.token]\n",
    "[[drift.ignore]]\n",
    "[crd-adoption]\n",
    "[[policy.allow]]\n",
    "namespace = 'x'\n",
    "env = 'HOME'\n",
    "version = 1\n",
];

fn samples() -> Vec<Vec<u8>> {
    files(&["plans", "testdata"], ".toml")
}

/// All places that mistakes name.
fn places(mistakes: &Mistakes) -> impl Iterator<Item = &Span> {
    mistakes.0.iter().flat_map(|mistake| {
        [&mistake.at].into_iter().chain(mistake.beside.iter().map(|(at, _)| at)).chain(&mistake.hidden)
    })
}

fn check(texts: &[String]) -> Result<(), TestCaseError> {
    let mut sources = Sources::default();
    texts.iter().for_each(|text| sources.push("a.toml", text.as_str()));
    texts.iter().for_each(|text| drop(extends(text)));
    let compiled = parse(&sources).and_then(|desired| compile(&desired, &KINDS).map(drop));
    let Err(mistakes) = compiled else { return Ok(()) };
    prop_assert!(!mistakes.0.is_empty(), "what is refused has a reason");
    for place in places(&mistakes) {
        let (source, range) = sources.locate(place).expect("it lies in a text");
        prop_assert!(source.text.get(range).is_some(), "{place:?} cuts a character");
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_damaged_desired_state_is_read_or_refused_where_it_is_wrong(
        texts in prop::collection::vec(damaged_texts(samples(), WORDS), 1..3),
    ) {
        check(&texts)?;
    }
}

#[test]
fn a_desired_state_of_one_word_without_end_is_refused_soon() {
    for word in [
        "[", "{", "a.", "a=[", "a={b=", "[[a]]\n", "[a.b]\n", "\"", "'", "\\", "#", "\n", "a=1\n", "=", ",", "'''", "ä",
    ] {
        let text = word.repeat(60_000 / word.len());
        soon(word, || check(&[text])).expect("it is read or refused");
    }
}
