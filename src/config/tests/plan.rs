//! What a good file means.

use super::*;
use crate::model::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_whole_file_is_two_words_and_the_rest_are_the_defaults() {
    let plan = good("programs: { crawler: { command: python3 crawler.py } }");
    let program = one(&plan, "crawler");
    assert_eq!(program.command, Command::Exec(vec!["python3".into(), "crawler.py".into()]));
    assert_eq!(program.directory, "/w/app".into());
    assert_eq!((program.umask, program.priority, program.autostart), (Mode(0o022), 100, true));
    assert_eq!(
        (program.instances, program.orphans, program.inherit_environment.clone()),
        (Instances::Single, Orphans::Kill, Inherit::All)
    );
    assert_eq!((&program.user, &program.stdin, &program.argv0), (&None, &None, &None));
    assert_eq!(
        program.restart,
        RestartPolicy {
            when: RestartWhen::Always,
            success_codes: vec![ExitMatch::Code(0)],
            never_codes: vec![],
            delay: Duration::from_millis(500),
            factor: PerMille(2000),
            max_delay: 60 * SECOND,
            jitter: PerMille(100),
            min_uptime: 5 * SECOND,
            limit: 10,
            window: 300 * SECOND,
            then: GiveUp::Retry(900 * SECOND),
        }
    );
    let term = StopStep { signal: Signal::TERM, wait: 30 * SECOND };
    assert_eq!(program.stop, StopPolicy { by: StopBy::Signals(vec![term]), scope: StopScope::Main });
    let log_dir = &plan.supervisor.folders.log_dir;
    let log = Template::new(format!("{}/{{instance}}.log", log_dir.display()));
    assert_eq!(
        program.logs,
        Logs {
            stdout: LogSink::File(log),
            stderr: StderrSink::WithStdout,
            max_size: ByteSize(20 << 20),
            max_files: 10
        }
    );
    assert_eq!(program.limits, Limits::default());
    assert_eq!((program.place.file.as_path(), program.place.line), (Path::new(MAIN), 1));
    let supervisor = &plan.supervisor;
    assert_eq!(supervisor.name, "app");
    assert_eq!(supervisor.folders.runtime_dir, Path::new("/run/sppm").join(folders::hash8(Path::new(MAIN))));
    assert_eq!(supervisor.pid_file, supervisor.folders.runtime_dir.join("sppm.pid"));
    assert_eq!(supervisor.follow_file, FollowFile { enabled: true, debounce: Duration::from_millis(300) });
    assert_eq!((supervisor.start_concurrency.get(), supervisor.shutdown_timeout), (64, 120 * SECOND));
    assert_eq!(supervisor.api, ApiSettings { mode: Mode(0o660), group: None });
}

#[test]
fn short_forms_stand_for_the_main_key() {
    assert_eq!(program("command: x, restart: never").restart.when, RestartWhen::Never);
    let int = StopStep { signal: Signal::INT, wait: 30 * SECOND };
    assert_eq!(program("command: x, stop: INT").stop.by, StopBy::Signals(vec![int]));
    assert_eq!(program("command: x, logs: a.log").logs.stdout, LogSink::File("/w/app/a.log".into()));
    assert_eq!(program("command: x, logs: discard").logs.stdout, LogSink::Discard);
    assert_eq!(program("command: x, tags: b").tags, ["b"]);
    assert!(!good("programs: {}\nsupervisor: {follow_file: false}").supervisor.follow_file.enabled);
}

