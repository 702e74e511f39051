//! What plans are found to have moved.
