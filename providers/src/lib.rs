//! The providers.

pub mod kube;
