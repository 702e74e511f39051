//! Texts to the desired state: parsed, merged in order, each value with its place.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::explain::{shape, sort, syntax};
use crate::source::{Mistake, Mistakes, Sources, Span, gather, nearest};

/// The format of desired-state files that this version reads.
pub const SCHEMA: i64 = 1;

/// The user's document: tables by name, every value with its place in the texts.
///
/// What it is not: checked. A table is read, and its keys checked, by the one who owns it.
#[derive(Debug, Clone)]
pub struct DesiredState<'a> {
    sources: &'a Sources,
    root: DeTable<'a>,
}

/// Parses all texts and merges them: tables merge key by key, any other value of a later text replaces an earlier one.
///
/// # Errors
///
/// Every text that is no TOML, and a `schema` that is missing or unknown.
pub fn parse(sources: &Sources) -> Result<DesiredState<'_>, Mistakes> {
    let parsed = gather(sources.iter().map(|(base, source)| parse_one(base, &source.text)))?;
    let mut root = DeTable::new();
    for table in parsed {
        merge(&mut root, table);
    }
    let desired = DesiredState { sources, root };
    desired.check_schema()?;
    Ok(desired)
}

impl DesiredState<'_> {
    /// The texts it was parsed from.
    pub fn sources(&self) -> &Sources {
        self.sources
    }

    /// The names of all top-level keys with their places, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = (&str, Span)> {
        self.root.iter().map(|(key, _)| (key.get_ref().as_ref(), key.span()))
    }

    /// Reads one top-level table into its owner's type; `None` where the file has none.
    ///
    /// # Errors
    ///
    /// The first thing in the table that its type does not allow: an unknown key, a missing one, a wrong type or value.
    pub fn table<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Mistakes> {
        let Some((key, value)) = self.root.get_key_value(name) else { return Ok(None) };
        let header = key.span();
        if !value.get_ref().is_table() {
            let what = format!("`{name}` is {}, but must be a table", sort(value.get_ref()));
            return Err(Mistake::new(value.span(), what).label(format!("write `[{name}]`")).into());
        }
        let deserializer = toml::de::ValueDeserializer::from(value.clone());
        T::deserialize(deserializer)
            .map(Some)
            .map_err(|error| shape(self.sources, &self.root, name, &header, &error).into())
    }

    /// The value at a path of keys as it was written, if the file has it.
    pub fn value(&self, path: &[&str]) -> Option<&Spanned<DeValue<'_>>> {
        let (last, tables) = path.split_last()?;
        let mut table = &self.root;
        for key in tables {
            table = table.get(*key)?.get_ref().as_table()?;
        }
        table.get(*last)
    }

    /// The place of the value at a path of keys, if the file has it.
    pub fn place(&self, path: &[&str]) -> Option<Span> {
        self.value(path).map(Spanned::span)
    }

    /// That nobody reads a top-level key, with the one that may have been meant.
    pub fn stranger<'k>(&self, name: &str, at: Span, known: impl IntoIterator<Item = &'k str>) -> Mistake {
        let is_table = self.value(&[name]).is_some_and(|value| value.get_ref().is_table());
        let label = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "nothing in this version reads it".to_owned(),
        };
        Mistake::new(at, format!("unknown {} `{name}`", if is_table { "table" } else { "key" })).label(label)
    }

    fn check_schema(&self) -> Result<(), Mistakes> {
        let Some(value) = self.root.get("schema") else { return Err(self.without_schema().into()) };
        let found =
            value.get_ref().as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if found == Some(SCHEMA) {
            return Ok(());
        }
        let what = "the file has a format that this version of cfrt does not read";
        Err(Mistake::new(value.span(), what).label(format!("this version reads `schema = {SCHEMA}`")).into())
    }

    fn without_schema(&self) -> Mistake {
        if let Some((name, at)) = self.names().find(|(name, _)| nearest(name, ["schema"]).is_some()) {
            return self.stranger(name, at, ["schema"]);
        }
        let below = self.root.iter().find_map(|(table, value)| {
            let (key, _) = value.get_ref().as_table()?.get_key_value("schema")?;
            Some((table.get_ref(), key.span()))
        });
        match below {
            Some((table, at)) => Mistake::new(at, format!("`schema` stands in [{table}], where nothing reads it"))
                .label("it belongs above the first table of the file"),
            None => Mistake::new(self.sources.main(), "the file does not say which format it has")
                .label(format!("add `schema = {SCHEMA}`")),
        }
    }
}

