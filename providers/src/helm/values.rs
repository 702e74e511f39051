//! Values files to the one value that helm gets, merged as helm merges them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::yaml::{self, Twice, YamlFault};

const LARGEST_FILE: u64 = 16 << 20;
/// From here on helm's numbers, which are floats, print with an exponent.
pub(crate) const FIRST_LARGE: f64 = 1e6;

/// Why values can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The file can't be read.
    #[error("reading values file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no YAML.
    #[error("{}:{}:{}: {}", path.display(), fault.line, fault.column, fault.what)]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// Where and what.
        fault: YamlFault,
    },
    /// The file holds several documents, of which helm would silently take the first.
    #[error("{} holds {count} YAML documents; helm reads only one, so put all values into one", path.display())]
    Several {
        /// The file.
        path: PathBuf,
        /// How many documents it holds.
        count: usize,
    },
    /// The file holds something else than a map.
    #[error("{} holds {found} where values are a map of names", path.display())]
    NotAMap {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: &'static str,
    },
    /// A number that helm would change into a float.
    #[error(
        "{origin}: {path} is a number of a million or more, which helm would turn into a float; write it as a string, in quotes"
    )]
    LargeNumber {
        /// The file, or the table, that holds it.
        origin: String,
        /// Where it stands: `global.accountId`.
        path: String,
    },
}

/// Reads values files and merges them in order over `base`, then what is set on top, which stands in `set_origin`.
///
/// Maps merge, everything else replaces. A null stays a null: it takes away the chart's own value.
///
/// # Errors
/// See [`ValuesError`]; each names the file.
pub fn merged(base: &Value, files: &[PathBuf], set: &Value, set_origin: &str) -> Result<Value, ValuesError> {
    let mut merged = base.clone();
    for path in files {
        let values = read(path)?;
        check(&values, &path.display().to_string())?;
        merge(&mut merged, values);
    }
    check(set, set_origin)?;
    if set.is_object() {
        merge(&mut merged, set.clone());
    }
    Ok(merged)
}

fn read(path: &Path) -> Result<Value, ValuesError> {
    let text = text(path).map_err(|source| ValuesError::Unreadable { path: path.to_owned(), source })?;
    let documents = yaml::documents(&text, Twice::Refused);
    let mut documents = documents.map_err(|fault| ValuesError::NotYaml { path: path.to_owned(), fault })?;
    if documents.len() > 1 {
        return Err(ValuesError::Several { path: path.to_owned(), count: documents.len() });
    }
    let found = match documents.pop() {
        None | Some(Value::Null) => return Ok(Value::Object(Map::new())),
        Some(values @ Value::Object(_)) => return Ok(values),
        Some(Value::Array(_)) => "a list",
        Some(Value::String(_)) => "a text",
        Some(Value::Bool(_) | Value::Number(_)) => "a single value",
    };
    Err(ValuesError::NotAMap { path: path.to_owned(), found })
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn check(values: &Value, origin: &str) -> Result<(), ValuesError> {
    let mut waiting = vec![(String::new(), values)];
    while let Some((path, value)) = waiting.pop() {
        match value {
            Value::Number(number) if number.as_f64().is_some_and(|number| number.abs() >= FIRST_LARGE) => {
                return Err(ValuesError::LargeNumber { origin: origin.to_owned(), path });
            }
            Value::Object(members) => {
                waiting.extend(members.iter().rev().map(|(key, value)| (below(&path, key), value)));
            }
            Value::Array(items) => {
                waiting.extend(items.iter().enumerate().rev().map(|(at, value)| (format!("{path}[{at}]"), value)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

/// The path of a member.
pub(crate) fn below(path: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of_texts(texts: &[&str], set: &Value) -> Result<Value, ValuesError> {
        let home = tempfile::tempdir().unwrap();
        let file = |(at, text)| {
            let path = home.path().join(format!("{at}.yaml"));
            fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<PathBuf> = texts.iter().enumerate().map(file).collect();
        merged(&json!({}), &files, set, "[chart.set]")
    }

    fn refusal(texts: &[&str], set: &Value) -> String {
        let error = of_texts(texts, set).unwrap_err().to_string();
        error.rsplit_once('/').map_or(error.clone(), |(_, text)| text.to_owned())
    }

    #[test]
    fn maps_merge_everything_else_replaces_and_a_null_stays() {
        let first = "a: {x: 1, y: 2}\nlist: [1, 2]\ngone: {z: 1}\nmode: 0644\n";
        let second = "a: {y: 3}\nlist: [3]\ngone: null\n";
        let set = json!({"a": {"w": 4}, "gone": {"v": 5}});
        assert_eq!(
            of_texts(&[first, second], &json!({})).unwrap(),
            json!({"a": {"x": 1, "y": 3}, "list": [3], "gone": null, "mode": 420})
        );
        assert_eq!(of_texts(&[first, second], &set).unwrap()["a"], json!({"x": 1, "y": 3, "w": 4}));
        assert_eq!(of_texts(&[first, second], &set).unwrap()["gone"], json!({"v": 5}));
    }

    #[test]
    fn empty_files_are_no_values() {
        assert_eq!(of_texts(&["", "# only a comment\n", "---\n"], &Value::Null).unwrap(), json!({}));
    }

    #[test]
    fn what_can_not_be_values_is_refused_with_file_and_line() {
        for (text, refused) in [
            ("a: 1\n---\nb: 2\n", "0.yaml holds 2 YAML documents; helm reads only one, so put all values into one"),
            ("- a\n", "0.yaml holds a list where values are a map of names"),
            ("text\n", "0.yaml holds a text where values are a map of names"),
        ] {
            assert_eq!(refusal(&[text], &json!({})), refused);
        }
        let bad = refusal(&["a: 1\nb: 2\na: 3\n"], &json!({}));
        assert!(bad.starts_with("0.yaml:3:1: duplicate mapping key"), "{bad}");
        let absent = merged(&json!({}), &["/nowhere/values.yaml".into()], &json!({}), "").unwrap_err();
        assert_eq!(absent.to_string(), "reading values file /nowhere/values.yaml");
    }

    #[test]
    fn numbers_that_helm_would_turn_into_floats_are_refused_with_their_place() {
        let advice =
            "is a number of a million or more, which helm would turn into a float; write it as a string, in quotes";
        assert_eq!(refusal(&["a:\n  b.c: [1, 1000000]\n"], &json!({})), format!("0.yaml: a.\"b.c\"[1] {advice}"));
        assert_eq!(refusal(&[], &json!({"x": {"y": -12_345_678}})), format!("[chart.set]: x.y {advice}"));
        assert!(of_texts(&["a: 999999\nb: '1000000'\nc: 0.5\n"], &json!({})).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            drop(of_texts(&[&text], &json!({})));
        }

        #[test]
        fn merging_twice_is_merging_once(keys in prop::collection::btree_map("[ab]", prop::option::of(0..9_i32), 0..3)) {
            let over = json!({"m": keys});
            let mut once = json!({"m": {"a": {"deep": 1}}});
            merge(&mut once, over.clone());
            let mut twice = once.clone();
            merge(&mut twice, over);
            prop_assert_eq!(once, twice);
        }
    }
}
