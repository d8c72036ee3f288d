//! sppm: a declarative process supervisor for Linux.

pub mod keeper;
pub mod linux;
pub mod model;
pub mod supervisor;
