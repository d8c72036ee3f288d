//! Words that must not stand in the source, and the few places where they may.

use super::files::{self, File};
use super::{none, source};

/// The only files with `unsafe`, and how many of them each has. Everything else in the crate is safe Rust.
const UNSAFE: &[(&str, usize)] = &[
    ("src/linux/datagram.rs", 3),
    ("src/linux/eager.rs", 1),
    ("src/linux/fds.rs", 2),
    ("src/linux/flock.rs", 2),
    ("src/linux/fork.rs", 9),
    ("src/linux/memory.rs", 7),
    ("src/linux/peer.rs", 1),
    ("src/linux/pidfd.rs", 1),
    ("src/linux/raw.rs", 9),
    ("src/linux/signals.rs", 2),
    ("src/linux/stack.rs", 5),
];

/// The one file that may hold any number: between fork and exec nothing else is possible.
const UNSAFE_ROOM: &str = "src/linux/child_setup.rs";

/// What the pure parts of the crate must not contain.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "libc",
    "nix",
    "rustix",
    "tokio",
];

const PURE: &[&str] = &["src/model/", "src/supervisor/", "src/config/"];

/// Files that may sleep: commands that ask again for a supervisor which is being replaced and has no event for it, and
/// the line to the keeper, which has none for descriptors that leave its queue. And the client's gap between two tasks.
const SLEEPING: &[&str] = &[
    "src/control/client/mod.rs",
    "src/cli/commands/logs.rs",
    "src/cli/feed.rs",
    "src/cli/wait.rs",
    "src/cli/commands/busy.rs",
    "src/client/rest.rs",
    "src/keeper/link.rs",
];

/// Pairs of file and word that are allowed all the same, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("src/supervisor/simulation/mod.rs", "std::env", "a test: how many seeds to run"),
    ("src/supervisor/simulation/mod.rs", "std::thread", "a test: seeds run side by side"),
];

/// Files of tests in `src/`: they may wait, and read what the repository holds.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.contains("/tests/")
        || name == "tests.rs"
        || name.starts_with("tests_")
        || name.ends_with("_tests.rs")
}

fn impure(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let pure = |file: &&File| PURE.iter().any(|folder| file.path.starts_with(folder)) && !is_test(&file.path);
    for file in files.iter().filter(pure) {
        let code = source::shipped(&file.text);
        for word in IMPURE {
            let allowed = ALLOWED.iter().any(|(path, allowed, _)| *path == file.path && allowed == word);
            for at in source::words(&code, word).filter(|_| !allowed) {
                complaints.push(format!(
                    "{}:{}: `{word}` in a pure module",
                    file.path,
                    source::line(&code, at)
                ));
            }
        }
    }
    complaints
}

fn unsafe_outside(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let code = source::code(&file.text);
        let places: Vec<usize> = source::words(&code, "unsafe").collect();
        let lines: Vec<&str> = file.text.lines().collect();
        for at in &places {
            let line = source::line(&code, *at);
            let explained = lines[line.saturating_sub(8)..line]
                .iter()
                .any(|text| text.contains("SAFETY:") || text.contains("# Safety"));
            if !explained {
                complaints.push(format!("{}:{line}: `unsafe` without a `SAFETY:` comment", file.path));
            }
        }
        let expected = UNSAFE.iter().find(|(path, _)| *path == file.path).map_or(0, |(_, count)| *count);
        if file.path != UNSAFE_ROOM && places.len() != expected {
            complaints.push(format!("{}: {} `unsafe`, {expected} listed", file.path, places.len()));
        }
    }
    complaints
}

/// Unfinished or blocking code.
fn unfinished(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let code = source::shipped(&file.text);
        for word in ["todo!", "unimplemented!", "dbg!", "thread::sleep"] {
            let may_sleep = SLEEPING.contains(&file.path.as_str()) || is_test(&file.path);
            let allowed = word == "thread::sleep" && may_sleep;
            for (at, _) in code.match_indices(word).filter(|_| !allowed) {
                complaints.push(format!("{}:{}: `{word}`", file.path, source::line(&code, at)));
            }
        }
    }
    complaints
}

/// Notes to self, in code and in prose.
fn notes(files: &[File]) -> Vec<String> {
    // Put together here, so that this file does not complain about itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    let mut complaints = Vec::new();
    for file in files {
        for mark in marks {
            complaints.extend(
                source::words(&file.text, mark)
                    .map(|at| format!("{}:{}: `{mark}`", file.path, source::line(&file.text, at))),
            );
        }
    }
    complaints
}

/// Paths of the machine that the project was made on.
fn machine_paths(files: &[File]) -> Vec<String> {
    let marks =
        [concat!("/wo", "rk/"), concat!(".lib", "rary"), concat!(".py", "env"), concat!("/ro", "ot/.")];
    let mut complaints = Vec::new();
    for file in files {
        for mark in marks {
            let found = file.text.match_indices(mark);
            complaints.extend(
                found.map(|(at, _)| format!("{}:{}: `{mark}`", file.path, source::line(&file.text, at))),
            );
        }
    }
    complaints
}

#[test]
fn the_pure_modules_have_no_clock_no_files_no_threads() {
    none(&impure(&files::rust("src/")));
}

#[test]
fn unsafe_stands_only_where_it_is_listed_and_says_why_it_is_sound() {
    none(&unsafe_outside(&files::rust("src/")));
}

#[test]
fn nothing_is_left_unfinished() {
    none(&unfinished(&files::rust("src/")));
    none(&notes(&files::all()));
}

#[test]
fn no_path_of_a_developers_machine_is_in_the_project() {
    none(&machine_paths(&files::all()));
}

#[cfg(test)]
fn sample(path: &str, text: &str) -> [File; 1] {
    [File { path: path.into(), text: text.into() }]
}

#[test]
fn impure_words_are_found_in_code_and_not_in_prose() {
    let bad = sample("src/supervisor/x.rs", "use std::time::Instant;\nuse std::fs;\n");
    assert_eq!(impure(&bad).len(), 2, "{:?}", impure(&bad));
    none(&impure(&sample("src/supervisor/x.rs", "// an Instant\nlet a = \"std::fs\"; struct Instants;")));
    none(&impure(&sample("src/daemon/x.rs", "use std::time::Instant;")));
    none(&impure(&sample("src/config/tests/x.rs", "use std::time::Instant;")));
}

#[test]
fn unlisted_or_unexplained_unsafe_is_found() {
    let unlisted = sample("src/linux/x.rs", "// SAFETY: it is\nunsafe { f() }");
    assert_eq!(unsafe_outside(&unlisted).len(), 1);
    let unexplained = sample(UNSAFE_ROOM, "fn f() {\n    unsafe { g() }\n}");
    assert_eq!(unsafe_outside(&unexplained).len(), 1);
    none(&unsafe_outside(&sample(UNSAFE_ROOM, "// SAFETY: it is\nunsafe { f() }")));
}

#[test]
fn unfinished_code_and_notes_are_found() {
    assert_eq!(
        unfinished(&sample("src/x.rs", "fn f() { todo!() }\nfn g() { std::thread::sleep(d) }")).len(),
        2
    );
    let note = format!("// {}: later", concat!("FIX", "ME"));
    assert_eq!(notes(&sample("src/x.rs", &note)).len(), 1);
    none(&notes(&sample("src/x.rs", "mkstemp of sppm.XXXXXX")));
    assert_eq!(machine_paths(&sample("README.md", concat!("cd /wo", "rk/main"))).len(), 1);
}
