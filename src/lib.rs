//! sppm: a declarative process supervisor for Linux.

pub mod config;
pub mod keeper;
pub mod linux;
pub mod model;
pub mod supervisor;
