//! sppm: a declarative process supervisor for Linux.
//!
//! The layers, each of which may use only those above it (tests/tidy.rs keeps it so):
//!
//! - [`model`]: the nouns. Standard library only.
//! - [`config`]: text to plan, or to everything that is wrong with it. Pure.
//! - [`supervisor`]: the core. Events and the time go in, actions come out; nothing else happens there.
//! - [`linux`]: system calls. [`logs`], [`files`], [`journal`], [`control`], [`work`]: one concern of the world each.
//! - [`keeper`]: the tiny parent process that owns the programs.
//! - [`daemon`]: the supervisor process, the one place where core and world meet.
//! - [`cli`]: the command.
//!
//! Where to start reading: [`supervisor::Event`] and [`supervisor::Action`], then `supervisor/instance.rs`, then
//! `daemon/run.rs`. ARCHITECTURE.md says why it is so.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod files;
pub mod journal;
pub mod keeper;
pub mod linux;
pub mod logs;
pub mod model;
pub mod supervisor;
pub mod work;
