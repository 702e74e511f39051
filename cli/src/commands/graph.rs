//! `cfrt graph`: which tasks, or resources, there are, and what comes after what.

use cfrt_providers::world::Access;

use crate::args::{GraphArguments, Picture};
use crate::exit::Exit;
use crate::load::load;
use crate::pipeline::{around, draw, tasks};
use crate::render::drawing::Drawing;
use crate::screen;
use crate::trouble::Trouble;

/// Draws the graph of a file.
///
/// # Errors
///
/// What kept it from being known or printed.
pub(crate) async fn run(arguments: &GraphArguments) -> Result<Exit, Trouble> {
    let drawing = if arguments.resources {
        let drawn = draw(&arguments.file, around(arguments.helm.as_ref()), Access::ReadOnly).await?;
        Drawing::of_resources(&drawn.graph, &drawn.notes)
    } else {
        Drawing::of_tasks(&tasks(&load(&arguments.file)?)?)
    };
    screen::print(&match arguments.output {
        Picture::Text => drawing.text(),
        Picture::Dot => drawing.dot(),
        Picture::Mermaid => drawing.mermaid(),
    })?;
    Ok(Exit::Done)
}
