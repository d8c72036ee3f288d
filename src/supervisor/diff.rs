//! What an edit means: each key of a program in exactly one class.
//!
//! [`compare`] takes both specs apart without `..`, so that a new field does not compile until somebody has said
//! which class it is in.

use crate::model::{Limits, Logs, Plan, Program, ProgramName, StderrSink, WorkGate};

/// What takes effect how, by the keys' names in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Needs a new process.
    pub restart: Vec<&'static str>,
    /// Changes the number or names of the instances.
    pub scale: bool,
    /// Takes effect without touching the process.
    pub live: Vec<&'static str>,
}

impl Change {
    /// Nothing differs.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It differs.
    Changed(Change),
}

/// What takes one plan to the next; programs that stay as they are do not appear.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// In the order of names.
    pub programs: Vec<(ProgramName, Fate)>,
    /// Keys of `supervisor:` that are applied at once.
    pub supervisor: Vec<&'static str>,
    /// Keys of `supervisor:` that need a restart of sppm.
    pub needs_restart_of_sppm: Vec<&'static str>,
}

/// Compares two plans.
pub fn diff(old: &Plan, new: &Plan) -> Diff {
    let mut programs = Vec::new();
    for (name, spec) in &old.programs {
        match new.programs.get(name) {
            None => programs.push((name.clone(), Fate::Removed)),
            Some(next) => {
                let change = compare(spec, next);
                if !change.is_none() {
                    programs.push((name.clone(), Fate::Changed(change)));
                }
            }
        }
    }
    let added = new.programs.keys().filter(|name| !old.programs.contains_key(*name));
    programs.extend(added.map(|name| (name.clone(), Fate::Added)));
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    let (supervisor, needs_restart_of_sppm) = compare_supervisor(old, new);
    Diff { programs, supervisor, needs_restart_of_sppm }
}

fn compare_supervisor(old: &Plan, new: &Plan) -> (Vec<&'static str>, Vec<&'static str>) {
    let crate::model::SupervisorSettings {
        name,
        folders,
        pid_file,
        follow_file,
        start_concurrency,
        shutdown_timeout,
        api,
    } = &old.supervisor;
    let next = &new.supervisor;
    let mut applied = Vec::new();
    let mut later = Vec::new();
    let note = |list: &mut Vec<&'static str>, differs: bool, key: &'static str| {
        if differs {
            list.push(key);
        }
    };
    note(&mut applied, *name != next.name, "supervisor.name");
    note(&mut applied, *follow_file != next.follow_file, "supervisor.follow_file");
    note(&mut applied, *start_concurrency != next.start_concurrency, "supervisor.start_concurrency");
    note(&mut applied, *shutdown_timeout != next.shutdown_timeout, "supervisor.shutdown_timeout");
    note(&mut applied, folders.log_dir != next.folders.log_dir, "supervisor.log_dir");
    note(&mut later, folders.runtime_dir != next.folders.runtime_dir, "supervisor.runtime_dir");
    note(&mut later, folders.state_dir != next.folders.state_dir, "supervisor.state_dir");
    note(&mut later, *pid_file != next.pid_file, "supervisor.pid_file");
    note(&mut later, *api != next.api, "supervisor.api");
    (applied, later)
}

