//! sppm: a declarative process supervisor for Linux.

pub mod cli;
pub mod config;
pub mod control;
pub mod model;
pub mod supervisor;
