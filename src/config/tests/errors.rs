//! What is refused, and how it is said.

use super::*;

/// A file, and what must stand in its first line of the report.
const ONE_EACH: &[(&str, &str)] = &[
    ("", "sppm.yaml: the file is empty"),
    ("# only a comment\n", "sppm.yaml: the file is empty"),
    ("defaults: {}\n", "the file has no `programs:`"),
    ("programs:\n", "the file has no `programs:`"),
    ("[]", "a list stands here"),
    ("x", "`x` stands here"),
    ("programs: []", "sppm.yaml:1:11: programs: a list stands here"),
    ("programs: {a: }", "sppm.yaml:1:12: programs.a: there is neither `command` nor `shell`"),
    ("programs: {a: {}}", "there is neither `command` nor `shell`"),
    ("programs: {a: x}", "programs.a: `x` stands here; accepted is a map"),
    ("programs: {a: {command: x}, a: {command: y}}", "sppm.yaml:1:29: programs.a: `a` is defined twice"),
    ("programs: {a: {command: x, command: y}}", "programs.a.command: `command` is defined twice"),
    ("programs: {all: {command: x}}", "`all` is reserved"),
    ("programs: {-a: {command: x}}", "`-a` is not a program's name"),
    ("programs: {a/b: {command: x}}", "`a/b` is not a program's name"),
    ("programs: {x: {command: x}, x.1: {command: x}}", "`x.1` is also what instance 1 of `x` is called"),
    ("version: 2\nprograms: {}", "sppm.yaml:1:10: version: version `2` of the file format"),
    ("programs: {a: {command: x, shell: y}}", "`command` and `shell` cannot stand together"),
    ("programs: {a: {command: []}}", "a command may not be empty"),
    ("programs: {a: {command: ''}}", "a command may not be empty"),
    ("programs: {a: {command: 'a | b'}}", "no shell runs here, so `|` would not do what it says"),
    ("programs: {a: {command: 'X=1 b'}}", "`X=…` (a variable: write it under `environment`)"),
    ("programs: {a: {command: \"a 'b\"}}", "a quote that is not closed"),
    ("programs: {a: {command: [a, ~]}}", "programs.a.command[1]: nothing stands here"),
    ("programs: {a: {command: [a, [b]]}}", "programs.a.command[1]: a list stands here"),
    ("programs: {a: {command: \"a\\0b\"}}", "NUL"),
    ("programs: {a: {command: x, shell: '${U}'}}", "the variable `U` is not set"),
    ("programs: {a: {command: '${U:?tell me}'}}", "the variable `U` is required: tell me"),
    ("programs: {a: {command: '${U'}}", "`${U` cannot be resolved"),
    ("programs: {a: {command: x, autostart: yes}}", "`yes` is neither `true` nor `false`"),
    ("programs: {a: {command: x, autostart: 'true'}}", "`true` is neither"),
    (
        "programs: {a: {command: x, instances: 10001}}",
        "`10001` is not a whole number from 0 to 10000, or `auto`",
    ),
    ("programs: {a: {command: x, instances: '2'}}", "`2` is not a whole number"),
    ("programs: {a: {command: x, instances: -1}}", "`-1` is not a whole number"),
    ("programs: {a: {command: x, instances: '${TOKEN}'}}", "`${TOKEN}` is not a whole number"),
    ("programs: {a: {command: x, restart: {delay: 90}}}", "restart.delay: `90` is not a duration"),
    ("programs: {a: {command: x, restart: {delay: '${TOKEN}'}}}", "`${TOKEN}` is not a duration"),
    (
        "programs: {a: {command: x, restart: {delay: 2m}}}",
        "the first pause of 2m is longer than `max_delay`, 1m",
    ),
    ("programs: {a: {command: x, restart: {then: {retry: 0s}}}}", "without any pause"),
    (
        "programs: {a: {command: x, restart: {then: {rety: 1s}}}}",
        "programs.a.restart.then.rety: there is no key",
    ),
    ("programs: {a: {command: x, restart: {then: {}}}}", "a map stands here; accepted is `stay`"),
    ("programs: {a: {command: x, restart: {jitter: 10}}}", "`10` is not a percentage"),
    ("programs: {a: {command: x, restart: {jitter: 101%}}}", "`101%` is not a percentage"),
    ("programs: {a: {command: x, restart: {factor: 0.5}}}", "`0.5` is not a number from 1"),
    (
        "programs: {a: {command: x, restart: {never_codes: [256]}}}",
        "never_codes[0]: `256` is neither an exit code",
    ),
    ("programs: {a: {command: x, stop: {signal: TREM}}}", "`TREM` is not a signal"),
    (
        "programs: {a: {command: x, stop: {signal: TERM, steps: [{signal: INT, wait: 1s}]}}}",
        "`signal` and `steps` cannot stand together",
    ),
    (
        "programs: {a: {command: x, stop: {timeout: 1s, steps: [{signal: INT, wait: 1s}]}}}",
        "`steps` and `timeout` cannot",
    ),
    ("programs: {a: {command: x, stop: {steps: []}}}", "1 to 16 steps"),
    ("programs: {a: {command: x, stop: {steps: [{signal: INT}]}}}", "the step has no `wait`"),
    ("programs: {a: {command: x, umask: 22}}", "`22` is not an octal mode"),
    ("programs: {a: {command: x, umask: '089'}}", "`089` is not an octal mode"),
    ("programs: {a: {command: x, user: 'a b'}}", "`a b` is not a user"),
    ("programs: {a: {command: x, user: 'a:'}}", "`a:` is not a user"),
    ("programs: {a: {command: x, logs: {max_size: 10M}}}", "`10M` is not a size"),
    ("programs: {a: {command: x, logs: {max_size: 0B}}}", "files of 0 bytes"),
    ("programs: {a: {command: x, logs: {max_files: 0}}}", "`0` is not a whole number from 1"),
    ("programs: {a: {command: x, logs: journal}}", "`journal` is not in this version"),
    ("programs: {a: {command: x, logs: {stderr: syslog}}}", "`syslog` is not in this version"),
    ("programs: {a: {command: x, logs: {compress: zstd}}}", "`compress` is not in this version"),
    ("programs: {a: {command: x, limits: {memory: 1GiB}}}", "`memory` is not in this version"),
    ("programs: {a: {command: x, limits: {nice: 20}}}", "`20` is not a whole number from -20 to 19"),
    (
        "programs: {a: {command: x, depends_on: b}}",
        "programs.a.depends_on: `depends_on` is not in this version",
    ),
    ("programs: {}\nsupervisor: {exit_on: never}", "supervisor.exit_on: `exit_on` is not in this version"),
    ("programs: {a: {command: x, environment: [A=1]}}", "environment: a list stands here"),
    ("programs: {a: {command: x, environment: {'A=B': 1}}}", "`A=B` cannot be the name of a variable"),
    ("programs: {a: {command: x, directory: ~/x}}", "begins with `~`"),
    ("programs: {a: {command: x, tags: ['@b']}}", "`@b` is not a word"),
    ("programs: {a: {command: x, env_files: ['{instance}.env']}}", "read once per program"),
    ("programs: {}\nsupervisor: {runtime_dir: '{log_dir}/x'}", "placeholders cannot stand"),
    ("programs: {}\nsupervisor: {pid_file: '/x/{instance}'}", "mean nothing here"),
    ("programs: {}\n---\nprograms: {}", "a second document begins here"),
    ("programs: {a: !!python/object {command: x}}", "the tag"),
    ("programs:\n\ta: {command: x}", "this is not valid YAML"),
    ("programs: {a: {command: *b}}", "this is not valid YAML"),
    ("programs: {a: &a {command: *a}}", "the alias stands inside of what it names"),
    ("programs: {a: {<<: 5, command: x}}", "`<<` merges maps only"),
    ("programs: {? [a] : {command: x}}", "a key must be a text"),
];

