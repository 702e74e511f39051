//! `chart`.