/// Compares two specs of one program, key by key.
pub fn compare(old: &Program, new: &Program) -> Change {
    // The name is the identity, the place is where it stands: neither is a change.
    let Program {
        name: _,
        place: _,
        command,
        argv0,
        directory,
        user,
        umask,
        environment,
        inherit_environment,
        stdin,
        description,
        tags,
        autostart,
        priority,
        instances,
        restart,
        stop,
        orphans,
        logs,
        limits,
        work,
        ready,
        watchdog,
        hooks,
    } = old;
    let mut change = Change { scale: *instances != new.instances, ..Change::default() };
    let mut restarting = |differs: bool, key: &'static str| {
        if differs {
            change.restart.push(key);
        }
    };
    restarting(*command != new.command, "command");
    restarting(*argv0 != new.argv0, "argv0");
    restarting(*directory != new.directory, "directory");
    restarting(*user != new.user, "user");
    restarting(*umask != new.umask, "umask");
    restarting(*environment != new.environment, "environment");
    restarting(*inherit_environment != new.inherit_environment, "inherit_environment");
    restarting(*stdin != new.stdin, "stdin");
    let WorkGate { path, kind, on_stop, idle_for, max_busy, then } = work;
    restarting(*path != new.work.path, "working_lock.path");
    restarting(*kind != new.work.kind, "working_lock.kind");
    let Limits { rlimits, nice, oom_score_adj } = limits;
    restarting(*rlimits != new.limits.rlimits, "limits");
    restarting(*nice != new.limits.nice, "limits.nice");
    let Logs { stdout, stderr, max_size, max_files } = logs;
    // One pipe or two is decided at the launch; where a pipe leads is not.
    let apart = |sink: &StderrSink| matches!(sink, StderrSink::Apart(_));
    let pipes_differ = apart(stderr) != apart(&new.logs.stderr);
    restarting(pipes_differ, "logs.stderr");

    let mut live = |differs: bool, key: &'static str| {
        if differs {
            change.live.push(key);
        }
    };
    live(*description != new.description, "description");
    live(*tags != new.tags, "tags");
    live(*autostart != new.autostart, "autostart");
    live(*priority != new.priority, "priority");
    live(*restart != new.restart, "restart");
    live(*stop != new.stop, "stop");
    live(*orphans != new.orphans, "orphans");
    live(*oom_score_adj != new.limits.oom_score_adj, "limits.oom_score_adj");
    live(*stdout != new.logs.stdout, "logs.stdout");
    live(*stderr != new.logs.stderr && !pipes_differ, "logs.stderr");
    live(*max_size != new.logs.max_size, "logs.max_size");
    live(*max_files != new.logs.max_files, "logs.max_files");
    live(*on_stop != new.work.on_stop, "working_lock.on_stop");
    live(*idle_for != new.work.idle_for, "working_lock.idle_for");
    live(*max_busy != new.work.max_busy, "working_lock.max_busy");
    live(*then != new.work.then, "working_lock.then");
    live(*ready != new.ready, "ready"); // This and the watchdog count from the next start on.
    live(*watchdog != new.watchdog, "watchdog");
    live(*hooks != new.hooks, "hooks");
    change
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::simulation::plans::{empty_plan, plan_of, program};
    use super::*;
    use crate::model::{
        Account, ByteSize, Command, Hook, Inherit, Instances, LockKind, LockPath, LogSink, Mode, OnStop,
        Orphans, PastMaxBusy, Place, ReadyBy, Rlimit, RlimitKind, Signal, StopBy, StopStep, Template,
    };
    use std::sync::Arc;
    use std::time::Duration;

    type Edit = fn(&mut Program);

    /// Every key that needs a new process, with an edit of it.
    const RESTART: [(&str, Edit); 13] = [
        ("command", |p| p.command = Command::Shell(Template::new("exec web"))),
        ("argv0", |p| p.argv0 = Some(Template::new("w"))),
        ("directory", |p| p.directory = Template::new("/y")),
        ("user", |p| p.user = Some(Account { user: "www".to_owned(), group: None })),
        ("umask", |p| p.umask = Mode(0o077)),
        ("environment", |p| drop(p.environment.insert("A".to_owned(), None))),
        ("inherit_environment", |p| p.inherit_environment = Inherit::Basics),
        ("stdin", |p| p.stdin = Some(Template::new("/x/in"))),
        ("working_lock.path", |p| p.work.path = LockPath::At(Template::new("/x/lock"))),
        ("limits", |p| p.limits.rlimits.push(Rlimit { kind: RlimitKind::Core, value: Some(0) })),
        ("limits.nice", |p| p.limits.nice = Some(5)),
        ("logs.stderr", |p| p.logs.stderr = StderrSink::Apart(LogSink::Discard)),
        ("working_lock.kind", |p| p.work.kind = LockKind::Flock),
    ];

    /// Every key that leaves the process alone.
    const LIVE: [(&str, Edit); 19] = [
        ("description", |p| p.description = Some("a web".to_owned())),
        ("tags", |p| p.tags.push("front".to_owned())),
        ("autostart", |p| p.autostart = false),
        ("priority", |p| p.priority = 7),
        ("restart", |p| p.restart.limit += 1),
        ("stop", |p| {
            p.stop.by = StopBy::Signals(vec![StopStep { signal: Signal::INT, wait: Duration::from_secs(1) }]);
        }),
        ("orphans", |p| p.orphans = Orphans::Keep),
        ("limits.oom_score_adj", |p| p.limits.oom_score_adj = Some(100)),
        ("logs.stdout", |p| p.logs.stdout = LogSink::Inherit),
        ("logs.max_size", |p| p.logs.max_size = ByteSize(7)),
        ("logs.max_files", |p| p.logs.max_files = 7),
        ("restart", |p| p.restart.min_uptime = Duration::ZERO),
        ("working_lock.on_stop", |p| p.work.on_stop = OnStop::Signal),
        ("working_lock.idle_for", |p| p.work.idle_for = Duration::from_secs(1)),
        ("working_lock.max_busy", |p| p.work.max_busy = Some(Duration::from_secs(1))),
        ("working_lock.then", |p| p.work.then = PastMaxBusy::Keep),
        ("ready", |p| p.ready.by = ReadyBy::Notify),
        ("watchdog", |p| p.watchdog = Some(Duration::from_secs(1))),
        ("hooks", |p| {
            p.hooks.before_stop = Some(Hook { argv: Vec::new(), timeout: Duration::ZERO });
        }),
    ];

    fn edited(edit: Edit) -> Change {
        let old = program("web");
        let mut new = old.clone();
        edit(&mut new);
        compare(&old, &new)
    }

    #[test]
    fn every_key_is_in_its_class() {
        for (key, edit) in RESTART {
            assert_eq!(edited(edit), Change { restart: vec![key], ..Change::default() });
        }
        for (key, edit) in LIVE {
            assert_eq!(edited(edit), Change { live: vec![key], ..Change::default() });
        }
        let scaled = edited(|p| p.instances = Instances::Numbered(1));
        assert_eq!(scaled, Change { scale: true, ..Change::default() });
    }

    #[test]
    fn where_separate_errors_go_is_live_and_whether_they_are_separate_is_not() {
        let apart = |sink| {
            let mut spec = program("web");
            spec.logs.stderr = StderrSink::Apart(sink);
            spec
        };
        let moved = compare(&apart(LogSink::Discard), &apart(LogSink::Inherit));
        assert_eq!(moved, Change { live: vec!["logs.stderr"], ..Change::default() });
        let joined = compare(&apart(LogSink::Discard), &program("web"));
        assert_eq!(joined, Change { restart: vec!["logs.stderr"], ..Change::default() });
    }

    #[test]
    fn where_an_entry_stands_is_no_change() {
        let moved = edited(|p| p.place = Place { file: Arc::new("/elsewhere".into()), line: 99 });
        assert!(moved.is_none(), "{moved:?}");
    }

    #[test]
    fn a_diff_names_what_came_what_went_and_what_differs() {
        let mut changed = program("b");
        changed.priority = 9;
        let old = plan_of([program("a"), program("b"), program("c")]);
        let new = plan_of([changed, program("c"), program("d")]);
        let names = |diff: &Diff| -> Vec<String> {
            diff.programs.iter().map(|(name, fate)| format!("{name} {fate:?}")).collect()
        };
        let changed = "b Changed(Change { restart: [], scale: false, live: [\"priority\"] })";
        assert_eq!(names(&diff(&old, &new)), ["a Removed", changed, "d Added"]);
        assert_eq!(diff(&old, &old), Diff::default());
    }

    #[test]
    fn folders_of_the_supervisor_wait_for_its_restart() {
        let old = empty_plan();
        let mut new = old.clone();
        new.supervisor.shutdown_timeout = Duration::from_secs(1);
        new.supervisor.folders.log_dir = "/y".into();
        new.supervisor.folders.state_dir = "/y".into();
        new.supervisor.api.group = Some("ops".to_owned());
        let diff = diff(&old, &new);
        assert_eq!(diff.supervisor, ["supervisor.shutdown_timeout", "supervisor.log_dir"]);
        assert_eq!(diff.needs_restart_of_sppm, ["supervisor.state_dir", "supervisor.api"]);
    }
}
