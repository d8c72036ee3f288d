//! Files and functions that a reader can hold in mind, and a head for each file.

use super::files::{self, File};
use super::{none, source};

const LONGEST_FILE: usize = 600;
const LONG_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 80;

fn long_files(files: &[File], limit: usize) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|file| lines(file) > limit);
    long.map(|file| format!("{}: {} lines, at most {limit}", file.path, lines(file))).collect()
}

fn long_functions(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let code = source::code(&file.text);
        for at in source::words(&code, "fn") {
            let Some(open) = code[at..].find(['{', ';']).map(|i| at + i) else { continue };
            if code.as_bytes()[open] == b';' {
                continue;
            }
            let (first, last) =
                (source::line(&code, at), source::line(&code, source::closing(&code, open) - 1));
            if last - first + 1 > LONGEST_FUNCTION {
                let name = code[at + 2..].trim_start().split(['(', '<']).next().unwrap_or("?");
                complaints.push(format!(
                    "{}:{first}: `{name}` has {} lines, at most {LONGEST_FUNCTION}",
                    file.path,
                    last - first + 1
                ));
            }
        }
    }
    complaints
}

fn headless(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| format!("{}: does not begin with `//!` and its purpose", file.path))
        .collect()
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let all: Vec<File> = files::rust("src/").into_iter().chain(files::rust("tests/")).collect();
    for long in long_files(&all, LONG_FILE) {
        eprintln!("note: {long} would be better");
    }
    none(&long_files(&all, LONGEST_FILE));
    none(&long_functions(&files::rust("src/")));
}

#[test]
fn every_file_says_what_it_is_for() {
    none(&headless(&files::rust("src/")));
    none(&headless(&files::rust("tests/")));
}

#[test]
fn what_is_too_long_or_headless_is_found() {
    let file = |text: String| [File { path: "src/x.rs".into(), text }];
    assert_eq!(long_files(&file("x\n".repeat(LONGEST_FILE + 1)), LONGEST_FILE).len(), 1);
    none(&long_files(&file("x\n".repeat(LONGEST_FILE)), LONGEST_FILE));
    let function =
        |lines: usize| file(format!("fn f<T>(a: T) {{\n{}}}\nfn g();\n", "    \"}\";\n".repeat(lines)));
    assert_eq!(long_functions(&function(LONGEST_FUNCTION - 1)).len(), 1);
    none(&long_functions(&function(LONGEST_FUNCTION - 2)));
    assert_eq!(headless(&file("use std::fs;\n//! late".into())).len(), 1);
}