#[test]
fn stops_have_three_ways_and_a_shell_gets_its_group_signalled() {
    assert_eq!(program("shell: 'a | b'").stop.scope, StopScope::Group);
    assert_eq!(program("shell: 'a | b', stop: {scope: tree}").stop.scope, StopScope::Tree);
    let stop = program("command: x, stop: {steps: [{signal: INT, wait: 5s}, {signal: SIGTERM, wait: 20s}]}")
        .stop
        .clone();
    assert_eq!(stop.grace(), 25 * SECOND);
    let stop = program("command: x, stop: {command: nginx -s quit, timeout: 9s}").stop.clone();
    let argv = vec!["nginx".into(), "-s".into(), "quit".into()];
    assert_eq!(stop.by, StopBy::Command { argv, timeout: 9 * SECOND });
    let stop = program("command: x, stop: {signal: 15, timeout: 0}").stop.clone();
    assert_eq!(stop.grace(), Duration::ZERO);
}

#[test]
fn commands_are_lists_or_split_text() {
    let argv = |keys: &str| match &program(keys).command {
        Command::Exec(argv) => argv.iter().map(|word| word.as_str().to_owned()).collect::<Vec<_>>(),
        Command::Shell(text) => panic!("{text}"),
    };
    assert_eq!(
        argv("command: [sleep, 60, 0x10, 1.50, true, '']"),
        ["sleep", "60", "0x10", "1.50", "true", ""]
    );
    assert_eq!(argv("command: \"a 'b c' \\\"d e\\\" f\\\\ g\""), ["a", "b c", "d e", "f g"]);
    assert_eq!(argv("command: 'curl http://x/?a=1&b=2'"), ["curl", "http://x/?a=1&b=2"]);
    assert_eq!(argv("command: [a, '|', '$(b)', X=1]"), ["a", "|", "$(b)", "X=1"]);
    assert_eq!(argv("command: '${WORDS} ${N}'"), ["a", "b", "2"]);
    assert_eq!(argv("command: ['${WORDS}', '$$x']"), ["a b", "$x"]);
}

#[test]
fn placeholders_are_filled_but_those_of_instances() {
    let plan = good(
        "supervisor: {runtime_dir: /r, state_dir: s, log_dir: /l, pid_file: '{state_dir}/pid'}\n\
         programs: {a: {command: ['{name}', '{instance}-{index}', '{print}', '{runtime_dir}'], directory: '{state_dir}/{name}',\n\
         environment: {X: '{log_dir}'}, logs: 'l/{index}.log', argv0: '{instance}'}}",
    );
    let a = one(&plan, "a");
    assert_eq!(
        a.command,
        Command::Exec(vec!["a".into(), "{instance}-{index}".into(), "{print}".into(), "/r".into()])
    );
    assert_eq!((&a.directory, &a.argv0), (&"/w/app/s/a".into(), &Some("{instance}".into())));
    assert_eq!(a.environment["X"], Some("/l".into()));
    assert_eq!(a.logs.stdout, LogSink::File("/w/app/l/{index}.log".into()));
    assert_eq!(plan.supervisor.pid_file, Path::new("/w/app/s/pid"));
}

#[test]
fn environments_take_numbers_booleans_and_null_as_they_are_spelled() {
    let a = program(
        "command: x, environment: {A: 010, B: 3.10, C: true, D: null, E: ~, F: '', G: '${EMPTY}', H: no, I: '~'}",
    );
    let value = |name: &str| a.environment[name].as_ref().map(|value| value.as_str().to_owned());
    for (name, text) in
        [("A", "010"), ("B", "3.10"), ("C", "true"), ("F", ""), ("G", ""), ("H", "no"), ("I", "~")]
    {
        assert_eq!(value(name).as_deref(), Some(text), "{name}");
    }
    assert_eq!((value("D"), value("E")), (None, None));
}

#[test]
fn scalars_are_typed_after_interpolation() {
    let a = one(
        &good(
            "programs:\n  a:\n    command: x\n    instances: ${N}\n    restart: {limit: '${N}', delay: '${N}s'}\n    \
             autostart: ${U:-false}\n    environment:\n      E: ${EMPTY}\n",
        ),
        "a",
    );
    assert_eq!(a.environment["E"], Some("".into()), "an empty value is a value");
    assert_eq!(
        (a.instances, a.restart.limit, a.restart.delay, a.autostart),
        (Instances::Numbered(2), 2, 2 * SECOND, false)
    );
}

