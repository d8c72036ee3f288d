//! sppm: a declarative process supervisor for Linux.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod files;
pub mod keeper;
pub mod linux;
pub mod logs;
pub mod model;
pub mod supervisor;
