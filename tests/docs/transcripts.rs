//! Runs the transcripts of the documentation, page by page, each in a folder and a shell of its own.
//!
//! The folder stands for `/home/me`. Commands that only look are repeated until they show what the page shows: a reader
//! takes longer between two commands than a test. With UPDATE=1 the page gets what was printed.

use super::pages::{self, Page};
use super::transcript::{Processes, Step, steps};
use crate::common::command::finish;
use crate::common::wait::LIMIT;
use crate::common::{Rig, pause, tools};
use std::fs;
use std::time::{Duration, Instant};

/// A page's shell: folder and exit code pass from one command to the next.
struct Reader {
    rig: Rig,
    processes: Processes,
}

impl Reader {
    fn new() -> Self {
        let mut rig = Rig::new();
        let bin = rig.folder_named("bin");
        std::os::unix::fs::symlink(rig.binary(), bin.join("sppm")).unwrap();
        rig.env("PATH", &format!("{}:{}", bin.display(), tools::PATH));
        let home = rig.path("home").display().to_string();
        rig.env("HOME", &home);
        rig.write(".folder", &home);
        rig.write(".code", "0");
        Self { rig, processes: Processes::default() }
    }

    /// Both streams in order, as the page would show them.
    fn type_in(&self, command: &str) -> Vec<String> {
        let script = format!(
            "exec 2>&1\ncd \"$(cat \"$RIG/.folder\")\"\nlast=$(cat \"$RIG/.code\")\n(exit $last)\n{command}\n\
             echo $? >\"$RIG/.code\"\npwd >\"$RIG/.folder\"\n"
        );
        let mut shell = self.rig.program(std::path::Path::new("/bin/sh"));
        shell.args(["-c", &script]);
        let home = self.rig.path("home").display().to_string();
        let said = finish(shell, LIMIT).ok().stdout.replace(&home, "/home/me");
        said.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// What a step prints, and whether it is what the page shows.
    fn follow(&mut self, step: &Step, limit: Duration) -> (Vec<String>, bool) {
        let start = Instant::now();
        loop {
            let printed = self.type_in(&self.processes.translate(&step.command));
            let shown: Vec<&str> = step.shown.iter().map(String::as_str).collect();
            let actual: Vec<&str> = printed.iter().map(String::as_str).collect();
            let same = self.processes.lines(&shown, &actual);
            if same || !only_looks(&step.command) || start.elapsed() > limit {
                return (printed, same);
            }
            pause(Duration::from_millis(200));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        crate::common::rig::remove_default_folders_of(&self.rig.folder().display().to_string());
    }
}

fn only_looks(command: &str) -> bool {
    let verbs = ["status", "logs", "why", "diff", "history", "check"];
    verbs.iter().any(|verb| command.starts_with(&format!("sppm {verb}")))
}

/// Runs all transcripts of a page; answers it with what was printed, and where that is not what it shows.
fn run(page: &Page, limit: Duration) -> (String, Vec<String>) {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let (mut shift, mut complaints) = (0_isize, Vec::new());
    let mut reader = Reader::new();
    for block in pages::blocks(&page.text).iter().filter(|block| block.language == "console") {
        for step in steps(&block.lines) {
            let (printed, same) = reader.follow(&step, limit);
            if same {
                continue;
            }
            let line = block.line + step.start;
            let (shown, found) = (step.shown.join("\n"), printed.join("\n"));
            complaints.push(format!(
                "{}:{}: $ {}\n--- shown\n{shown}\n--- printed\n{found}",
                page.name,
                line - 1,
                step.command
            ));
            let at = (line as isize - 1 + shift) as usize;
            shift += printed.len() as isize - step.shown.len() as isize;
            lines.splice(at..at + step.shown.len(), printed);
        }
    }
    reader.rig.until_nothing_runs();
    (lines.join("\n") + "\n", complaints)
}

#[track_caller]
fn is_true(name: &str, most_commands: usize) {
    let page = pages::all().into_iter().find(|page| page.name == name).expect("the page");
    let blocks = pages::blocks(&page.text);
    let transcripts = blocks.iter().filter(|block| block.language == "console");
    let count: usize = transcripts.map(|block| steps(&block.lines).len()).sum();
    assert!((2..=most_commands).contains(&count), "{name} has {count} commands, at most {most_commands}");
    if std::env::var_os("UPDATE").is_some() {
        let (text, _) = run(&page, Duration::from_secs(8));
        fs::write(pages::root().join(name), text).unwrap();
        return;
    }
    let (_, complaints) = run(&page, LIMIT);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n\n"));
}

/// From nothing to a supervised, edited and explained program within ten commands.
#[test]
fn the_first_hour_in_the_readme_is_true() {
    is_true("README.md", 10);
}

#[test]
fn the_guide_to_the_first_hour_is_true() {
    is_true("docs/guides/first-hour.md", 40);
}

#[test]
fn the_guide_to_editing_is_true() {
    is_true("docs/guides/editing-and-reloading.md", 40);
}

#[test]
fn the_guide_to_tasks_is_true() {
    is_true("docs/guides/never-cut-a-task.md", 10);
}

#[test]
fn the_guide_to_what_is_wrong_is_true() {
    is_true("docs/guides/when-something-is-wrong.md", 40);
}

#[test]
fn a_page_that_is_not_true_is_found() {
    let page = |text: &str| Page { name: "x.md".into(), text: text.into() };
    let text = "```console\n$ cd /tmp\n$ pwd\n/tmp\n$ false\n$ echo $?\n1\n$ echo a\nb\n```\nend\n";
    let (fixed, complaints) = run(&page(text), Duration::ZERO);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("x.md:8: $ echo a"), "{complaints:?}");
    assert_eq!(fixed, text.replace("\nb\n", "\na\n"));
}
