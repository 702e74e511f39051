//! Random graphs over random worlds, whose things fail, lose writes and take their time.

use std::collections::{BTreeMap, BTreeSet};

use cfrt_engine::compile::Expanded;
use cfrt_engine::resource::{Bracket, Document, Hole, Need, Part, Resource, ResourceId, Trigger, Want};
use cfrt_engine::task::Expansion;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::driver::At;
use super::scene::Scene;
use super::text::{document, fresh, id, task};
use super::write::Lost;

/// One resource of a random graph. It needs only what was drawn before it, so that there is no circle.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    needs: u16,
    form: Form,
    wish: Wish,
    /// Another part of the same thing that is drawn with it.
    part: Option<Part>,
    found: Found,
    manner: Manner,
    /// Whether a new task begins here, and whether that comes after the one before.
    begins: Option<bool>,
    hook: bool,
    hidden: bool,
    /// Where it stands in its task's list.
    place: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Opens,
    NextPhase,
    Closes,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    There,
    Existing,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Absent,
    Same,
    /// It is as it should be, and known to be so without being looked at in full.
    Unmoved,
    Unsettled,
    Different,
}

/// How a thing takes being written.
#[derive(Debug, Clone)]
struct Manner {
    takes: u64,
    answers_in: u64,
    settles_after: u64,
    closes_in: u64,
    replaced: bool,
    fails: Option<At>,
    loses: BTreeMap<u32, Lost>,
}

fn manner() -> impl Strategy<Value = Manner> {
    let lost = prop_oneof![Just(Lost::Request), Just(Lost::Answer)];
    let loses = prop_oneof![2 => Just(BTreeMap::new()), 1 => prop::collection::btree_map(0..4_u32, lost, 1..3)];
    let fails = prop_oneof![6 => Just(None), 1 => Just(Some(At::Apply)), 1 => Just(Some(At::Settle)), 1 => Just(Some(At::Close))];
    (0..3_u64, 0..2_u64, 0..4_u64, 0..2_u64, rare(), fails, loses).prop_map(
        |(takes, answers_in, settles_after, closes_in, replaced, fails, loses)| Manner {
            takes,
            answers_in,
            settles_after,
            closes_in,
            replaced,
            fails,
            loses,
        },
    )
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let form = prop_oneof![4 => Just(Form::Plain), 2 => Just(Form::Opens), 1 => Just(Form::NextPhase), 1 => Just(Form::Closes)];
    let wish = prop_oneof![6 => Just(Wish::There), 1 => Just(Wish::Existing), 1 => Just(Wish::Gone)];
    let part = prop_oneof![4 => Just(None), 1 => Just(Some(Part::Adoption)), 1 => Just(Some(Part::Fields("status")))];
    let found = prop_oneof![
        3 => Just(Found::Absent),
        1 => Just(Found::Same),
        1 => Just(Found::Unmoved),
        1 => Just(Found::Unsettled),
        2 => Just(Found::Different)
    ];
    let begins = prop_oneof![5 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    // Few needs each: a graph in which all needs all is a list.
    let needs = (any::<u16>(), any::<u16>()).prop_map(|(one, other)| one & other);
    (needs, form, wish, part, found, manner(), begins, rare(), rare(), any::<u8>()).prop_map(
        |(needs, form, wish, part, found, manner, begins, hook, hidden, place)| Sketch {
            needs,
            form,
            wish,
            part,
            found,
            manner,
            begins,
            hook,
            hidden,
            place,
        },
    )
}

fn rare() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

/// Some resources, in the order in which they may need each other.
pub(crate) fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    prop::collection::vec(sketch(), 1..14)
}

impl Sketch {
    /// Whether it is an ordinary thing that is to be there, which others may be hidden behind.
    fn ordinary(&self) -> bool {
        self.wish == Wish::There && !self.hook
    }

