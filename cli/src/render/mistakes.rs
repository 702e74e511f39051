//! Mistakes in the desired state to text: what, in which file, the line, and a caret under the place.

use std::borrow::Cow;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use cfrt_engine::source::{Mistake, Mistakes, Source, Sources, Span};

use crate::render::clean::{clean, defused};
use crate::render::secret::sounds_secret;

/// The longest line of a file that is shown whole; of a longer one, what is around the place.
const WIDTH: usize = 100;

/// How many mistakes are shown at once.
const MOST: usize = 20;

/// How many characters are said about one place.
const MOST_WORDS: usize = 300;

/// The mistakes, one block for each.
pub(crate) fn text(sources: &Sources, mistakes: &Mistakes) -> String {
    let mut blocks: Vec<String> = mistakes.0.iter().take(MOST).map(|mistake| one(sources, mistake)).collect();
    if mistakes.0.len() > MOST {
        blocks.push(format!("… and {} more mistakes\n", mistakes.0.len() - MOST));
    }
    blocks.join("\n")
}

fn one(sources: &Sources, mistake: &Mistake) -> String {
    let title = Level::ERROR.primary_title(words(&mistake.what));
    let mut text =
        Renderer::styled().term_width(WIDTH).render(&[with_places(sources, mistake, Group::with_title(title))]);
    text.push('\n');
    text
}

/// The mistake's place, and the one beside it: in one excerpt where both are in the same file.
fn with_places<'a>(sources: &'a Sources, mistake: &'a Mistake, group: Group<'a>) -> Group<'a> {
    let Some((source, range)) = sources.locate(&mistake.at) else { return group };
    let here = annotation(AnnotationKind::Primary, source, &range, &mistake.label);
    let beside = mistake.beside.as_ref().and_then(|(at, words)| Some((sources.locate(at)?, words)));
    let excerpt = |source| excerpt(sources, mistake, source);
    match beside {
        None => group.element(excerpt(source).annotation(here)),
        Some(((other, range), words)) => {
            let there = annotation(AnnotationKind::Context, other, &range, words);
            if other.path == source.path {
                group.element(excerpt(source).annotation(here).annotation(there))
            } else {
                group.element(excerpt(source).annotation(here)).element(excerpt(other).annotation(there))
            }
        }
    }
}

fn excerpt<'a>(sources: &Sources, mistake: &Mistake, source: &'a Source) -> Snippet<'a, Annotation<'a>> {
    let mut text: Cow<'_, str> = without_secrets(&defused(&source.text)).into();
    for (hidden, range) in mistake.hidden.iter().filter_map(|hidden| sources.locate(hidden)) {
        if hidden == source {
            text = starred(&text, &boundaries(source, &range)).into();
        }
    }
    Snippet::source(text).path(clean(&source.path.to_string_lossy()).into_owned())
}

/// The text with stars for the plain values of keys that sound like secrets, so that offsets still hold.
///
/// That is also done where the key is misspelt, or the file is no TOML.
/// A table or a list stands as it is: a token's place is one.
fn without_secrets(text: &str) -> String {
    let line = |line: &str| {
        let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
        let plain = !value.trim_start().starts_with(['{', '[']);
        if !plain || !sounds_secret(key) {
            return line.to_owned();
        }
        let quote = |c| matches!(c, '"' | '\'');
        let begins = line.len() - value.trim_start().trim_start_matches(quote).len();
        starred(line, &(begins..line.trim_end().trim_end_matches(quote).len().max(begins)))
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The text with a star for each byte of a range, so that offsets still hold.
fn starred(text: &str, range: &Span) -> String {
    let stars = text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' });
    let (before, behind) = (&text[..range.start], &text[range.end..]);
    [before, &stars.collect::<String>(), behind].concat()
}

fn annotation<'a>(kind: AnnotationKind, source: &Source, range: &Span, label: &'a str) -> Annotation<'a> {
    let annotation = kind.span(boundaries(source, range));
    if label.is_empty() { annotation } else { annotation.label(words(label)) }
}

fn boundaries(source: &Source, range: &Span) -> Span {
    let start = source.text.floor_char_boundary(range.start);
    start..source.text.ceil_char_boundary(range.end).max(start)
}

