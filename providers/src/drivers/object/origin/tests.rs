//! Tables of who moved what.