#[test]
fn the_small_types() {
    assert_eq!(program("command: x, instances: auto").instances, Instances::Numbered(3));
    assert_eq!(program("command: x, instances: 0").instances, Instances::Numbered(0));
    assert_eq!(program("command: x, restart: {then: stay}").restart.then, GiveUp::Stay);
    assert_eq!(program("command: x, restart: {then: shutdown}").restart.then, GiveUp::Shutdown);
    assert_eq!(program("command: x, restart: {then: {retry: 1s}}").restart.then, GiveUp::Retry(SECOND));
    assert_eq!(program("command: x, restart: {factor: 1.5, jitter: 2.5%}").restart.factor, PerMille(1500));
    let codes =
        program("command: x, restart: {success_codes: [0, SIGTERM, 3], never_codes: 78}").restart.clone();
    assert_eq!(
        codes.success_codes,
        [ExitMatch::Code(0), ExitMatch::Signal(Signal::TERM), ExitMatch::Code(3)]
    );
    assert_eq!(codes.never_codes, [ExitMatch::Code(78)]);
    for mode in ["'027'", "027", "'27'", "0o27"] {
        assert_eq!(program(&format!("command: x, umask: {mode}")).umask, Mode(0o27), "{mode}");
    }
    let account = program("command: x, user: 'u:10'").user.clone();
    assert_eq!(account, Some(Account { user: "u".into(), group: Some("10".into()) }));
    assert_eq!(program("command: x, inherit_environment: false").inherit_environment, Inherit::Basics);
    assert_eq!(
        program("command: x, inherit_environment: [B, A]").inherit_environment,
        Inherit::Also(vec!["A".into(), "B".into()])
    );
    let logs = program("command: x, logs: {stdout: inherit, stderr: e.log, max_size: 1KiB, max_files: 1}")
        .logs
        .clone();
    assert_eq!(logs.stderr, StderrSink::Apart(LogSink::File("/w/app/e.log".into())));
    assert_eq!((logs.stdout, logs.max_size, logs.max_files), (LogSink::Inherit, ByteSize(1024), 1));
    let limits = program(
        "command: x, limits: {core: 0, processes: 5, open_files: unlimited, nice: -5, oom_score_adj: 200}",
    )
    .limits
    .clone();
    let of = |kind, value| Rlimit { kind, value };
    assert_eq!(
        limits.rlimits,
        [of(RlimitKind::OpenFiles, None), of(RlimitKind::Processes, Some(5)), of(RlimitKind::Core, Some(0))]
    );
    assert_eq!((limits.nice, limits.oom_score_adj), (Some(-5), Some(200)));
    assert_eq!(
        program("command: x, limits: {core: 1MiB}").limits.rlimits,
        [of(RlimitKind::Core, Some(1 << 20))]
    );
}

#[test]
fn env_files_are_read_in_order_and_environment_wins() {
    let loaded = load_files(&[
        (MAIN, "programs: {a: {command: x, env_files: [.env, '-no.env', '{name}.env'], environment: {C: 3, D: null}}}"),
        ("/w/app/.env", "A=1\nB=1\nC=1\nD=1\n"),
        ("/w/app/a.env", "B=2\nC=2\n"),
    ])
    .unwrap();
    let a = one(&loaded.plan, "a");
    let all: Vec<_> =
        a.environment.iter().map(|(k, v)| (k.as_str(), v.as_ref().map(Template::as_str))).collect();
    assert_eq!(all, [("A", Some("1")), ("B", Some("2")), ("C", Some("3")), ("D", None)]);
    let files: Vec<_> = loaded.watched.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(files, ["/w/app/.env", "/w/app/a.env", "/w/app/no.env", "/w/app/sppm.yaml"]);
}