/// What is said of a place; a name in it can be as long as the file.
fn words(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", clean(&text[..end])).into(),
        None => clean(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::colourless;

    const MESH: &str = "schema = 1\n[istio]\ngatway = \"istio-system/internal-router\"\n";

    fn sources(texts: &[(&str, &str)]) -> Sources {
        let mut sources = Sources::default();
        for (path, text) in texts {
            sources.push(path, *text);
        }
        sources
    }

    fn shown(texts: &[(&str, &str)], mistakes: Vec<Mistake>) -> String {
        colourless(&text(&sources(texts), &Mistakes(mistakes)))
    }

    #[test]
    fn a_misspelt_key_has_file_line_column_caret_and_the_name_that_was_meant() {
        let mistake = Mistake::new(19..25, "unknown key `gatway` in [istio]").label("did you mean `gateway`?");
        let expected = "\
error: unknown key `gatway` in [istio]
 --> plans/mesh.toml:3:1
  |
3 | gatway = \"istio-system/internal-router\"
  | ^^^^^^ did you mean `gateway`?
";
        assert_eq!(shown(&[("plans/mesh.toml", MESH)], vec![mistake]), expected);
    }

    #[test]
    fn several_mistakes_are_shown_one_after_the_other() {
        let mistakes = vec![Mistake::new(0..6, "first"), Mistake::new(11..18, "second")];
        let expected = "\
error: first
 --> mesh.toml:1:1
  |
1 | schema = 1
  | ^^^^^^

error: second
 --> mesh.toml:2:1
  |
2 | [istio]
  | ^^^^^^^
";
        assert_eq!(shown(&[("mesh.toml", MESH)], mistakes), expected);
    }

    #[test]
    fn a_second_place_in_the_same_file_is_in_the_same_excerpt() {
        let mistake = Mistake::new(19..25, "two gateways").label("this one").beside(11..18, "and the one here");
        let expected = "\
error: two gateways
 --> mesh.toml:3:1
  |
2 | [istio]
  | ------- and the one here
3 | gatway = \"istio-system/internal-router\"
  | ^^^^^^ this one
";
        assert_eq!(shown(&[("mesh.toml", MESH)], vec![mistake]), expected);
    }

    #[test]
    fn a_second_place_in_another_file_has_an_excerpt_of_its_own() {
        let mistake = Mistake::new(4..5, "contradiction").label("here").beside(0..1, "but there");
        let expected = "\
error: contradiction
 --> top.toml:1:1
  |
1 | b = 2
  | ^ here
  |
 ::: base.toml:1:1
  |
1 | a=1
  | - but there
";
        assert_eq!(shown(&[("base.toml", "a=1"), ("top.toml", "b = 2")], vec![mistake]), expected);
    }

    #[test]
    fn a_mistake_about_the_file_as_a_whole_points_at_its_start_even_when_it_is_empty() {
        let mistake = Mistake::new(0..0, "the file does not say which format it has").label("add `schema = 1`");
        let text = shown(&[("empty.toml", "")], vec![mistake]);
        assert!(text.contains("--> empty.toml:1:1"), "{text}");
        assert!(text.contains("^ add `schema = 1`"), "{text}");
    }

    #[test]
    fn hostile_text_in_the_file_in_its_name_and_in_the_words_is_made_harmless() {
        let file = "a = '\u{1b}[2J\u{9b}1m\u{202e}'\n";
        let mistake = Mistake::new(4..5, "bad\u{1b}").label("la\u{202e}bel");
        let text = shown(&[("na\u{1b}me", file)], vec![mistake]);
        assert!(
            !text.contains(|character: char| character != '\n' && super::super::clean::is_hostile(character)),
            "{text:?}"
        );
    }

    #[test]
    fn a_secret_that_stands_in_the_file_is_not_shown() {
        let mistake = Mistake::new(0..5, "a token").beside(16..17, "and this").hiding([9..13, 21..24]);
        let text = shown(&[("a.toml", "token = 'söß'\nk = 'key'\n")], vec![mistake]);
        assert!(text.contains("1 | token = '*****'\n") && !text.contains("key"), "{text}");
    }

    #[test]
    fn a_value_whose_key_sounds_like_a_secret_is_not_shown_whatever_is_wrong_with_it() {
        let lines =
            ["tokenn = 'söß'", "db.Password = \"a\" x", "api_key='open", "token = { env = 'NAME' }", "keys = 'k'"];
        let expected =
            ["tokenn = '*****'", "db.Password = \"****", "api_key='****", "token = { env = 'NAME' }", "keys = 'k'"];
        for (line, expected) in lines.into_iter().zip(expected) {
            let text = shown(&[("a.toml", &format!("{line}\nb = 1\n"))], vec![Mistake::new(0..3, "wrong")]);
            assert!(text.contains(&format!("1 | {expected}\n")), "{text}");
        }
    }

    #[test]
    fn more_mistakes_than_anyone_reads_are_counted() {
        let text = shown(&[("a.toml", "a = 1")], vec![Mistake::new(0..1, "wrong"); MOST + 2]);
        assert!(text.matches("error: wrong").count() == MOST && text.ends_with("\n… and 2 more mistakes\n"), "{text}");
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let text = shown(&[("a.toml", "a = 1")], vec![Mistake::new(0..1, "k".repeat(9000))]);
        assert!(text.len() < 600 && text.contains("k…\n"), "{text}");
    }

    #[test]
    fn a_place_that_lies_outside_or_inside_a_character_does_no_harm() {
        let texts = [("a.toml", "ä = 1")];
        let backwards = Span { start: 5, end: 2 };
        for at in [1..1, 1..2, 3..900, 400..900, backwards] {
            let text = shown(&texts, vec![Mistake::new(at, "wrong")]);
            assert!(text.starts_with("error: wrong\n"), "{text}");
        }
        assert_eq!(shown(&[], vec![Mistake::new(0..0, "wrong")]), "error: wrong\n");
    }
}
