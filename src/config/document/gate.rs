//! The keys of `working_lock:`, `ready:` and `hooks:`.

use crate::config::section::section;
use crate::config::values::{ActionArgv, PathText};
use crate::model::{LockKind, OnStop, PastMaxBusy};
use std::time::Duration;

section! {
    /// How a program says that it is in the middle of a task, and how a stop waits for the task's end.
    ///
    /// It is always on: $SPPM_LOCK names the file in each program's environment, and a program that never
    /// touches it is never waited for. A `busy` line to $SPPM_NOTIFY, `sppm busy` and sd_notify(3) count too.
    WorkingLock {
        /// The file. The default is made anew for each run, empty and of the program's user. A file of your own
        /// may be older than the run; each instance needs one.
        path: PathText = "{runtime_dir}/i/{instance}/lock", examples ["/run/crawler/{index}.lock"];
        /// What of the file counts.
        kind: LockKind = "auto";
        /// When a busy program gets its stop signal.
        on_stop: OnStop = "wait";
        /// By what is written in the file it must have been idle for so long before it is stopped.
        idle_for: Duration = "0s";
        /// How long a stop waits for the task's end, before `then`; 0s is for ever.
        max_busy: Duration = "0s", examples ["10m"];
        /// What follows when a task lasted longer than `max_busy`.
        then: PastMaxBusy = "kill";
    }
    later []
}

section! {
    /// When a program can do its job. The word `notify` alone is `notify: true`.
    Ready word notify {
        /// Whether it says so by itself: READY=1 of sd_notify(3), or the line `ready` to $SPPM_NOTIFY. Else it is
        /// ready as soon as it runs.
        notify: bool = false;
        /// Not ready for so long after its start is a failed start.
        timeout: Duration = "30s";
    }
    later ["http", "tcp", "log", "exec", "delay"]
}

section! {
    /// Commands at the turns of a program's life, run as its user in its folder and environment.
    Hooks {
        /// Before each stop, before its task's end is waited for and before any signal.
        before_stop: Hook, examples [["./leave-the-pool", "{instance}"], { "command": "./leave-the-pool", "timeout": "5s" }];
        /// Before a stop that a start follows; it comes before `before_stop`.
        before_restart: Hook, examples [["./warm-the-cache", "{index}"]];
    }
    later ["before_start", "after_ready", "after_exit", "on_failed"]
}

section! {
    /// A command at a turn of a program's life; a command alone, as a list or as words, is `command`.
    Hook short_or_list command {
        /// The program and its arguments: a list is executed as it is; a text is split into words, but no shell
        /// runs.
        command: ActionArgv, examples [["./leave-the-pool", "{instance}"], "./leave-the-pool --now"];
        /// How long it has; then it is killed, and the stop goes on.
        timeout: Duration = "30s";
    }
    later []
}