    fn other_part(&self) -> Option<&Part> {
        let plain = self.ordinary() && !self.hidden && self.form != Form::Opens && self.found != Found::Unmoved;
        self.part.as_ref().filter(|_| plain)
    }

    fn body(&self) -> Value {
        match (self.form, self.other_part()) {
            (Form::Opens, _) => json!({ "state": "closed" }),
            // The whole says of itself that it is ours, as every rendering does.
            (_, Some(Part::Adoption)) => json!({ "value": 1, "ours": true }),
            (Form::Plain | Form::NextPhase | Form::Closes, _) => json!({ "value": 1 }),
        }
    }

    fn want(&self) -> Want {
        match (self.form, self.wish) {
            (Form::Opens, _) | (_, Wish::There) => Want::Present(document(self.body())),
            (_, Wish::Existing) => Want::Existing(document(self.body())),
            (_, Wish::Gone) => Want::Absent,
        }
    }

    fn needs(&self, number: usize, tasks: &[Expanded]) -> Vec<Need> {
        let mut needs: Vec<Need> = self.needed(number).map(|earlier| Need::Resource(id(&node(earlier)))).collect();
        if self.needs & (1 << 15) != 0 && tasks.len() > 1 {
            needs.push(Need::Task(tasks[0].id.clone()));
        }
        needs
    }

    fn needed(&self, number: usize) -> impl Iterator<Item = usize> {
        (0..number).filter(|earlier| self.needs & (1 << earlier) != 0)
    }
}

/// The name of the resource that was drawn at a place.
pub(crate) fn node(number: usize) -> String {
    format!("n{number}")
}

/// The tasks of a drawing: brackets are nested as they are opened and closed, and tasks cut none of them.
pub(crate) fn tasks(sketches: &[Sketch]) -> Vec<Expanded> {
    let mut drawing = Drawing::default();
    drawing.begin(None);
    for (number, sketch) in sketches.iter().enumerate() {
        drawing.add(number, sketch);
    }
    let Drawing { mut tasks, open, .. } = drawing;
    tasks.last_mut().expect("there is one").expansion.brackets.extend(open);
    let places: BTreeMap<_, _> =
        sketches.iter().enumerate().map(|(number, sketch)| (id(&node(number)).address, sketch.place)).collect();
    for task in &mut tasks {
        task.expansion.resources.sort_by_key(|resource| places[&resource.id.address]);
    }
    tasks
}

#[derive(Default)]
struct Drawing {
    tasks: Vec<Expanded>,
    open: Vec<Bracket>,
    /// The owners that are seen only when their turn comes: no one follows those, since whether they act isn't known.
    hidden: BTreeSet<ResourceId>,
}

impl Drawing {
    fn begin(&mut self, after: Option<bool>) {
        let after = after.filter(|after| *after).and_then(|_| Some(self.tasks.last()?.id.clone()));
        let (id, after) = (task(&format!("t{}", self.tasks.len())), after.into_iter().collect());
        self.tasks.push(Expanded { id, after, expansion: Expansion::default() });
    }

    fn add(&mut self, number: usize, sketch: &Sketch) {
        if sketch.form == Form::Closes
            && let Some(bracket) = self.open.pop()
        {
            self.task().brackets.push(bracket);
        }
        if let (Form::NextPhase, Some(bracket)) = (sketch.form, self.open.last_mut()) {
            bracket.phases.push(Vec::new());
        }
        if sketch.begins.is_some() && self.open.is_empty() {
            self.begin(sketch.begins);
        }
        let mut whole = fresh(&node(number), self.tasks.last().expect("there is one").id.clone());
        (whole.want, whole.needs) = (sketch.want(), sketch.needs(number, &self.tasks));
        let leader = self.open.last().filter(|around| !self.hidden.contains(&around.owner));
        if let (true, Some(around)) = (sketch.hook && sketch.form != Form::Opens, leader) {
            whole.trigger = Trigger::With(around.owner.clone());
        }
        if sketch.place.is_multiple_of(3) {
            whole.driver = "other";
        }
        let owner = whole.id.clone();
        if let Some(part) = sketch.other_part() {
            let mut other = fresh(&node(number), whole.task.clone());
            other.id.part = part.clone();
            self.connect(&mut whole, &mut other);
            self.put(other);
        }
        self.put(whole);
        if sketch.form == Form::Opens && sketch.hidden {
            self.hidden.insert(owner.clone());
        }
        if sketch.form == Form::Opens {
            self.open.push(Bracket { owner, phases: vec![Vec::new()] });
        }
    }

