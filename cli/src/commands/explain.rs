//! `cfrt explain`: a key of the file, what it means, and where a file sets it.

use std::path::Path;

use cfrt_engine::desired::{DesiredState, parse};
use cfrt_engine::keys::{Key, keys};
use cfrt_engine::source::nearest;
use cfrt_providers::KINDS;

use crate::exit::Exit;
use crate::load::load;
use crate::render::keys::{self as render, Setting};
use crate::screen;
use crate::trouble::Trouble;

/// Explains a key, or every key of a table.
///
/// # Errors
///
/// A key that there isn't, a file that can't be read or is no TOML.
pub(crate) fn run(name: &str, file: Option<&Path>) -> Result<Exit, Trouble> {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let found = about(name);
    if found.is_empty() {
        return Err(unknown(name));
    }
    let text = match file {
        None => render::explained(&found, |_| None),
        Some(file) => {
            let sources = load(file)?;
            let desired =
                parse(&sources).map_err(|mistakes| Trouble::Mistaken { sources: sources.clone(), mistakes })?;
            render::explained(&found, |key| Some(setting(&desired, file, name, key)))
        }
    };
    screen::print(&text)?;
    Ok(Exit::Done)
}

/// The key of a name, the key that takes a whole table with it, or all keys of the table of that name.
fn about(name: &str) -> Vec<Key> {
    let full = |key: &Key| key.full();
    let exact: Vec<Key> = keys(&KINDS).filter(|key| full(key) == name && key.sort != "table").collect();
    let below: Vec<Key> = keys(&KINDS).filter(|key| key.table == name).collect();
    let around = || {
        let takes =
            |key: &Key| key.sort == "table" && (full(key) == name || name.starts_with(&format!("{}.", full(key))));
        keys(&KINDS).filter(takes).collect()
    };
    // Of a list of tables, what stands in one of them belongs to it.
    let both = if exact.is_empty() { Vec::new() } else { [exact, below.clone()].concat() };
    [both, below].into_iter().find(|found| !found.is_empty()).unwrap_or_else(around)
}

fn unknown(name: &str) -> Trouble {
    let names: Vec<String> = keys(&KINDS).map(|key| key.full()).collect();
    let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    // Who leaves the table out means the key of that name.
    let last = || names.iter().find(|full| full.rsplit('.').next() == Some(name)).cloned();
    Trouble::UnknownKey { name: name.to_owned(), near: near.or_else(last) }
}

/// Where a file, or one that it extends, sets a key; of a key that takes a table, what was asked about in it.
fn setting(desired: &DesiredState<'_>, file: &Path, asked: &str, key: &Key) -> Setting {
    let full = key.full();
    let name = if asked.starts_with(&format!("{full}.")) { asked } else { &full };
    let path: Vec<&str> = name.split('.').collect();
    let in_a_list =
        || path.split_last().and_then(|(_, list)| desired.value(list)).filter(|list| list.get_ref().is_array());
    let place = desired.place(&path).or_else(|| in_a_list().map(|list| list.span()));
    let place = place.and_then(|span| desired.sources().locate(&span));
    match place {
        Some((source, range)) => {
            let line = source.text[..range.start].matches('\n').count() + 1;
            Setting::At(format!("{}:{line}", source.path.display()))
        }
        None => Setting::Nowhere(file.display().to_string()),
    }
}
