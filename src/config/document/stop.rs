//! The keys of `stop:`.

use crate::config::section::section;
use crate::config::values::{ActionArgv, OneOrMany};
use crate::model::{Signal, StopScope};
use std::time::Duration;

section! {
    /// How a program is stopped; a signal alone is `signal`. KILL of all that is left always comes last.
    Stop short signal {
        /// The signal that asks it to end.
        signal: Signal = "TERM";
        /// Instead of `signal` and `timeout`: several signals, each with its time.
        steps: OneOrMany<StopStep>, examples [[{ "signal": "INT", "wait": "5s" }, { "signal": "TERM", "wait": "20s" }]];
        /// How long it has before KILL.
        timeout: Duration = "30s";
        /// Who gets the signal. Default: `main` for `command`, `group` for `shell`.
        scope: StopScope;
        /// Instead of a signal: a command, run as the program's user in its folder and environment.
        command: ActionArgv, examples [["nginx", "-s", "quit"]];
    }
    later []
    one_of [signal, steps, command]
    one_of [steps, timeout]
}

section! {
    /// A signal and how long it has to work.
    StopStep {
        /// The signal.
        signal: Signal, examples ["INT"];
        /// How long it has before the next step.
        wait: Duration, examples ["5s"];
    }
    later []
}
