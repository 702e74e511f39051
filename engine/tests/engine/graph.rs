//! Resources to the graph: what comes before what, and what no graph can be made of.

use cfrt_engine::compile::Expanded;
use cfrt_engine::graph::{GraphError, ResourceGraph};
use cfrt_engine::resource::Need;

use crate::common::drawing::{drawn, order};
use crate::common::text::{id, resource, tasks};

fn graph(text: &str) -> ResourceGraph {
    ResourceGraph::new(tasks(text)).expect("the text describes a graph")
}

fn refused(tasks: Vec<Expanded>) -> String {
    ResourceGraph::new(tasks).expect_err("the text describes no graph").to_string()
}

#[track_caller]
fn draws(text: &str, expected: &str) {
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&drawn(&graph(text))), lines(expected), "{text}");
}

#[test]
fn what_is_needed_comes_first_and_else_what_was_named_first() {
    assert_eq!(order(&graph("a -> b c; d; b -> d")), "c d b a");
    assert_eq!(order(&graph("a b c d")), "a b c d");
}

#[test]
fn a_bracket_opens_before_its_phases_and_closes_after_them() {
    draws(
        "release[pre | x y | post]",
        "release[
         pre <- release[
         release|1 <- release[ pre
         x <- release|1
         y <- release|1
         release|2 <- release|1 x y
         post <- release|2
         release|3 <- release|2 post
         ]release <- release|3",
    );
}

#[test]
fn a_bracket_without_members_closes_after_it_opened() {
    draws("release[]", "release[\n release|1 <- release[\n ]release <- release|1");
}

#[test]
fn from_outside_a_bracket_is_needed_closed_and_from_inside_open() {
    draws(
        "release[x]; x -> release; after -> release",
        "release[
         x <- release[
         release|1 <- release[ x
         ]release <- release|1
         after <- ]release",
    );
}

#[test]
fn a_task_waits_for_all_of_what_it_comes_after_its_brackets_closed() {
    draws(
        "one: r[x]; two after one: y z",
        "r[
         x <- r[
         r|1 <- r[ x
         ]r <- r|1
         @0 <- x ]r
         y <- @0
         z <- @0",
    );
}

#[test]
fn one_resource_may_wait_for_a_whole_task() {
    assert_eq!(order(&graph("one: x -> @two; y; two: z")), "y z x");
}

#[test]
fn parts_of_one_thing_are_resources_of_their_own() {
    assert_eq!(order(&graph("crd -> crd(adoption); crd(status) -> crd")), "crd(adoption) crd crd(status)");
}

#[test]
fn the_same_text_makes_the_same_graph_each_time() {
    let text = "one: r[b a | d c]; e -> a !x; two after one: g -> d; f";
    let text = text.replace("!x", "");
    let first = drawn(&graph(&text));
    (0..20).for_each(|_| assert_eq!(drawn(&graph(&text)), first));
}

#[test]
fn a_resource_that_two_tasks_bring_is_refused_with_both() {
    let mut two = tasks("one: a; two: b");
    let twice = two[0].expansion.resources[0].clone();
    let mut other = twice.clone();
    other.task = two[1].id.clone();
    two[1].expansion.resources.push(other);
    assert_eq!(refused(two), "node a is asked for twice, by task.one and by task.two");
}

#[test]
fn a_need_that_nothing_brings_is_refused_with_both() {
    assert_eq!(refused(tasks("a -> b !ghost")), "node a needs node ghost, which nothing brings");
    assert_eq!(refused(tasks("a -> @ghost")), "node a needs task.ghost, which nothing brings");
    assert_eq!(refused(tasks("r[a !ghost]")), "node r needs node ghost, which nothing brings");
}

#[track_caller]
fn circles(text: &str, expected: &str) {
    let error = ResourceGraph::new(tasks(text)).expect_err("the text describes a circle");
    let GraphError::Circle(names) = error else { unreachable!("{text}: {error}") };
    assert_eq!(names.join(" → ").replace("node ", ""), expected, "{text}");
}

#[test]
fn a_circle_is_named_whole_and_in_reading_order() {
    circles("a -> b; b -> c; c -> a", "a → b → c → a");
    circles("c -> a; b -> c; a -> b", "c → a → b → c");
    circles("first; x -> first a; a -> b; b -> c d; c -> a; d -> b last; last", "a → b → c → a");
    circles("a -> a", "a → a");
}

#[test]
fn a_circle_is_the_same_each_time() {
    (0..20).for_each(|_| circles("a -> b; b -> a; c -> d; d -> c", "a → b → a"));
}

#[test]
fn a_circle_through_tasks_is_found() {
    circles("one after two: a; two after one: b", "a → b → a");
}

#[test]
fn a_message_about_a_circle_reads_as_a_sentence() {
    assert_eq!(refused(tasks("a -> b; b -> a")), "these need each other in a circle: node a → node b → node a");
}

#[test]
fn many_resources_that_need_one_make_a_graph() {
    let mut all = tasks("hub; r[]");
    let count = 20_000;
    let expansion = &mut all[0].expansion;
    let hub = expansion.resources[0].clone();
    let mut members = Vec::new();
    for number in 0..count {
        let mut next = hub.clone();
        next.id = id(&number.to_string());
        next.needs = vec![Need::Resource(hub.id.clone())];
        if number > 0 {
            next.needs.push(Need::Resource(id(&(number / 2).to_string())));
        }
        members.push(next.id.clone());
        expansion.resources.push(next);
    }
    expansion.brackets[0].phases = vec![members];
    resource(&mut all, "r").needs.push(Need::Resource(hub.id));
    resource(&mut all, "0").needs.truncate(1);
    let graph = ResourceGraph::new(all).expect("it is sound");
    assert_eq!(graph.resource_order().count(), count + 2);
}

#[test]
fn a_bracket_inside_a_bracket_is_closed_before_the_outer_one() {
    draws(
        "lease[release after]; release[x]; after -> release; x -> lease",
        "lease[
         release[ <- lease[
         x <- lease[ release[
         release|1 <- release[ x
         ]release <- release|1
         after <- lease[ ]release
         lease|1 <- lease[ ]release after
         ]lease <- lease|1",
    );
}

#[test]
fn brackets_that_are_inside_each_other_are_a_circle() {
    circles("a[b]; b[a]; a -> b", "a → b → a");
}

#[test]
fn a_circle_through_a_bracket_names_each_resource_once() {
    circles("r -> y; y -> r; r[x]", "r → y → r");
    circles("r[x]; x -> y; y -> r", "x → y → r → x");
    circles("r[x | y]; x -> y", "x → y → x");
}

#[test]
fn a_circle_of_many_is_named_whole() {
    let links: Vec<String> = (0..2_000).map(|number| format!("{number} -> {}", (number + 1) % 2_000)).collect();
    let error = ResourceGraph::new(tasks(&links.join(";"))).expect_err("the last needs the first");
    assert!(matches!(error, GraphError::Circle(names) if names.len() == 2_001));
}

#[test]
fn a_leader_that_nothing_brings_is_refused() {
    assert_eq!(refused(tasks("hook with !ghost")), "node hook needs node ghost, which nothing brings");
}

#[test]
fn a_task_without_resources_passes_on_what_it_comes_after() {
    draws("one: a; two after one:; three after two: b", "a\n @0 <- a\n @1 <- @0\n b <- @1");
}

#[test]
fn a_resource_opens_one_bracket_and_is_in_one() {
    assert_eq!(refused(tasks("r[a]; r[b]")), "node r opens two brackets");
    assert_eq!(refused(tasks("r[a]; s[a]")), "node a is in a bracket of node r and in one of node s");
}
