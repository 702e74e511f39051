//! Findings to Markdown, for a comment or a ticket: the conclusion first, a table, and never too long to be posted.

use cfrt_engine::drift::{Drift, Finding, Ignored};

use crate::pipeline::About;
use crate::render::clean::clean;
use crate::render::drift::{by, conclusion, told, what};
use crate::render::words::{name, plural};

/// The longest comment that is taken everywhere has some five thousand characters more.
const LONGEST: usize = 60_000;
/// What is kept free for the sentence on what was left out.
const SPARE: usize = 200;

/// All findings that fit, and a sentence on those that don't.
pub(crate) fn drift(about: &About, drift: &Drift) -> String {
    let runtime = about.facts.runtime.name.get_ref().as_str();
    let context = clean(&about.target.context);
    let mut text = format!("**{}**\n\nRuntime {} on {}\n", escaped(&conclusion(drift)), code(runtime), code(&context));
    let findings: Vec<String> = drift.findings.iter().map(row).collect();
    let ignored: Vec<String> = drift.ignored.iter().map(ignored).collect();
    let notes = drift.notes.iter().map(told).chain(about.tasks.iter().flat_map(|task| task.remarks.iter().cloned()));
    let notes: Vec<String> = notes.map(|note| format!("- {}\n", escaped(&note))).collect();
    let left_out = [
        table(&mut text, "\n| resource | what moved | by | id |\n| --- | --- | --- | --- |\n", &findings),
        table(&mut text, "\n| ignored | what moved | until | why | id |\n| --- | --- | --- | --- | --- |\n", &ignored),
        table(&mut text, "\n", &notes),
    ];
    let words = ["finding", "ignored finding", "note"];
    let left_out: Vec<String> =
        left_out.iter().zip(words).filter(|(count, _)| **count > 0).map(|(count, word)| plural(*count, word)).collect();
    if !left_out.is_empty() {
        text.push_str(&format!("\nLeft out, to be short enough: {}. `cfrt drift` prints them.\n", left_out.join(", ")));
    }
    text
}

/// Adds the rows that fit, and says how many don't.
fn table(text: &mut String, head: &str, rows: &[String]) -> usize {
    let mut length = text.chars().count();
    let mut added = 0;
    for row in rows {
        let more = row.chars().count() + if added == 0 { head.len() } else { 0 };
        if length + more > LONGEST - SPARE {
            break;
        }
        if added == 0 {
            text.push_str(head);
        }
        text.push_str(row);
        length += more;
        added += 1;
    }
    rows.len() - added
}

fn row(finding: &Finding) -> String {
    let resource = code(&name(&finding.resource));
    let (what, by, id) = (code(&what(finding)), escaped(&by(finding)), code(&finding.fingerprint));
    let refused =
        if finding.refused.is_empty() { String::new() } else { format!("; refused: {}", escaped(&finding.refused)) };
    format!("| {resource} | {what} | {by}{refused} | {id} |\n")
}

fn ignored(ignored: &Ignored) -> String {
    let Ignored { finding, reason, until } = ignored;
    let (resource, what, id) = (code(&name(&finding.resource)), code(&what(finding)), code(&finding.fingerprint));
    format!("| {resource} | {what} | {until} | {} | {id} |\n", escaped(reason))
}

/// A foreign text that stands for itself, also within a table.
fn code(text: &str) -> String {
    let text = clean(text).replace('|', "\\|");
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A foreign text as prose, of which nothing is taken for markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in clean(text.trim_end()).chars() {
        match character {
            '␊' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '\\' | '|' | '*' | '_' | '[' | ']' | '`' | '#' | '~' | '@' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{about, drifted, same_as_file};

    #[test]
    fn the_conclusion_stands_first_and_nothing_foreign_is_taken_for_markup() {
        let text = drift(&about(&[("chart", &["a remark\nof <two> lines"])]), &drifted());
        same_as_file("testdata/drift.md", &text);
        assert!(!text.contains("sealed:") && !text.contains("b2xk"), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut found = drifted();
        let one = found.findings[0].clone();
        found.findings = vec![one; 1000];
        let text = drift(&about(&[("chart", &["a remark"])]), &found);
        assert!(text.chars().count() <= LONGEST, "{}", text.chars().count());
        let rows = text.matches("| `Deployment codefresh/app` |").count();
        let left_out = format!("\nLeft out, to be short enough: {} findings, 1 ignored finding, 2 notes.", 1000 - rows);
        assert!(rows > 300 && text.contains(&left_out), "{}", &text[text.len() - 300..]);
    }

    #[test]
    fn ticks_and_bars_stand_for_themselves() {
        assert_eq!(code("a`b``|"), "```a`b``\\|```");
        assert_eq!(code("`a"), "`` `a ``");
        assert_eq!(escaped("*a* <b> | @c\n"), r"\*a\* &lt;b> \| \@c");
    }
}
