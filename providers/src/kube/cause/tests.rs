//! What is told of an object by what was seen around it.