#[test]
fn each_mistake_is_named_alone() {
    for (text, part) in ONE_EACH {
        let problems = bad(text);
        let all: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(all[0].contains(part), "{text}\n  got  {}\n  want {part}", all[0]);
        let expected = if text.contains("shell: '${U}'") { 1 } else { all.len() };
        assert_eq!(all.len(), expected.min(1), "one mistake, one message: {all:#?}\n{text}");
        assert!(!problems.render(Style::Plain).contains("hunter2"), "a value of the environment was shown");
    }
}

#[test]
fn help_names_the_mend() {
    for (text, part) in [
        ("programs: {a: {comand: x}}", "did you mean `command`?"),
        ("programs: {a: {command: x, cwd: /}}", "here that is `directory`"),
        ("programs: {a: {command: x, min_uptime: 5s}}", "`restart.min_uptime`"),
        ("programs: {a: {command: x, delay: 5s}}", "`delay` belongs under `programs.NAME.restart`"),
        ("program: {a: {command: x}}", "`programs`"),
        ("programs: {a: {command: x, restart: allways}}", "did you mean `always`?"),
        ("programs: {a: {command: x, restart: unless-stopped}}", "here that is `always`"),
        ("programs: {a: {command: x, stop: {signal: TREM}}}", "did you mean `TERM`?"),
        ("programs: {a: {command: x, restart: {delay: 90}}}", "`90s` are seconds, `90ms` are milliseconds"),
        ("programs: {a: {command: x, logs: {max_size: 10MB}}}", "`10MiB` for 10485760 bytes, or `10000000B`"),
        ("programs: {a: {command: '${U}'}}", "`$${U}` for the text itself"),
        ("programs: {a: {command: '${U-x}'}}", "`$${`"),
        ("programs: {a: {command: x, autostart: on}}", "did you mean `true`?"),
        ("programs: {a: {command: x, restart: {then: retry}}}", "`then: {retry: 15m}`"),
        ("programs:\n\ta: {command: x}", "indented with spaces"),
        ("defaults: {}", "write `programs: {}`"),
    ] {
        let rendered = bad(text).render(Style::Plain);
        assert!(rendered.contains(part), "{part} is not in\n{rendered}");
    }
}

