//! The desired state to tasks, their questions to answers, and these to resources.

use cfrt_engine::compile::{Tasks, compile, expand, survey};
use cfrt_engine::desired::{DesiredState, parse};
use cfrt_engine::facts::Facts;
use cfrt_engine::source::{Mistake, Mistakes, Sources};
use cfrt_engine::task::{Answers, Expansion, Kind, Question, Task, TaskId};
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

use crate::common::scene::Scene;
use crate::common::text::{DRIVER, fresh};

const HEAD: &str = "schema = 1\n[runtime]\nname = 'runtime'\nnamespace = 'codefresh'\nrelease = 'cf'\n";

/// A kind that makes one task of each name in its table.
struct Names {
    name: &'static str,
    tables: &'static [&'static str],
    after: &'static [&'static str],
}

const ACCESS: Names = Names { name: "access", tables: &["access"], after: &[] };
const GIT: Names = Names { name: "git", tables: &["git"], after: &["access"] };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    names: Vec<Spanned<String>>,
}

struct Named {
    name: Spanned<String>,
}

impl Kind for Names {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    fn after(&self) -> &'static [&'static str] {
        self.after
    }

    fn tasks(&self, desired: &DesiredState<'_>, _: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes> {
        let names = desired.table::<Table>(self.tables[0])?.into_iter().flat_map(|table| table.names);
        Ok(names.map(|name| Box::new(Named { name }) as Box<dyn Task>).collect())
    }
}

impl Task for Named {
    fn name(&self) -> String {
        self.name.get_ref().clone()
    }

    fn questions(&self) -> Vec<Question> {
        ["first", "second"].map(|ask| Question { driver: DRIVER, about: json!([self.name(), ask]) }).to_vec()
    }

    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        if self.name.get_ref() == "wrong" {
            return Err(Mistake::new(self.name.span(), format!("{id} is wrong")).into());
        }
        let remarks = (0..2).map(|index| answers.get::<Value>(index).to_string()).collect();
        let resources = vec![fresh(self.name.get_ref(), id.clone())];
        Ok(Expansion { resources, remarks, ..Expansion::default() })
    }
}

fn compiled(text: &str) -> Result<Tasks, Mistakes> {
    let mut sources = Sources::default();
    sources.push("top.toml", text);
    compile(&parse(&sources)?, &[&ACCESS, &GIT])
}

/// What is wrong with a text, each with the words under its caret.
fn wrong(text: &str) -> Vec<String> {
    let Err(mistakes) = compiled(text) else { unreachable!("{text}") };
    mistakes.0.into_iter().map(|mistake| format!("{}: {}", mistake.what, mistake.label)).collect()
}

#[test]
fn tasks_come_in_the_order_of_their_kinds_and_know_what_they_come_after() {
    let tasks = compiled(&format!("{HEAD}[git]\nnames = ['c']\n[access]\nnames = ['a', 'b']")).expect("it is right");
    let told = |id: &TaskId| id.to_string();
    let lines = tasks.entries.iter().map(|entry| (told(&entry.id), entry.after.iter().map(told).collect()));
    let lines: Vec<(String, Vec<String>)> = lines.collect();
    let expected = [("access.a", vec![]), ("access.b", vec![]), ("git.c", vec!["access.a", "access.b"])];
    let expected =
        expected.map(|(id, after)| (id.to_owned(), after.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    assert_eq!(lines, expected);
}

#[test]
fn a_table_that_no_kind_owns_is_shown_with_the_name_that_was_meant() {
    assert_eq!(wrong(&format!("{HEAD}[acess]")), ["unknown table `acess`: did you mean `access`?"]);
    assert_eq!(wrong(&format!("{HEAD}[clutser]")), ["unknown table `clutser`: did you mean `cluster`?"]);
    assert_eq!(wrong(&format!("{HEAD}[weather]")), ["unknown table `weather`: nothing in this version reads it"]);
}

#[test]
fn mistakes_of_several_tables_are_told_at_once_in_the_order_of_their_places() {
    assert_eq!(
        wrong(&format!("{HEAD}[git]\nnames = 3\n[gti]\n[access]\nnmes = []")),
        [
            "`names` in [git] is an integer, but must be an array: ",
            "unknown table `gti`: did you mean `git`?",
            "unknown key `nmes` in [access]: did you mean `names`?"
        ]
    );
}

#[test]
fn unknown_tables_are_told_also_where_the_shared_facts_are_wrong() {
    assert_eq!(
        wrong("schema = 1\n[gti]\n[runtime]\nname = 'a'\nnamespace = 'a'"),
        ["unknown table `gti`: did you mean `git`?", "[runtime] lacks the key `release`: add `release = …`"]
    );
}

#[tokio::test]
async fn each_task_is_answered_in_the_order_of_its_questions() {
    let tasks = compiled(&format!("{HEAD}[git]\nnames = ['c']\n[access]\nnames = ['a']")).expect("it is right");
    let scene = Scene::of("");
    let answers = survey(&tasks, &scene.drivers(), &scene.world).await.expect("a map answers everything");
    let expanded = expand(&tasks, &answers).expect("nothing is wrong");
    let remarks: Vec<_> = expanded.iter().map(|task| task.expansion.remarks.join(" ")).collect();
    assert_eq!(remarks, [r#"["a","first"] ["a","second"]"#, r#"["c","first"] ["c","second"]"#]);
    assert_eq!(expanded[1].after, [expanded[0].id.clone()]);
    assert_eq!(expanded[1].expansion.resources[0].task.to_string(), "git.c");
}

#[tokio::test]
async fn what_several_tasks_ask_is_asked_once() {
    let tasks = compiled(&format!("{HEAD}[git]\nnames = ['c']\n[access]\nnames = ['c', 'a']")).expect("it is right");
    let scene = Scene::of("");
    let answers = survey(&tasks, &scene.drivers(), &scene.world).await.expect("a map answers everything");
    assert_eq!(scene.world.lines(&["answer"]).len(), 4);
    let first: Vec<&Value> = answers.iter().map(|answers| answers.get::<Value>(0)).collect();
    assert_eq!(first, [&json!(["c", "first"]), &json!(["a", "first"]), &json!(["c", "first"])]);
}

#[tokio::test]
async fn what_the_answers_do_not_allow_is_told_for_all_tasks_in_order() {
    let tasks = compiled(&format!("{HEAD}[git]\nnames = ['wrong']\n[access]\nnames = ['a', 'wrong']"));
    let (tasks, scene) = (tasks.expect("it is right"), Scene::of(""));
    let answers = survey(&tasks, &scene.drivers(), &scene.world).await.expect("a map answers everything");
    let mistakes = expand(&tasks, &answers).expect_err("two are wrong");
    let whats: Vec<_> = mistakes.0.iter().map(|mistake| mistake.what.as_str()).collect();
    assert_eq!(whats, ["git.wrong is wrong", "access.wrong is wrong"]);
}
