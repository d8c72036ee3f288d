//! Clocks. Never add here: formatting.

use crate::model::Moment;
use rustix::time::{ClockId, clock_gettime};

/// Now on CLOCK_MONOTONIC.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// This boot's id (random(4)); empty where /proc does not tell. Records of another boot mean nothing.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_the_boot_stays() {
        let before = now();
        assert!(before.as_nanos() > 0);
        assert!(now() >= before);
        assert_eq!(boot_id(), boot_id());
        assert_eq!(boot_id().len(), 36);
    }
}
