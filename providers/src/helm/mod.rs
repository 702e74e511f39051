//! Helm.

mod yaml;

