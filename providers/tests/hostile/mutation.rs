//! Real samples, damaged: bytes and pieces changed, removed, repeated, put elsewhere, or taken from another sample.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

/// One damage.
#[derive(Debug, Clone)]
enum Damage {
    Byte(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// A word that the format knows.
    Word(Index, &'static str),
    /// A piece of another sample.
    Splice(Index, Index, Index, usize),
}

fn damage(words: &'static [&'static str]) -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), 1..60_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (at(), 1..60_usize, 1..40_usize).prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
        4 => (at(), prop::sample::select(words)).prop_map(|(at, word)| Damage::Word(at, word)),
        2 => (at(), at(), at(), 1..200_usize).prop_map(|(at, other, from, length)| Damage::Splice(at, other, from, length)),
    ]
}

/// Samples with some damages each.
pub(crate) fn damaged(samples: Vec<Vec<u8>>, words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let damages = prop::collection::vec(damage(words), 1..6);
    (any::<Index>(), damages).prop_map(move |(sample, damages)| {
        let mut bytes = sample.get(&samples).clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage, &samples));
        bytes
    })
}

/// The same for texts: what is no character any more becomes one that stands for that.
pub(crate) fn damaged_texts(samples: Vec<Vec<u8>>, words: &'static [&'static str]) -> impl Strategy<Value = String> {
    damaged(samples, words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage, samples: &[Vec<u8>]) {
    let place = |index: &Index| index.index(bytes.len() + 1);
    let end = |start: usize, length: usize, of: &[u8]| (start + length).min(of.len());
    match damage {
        Damage::Byte(at, byte) => {
            let at = place(at);
            bytes.splice(at..end(at, 1, bytes), [*byte]);
        }
        Damage::Cut(at) => bytes.truncate(place(at)),
        Damage::Remove(at, length) => {
            let at = place(at);
            bytes.drain(at..end(at, *length, bytes));
        }
        Damage::Repeat(at, length, times) => {
            let at = place(at);
            let piece = bytes[at..end(at, *length, bytes)].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Damage::Word(at, word) => {
            let at = place(at);
            bytes.splice(at..at, word.bytes());
        }
        Damage::Splice(at, other, from, length) => {
            let (at, other) = (place(at), other.get(samples));
            let from = from.index(other.len() + 1);
            bytes.splice(at..at, other[from..end(from, *length, other)].to_vec());
        }
    }
}

/// The files of the repository in some folders whose names end so.
pub(crate) fn files(folders: &[&str], suffix: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting
                .extend(fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("it is there").path()));
        } else if path.to_str().is_some_and(|name| name.ends_with(suffix)) {
            found.push(path);
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are samples");
    found.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// At least so many cases; `PROPTEST_CASES` asks for more.
pub(crate) fn cases(least: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    // Where seeds would be kept can't be told for a test of several files: what was found is a test of its own.
    ProptestConfig { cases: default.cases.max(least), failure_persistence: None, ..default }
}
