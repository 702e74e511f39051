//! Foreign texts to words that can be told: of bounded length, and without characters that a terminal would obey.

/// How long a sentence may be that someone else wrote, in bytes.
const LONGEST_LINE: usize = 500;

/// How many lines of a log are kept, the last ones.
const LAST_LINES: usize = 20;

/// A foreign text as one line. It is cut between words, so that of a secret without blanks all is there to be redacted, or nothing.
pub(crate) fn line(text: &str) -> String {
    let is_blank = |character: char| character.is_whitespace() || character.is_control();
    let mut line = String::new();
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        if line.len() + word.len() >= LONGEST_LINE {
            line.push_str(if line.is_empty() { "…" } else { " …" });
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// The last lines of a log, which must have been redacted as a whole before: its lines are cut anywhere.
pub(crate) fn tail(log: &str) -> String {
    let plain = without_sequences(log);
    let lines: Vec<&str> = plain.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    last.map(|line| cut(line)).collect::<Vec<_>>().join("\n")
}

fn cut(line: &str) -> String {
    let end = line.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_LINE);
    end.map_or_else(|| line.to_owned(), |end| format!("{}…", &line[..end]))
}

/// A text without the sequences that colour it and move the cursor, and without other characters that aren't shown.
fn without_sequences(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut characters),
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    plain
}

/// What follows an escape character: `[`, parameters and a last letter, or one single character.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    if characters.next() == Some('[') {
        characters.find(|character| ('\u{40}'..='\u{7e}').contains(character));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_and_no_control_characters() {
        assert_eq!(line(" a\n  b\u{1b}[31m\tc "), "a b [31m c");
        assert_eq!(line(""), "");
    }

    #[test]
    fn a_long_line_is_cut_between_words() {
        let long = "word ".repeat(1_000);
        let cut = line(&long);
        assert!(cut.len() <= LONGEST_LINE + 8 && cut.ends_with("word …"), "{cut}");
        assert_eq!(line(&"x".repeat(10_000)), "…");
    }

    #[test]
    fn a_tail_is_the_last_lines_without_colours_and_bells() {
        let log: String = (0..100).map(|number| format!("\u{1b}[1;31mline {number}\u{1b}[0m\u{7}\r\n\n")).collect();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), LAST_LINES);
        assert!(tail.starts_with("line 80\nline 81\n") && tail.ends_with("line 99"), "{tail}");
    }

    #[test]
    fn a_line_of_a_log_has_an_end_and_no_character_is_split() {
        assert_eq!(tail(&"ü".repeat(5_000)).chars().count(), LONGEST_LINE / 2 + 1);
        assert_eq!(tail("\u{1b}"), "");
        assert_eq!(tail("\u{1b}[999"), "");
    }
}
