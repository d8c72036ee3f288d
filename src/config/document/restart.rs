//! The keys of `restart:`.

use crate::config::section::section;
use crate::config::values::{Codes, Count, Factor, Percent};
use crate::model::{GiveUp, RestartWhen};
use std::time::Duration;

section! {
    /// What happens when a program ends by itself; a word alone is `policy`.
    Restart short policy {
        /// When it is started again.
        policy: RestartWhen = "always";
        /// Exit codes and signals that count as a success.
        success_codes: Codes = [0], examples [[0, "SIGTERM"]];
        /// Exit codes and signals after which it is not started again, whatever the policy.
        never_codes: Codes = [], examples [[78]];
        /// The first pause. After a steady run the first restart comes at once.
        delay: Duration = "500ms";
        /// What each further pause is multiplied by.
        factor: Factor = 2;
        /// The longest pause.
        max_delay: Duration = "1m";
        /// How much each pause is varied at random, to both sides.
        jitter: Percent = "10%";
        /// A run that lasted so long is steady: it resets the pauses.
        min_uptime: Duration = "5s";
        /// More failed starts than this within `window`, and the program is failed; 0 is no limit.
        limit: Count = 10;
        /// The time in which failed starts are counted.
        window: Duration = "5m";
        /// What follows when the limit is reached: `stay`, `shutdown` or `{retry: 15m}`.
        then: GiveUp = { "retry": "15m" };
    }
    later []
}