#[test]
fn what_means_nothing_changes_nothing() {
    let plain = good(
        "programs:\n  a: {command: [x], environment: {A: 1, B: 2}, tags: [p, q]}\n  b: {command: [y]}\n",
    );
    let other = good(
        "# comment\nx-common: &e {B: 2, A: 1}\nprograms:\n\n  b:\n    command:\n    - \"y\"\n  a:\n    tags: [q, p, q]\n    \
         environment:\n      <<: *e\n    command: x   # y\n",
    );
    let strip = |plan: &Plan| {
        let mut programs: Vec<Program> = plan.programs.values().map(|program| (**program).clone()).collect();
        programs.iter_mut().for_each(|program| program.place.line = 0);
        programs
    };
    assert_eq!(strip(&plain), strip(&other));
}

#[test]
fn disabled_programs_are_known_by_name_and_still_checked() {
    let plan = good("programs: {a: {command: x, enabled: false}, b: {command: y}}");
    assert_eq!((plan.programs.len(), plan.disabled.len()), (1, 1));
    bad("programs: {a: {comand: x, enabled: false}}");
}

#[test]
fn the_supervisor_can_be_told_everything() {
    let plan = good(
        "version: 1\nsupervisor: {name: n, runtime_dir: /r, state_dir: ./s/../t, log_dir: /l/, shutdown_timeout: 1m,\n  \
         start_concurrency: 3, follow_file: {enabled: false, debounce: 1s}, api: {mode: '0666', group: sppm}}\nprograms: {}\n",
    );
    let supervisor = plan.supervisor;
    assert_eq!((supervisor.name.as_str(), supervisor.shutdown_timeout), ("n", 60 * SECOND));
    assert_eq!(supervisor.start_concurrency.get(), 3);
    for wrong in ["0", "-1", "10001", "many", "'4'"] {
        let problems = bad(&format!("supervisor: {{start_concurrency: {wrong}}}\nprograms: {}", "{}"));
        assert!(problems.first_line().contains("not a whole number from 1 to 10000"), "{problems}");
    }
    assert_eq!(supervisor.folders.state_dir, Path::new("/w/app/t"));
    assert_eq!(supervisor.pid_file, Path::new("/r/sppm.pid"));
    assert_eq!(supervisor.api, ApiSettings { mode: Mode(0o666), group: Some("sppm".into()) });
    assert_eq!(supervisor.follow_file, FollowFile { enabled: false, debounce: SECOND });
}

#[test]
fn a_broken_limit_and_a_bare_variable_are_warned_about() {
    let warnings = |text: &str| {
        load_text(text).unwrap().warnings.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(warnings("programs: {a: {command: x}}"), "");
    let text = warnings("programs: {a: {command: x, restart: {limit: 50, window: 1m}}}");
    assert!(text.contains("programs.a.restart.limit: the limit can never be reached"), "{text}");
    let text = warnings("programs: {a: {command: 'x $HOME'}}");
    assert!(text.contains("`$HOME` reaches the program as it is written"), "{text}");
    assert_eq!(warnings("programs: {a: {command: 'x $$HOME'}}"), "");
    let text = warnings("programs: {a: {command: x, environment: {SPPM_RUN: 1}}}");
    assert!(text.contains("`SPPM_RUN` is set by sppm"), "{text}");
}

#[test]
fn byte_order_marks_and_line_ends_of_others_are_taken() {
    let plan = good("\u{feff}# x\r\nprograms:\r\n  a:\r\n    command: x y\r\n    umask: '027'\r\n");
    assert_eq!(one(&plan, "a").command, Command::Exec(vec!["x".into(), "y".into()]));
    let problems = bad("\u{feff}programs:\r\n  a:\r\n    comand: x\r\n");
    assert!(problems.first_line().starts_with("sppm.yaml:3:5: programs.a.comand"), "{problems}");
    let problems = bad("\u{feff}program: {}\r\n");
    assert!(problems.first_line().starts_with("sppm.yaml:1:1: program:"), "{problems}");
}