fn parse_one(base: usize, text: &str) -> Result<DeTable<'_>, Mistakes> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(shift_table(table.into_inner(), base));
    }
    // The first is what the user can act on; the others mostly follow from it.
    let first = errors.first().map(|error| syntax(text, error).moved(base));
    Err(Mistakes(first.into_iter().collect()))
}

fn shift_table(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    let shifted = |span: Span| span.start + base..span.end + base;
    let entries = table.into_iter().map(|(key, value)| {
        let (key_span, value_span) = (shifted(key.span()), shifted(value.span()));
        (Spanned::new(key_span, key.into_inner()), Spanned::new(value_span, shift_value(value.into_inner(), base)))
    });
    entries.collect()
}

fn shift_value(value: DeValue<'_>, base: usize) -> DeValue<'_> {
    match value {
        DeValue::Table(table) => DeValue::Table(shift_table(table, base)),
        DeValue::Array(items) => {
            let shifted = items.into_iter().map(|item| {
                let span = item.span();
                Spanned::new(span.start + base..span.end + base, shift_value(item.into_inner(), base))
            });
            DeValue::Array(shifted.collect())
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            value
        }
    }
}

fn merge<'a>(into: &mut DeTable<'a>, later: DeTable<'a>) {
    for (key, value) in later {
        let (span, value) = (value.span(), value.into_inner());
        match (into.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value) {
            (Some(DeValue::Table(earlier)), DeValue::Table(table)) => merge(earlier, table),
            (_, value) => {
                // Removed first: a map keeps its old key, and with it the place in the earlier file.
                into.remove(key.get_ref().as_ref());
                into.insert(key, Spanned::new(span, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Host {
        host: Spanned<String>,
        port: Option<u16>,
    }

    fn sources(texts: &[&str]) -> Sources {
        let mut sources = Sources::default();
        for (index, text) in texts.iter().enumerate() {
            sources.push(format!("{index}.toml"), *text);
        }
        sources
    }

    fn mistake(text: &str) -> Mistake {
        let sources = sources(&[text]);
        let table = parse(&sources).and_then(|desired| desired.table::<Host>("access"));
        table.expect_err("the text is wrong").0.remove(0)
    }

    #[test]
    fn a_later_text_wins_key_by_key() {
        let sources = sources(&["schema = 1\n[access]\nhost = 'a'\nport = 1", "[access]\nhost = 'b'"]);
        let desired = parse(&sources).expect("both are right");
        let access: Host = desired.table("access").expect("it fits").expect("it is there");
        assert_eq!((access.host.get_ref().as_str(), access.port), ("b", Some(1)));
        let (source, _) = sources.locate(&access.host.span()).expect("it has a place");
        assert_eq!(source.path.to_str(), Some("1.toml"));
    }

    #[test]
    fn a_misspelt_key_is_shown_with_the_name_that_was_meant() {
        let text = "schema = 1\n[access]\nhsot = 'a'";
        let found = mistake(text);
        assert_eq!(found.what, "unknown key `hsot` in [access]");
        assert_eq!(found.label, "did you mean `host`?");
        assert_eq!(&text[found.at], "hsot");
    }

    #[test]
    fn a_missing_key_is_shown_at_its_table() {
        let text = "schema = 1\n[access]\nport = 1";
        let found = mistake(text);
        assert_eq!(found.what, "[access] lacks the key `host`");
        assert_eq!(&text[found.at], "[access]");
    }

    #[test]
    fn a_wrong_type_is_shown_at_the_value() {
        let text = "schema = 1\n[access]\nhost = 'a'\nport = 'x'";
        assert_eq!(&text[mistake(text).at], "'x'");
    }

    #[test]
    fn a_value_where_a_table_belongs_is_refused() {
        assert_eq!(mistake("schema = 1\naccess = 3").what, "`access` is an integer, but must be a table");
    }

    #[test]
    fn a_text_that_is_no_toml_names_the_place() {
        let text = "schema = 1\n[access\nhost = 'a'";
        assert!(mistake(text).at.start >= text.find("[access").expect("it is there"));
    }

    #[test]
    fn an_unknown_schema_is_refused() {
        assert_eq!(mistake("schema = 2").label, "this version reads `schema = 1`");
        assert_eq!(mistake("").label, "add `schema = 1`");
    }
}