#[test]
fn only_an_empty_file_looks_half_written() {
    for (text, half) in [
        ("", true),
        ("supervisor: {}\n", true),
        ("programs:\n", true),
        ("programs: [\n", false),
        ("program: {}", false),
    ] {
        assert_eq!(bad(text).perhaps_half_written(), half, "{text:?}");
    }
}

#[test]
fn an_unreadable_main_file_is_a_problem_too() {
    let problems = load_files(&[]).unwrap_err();
    assert_eq!(problems.first_line(), "sppm.yaml: /w/app/sppm.yaml: there is no such file");
    assert_eq!(problems.watched.files, [Path::new(MAIN)]);
}

#[test]
fn other_users_cannot_choose_a_user() {
    let environment =
        BTreeMap::from([("USER".to_owned(), "me".to_owned()), ("HOME".to_owned(), "/h".to_owned())]);
    let context = Context { path: Path::new(MAIN), environment: &environment, root: false, cpus: 1 };
    let run = |user: &str| {
        let text = format!("programs: {{a: {{command: x, user: {user}, limits: {{nice: -1}}}}}}");
        load(&context, &Memory::of(&[(MAIN, &text)]))
    };
    let loaded = run("me").unwrap();
    assert!(loaded.warnings[0].message.contains("-1 needs root"), "{:?}", loaded.warnings);
    assert!(run("you").unwrap_err().first_line().contains("only root can run programs as another user"));
}

#[test]
fn socket_paths_have_an_end() {
    let file =
        |length: usize| format!("programs: {{}}\nsupervisor: {{runtime_dir: /{}}}", "r".repeat(length));
    // "/" + name + "/sppm.sock"
    assert!(load_text(&file(96)).is_ok());
    assert!(bad(&file(97)).first_line().contains("108 bytes"));
}

#[test]
fn all_problems_are_shown_at_once() {
    insta::assert_snapshot!(bad(include_str!("bad.yaml")).render(Style::Plain));
}

#[test]
fn colours_and_data_say_the_same() {
    let problems = bad(include_str!("bad.yaml"));
    let colour = problems.render(Style::Colour);
    assert!(colour.contains("\u{1b}["));
    let report = problems.report();
    assert_eq!(report.len(), problems.iter().count());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json[0]["severity"], "error");
    assert!(json[0]["line"].is_u64() && json[0]["key"].is_string(), "{json}");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let text = "programs: {\"a\\e[31m\": {command: x}, b: {\"c\\x07\": 1, command: \"d\u{202e}e\", umask: \"\\e]0;x\\a\"}}";
    let problems = bad(text);
    let rendered = problems.render(Style::Plain);
    assert!(!rendered.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{rendered:?}");
    for problem in problems.iter() {
        assert!(!problem.to_string().contains(['\u{1b}', '\u{7}', '\u{202e}']), "{problem}");
    }
}
