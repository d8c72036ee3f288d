//! "Did you mean": the nearest spelling, the words of our neighbours, and keys that stand one level off.
//!
//! In: a word and where it stands. Out: a sentence of help. Never add here: checks.

use super::document::KEYS_BY_PLACE;

/// The words of supervisord, systemd, pm2, circus, compose, runit and others, and what they are called here.
/// A mend that has a space is a sentence, any other a key.
const NEIGHBOURS: &[(&str, &[&str], &str)] = &[
    (
        "Root",
        &["services", "apps", "daemons", "processes", "watchers", "jobs", "program", "process"],
        "programs",
    ),
    ("Root", &["includes", "files", "import", "imports"], "include"),
    ("Root", &["supervisord", "daemon", "settings", "config", "global"], "supervisor"),
    ("Root", &["default", "common", "template"], "defaults"),
    (
        "Program",
        &["cwd", "working_dir", "workdir", "working_directory", "workingdirectory", "dir", "chdir"],
        "directory",
    ),
    (
        "Program",
        &["cmd", "exec", "execstart", "run", "script", "entrypoint", "executable", "exec_start"],
        "command",
    ),
    (
        "Program",
        &["args", "arguments"],
        "write the arguments in `command`: `command: [python3, -u, crawler.py]`",
    ),
    ("Program", &["env", "environ", "environment_variables", "vars"], "environment"),
    ("Program", &["env_file", "envfile", "environmentfile", "dotenv", "environment_file"], "env_files"),
    ("Program", &["clear_env", "copy_env", "pass_env", "inherit_env"], "inherit_environment"),
    (
        "Program",
        &["numprocs", "replicas", "processes", "workers", "numprocesses", "exec_instances", "scale"],
        "instances",
    ),
    ("Program", &["autorestart", "restart_policy", "retry", "respawn"], "restart"),
    ("Program", &["startsecs", "min_uptime", "startlimitinterval"], "restart.min_uptime"),
    (
        "Program",
        &["startretries", "max_restarts", "max_retry", "retries", "startlimitburst"],
        "restart.limit",
    ),
    (
        "Program",
        &["restartsec", "restart_sec", "restart_delay", "backoff", "exp_backoff_restart_delay"],
        "restart.delay",
    ),
    (
        "Program",
        &["exitcodes", "success_exit_status", "successexitstatus", "stop_exit_codes"],
        "restart.success_codes",
    ),
    ("Program", &["stopsignal", "stop_signal", "kill_signal", "killsignal"], "stop.signal"),
    (
        "Program",
        &[
            "stopwaitsecs",
            "kill_timeout",
            "timeout_seconds",
            "graceful_timeout",
            "stop_grace_period",
            "timeoutstopsec",
            "stop_timeout",
        ],
        "stop.timeout",
    ),
    ("Program", &["stopasgroup", "killasgroup", "stop_children", "killmode"], "stop.scope: group"),
    ("Program", &["execstop", "stop_command"], "stop.command"),
    (
        "Program",
        &["stdout_logfile", "out_file", "log_file", "logfile", "stdout", "output", "log", "stdout_stream"],
        "logs.stdout",
    ),
    ("Program", &["stderr_logfile", "error_file", "stderr", "stderr_stream"], "logs.stderr"),
    ("Program", &["redirect_stderr", "merge_logs"], "`logs.stderr: stdout`, which is the default"),
    ("Program", &["stdout_logfile_maxbytes", "stderr_logfile_maxbytes", "max_size"], "logs.max_size"),
    ("Program", &["stdout_logfile_backups", "stderr_logfile_backups"], "logs.max_files"),
    ("Program", &["rlimits", "ulimits", "ulimit"], "limits"),
    ("Program", &["limitnofile", "rlimit_nofile", "nofile", "minfds"], "limits.open_files"),
    ("Program", &["oomscoreadjust"], "limits.oom_score_adj"),
    ("Program", &["uid", "username", "run_as"], "user"),
    ("Program", &["gid"], "write the group into `user`: `user: crawler:www-data`"),
    ("Program", &["namespace", "group", "groups", "labels"], "tags"),
    ("Program", &["auto_start", "start"], "autostart"),
    ("Program", &["disabled", "disable"], "enabled"),
    ("Program", &["order", "weight"], "priority"),
    ("Program", &["name", "id"], "a program's name is its key under `programs`"),
    (
        "Program",
        &["max_memory_restart", "max_requests"],
        "`recycle` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["cron", "cron_restart", "timer"],
        "`schedule` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["liveness_probe", "healthcheck", "health_check"],
        "`health` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["readiness_probe", "ready_http"],
        "`ready` will do that; in this version of sppm it has `ready: notify` only",
    ),
    ("Program", &["notify", "sd_notify", "notify_access", "wait_ready"], "ready: notify"),
    (
        "Program",
        &["type"],
        "systemd's `type: notify` is `ready: notify` here; other types need no key, or are not in this version of sppm",
    ),
    (
        "Program",
        &["listen_timeout", "timeoutstartsec", "start_timeout", "ready_timeout", "startup_timeout"],
        "ready.timeout",
    ),
    (
        "Program",
        &["watchdogsec", "watchdog_usec", "watchdog_timeout", "heartbeat", "heartbeat_timeout"],
        "watchdog",
    ),
    (
        "Program",
        &[
            "lock",
            "lockfile",
            "lock_file",
            "lock_path",
            "state_file",
            "busy_file",
            "worklock",
            "working_lock_file",
        ],
        "working_lock.path",
    ),
    ("Program", &["flock"], "working_lock.kind: flock"),
    ("Program", &["drain", "drain_timeout", "max_drain"], "working_lock.max_busy"),
    ("Program", &["before_stop", "pre_stop", "pre_stop_hook", "stop_hook"], "hooks.before_stop"),
    ("Program", &["before_restart", "pre_restart"], "hooks.before_restart"),
    (
        "Program",
        &["pre_start", "execstartpre", "before_start", "exec_start_pre"],
        "`hooks.before_start` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["post_start", "execstartpost", "after_ready"],
        "`hooks.after_ready` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["post_stop", "execstoppost", "after_stop", "after_exit", "on_exit"],
        "`hooks.after_exit` will do that; it is not in this version of sppm",
    ),
    ("Program", &["hook", "lifecycle", "events"], "hooks"),
    (
        "Program",
        &["requires", "after", "needs"],
        "`depends_on` will do that; it is not in this version of sppm",
    ),
    (
        "Program",
        &["is_tty", "tty", "pty"],
        "programs have no terminal here: their output goes into pipes and log files",
    ),
    ("Restart", &["when", "mode", "condition"], "policy"),
    ("Restart", &["startsecs", "uptime"], "min_uptime"),
    (
        "Restart",
        &["max_retries", "max_restarts", "retries", "startretries", "max_attempts", "burst"],
        "limit",
    ),
    ("Restart", &["backoff", "sec", "restart_delay", "interval"], "delay"),
    ("Restart", &["exitcodes", "exit_codes", "success"], "success_codes"),
    ("Restart", &["multiplier"], "factor"),
    ("Stop", &["stopsignal", "kill_signal"], "signal"),
    ("Stop", &["wait", "grace", "stopwaitsecs", "grace_period", "kill_timeout"], "timeout"),
    ("Stop", &["group", "as_group"], "scope: group"),
    ("Stop", &["sequence", "signals"], "steps"),
    ("WorkingLock", &["file", "lock", "lockfile", "state_file"], "path"),
    ("WorkingLock", &["type", "mode"], "kind"),
    ("WorkingLock", &["timeout", "max_wait", "drain_timeout", "wait"], "max_busy"),
    ("WorkingLock", &["idle", "idle_time", "quiet"], "idle_for"),
    ("WorkingLock", &["action", "past_max_busy", "on_timeout"], "then"),
    ("Ready", &["sd_notify", "by", "type"], "notify"),
    ("Ready", &["true", "yes", "on", "ready"], "notify"),
    ("Ready", &["wait", "start_timeout", "timeoutstartsec", "listen_timeout"], "timeout"),
    ("Ready", &["port", "socket"], "`ready: {tcp: …}` will do that; it is not in this version of sppm"),
    (
        "Ready",
        &["command", "cmd", "script"],
        "`ready: {exec: …}` will do that; it is not in this version of sppm",
    ),
    ("Ready", &["url"], "`ready: {http: …}` will do that; it is not in this version of sppm"),
    ("Hooks", &["pre_stop", "execstop", "on_stop", "stop"], "before_stop"),
    ("Hooks", &["pre_restart", "on_restart", "restart", "before_reload"], "before_restart"),
    (
        "Hooks",
        &["pre_start", "execstartpre", "on_start", "start"],
        "`before_start` will do that; it is not in this version of sppm",
    ),
    (
        "Hooks",
        &["post_start", "execstartpost", "on_ready", "after_start"],
        "`after_ready` will do that; it is not in this version of sppm",
    ),
    (
        "Hooks",
        &["post_stop", "execstoppost", "after_stop", "on_exit"],
        "`after_exit` will do that; it is not in this version of sppm",
    ),
    ("Hook", &["cmd", "exec", "run", "script"], "command"),
    ("Hook", &["shell"], "a hook has no `shell`; let a shell run it: `command: [sh, -c, \"…\"]`"),
    ("Hook", &["kill_timeout", "wait", "timeout_seconds"], "timeout"),
    ("Logs", &["out", "file", "path", "stdout_logfile"], "stdout"),
    ("Logs", &["err", "error"], "stderr"),
    ("Logs", &["maxbytes", "size", "rotate_size"], "max_size"),
    ("Logs", &["backups", "keep", "retain", "count"], "max_files"),
    ("Limits", &["nofile", "files", "limitnofile"], "open_files"),
    ("Limits", &["nproc"], "processes"),
    ("Supervisor", &["pidfile"], "pid_file"),
    ("Supervisor", &["logdir", "childlogdir", "logs"], "log_dir"),
    ("Supervisor", &["socket", "unix_http_server", "http_server"], "api"),
    ("Supervisor", &["watch", "auto_reload"], "follow_file"),
    (
        "Supervisor",
        &["concurrency", "parallel", "parallelism", "max_parallel", "concurrent_actions"],
        "start_concurrency",
    ),
];

