//! sppm: a declarative process supervisor for Linux.

pub mod config;
pub mod model;
pub mod supervisor;
