//! Where a walk through a document stands, as a JSON pointer and as people write it.

use std::fmt;

use serde_json::Value;

/// One step down into a document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// To a key of a map.
    Key(&'a str),
    /// To an item of a list, with the item's name where it has one.
    Item(usize, Option<&'a str>),
}

impl<'a> Step<'a> {
    /// Steps to an item of a list, named by its `name`.
    pub(crate) fn item(index: usize, item: &'a Value) -> Self {
        Self::Item(index, item.get("name").and_then(Value::as_str))
    }
}

/// The steps from a document's root to where the walk stands.
#[derive(Debug, Default)]
pub(crate) struct Path<'a>(Vec<Step<'a>>);

impl<'a> Path<'a> {
    pub(crate) fn push(&mut self, step: Step<'a>) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// Tells whether the walk stands at the root.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the keys on the way, the nearest first; items of lists have none.
    pub(crate) fn keys_upwards(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().rev().filter_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Item(..) => None,
        })
    }

    /// Tells whether the walk stands at `key` of the root.
    pub(crate) fn is_at(&self, key: &str) -> bool {
        self.0.len() == 1 && self.top() == Some(key)
    }

    /// Gives the first key below the root.
    pub(crate) fn top(&self) -> Option<&'a str> {
        match self.0.first() {
            Some(Step::Key(key)) => Some(key),
            Some(Step::Item(..)) | None => None,
        }
    }

    /// Writes the place as a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&token(key)),
                Step::Item(index, _) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }
}

/// Writes a key as a step of a JSON pointer.
pub(crate) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if !is_plain(key) => write!(f, "[{}]", Value::from(*key))?,
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(_, Some(name)) => write!(f, "[{name}]")?,
                Step::Item(index, None) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Tells whether a key can stand between dots without being mistaken for something else.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Tells whether a field, as people write it, is another one or lies below it.
pub(crate) fn lies_in(field: &str, place: &str) -> bool {
    field.strip_prefix(place).is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}

/// Reads keys and names of items back from a path as people write it, up to the first item that has no name.
pub(crate) fn named_steps(text: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((step, after)) = first_step(rest) else { break };
        steps.push(step);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

fn first_step(text: &str) -> Option<(String, &str)> {
    let Some(bracket) = text.strip_prefix('[') else {
        let (key, after) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        return Some((key.to_owned(), after));
    };
    if bracket.starts_with('"') {
        let mut quoted = serde_json::Deserializer::from_str(bracket).into_iter::<String>();
        let key = quoted.next()?.ok()?;
        return Some((key, bracket.get(quoted.byte_offset()..)?.strip_prefix(']')?));
    }
    let (name, after) = bracket.split_once(']')?;
    name.parse::<usize>().is_err().then(|| (name.to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path<'a>(steps: &[Step<'a>]) -> Path<'a> {
        Path(steps.to_vec())
    }

    #[test]
    fn a_path_reads_as_people_write_it() {
        let container =
            [Step::Key("spec"), Step::Key("containers"), Step::Item(0, Some("app-proxy")), Step::Key("image")];
        assert_eq!(path(&container).to_string(), "spec.containers[app-proxy].image");
        let annotation = [Step::Key("metadata"), Step::Key("annotations"), Step::Key("a.b/c")];
        assert_eq!(path(&annotation).to_string(), r#"metadata.annotations["a.b/c"]"#);
        assert_eq!(path(&[Step::Key("a\"]"), Step::Item(2, None)]).to_string(), r#"["a\"]"][2]"#);
    }

    #[test]
    fn what_people_wrote_is_read_back_up_to_an_item_without_a_name() {
        assert_eq!(
            named_steps(r#"spec.containers[app-proxy].env["a.b/c\"]"].x"#),
            ["spec", "containers", "app-proxy", "env", "a.b/c\"]", "x"]
        );
        assert_eq!(named_steps("spec.ports[0].port"), ["spec", "ports"]);
        assert_eq!(named_steps("a["), ["a"]);
        assert_eq!(named_steps(""), [""; 0]);
    }

    #[test]
    fn a_pointer_escapes_its_two_signs() {
        assert_eq!(path(&[Step::Key("a/b~c"), Step::Item(3, Some("x"))]).pointer(), "/a~1b~0c/3");
    }

    #[test]
    fn a_field_lies_in_itself_and_in_what_is_above_it_but_not_in_one_whose_name_begins_alike() {
        assert!(lies_in("data.a", "data.a") && lies_in("data.a.b", "data.a") && lies_in("data.a[0]", "data.a"));
        assert!(!lies_in("data.ab", "data.a") && !lies_in("data", "data.a"));
    }
}
