//! How an operation went.

use super::visible;
use crate::control::wire::{SettleDto, SettledWord};

/// "1 program", "3 programs".
pub(in crate::cli) fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}

/// One line for each instance that is at rest, but not as wanted.
pub(in crate::cli) fn failed(picture: &SettleDto) -> Vec<String> {
    let bad = picture.instances.iter().filter(|instance| instance.state == SettledWord::Bad);
    bad.map(|instance| format!("{}: {}", visible(&instance.id), visible(&instance.reason))).collect()
}

/// Whether everything is as wanted.
pub(in crate::cli) fn none_bad(picture: &SettleDto) -> bool {
    picture.instances.iter().all(|instance| instance.state != SettledWord::Bad)
}