/// What an unknown key was probably meant to be, as a sentence.
pub(super) fn suggest(section: &str, keys: &[&str], word: &str) -> Option<String> {
    let plain = plain(word);
    if let Some(key) = keys.iter().find(|key| **key == plain) {
        return Some(format!("did you mean `{key}`?"));
    }
    let squeezed = plain.replace('_', "");
    let knows =
        |words: &[&str]| words.iter().any(|known| *known == plain || known.replace('_', "") == squeezed);
    if let Some((_, _, mend)) = NEIGHBOURS.iter().find(|(place, words, _)| *place == section && knows(words))
    {
        return Some(match is_key(mend) {
            true => format!("here that is `{mend}`"),
            false => (*mend).to_owned(),
        });
    }
    let near = || nearest(&plain, keys.iter().copied()).map(|key| format!("did you mean `{key}`?"));
    elsewhere(section, &plain).or_else(near)
}

/// `stop.scope: group` is a key, a sentence is not.
fn is_key(mend: &str) -> bool {
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
    mend.split(": ").all(plain)
}

/// The accepted word that is nearest to `word`, if one is near.
pub(super) fn nearest<'w>(word: &str, accepted: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let far = (word.chars().count() / 3).clamp(1, 3);
    let measured = accepted.map(|key| (strsim::damerau_levenshtein(&word, &key.to_ascii_lowercase()), key));
    measured
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// A key that exists, but in another map: wrong indentation is the usual cause.
fn elsewhere(section: &str, word: &str) -> Option<String> {
    let (_, place, _) =
        KEYS_BY_PLACE.iter().find(|(name, _, keys)| *name != section && keys.contains(&word))?;
    Some(match place.is_empty() {
        true => format!("`{word}` stands at the top of the file: is the indentation right?"),
        false => format!("`{word}` belongs under `{place}`: is the indentation right?"),
    })
}

