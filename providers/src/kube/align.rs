//! Pairs the items of two lists, so that a change can be told as the item that came, went or moved a field.

use std::collections::HashMap;

use serde_json::Value;

/// Keys by which items of Kubernetes lists are told apart, the most telling first.
const IDENTITIES: [&str; 6] = ["name", "mountPath", "containerPort", "port", "key", "ip"];

/// An item's places in the list that is wanted and in the one that is there.
#[derive(Debug, PartialEq)]
pub(crate) enum Pair {
    /// In both.
    Both(usize, usize),
    /// Only in the wanted list.
    Wanted(usize),
    /// Only in the live list.
    Live(usize),
}

/// Pairs the items of two lists; `None` where only the lists as wholes can be told, as after a change of order.
///
/// Lists of equal length are paired by index, unless the names of their items say otherwise. Lists of unequal length
/// never come out as `Both` alone.
pub(crate) fn align(wanted: &[Value], live: &[Value]) -> Option<Vec<Pair>> {
    let identities = if wanted.len() == live.len() { &IDENTITIES[..1] } else { &IDENTITIES[..] };
    let by_key = identities.iter().find_map(|key| Some((places(wanted, key)?, places(live, key)?)));
    match by_key {
        Some((wanted_places, live_places)) => by_identity(wanted.len(), live.len(), &wanted_places, &live_places),
        None if wanted.len() == live.len() => Some((0..wanted.len()).map(|index| Pair::Both(index, index)).collect()),
        None => around_equal_ends(wanted, live),
    }
}

/// Gives the place of each item by its value at `key`, where all are objects with one and no two are the same.
fn places(items: &[Value], key: &str) -> Option<HashMap<String, usize>> {
    let mut places = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let identity = item.get(key).filter(|value| value.is_string() || value.is_number())?;
        if places.insert(identity.to_string(), index).is_some() {
            return None;
        }
    }
    Some(places)
}

fn by_identity(
    wanted_length: usize,
    live_length: usize,
    wanted: &HashMap<String, usize>,
    live: &HashMap<String, usize>,
) -> Option<Vec<Pair>> {
    let mut partners = vec![None; wanted_length];
    let mut alone = vec![true; live_length];
    for (identity, place) in wanted {
        if let Some(partner) = live.get(identity) {
            partners[*place] = Some(*partner);
            alone[*partner] = false;
        }
    }
    if !partners.iter().flatten().is_sorted() {
        return None;
    }
    let ours = partners.into_iter().enumerate().map(|(place, partner)| match partner {
        Some(partner) => Pair::Both(place, partner),
        None => Pair::Wanted(place),
    });
    let theirs = (0..live_length).filter(|place| alone[*place]).map(Pair::Live);
    Some(ours.chain(theirs).collect())
}

/// Pairs lists of unequal length whose difference is one run of items that came or went; equal items are left out.
fn around_equal_ends(wanted: &[Value], live: &[Value]) -> Option<Vec<Pair>> {
    let start = wanted.iter().zip(live).take_while(|(ours, theirs)| ours == theirs).count();
    let (wanted_rest, live_rest) = (&wanted[start..], &live[start..]);
    let end = wanted_rest.iter().rev().zip(live_rest.iter().rev()).take_while(|(ours, theirs)| ours == theirs).count();
    let (came, went) = (wanted_rest.len() - end, live_rest.len() - end);
    match (came, went) {
        (_, 0) => Some((start..start + came).map(Pair::Wanted).collect()),
        (0, _) => Some((start..start + went).map(Pair::Live).collect()),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drawn(wanted: &Value, live: &Value) -> String {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let Some(pairs) = align(&list(wanted), &list(live)) else { return "whole".into() };
        let words = pairs.iter().map(|pair| match pair {
            Pair::Both(ours, theirs) => format!("{ours}={theirs}"),
            Pair::Wanted(ours) => format!("+{ours}"),
            Pair::Live(theirs) => format!("-{theirs}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn items_find_their_partners() {
        let named = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
        let table = [
            (json!([1, 2]), json!([1, 3]), "0=0 1=1"),
            (named(&["a", "b"]), named(&["a", "b"]), "0=0 1=1"),
            (named(&["a", "c"]), named(&["a", "b"]), "0=0 +1 -1"),
            (named(&["b", "a"]), named(&["a", "b"]), "whole"),
            (named(&["b"]), named(&["a", "b", "c"]), "0=1 -0 -2"),
            (named(&["a", "a"]), named(&["a", "b"]), "0=0 1=1"),
            (json!([{"port": 1}]), json!([{"port": 2}]), "0=0"),
            (json!([{"port": 1}]), json!([{"port": 2}, {"port": 1}]), "0=1 -0"),
            (json!(["a", "x", "b"]), json!(["a", "b"]), "+1"),
            (json!(["a", "b"]), json!(["a", "x", "y", "b"]), "-1 -2"),
            (json!(["a"]), json!(["a", "a"]), "-1"),
            (json!(["a", "x"]), json!(["b"]), "whole"),
            (json!([]), json!([]), ""),
        ];
        for (wanted, live, pairs) in table {
            assert_eq!(drawn(&wanted, &live), pairs, "{wanted} and {live}");
        }
    }
}
