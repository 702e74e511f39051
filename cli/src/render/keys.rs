//! The keys of the desired-state file to a page that people look things up in.

use std::fmt::Write as _;

use cfrt_engine::keys::{Key, REQUIRED, keys};
use cfrt_providers::KINDS;

use crate::render::clean::clean;

/// Every table with its keys: name, sort, default and meaning of each in one line.
pub(crate) fn page() -> String {
    let mut text = String::from(
        "One TOML file says what should be; an unknown key in it is an error.\n\n\
         Each line: a key, its type, what holds where it isn't given, what it means.\n",
    );
    let mut table = None;
    for key in keys(&KINDS) {
        if table.replace(key.table) != Some(key.table) {
            write!(text, "\n{}", heading(key.table)).unwrap_or_default();
        }
        writeln!(text, "  {:<10} {:<8} {:<11} {}", key.name, key.sort, key.default, key.meaning).unwrap_or_default();
    }
    text + "\nPaths are seen from the file that names them. Files to start from: `plans`.\n"
}

/// A table's heading; one of a list of tables has two pairs of brackets.
fn heading(table: &str) -> String {
    match keys(&KINDS).find(|key| key.full() == table) {
        _ if table.is_empty() => String::new(),
        Some(Key { sort: "array", .. }) => format!("[[{table}]]\n"),
        Some(_) | None => format!("[{table}]\n"),
    }
}

/// Where a key is set.
pub(crate) enum Setting {
    /// In this line of this file.
    At(String),
    /// Not in this file, nor in one that it extends.
    Nowhere(String),
}

/// Each key with its type, its default, its meaning and an example, and where it is set if a file was named.
pub(crate) fn explained(keys: &[Key], setting: impl Fn(&Key) -> Option<Setting>) -> String {
    let entries = keys.iter().map(|key| {
        let need = match key.default {
            REQUIRED => REQUIRED.to_owned(),
            default => format!("default: {default}"),
        };
        let set = setting(key).map(|setting| match setting {
            Setting::At(place) => format!("  set in {}\n", clean(&place)),
            Setting::Nowhere(file) => format!("  not set in {}\n", clean(&file)),
        });
        let Key { sort, meaning, name, example, .. } = key;
        format!("{}   {sort}, {need}\n  {meaning}\n  {name} = {example}\n{}", key.full(), set.unwrap_or_default())
    });
    entries.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use cfrt_engine::compile::compile;
    use cfrt_engine::desired::parse;
    use cfrt_engine::facts::TABLES;
    use cfrt_engine::source::{Mistakes, Sources};

    use super::*;

    /// Lines by the table that they stand in.
    type Lines = BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>;

    fn with(mut lines: Lines, key: Key) -> Lines {
        lines.entry(key.table).or_default().insert(key.name, key.example);
        lines
    }

    /// What must be there, and nothing else.
    fn least() -> Lines {
        keys(&KINDS).filter(|key| key.default == REQUIRED).fold(Lines::new(), with)
    }

    fn mistakes(text: &str) -> Mistakes {
        let mut sources = Sources::default();
        sources.push("prod.toml", text);
        let compiled = parse(&sources).and_then(|desired| compile(&desired, &KINDS));
        compiled.err().unwrap_or_else(|| Mistakes(Vec::new()))
    }

    fn text(lines: &Lines) -> String {
        let table = |(table, lines): (&&str, &BTreeMap<&str, &str>)| {
            lines.iter().fold(heading(table), |text, (key, value)| text + &format!("{key} = {value}\n"))
        };
        lines.iter().map(table).collect()
    }

    fn wrong(lines: &Lines) -> Vec<String> {
        mistakes(&text(lines)).0.into_iter().map(|mistake| format!("{}: {}", mistake.what, mistake.label)).collect()
    }

    #[test]
    fn every_key_that_is_listed_is_accepted() {
        assert_eq!(wrong(&least()), Vec::<String>::new());
        for key in keys(&KINDS) {
            let mut lines = with(least(), key);
            // A list of tables is written in one way or in the other.
            lines.remove(&*key.full());
            if (key.table, key.name) == ("platform.token", "key") {
                lines.entry("platform.token").or_default().insert("secret", "\"token\"");
            }
            assert_eq!(wrong(&lines), Vec::<String>::new(), "{key:?}");
        }
    }

    #[test]
    fn every_key_that_is_listed_as_required_is_and_no_other() {
        for key in keys(&KINDS).filter(|key| key.default == REQUIRED) {
            let mut lines = least();
            lines.entry(key.table).or_default().remove(key.name);
            assert_ne!(wrong(&lines), Vec::<String>::new(), "{key:?}");
        }
    }

    #[test]
    fn every_key_that_is_accepted_is_listed() {
        let listed: BTreeSet<&str> = keys(&KINDS).map(|key| key.table).collect();
        for table in listed.iter().copied().filter(|table| !table.is_empty()) {
            let stranger = Key { table, name: "qqqqqqqqqqqqqqqq", sort: "", default: "", meaning: "", example: "1" };
            let found = wrong(&with(least(), stranger));
            let known = found.iter().find_map(|mistake| mistake.split_once("known here: ")).map(|(_, known)| known);
            let known: BTreeSet<&str> = known.unwrap_or_default().split(", ").collect();
            let listed: BTreeSet<&str> = keys(&KINDS).filter(|key| key.table == table).map(|key| key.name).collect();
            assert_eq!(known, listed, "[{table}]: {found:?}");
        }
        let tops = listed.into_iter().filter(|table| !table.is_empty() && !table.contains('.'));
        let tops = tops.chain(keys(&KINDS).filter(|key| key.table.is_empty()).map(|key| key.name));
        let read = TABLES.into_iter().chain(KINDS.iter().flat_map(|kind| kind.tables().iter().copied()));
        assert_eq!(tops.collect::<BTreeSet<_>>(), read.collect::<BTreeSet<_>>());
    }

    #[test]
    fn a_table_in_a_table_is_listed_by_its_key_too() {
        for key in keys(&KINDS) {
            let Some((table, name)) = key.table.rsplit_once('.') else { continue };
            let is_it = |key: Key| (key.table, key.name) == (table, name) && ["table", "array"].contains(&key.sort);
            assert!(keys(&KINDS).any(is_it), "{key:?}");
        }
    }

    #[test]
    fn every_line_of_the_page_fits_a_terminal() {
        assert!(page().lines().all(|line| line.chars().count() <= 80), "{}", page());
    }

    #[test]
    fn the_files_to_start_from_and_those_of_the_readme_are_right() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let plans = fs::read_dir(root.join("plans")).expect("they are there");
        let plans = plans.map(|plan| fs::read_to_string(plan.expect("it can be listed").path()).expect("it is a text"));
        let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
        let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next().map(str::to_owned));
        let texts: Vec<String> = plans.chain(blocks).collect();
        assert!(texts.len() > 2, "{texts:?}");
        for text in texts {
            assert_eq!(mistakes(&text).0, Vec::new(), "{text}");
        }
    }
}
