//! What the text of templates tells about them without running them: which functions they call, and which files they read.

use serde::{Deserialize, Serialize};

const RANDOM: [&str; 17] = [
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "randInt",
    "shuffle",
    "uuidv4",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "bcrypt",
];
const ENCRYPTION: &str = "encryptAES";
const CLOCK: &str = "now";
const SINCE: &str = "ago";
/// Moves each part of a date, from the year to the second.
const LATER: &str = "(now | dateModify \"+13177h33m37s\")";

/// What makes two renderings of one chart with the same values differ, or differ from what the cluster would give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Volatile {
    /// A template looks something up in the cluster; outside a cluster it finds nothing.
    pub lookup: bool,
    /// A template makes passwords, keys, certificates or other random values.
    pub random: bool,
    /// A template reads the clock.
    pub clock: bool,
    /// A template reads the number of the revision.
    pub revision: bool,
}

impl Volatile {
    /// Adds what another text tells.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            lookup: self.lookup || other.lookup,
            random: self.random || other.random,
            clock: self.clock || other.clock,
            revision: self.revision || other.revision,
        }
    }

    /// Tells whether two renderings can differ.
    pub fn is_unsteady(self) -> bool {
        self.random || self.clock
    }

    /// Tells whether helm itself may render something else when it installs.
    pub fn any(self) -> bool {
        self.is_unsteady() || self.lookup || self.revision
    }
}

/// Reads what a template's text calls; what stands in comments, string literals and outside of actions does not count.
pub(crate) fn volatile(template: &str) -> Volatile {
    let mut found = Volatile::default();
    for word in words(template) {
        let name = word.text.split('.').next().unwrap_or_default();
        found.lookup |= name == "lookup";
        found.random |= RANDOM.contains(&name) || name == ENCRYPTION;
        found.clock |= name == CLOCK || name == SINCE;
        found.revision |= word.text.ends_with(".Release.Revision");
    }
    found
}

/// Tells whether a template asks which APIs the cluster has.
pub(crate) fn asks_for_apis(template: &str) -> bool {
    words(template).any(|word| word.text.contains(".APIVersions"))
}

/// Rewrites a template so that it runs at another time: each date it makes differs in all its parts.
pub(crate) fn run_later(template: &str) -> String {
    let mut later = String::with_capacity(template.len());
    let mut copied = 0;
    for word in words(template).filter(|word| word.text.split('.').next() == Some(CLOCK)) {
        later.push_str(&template[copied..word.start]);
        later.push_str(LATER);
        copied = word.start + CLOCK.len();
    }
    later.push_str(&template[copied..]);
    later
}

/// Which of a chart's files its templates read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilesRead {
    /// Those that these names and patterns match.
    Named(Vec<String>),
    /// It can't be told without running the templates.
    Any,
}

impl FilesRead {
    pub(crate) fn none() -> Self {
        Self::Named(Vec::new())
    }

    /// Adds what another template reads.
    pub(crate) fn and(self, template: &str) -> Self {
        let (Self::Named(mut known), Self::Named(more)) = (self, files_read(template)) else { return Self::Any };
        known.extend(more);
        Self::Named(known)
    }

    /// Tells whether a file may be read; errs on the side of yes.
    pub(crate) fn may_include(&self, path: &str) -> bool {
        const PATTERN: [char; 8] = ['*', '?', '[', ']', '{', '}', '\\', '!'];
        let Self::Named(names) = self else { return true };
        names.iter().any(|name| match (name.find(PATTERN), name.rfind(PATTERN)) {
            (Some(first), Some(last)) => path.starts_with(&name[..first]) && path.ends_with(&name[last + 1..]),
            (Some(_) | None, _) => path == name,
        })
    }
}

fn files_read(template: &str) -> FilesRead {
    if template.contains("\"Files\"") {
        return FilesRead::Any;
    }
    let mut names = Vec::new();
    for word in words(template) {
        let Some((_, call)) = word.text.split_once(".Files") else { continue };
        if call.starts_with(|next: char| next != '.') {
            continue;
        }
        let named = matches!(call, ".Get" | ".GetBytes" | ".Glob" | ".Lines");
        let literal = literal(&template[word.start + word.text.len()..]).filter(|_| named);
        match literal {
            Some(name) => names.push(name.to_owned()),
            None => return FilesRead::Any,
        }
    }
    FilesRead::Named(names)
}

/// Reads the string literal that a text begins with; one with escapes is none that we can tell.
fn literal(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '`'))?;
    let (name, _) = text[1..].split_once(quote)?;
    (!name.contains('\\')).then_some(name)
}

struct Word<'a> {
    start: usize,
    text: &'a str,
}

/// Gives the names in a template's actions: functions (`now`), fields (`.Values.a`), variables (`$.Files`).
fn words(template: &str) -> impl Iterator<Item = Word<'_>> {
    actions(template).flat_map(|(start, action)| {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(first) = action[at..].chars().next() {
            let rest = &action[at..];
            let length = match first {
                '"' | '\'' => quoted(rest, first),
                '`' => rest[1..].find('`').map_or(rest.len(), |end| end + 2),
                _ if is_of_name(first) => rest.find(|letter| !is_of_name(letter)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            if is_of_name(first) {
                found.push(Word { start: start + at, text: &rest[..length] });
            }
            at += length;
        }
        found
    })
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | '$')
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}

