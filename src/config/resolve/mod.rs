//! From what the file says to what it means: complete, absolute, with everything checked that needs more
//! than one key.
//!
//! In: complete sections (nothing unsaid but what has no default). Out: the model's values. Never add here:
//! defaults that could stand in a `section!` table.

mod gate;
mod program;
mod restart;
mod stop;
mod supervisor;

pub(super) use program::{Scene, program};
pub(super) use supervisor::supervisor;

use super::decode::Setting;

/// The value of a key that has a built-in default; `None` only after a finding was recorded.
fn needed<T: Clone>(setting: &Setting<T>) -> Option<T> {
    setting.get().cloned()
}
