//! The lines of shell that README shows for programs are what happens: typed as they stand there, in dash and in bash.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Background, Rig, tools, wait_until};
use std::path::PathBuf;

/// A line of README; it is no test of it if README does not have it.
fn as_written(line: &str) -> &str {
    let readme = std::fs::read_to_string(format!("{}/README.md", common::examples::PROJECT)).unwrap();
    assert!(readme.contains(line), "README does not say `{line}`");
    line
}

/// Shells of Debian; its `/bin/sh` is the first of them.
fn shells() -> Vec<PathBuf> {
    ["dash", "bash"].iter().filter_map(|shell| tools::find_or_skip(&[shell])).collect()
}

/// A program whose script is this, in this shell; its job takes until the file `go` is there.
fn program(shell: &std::path::Path, script: &str, keys: &str) -> Rig {
    let mut rig = Rig::new();
    rig.env("GO", rig.path("go").to_str().unwrap());
    let bin = rig.folder_named("bin");
    std::os::unix::fs::symlink(rig.binary(), bin.join("sppm")).unwrap();
    rig.env("PATH", &format!("{}:{}", bin.display(), tools::PATH));
    rig.script(
        "job.sh",
        "#!/bin/sh\necho begin; until rm \"$GO\" 2>/dev/null; do sleep 0.02; done; echo end",
    );
    rig.write("program.sh", script);
    let folders = ["run", "state", "log"].map(|name| rig.path(name).display().to_string());
    rig.save_text(&format!(
        "supervisor: {{ runtime_dir: {}, state_dir: {}, log_dir: {} }}\n\
         programs:\n  job: {{ command: [{}, program.sh]{keys} }}\n",
        folders[0],
        folders[1],
        folders[2],
        shell.display()
    ));
    rig
}

#[test]
fn a_line_says_that_it_is_ready() {
    let line = as_written("echo ready > \"$SPPM_NOTIFY\"");
    for shell in shells() {
        let script = format!("until rm \"$GO\" 2>/dev/null; do sleep 0.02; done\n{line}\nexec sleep 1000\n");
        let rig = program(&shell, &script, ", ready: notify");
        let mut start = Background::start(rig.command(&["start"]), &rig.path("start"));
        let status = rig.until_phase("job", "starting");
        assert_eq!(status.instance("job")["ready"], false);
        rig.write("go", "");
        start.end().ok();
        let status = rig.status();
        assert_eq!((status.phase("job"), &status.instance("job")["ready"]), ("running", &true.into()));
        rig.shutdown();
    }
}

/// The script does its job in a loop, each by `line`; a restart and a stop come in the middle of it.
fn is_left_alone(line: &str) {
    for shell in shells() {
        let rig = program(&shell, &format!("while :; do\n{line}\nsleep 0.1\ndone\n"), "");
        rig.start();
        for request in ["restart", "stop"] {
            wait_until("a job is in hand", || rig.log("job").ends_with("begin\n"));
            let status = rig.until("it is busy", |status| status.instance("job")["busy"] == true);
            let seen = rig.log("job");
            let mut call = Background::start(rig.command(&[request, "job"]), &rig.path(request));
            assert_eq!(rig.until_phase("job", "draining").pid("job"), status.pid("job"));
            assert_eq!(rig.log("job"), seen);
            rig.write("go", "");
            call.end().ok();
            let lines = rig.log("job").split_off(seen.len());
            let wanted = if request == "stop" { "end\n" } else { "end\nbegin\n" };
            wait_until("its next run begins", || rig.log("job").len() >= seen.len() + wanted.len());
            assert_eq!(rig.log("job").split_off(seen.len()), wanted, "{} {line}: {lines}", shell.display());
        }
        rig.shutdown();
    }
}

#[test]
fn a_job_under_the_kernel_lock_is_left_alone() {
    if tools::find_or_skip(&["flock"]).is_some() {
        is_left_alone(as_written("flock -x \"$SPPM_LOCK\" ./job.sh"));
    }
}

#[test]
fn a_job_of_the_command_is_left_alone() {
    is_left_alone(as_written("sppm busy -- ./job.sh"));
}

#[test]
fn a_job_between_two_lines_is_left_alone() {
    let lines = ["echo busy > \"$SPPM_NOTIFY\"", "./job.sh", "echo idle > \"$SPPM_NOTIFY\""].map(as_written);
    is_left_alone(&lines.join("\n"));
}
