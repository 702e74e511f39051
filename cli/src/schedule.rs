//! A look for drift that the cluster itself runs: the files that it needs, and the objects that it is made of.

pub(crate) mod files;
pub(crate) mod objects;