/// Gives what stands between `{{` and `}}`, with where it starts; comments are left out.
fn actions(template: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + template[at..].find("{{")? + 2;
            let rest = &template[start..];
            let is_comment = rest.trim_start_matches('-').trim_start().starts_with("/*");
            let length = if is_comment { rest.find("*/").unwrap_or(rest.len()) } else { action(rest) };
            at = start + length;
            if !is_comment {
                return Some((start, &rest[..length]));
            }
        }
    })
}

/// Tells how long an action is; a `}}` inside a string literal does not end it.
fn action(text: &str) -> usize {
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        at += match first {
            '}' if text[at..].starts_with("}}") => return at,
            '"' | '\'' => quoted(&text[at..], first),
            '`' => text[at + 1..].find('`').map_or(text.len() - at, |end| end + 2),
            _ => first.len_utf8(),
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_are_found_where_they_are_calls() {
        let none = Volatile::default();
        for (template, found) in [
            (r#"{{ lookup "v1" "Secret" "" "" }}"#, Volatile { lookup: true, ..none }),
            (
                r#"a: {{- $x := (lookup "v1" "Secret" .Release.Namespace "x").data }}"#,
                Volatile { lookup: true, ..none },
            ),
            ("{{ randAlphaNum 10 | quote }}", Volatile { random: true, ..none }),
            ("{{ $ca := genCA \"ca\" 365 }}", Volatile { random: true, ..none }),
            ("{{ now | date \"2006\" }}", Volatile { clock: true, ..none }),
            ("{{ now.Unix }}", Volatile { clock: true, ..none }),
            ("{{ $.Release.Revision }}", Volatile { revision: true, ..none }),
            ("{{ .Release.Revision | quote }}", Volatile { revision: true, ..none }),
            ("lookup now randAlpha", none),
            ("{{/* lookup now */}} {{- /* randAlpha */ -}}", none),
            (r#"{{ fail "lookup now }} randAlpha" }}"#, none),
            ("{{ printf `now` }}", none),
            ("{{ .Values.now }} {{ $now }} {{ .lookup }} {{ nowadays }}", none),
            (r#"{{ "\"" }} {{ now }}"#, Volatile { clock: true, ..none }),
            ("{{ 'x' }}{{ uuidv4 }}", Volatile { random: true, ..none }),
            ("{{ now", Volatile { clock: true, ..none }),
        ] {
            assert_eq!(volatile(template), found, "{template}");
        }
    }

    #[test]
    fn a_template_that_runs_later_differs_only_in_the_clock() {
        for (template, later) in [
            ("{{ now | date \"now\" }}", format!("{{{{ {LATER} | date \"now\" }}}}")),
            ("{{ now.Unix }} now", format!("{{{{ {LATER}.Unix }}}} now")),
            ("{{ $now := .now }}{{/* now */}}", "{{ $now := .now }}{{/* now */}}".to_owned()),
        ] {
            assert_eq!(run_later(template), later);
        }
    }

    #[test]
    fn files_are_known_where_they_are_named() {
        let named = |names: &[&str]| FilesRead::Named(names.iter().map(|&name| name.to_owned()).collect());
        for (template, read) in [
            ("{{ .Values.Filesystem }}", named(&[])),
            ("{{ .Files.Get \"a.txt\" }}{{ ($.Files.Glob `conf/*.json`).AsConfig }}", named(&["a.txt", "conf/*.json"])),
            ("{{ range $line := .Files.Lines \"b\" }}", named(&["b"])),
            ("{{ .Files.Get $name }}", FilesRead::Any),
            ("{{ range $path, $_ := .Files }}", FilesRead::Any),
            ("{{ .Files.Get (printf \"x%s\" .y) }}", FilesRead::Any),
            (r#"{{ .Files.Get "a\x20b" }}"#, FilesRead::Any),
            ("{{ (index . \"Files\").Get \"c\" }}", FilesRead::Any),
            ("{{ .Subcharts.x.Files.Get \"c\" }}", named(&["c"])),
        ] {
            assert_eq!(files_read(template), read, "{template}");
        }
    }

    #[test]
    fn a_file_that_a_pattern_can_match_may_be_read() {
        let read = FilesRead::none().and("{{ .Files.Glob \"docs/*.md\" }}{{ .Files.Get \"LICENSE\" }}");
        for (path, may) in [("docs/a.md", true), ("README.md", false), ("LICENSE", true), ("docs/a.json", false)] {
            assert_eq!(read.may_include(path), may, "{path}");
        }
        assert!(FilesRead::none().and("{{ .Files.Glob \"**\" }}").may_include("README.md"));
        assert!(FilesRead::Any.may_include("README.md"));
        assert_eq!(FilesRead::none().and("{{ .Files.Get $x }}").and("{{ .Files.Get \"a\" }}"), FilesRead::Any);
    }

    proptest! {
        #[test]
        fn any_text_can_be_scanned(text in "(\\{\\{|\\}\\}|\"|'|`|\\\\|/\\*|\\*/|-| |now|\\.Files|ä|a){0,40}") {
            let later = run_later(&text);
            prop_assert_eq!(volatile(&text).clock, volatile(&later).clock);
            drop(files_read(&text));
        }
    }
}
