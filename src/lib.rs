//! sppm: a declarative process supervisor for Linux.

pub mod model;
pub mod supervisor;
