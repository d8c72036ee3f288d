//! Files: reading configuration so that it can be trusted, learning that it may have changed, writing whole.
//!
//! Never add here: what a file means, debouncing, or a decision to load it.

mod folder;
mod kind;
pub mod read;
#[cfg(test)]
mod tests_read;
#[cfg(test)]
mod tests_watch;
mod trail;
mod walk;
pub mod watch;
mod write;

pub use folder::{FolderError, check_folder, make_folder};
pub use kind::{FsKind, fs_kind};
pub use read::{ReadError, TrustPolicy, read_config};
pub use watch::Watcher;
pub use write::{write_atomic, write_unflushed};
