//! What holds for every graph, and for every text.

use cfrt_engine::desired::parse;
use cfrt_engine::facts::facts;
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::source::{Mistakes, Sources, extends};
use proptest::prelude::*;

use crate::common::cases;
use crate::common::drawing::{drawn, order};
use crate::common::rules::Rules;
use crate::common::sketch::{sketches, tasks};
use crate::common::text::name;

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_order_of_a_graph_respects_every_need(sketches in sketches()) {
        let tasks = tasks(&sketches);
        let graph = ResourceGraph::new(tasks.clone()).expect("it has no circle");
        let order = order(&graph);
        let order: Vec<&str> = order.split(' ').collect();
        let rules = Rules::of(&tasks);
        for (place, resource) in order.iter().enumerate() {
            for before in rules.before(resource) {
                prop_assert!(order[..place].contains(&name(before).as_str()), "{resource} before {before} in {order:?}");
            }
        }
        let resources = tasks.iter().map(|task| task.expansion.resources.len());
        prop_assert_eq!(order.len(), resources.sum::<usize>());
        prop_assert_eq!(drawn(&ResourceGraph::new(tasks).expect("it has no circle")), drawn(&graph));
    }
}

/// Pieces that texts in TOML are made of, in any order.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        3 => prop::sample::select(vec!["schema = 1\n", "[runtime]\n", "[[a]]\n", "name = ", "a.b = ", "'x'", "[", "]", "{", "}", "\"\"\"", "\n", ",", "1e9", "∞"]),
        1 => Just("\u{0}"),
    ];
    prop_oneof![prop::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat()), any::<String>()]
}

proptest! {
    #[test]
    fn whatever_the_texts_are_every_mistake_has_a_place_in_them(texts in prop::collection::vec(scraps(), 1..4)) {
        let mut sources = Sources::default();
        texts.iter().for_each(|text| sources.push("a.toml", text.as_str()));
        if let Err(Mistakes(mistakes)) = parse(&sources).and_then(|desired| facts(&desired)) {
            for mistake in mistakes {
                let (source, range) = sources.locate(&mistake.at).expect("it lies in a text");
                prop_assert!(source.text.get(range).is_some(), "{mistake:?} cuts a character of {texts:?}");
            }
        }
        texts.iter().for_each(|text| drop(extends(text)));
    }
}
