//! The texts that a desired state was written in, and where in them a mistake is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::explain::sort;

/// A place in the texts: byte offsets that count through all of them, so that one number names file and place.
pub type Span = Range<usize>;

/// One text and the path it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as it was given, for messages and for what is relative to it.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

/// All texts of one desired state, in the order in which they apply: what is extended stands before what extends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a text after those that are there.
    pub fn push(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.files.push(Source { path: path.into(), text: text.into() });
    }

    /// The texts with the offset at which each begins.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.files.iter().scan(0, |base, source| {
            let at = *base;
            // One more than the text, so that the end of one file is not the start of the next.
            *base += source.text.len() + 1;
            Some((at, source))
        })
    }

    /// The text that a place is in, and the place within that text.
    pub fn locate(&self, span: &Span) -> Option<(&Source, Range<usize>)> {
        let (base, source) = self.iter().take_while(|(base, _)| *base <= span.start).last()?;
        let end = source.text.len();
        Some((source, (span.start - base).min(end)..(span.end.max(span.start) - base).min(end)))
    }

    /// The folder of the file that a place is in: what relative paths written there start from.
    pub fn folder_of(&self, span: &Span) -> &Path {
        let parent = self.locate(span).and_then(|(source, _)| source.path.parent());
        parent.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The start of the last text, the one the user named: where a mistake points that is about the file as a whole.
    pub fn main(&self) -> Span {
        let start = self.iter().last().map_or(0, |(base, _)| base);
        start..start
    }
}

/// Something wrong in the texts: what, where, and what may have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, as a lower-case fragment.
    pub what: String,
    /// Where it is.
    pub at: Span,
    /// A few words under the caret, such as the name that was probably meant.
    pub label: String,
    /// Another place that has to do with it, with its own words.
    pub beside: Option<(Span, String)>,
    /// What must not be shown of the texts: a secret that stands where it doesn't belong.
    pub hidden: Vec<Span>,
}

impl Mistake {
    /// A mistake without words under its caret.
    pub fn new(at: Span, what: impl Into<String>) -> Self {
        Self { what: what.into(), at, label: String::new(), beside: None, hidden: Vec::new() }
    }

    /// The same with words under the caret.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// The same with a second place.
    #[must_use]
    pub fn beside(self, at: Span, words: impl Into<String>) -> Self {
        Self { beside: Some((at, words.into())), ..self }
    }

    /// The same without showing some of the text.
    #[must_use]
    pub fn hiding(self, hidden: impl IntoIterator<Item = Span>) -> Self {
        Self { hidden: hidden.into_iter().collect(), ..self }
    }

    /// The same in a text that begins at an offset.
    #[must_use]
    pub(crate) fn moved(self, base: usize) -> Self {
        let moved = |span: Span| span.start + base..span.end + base;
        let hidden = self.hidden.into_iter().map(moved).collect();
        Self { at: moved(self.at), beside: self.beside.map(|(at, words)| (moved(at), words)), hidden, ..self }
    }
}

/// Everything that is wrong in the texts, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the desired state has {} mistake(s)", .0.len())]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Those of several owners: in the order of their places, and what two of them found once.
    fn of(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| (a.at.start, &a.what).cmp(&(b.at.start, &b.what)));
        mistakes.dedup();
        Self(mistakes)
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

/// Runs all of them and gives either every value or every mistake, sorted by place.
pub fn gather<T>(results: impl IntoIterator<Item = Result<T, Mistakes>>) -> Result<Vec<T>, Mistakes> {
    let (mut values, mut mistakes) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(Mistakes(more)) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(values) } else { Err(Mistakes::of(mistakes)) }
}

/// Gives both values, or the mistakes of both, sorted by place.
pub fn both<A, B>(first: Result<A, Mistakes>, second: Result<B, Mistakes>) -> Result<(A, B), Mistakes> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(Mistakes(mut mistakes)), Err(Mistakes(more))) => {
            mistakes.extend(more);
            Err(Mistakes::of(mistakes))
        }
        (Err(mistakes), Ok(_)) | (Ok(_), Err(mistakes)) => Err(mistakes),
    }
}

/// The files that a text extends, as written in its `extends`; none where it has none, or is no TOML (parsing says that
/// later, with the place).
///
/// # Errors
///
/// An `extends` that is no array of strings.
pub fn extends(text: &str) -> Result<Vec<Spanned<String>>, Box<Mistake>> {
    let Ok(table) = DeTable::parse(text) else { return Ok(Vec::new()) };
    let Some(value) = table.get_ref().get("extends") else { return Ok(Vec::new()) };
    let DeValue::Array(items) = value.get_ref() else {
        let written = text.get(value.span()).filter(|_| value.get_ref().is_str());
        let label = written.map_or_else(String::new, |written| format!("write `[{written}]`"));
        let what = format!("`extends` is {}, but must be an array of paths", sort(value.get_ref()));
        return Err(Box::new(Mistake::new(value.span(), what).label(label)));
    };
    let path = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(path) => Ok(Spanned::new(item.span(), path.as_ref().to_owned())),
        other => {
            let what = format!("a path in `extends` is {}, but must be a string", sort(other));
            Err(Box::new(Mistake::new(item.span(), what)))
        }
    };
    items.iter().map(path).collect()
}

/// The candidate that differs least from a misspelt name, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Sources {
        let mut sources = Sources::default();
        sources.push("base/base.toml", "abc");
        sources.push("top.toml", "defg");
        sources
    }

    #[test]
    fn a_place_knows_its_file() {
        let sources = two();
        let (source, range) = sources.locate(&(5..7)).expect("it lies in the second text");
        assert_eq!((source.path.to_str(), range), (Some("top.toml"), 1..3));
        let (source, range) = sources.locate(&(2..3)).expect("it lies in the first text");
        assert_eq!((source.path.to_str(), range), (Some("base/base.toml"), 2..3));
    }

    #[test]
    fn relative_paths_start_from_the_file_that_names_them() {
        let sources = two();
        assert_eq!(sources.folder_of(&(0..1)), Path::new("base"));
        assert_eq!(sources.folder_of(&(4..5)), Path::new("."));
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("gatway", ["gateway", "host"]), Some("gateway"));
        assert_eq!(nearest("colour", ["gateway", "host"]), None);
    }
}