/// `stopTimeout` and `stop-timeout` as `stop_timeout`.
fn plain(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    for c in word.chars().take(80) {
        match c {
            '-' | ' ' => out.push('_'),
            c if c.is_ascii_uppercase() => {
                if out.ends_with(|before: char| before.is_ascii_lowercase()) {
                    out.push('_');
                }
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
    }
    out
}

/// Words for a sentence: "`a`, `b` and `c`".
pub(super) fn list(words: &[&str]) -> String {
    join(words, "and")
}

/// Words for a sentence: "`a`, `b` or `c`".
pub(super) fn either(words: &[&str]) -> String {
    join(words, "or")
}

fn join(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn keys(section: &str) -> &'static [&'static str] {
        KEYS_BY_PLACE.iter().find(|(name, ..)| *name == section).unwrap().2
    }

    #[test]
    fn near_words_neighbours_words_and_misplaced_words_are_known() {
        for (section, word, part) in [
            ("Program", "comand", "`command`"),
            ("Program", "cwd", "`directory`"),
            ("Program", "stopwaitsecs", "`stop.timeout`"),
            ("Program", "stop-as-group", "`stop.scope: group`"),
            ("Program", "envFile", "`env_files`"),
            ("Program", "ExecStart", "`command`"),
            ("Program", "autoStart", "`autostart`"),
            ("Program", "max_files", "under `programs.NAME.logs`"),
            ("Program", "include", "at the top"),
            ("Root", "services", "`programs`"),
            ("Root", "command", "under `programs.NAME`"),
            ("Restart", "polcy", "`policy`"),
            ("Restart", "max_retries", "`limit`"),
            ("Logs", "maxSize", "`max_size`"),
            ("Program", "WatchdogSec", "`watchdog`"),
            ("Program", "notify", "`ready: notify`"),
            ("Program", "Type", "`ready: notify`"),
            ("Program", "TimeoutStartSec", "`ready.timeout`"),
            ("Program", "lockfile", "`working_lock.path`"),
            ("Program", "state-file", "`working_lock.path`"),
            ("Program", "before_stop", "`hooks.before_stop`"),
            ("Program", "preStop", "`hooks.before_stop`"),
            ("Program", "ExecStop", "`stop.command`"),
            ("Program", "ExecStopPost", "`hooks.after_exit` will do that"),
            ("Program", "idle_for", "under `programs.NAME.working_lock`"),
            ("Program", "workinglock", "`working_lock`"),
            ("Root", "before_stop", "under `programs.NAME.hooks`"),
            ("Hooks", "on_stop", "`before_stop`"),
            ("Hook", "shell", "`command: [sh, -c,"),
            ("WorkingLock", "max_bussy", "`max_busy`"),
        ] {
            let help = suggest(section, keys(section), word).unwrap_or_default();
            assert!(help.contains(part), "{section} {word}: {help}");
        }
        assert_eq!(suggest("Program", keys("Program"), "xylophone"), None);
    }

    #[test]
    fn the_table_is_large_and_each_mend_exists() {
        let words: usize = NEIGHBOURS.iter().map(|(_, words, _)| words.len()).sum();
        assert!(words >= 60, "{words}");
        for (section, words, mend) in NEIGHBOURS {
            assert!(KEYS_BY_PLACE.iter().any(|(name, ..)| name == section), "{section}");
            for word in *words {
                assert!(!keys(section).contains(word), "{word} is a key of {section}");
            }
            if is_key(mend) {
                let last = mend.split(": ").next().unwrap().rsplit('.').next().unwrap();
                assert!(KEYS_BY_PLACE.iter().any(|(_, _, keys)| keys.contains(&last)), "{mend}");
            }
        }
    }
}
