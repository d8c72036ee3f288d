//! sppm: a declarative process supervisor for Linux.
//!
//! The layers, each of which may use only those above it (tests/tidy.rs keeps it so):
//!
//! - [`model`]: the nouns. Standard library only.
//! - [`config`]: text to plan, or to everything that is wrong with it. Pure.
//! - [`supervisor`]: the core. Events and the time go in, actions come out; nothing else happens there.
//! - [`linux`]: system calls. [`logs`], [`files`], [`journal`], [`talk`], [`work`], [`channel`], [`control`]: one concern of
//!   the world each.
//! - [`keeper`]: the tiny parent process that owns the programs.
//! - [`daemon`]: the supervisor process, the one place where core and world meet.
//! - [`cli`]: the command.
//! - [`client`]: for programs that are supervised; stands alone. With `default-features = false` it is all there is.
//!
//! Where to start reading: [`supervisor::Event`] and [`supervisor::Action`], then `supervisor/instance.rs`, then
//! `daemon/run.rs`. ARCHITECTURE.md says why it is so.

#[cfg(feature = "supervisor")]
pub mod channel;
#[cfg(feature = "supervisor")]
pub mod cli;
pub mod client;
#[cfg(feature = "supervisor")]
pub mod config;
#[cfg(feature = "supervisor")]
pub mod control;
#[cfg(feature = "supervisor")]
pub mod daemon;
#[cfg(feature = "supervisor")]
pub mod files;
#[cfg(feature = "supervisor")]
pub mod journal;
#[cfg(feature = "supervisor")]
pub mod keeper;
#[cfg(feature = "supervisor")]
pub mod linux;
#[cfg(feature = "supervisor")]
pub mod logs;
#[cfg(feature = "supervisor")]
pub mod model;
#[cfg(feature = "supervisor")]
pub mod supervisor;
#[cfg(feature = "supervisor")]
pub mod talk;
#[cfg(feature = "supervisor")]
pub mod work;
