//! Mistakes in the desired state to text: what, in which file, the line, and a caret under the place.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use cfrt_engine::source::{Mistake, Mistakes, Source, Sources, Span};

use crate::render::clean::{clean, defused};

/// The longest line of a file that is shown whole; of a longer one, what is around the place.
const WIDTH: usize = 100;

/// All mistakes, one block for each.
pub(crate) fn text(sources: &Sources, mistakes: &Mistakes) -> String {
    let blocks: Vec<String> = mistakes.0.iter().map(|mistake| one(sources, mistake)).collect();
    blocks.join("\n")
}

fn one(sources: &Sources, mistake: &Mistake) -> String {
    let title = Level::ERROR.primary_title(clean(&mistake.what));
    let mut text =
        Renderer::styled().term_width(WIDTH).render(&[with_places(sources, mistake, Group::with_title(title))]);
    text.push('\n');
    text
}

/// The mistake's place, and the one beside it: in one excerpt where both are in the same file.
fn with_places<'a>(sources: &'a Sources, mistake: &'a Mistake, group: Group<'a>) -> Group<'a> {
    let Some((source, range)) = sources.locate(&mistake.at) else { return group };
    let here = annotation(AnnotationKind::Primary, source, &range, &mistake.label);
    let beside = mistake.beside.as_ref().and_then(|(at, words)| Some((sources.locate(at)?, words)));
    match beside {
        None => group.element(excerpt(source).annotation(here)),
        Some(((other, range), words)) => {
            let there = annotation(AnnotationKind::Context, other, &range, words);
            if other.path == source.path {
                group.element(excerpt(source).annotation(here).annotation(there))
            } else {
                group.element(excerpt(source).annotation(here)).element(excerpt(other).annotation(there))
            }
        }
    }
}

fn excerpt(source: &Source) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(defused(&source.text)).path(clean(&source.path.to_string_lossy()).into_owned())
}

fn annotation<'a>(kind: AnnotationKind, source: &Source, range: &Span, label: &'a str) -> Annotation<'a> {
    let (start, end) = (source.text.floor_char_boundary(range.start), source.text.ceil_char_boundary(range.end));
    let annotation = kind.span(start..end);
    if label.is_empty() { annotation } else { annotation.label(clean(label)) }
}
