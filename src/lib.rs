//! sppm: a declarative process supervisor for Linux.

pub mod control;
pub mod model;
pub mod supervisor;
