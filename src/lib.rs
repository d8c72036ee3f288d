//! sppm: a declarative process supervisor for Linux.

pub mod files;
pub mod logs;
pub mod model;
pub mod supervisor;
