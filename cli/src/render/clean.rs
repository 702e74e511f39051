//! Foreign text to text that a terminal shows as it is: nothing in it can move the cursor, hide, or turn around.

use std::borrow::Cow;

/// Makes every character visible that a terminal would obey instead of show. The result is one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match picture(character) {
            Some(picture) => cleaned.push(picture),
            None if is_hostile(character) => cleaned.extend(character.escape_unicode()),
            None => cleaned.push(character),
        }
    }
    Cow::Owned(cleaned)
}

/// The lines of a foreign text, each cleaned; no empty ones at its end.
pub(crate) fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.trim_end().lines().map(clean)
}

/// The same text with a harmless character of the same length for each hostile one, so that offsets still hold.
///
/// Line breaks and tabs stay as they are.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    let hostile = |character: char| is_hostile(character) && !matches!(character, '\n' | '\t');
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let harmless = |character: char| match character.len_utf8() {
        _ if !hostile(character) => character,
        1 => '?',
        2 => '¿',
        3 => '\u{fffd}',
        _ => '\u{1fbc4}',
    };
    Cow::Owned(text.chars().map(harmless).collect())
}

/// A system's words without the error number that is put behind them: it tells people nothing.
pub(crate) fn without_numbers(text: &str) -> Cow<'_, str> {
    const OPENS: &str = " (os error ";
    let Some((before, rest)) = text.split_once(OPENS) else { return Cow::Borrowed(text) };
    let behind = rest.split_once(')').map_or("", |(_, behind)| behind);
    Cow::Owned(format!("{before}{}", without_numbers(behind)))
}

/// Whether a terminal or a reader could be misled: controls, marks of direction, invisible joiners, tags.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Unicode has pictures of the old control characters.
fn picture(character: char) -> Option<char> {
    match character {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)),
        '\x7f' => Some('␡'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(clean("\u{1b}[2J\u{1b}]0;owned\u{7}"), "␛[2J␛]0;owned␇");
        assert_eq!(clean("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(clean("a\rb\u{8}\u{7f}\0"), "a␍b␈␡␀");
    }

    #[test]
    fn text_that_runs_backwards_or_hides_is_shown() {
        assert_eq!(clean("user\u{202e}nimda\u{2066}"), "user\\u{202e}nimda\\u{2066}");
        assert_eq!(clean("pay\u{200b}pal\u{feff}\u{e0041}"), "pay\\u{200b}pal\\u{feff}\\u{e0041}");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(clean("a\nb\tc\u{2028}d"), "a␊b␉c\\u{2028}d");
    }

    #[test]
    fn ordinary_text_of_any_language_stays_as_it_is() {
        for text in ["", "plain", "größer → 日本語 עברית", "✓ ±"] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn numbers_of_system_errors_are_left_out() {
        assert_eq!(without_numbers("a: gone (os error 2): b (os error 13)"), "a: gone: b");
        assert_eq!(without_numbers("a (os error"), "a (os error");
    }

    #[test]
    fn lines_are_cleaned_one_by_one() {
        let lines: Vec<_> = clean_lines("one\u{1b}\ntwo\r\nthree\n\n").collect();
        assert_eq!(lines, ["one␛", "two", "three"]);
    }

    #[test]
    fn defused_text_has_the_same_offsets_and_nothing_hostile_but_line_breaks_and_tabs() {
        let text = "a\u{1b}b\u{9b}c\u{202e}d\u{e0041}\te\n";
        let defused = defused(text);
        assert_eq!(defused, "a?b¿c\u{fffd}d\u{1fbc4}\te\n");
        assert_eq!(defused.len(), text.len());
    }
}
