//! What may stand under a key: one small type with its reading and its schema per sort of value.
//!
//! In: nodes. Out: typed values with positions where they matter later. Never add here: knowledge of keys.

mod account;
mod choice;
mod command;
mod environment;
mod exit;
mod inherit;
mod number;
mod path;
mod quantity;
mod sequence;
mod text;

pub(super) use command::{ActionArgv, Argv, Script};
pub(super) use environment::Environment;
pub(super) use exit::Codes;
pub(super) use inherit::InheritSetting;
pub(super) use number::{Count, CountLimit, CpuCount, Factor, Percent, SizeLimit, Whole};
pub(super) use path::{EnvFile, LogTarget, PathText, StderrTarget};
pub(super) use sequence::{Deferred, OneOrMany};
pub(super) use text::{GroupName, Label, Line, Version};
