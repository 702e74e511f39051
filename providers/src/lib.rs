//! What cfrt knows of the outside: running helm, and keeping secrets while it does.

pub mod helm;
mod private;
pub mod vault;