    /// Who takes a thing over comes before it is written, any other part after that.
    fn connect(&self, whole: &mut Resource, other: &mut Resource) {
        let (body, earlier, later) = match other.id.part {
            Part::Adoption => (json!({ "ours": true }), &*other, whole),
            Part::Whole | Part::Fields(_) => (json!({ "status": "on" }), &*whole, &mut *other),
        };
        later.needs.push(Need::Resource(earlier.id.clone()));
        other.want = Want::Present(document(body));
    }

    fn put(&mut self, resource: Resource) {
        if let Some(bracket) = self.open.last_mut() {
            bracket.phases.last_mut().expect("there is one").push(resource.id.clone());
        }
        self.task().resources.push(resource);
    }

    fn task(&mut self) -> &mut Expansion {
        &mut self.tasks.last_mut().expect("there is one").expansion
    }
}

/// A drawing in its world. Nothing fails there.
pub(crate) fn scene(sketches: &[Sketch]) -> Scene {
    let mut scene = Scene::new(tasks(sketches));
    for (number, sketch) in sketches.iter().enumerate() {
        let (name, body) = (node(number), sketch.body());
        let opens = body.get("state").is_some();
        match sketch.found {
            Found::Absent => {}
            Found::Same | Found::Unmoved => scene.world.put(&name, body),
            Found::Unsettled => scene.world.state().put(&name, body, 0),
            Found::Different if opens => scene.world.put(&name, json!({ "state": "failed" })),
            Found::Different => scene.world.put(&name, json!({ "value": 7 })),
        }
        let behind = sketch.needed(number).find(|earlier| sketches[*earlier].ordinary());
        scene.behave(&name, |how| {
            (how.takes, how.answers_in) = (sketch.manner.takes, sketch.manner.answers_in);
            (how.settles_after, how.closes_in) = (sketch.manner.settles_after, sketch.manner.closes_in);
            how.replaced = sketch.manner.replaced && !opens && sketch.other_part().is_none();
            how.unmoved = sketch.found == Found::Unmoved && sketch.wish != Wish::Gone && !opens;
            how.behind = behind.filter(|_| sketch.hidden).map(node);
        });
    }
    scene
}

/// The same, but things fail and lose writes.
pub(crate) fn troubled(sketches: &[Sketch]) -> Scene {
    let mut scene = scene(sketches);
    for (number, sketch) in sketches.iter().enumerate() {
        scene.behave(&node(number), |how| {
            how.fails.extend(sketch.manner.fails);
            how.loses.clone_from(&sketch.manner.loses);
        });
    }
    scene
}

/// The same, but every document has a secret in it, and whatever drivers say repeats that.
pub(crate) fn talkative(sketches: &[Sketch], secret: &'static str) -> Scene {
    let mut scene = troubled(sketches);
    scene.world.state().secret = secret;
    scene.behaviours.values_mut().for_each(|how| how.blurts = secret);
    for resource in scene.tasks.iter_mut().flat_map(|task| &mut task.expansion.resources) {
        let Want::Present(document) = &resource.want else { continue };
        let mut body = document.body.clone();
        body["token"] = json!("(sealed)");
        let holes = BTreeMap::from([("/token".to_owned(), Hole::Secret)]);
        resource.want = Want::Present(Document { body, holes }.into());
    }
    scene
}
