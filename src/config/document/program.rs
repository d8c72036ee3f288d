//! The keys of a program, its logs and its limits.

use super::{Hooks, Ready, Restart, Stop, WorkingLock};
use crate::config::section::section;
use crate::config::values::{
    Argv, CountLimit, CpuCount, EnvFile, Environment, InheritSetting, Label, Line, LogTarget, OneOrMany,
    PathText, Script, SizeLimit, StderrTarget, Whole,
};
use crate::model::{Account, ByteSize, Mode, Orphans};
use std::time::Duration;

section! {
    /// A program: what runs, as whom and how. `command` or `shell` is needed, all else has a default.
    ///
    /// `{name}`, `{instance}`, `{index}`, `{runtime_dir}`, `{state_dir}` and `{log_dir}` are replaced in
    /// commands, paths and values of variables; any other brace stays.
    Program {
        /// The program and its arguments: a list is executed as it is; a text is split into words as a shell
        /// would split it, but no shell runs.
        command: Argv, examples [["python3", "-u", "crawler.py"], "python3 -u crawler.py"];
        /// Instead of `command`: a text that /bin/sh runs. Write `$$` for a dollar before a brace.
        shell: Script, examples ["zcat input.gz | sort > output"];
        /// The name that `ps` shows, instead of the command's first word.
        argv0: String, examples ["crawler"];
        /// The working folder. Default: the folder of the file that has the program.
        directory: PathText, examples ["/srv/crawler"];
        /// The user that it runs as, `user` or `user:group`, names or numbers. Only root can choose.
        user: Account, examples ["crawler", "crawler:www-data"];
        /// Permissions that new files do not get, octal.
        umask: Mode = "022";
        /// Variables. Values may be numbers, `true` and `false`; null removes a variable.
        environment: Environment, examples [{ "LANG": "C.UTF-8", "WORKERS": 4, "DEBUG": null }];
        /// Files with variables, `NAME=value` per line; `environment` wins over them, a later file over an
        /// earlier. A leading `-` lets a file be missing. They are read with this file.
        env_files: OneOrMany<EnvFile>, examples [[".env", "-optional.env"]];
        /// Whether it gets the supervisor's own variables: `true`, `false` (only PATH, LANG, LC_* and TZ) or a
        /// list of names beside those.
        inherit_environment: InheritSetting = true, examples [true, false, ["HTTP_PROXY"]];
        /// A file to read as standard input. Default: /dev/null.
        stdin: PathText;
        /// For people.
        description: Line, examples ["fetches pages"];
        /// Commands take `@batch` for all programs that have the tag `batch`.
        tags: OneOrMany<Label>, examples [["batch"]];
        /// Whether it starts with the supervisor; else `sppm start NAME` starts it.
        autostart: bool = true;
        /// `false`: as if the entry were not there, but still checked.
        enabled: bool = true;
        /// Lower starts earlier and stops later.
        priority: Whole<-1_000_000, 1_000_000> = 100;
        /// How many run, named `NAME.1`, `NAME.2` and so on; `auto` is one per CPU. Without it one runs, named
        /// as the program.
        instances: CpuCount, examples [4, "auto"];
        /// What happens when it ends by itself; a word alone is `policy`.
        restart: Restart;
        /// How it is stopped; a signal alone is `signal`.
        stop: Stop;
        /// How it says that it is in the middle of a task, and how a stop waits for the task's end.
        working_lock: WorkingLock;
        /// When it can do its job; the word `notify` alone is `notify: true`. Default: as soon as it runs.
        ready: Ready;
        /// No beat for so long, and it is stuck. A beat is WATCHDOG=1 of sd_notify(3), the line `beat` to
        /// $SPPM_NOTIFY, or a new writing of the working lock; at least 1s. Default: none is wanted.
        watchdog: Duration, examples ["30s"];
        /// Commands at the turns of its life.
        hooks: Hooks;
        /// What happens to processes that it leaves behind.
        orphans: Orphans = "kill";
        /// Where its output goes; a path alone is `stdout`.
        logs: Logs;
        /// Limits of resources.
        limits: Limits;
    }
    later [
        "pid_file", "kind", "schedule", "depends_on", "health", "reload", "watch", "recycle", "rolling", "sockets",
        "sandbox", "uses",
    ]
    one_of [command, shell]
}

section! {
    /// Where output goes; a path alone is `stdout`.
    Logs short stdout {
        /// Standard output: a path, `inherit` (the supervisor's own output) or `discard`.
        stdout: LogTarget = "{log_dir}/{instance}.log";
        /// Standard error: `stdout` (the same place), or a place of its own.
        stderr: StderrTarget = "stdout";
        /// A file that would grow past this is rotated at the end of a line.
        max_size: ByteSize = "20MiB";
        /// How many files are kept, the one being written included.
        max_files: Whole<1, 10_000> = 10;
    }
    later ["max_age", "max_total", "compress", "format", "on_full"]
}

section! {
    /// Limits of resources.
    Limits {
        /// Open files (RLIMIT_NOFILE).
        open_files: CountLimit, examples [65536, "unlimited"];
        /// Processes of the user (RLIMIT_NPROC).
        processes: CountLimit, examples [512];
        /// Size of core dumps (RLIMIT_CORE).
        core: SizeLimit, examples [0, "unlimited"];
        /// Niceness: lower gets more of the CPU; below 0 needs root.
        nice: Whole<-20, 19>, examples [5];
        /// How willingly the kernel kills it when memory runs out; lowering it needs root.
        oom_score_adj: Whole<-1000, 1000>, examples [200];
    }
    later ["memory", "cpu", "tasks", "cpu_affinity"]
}
