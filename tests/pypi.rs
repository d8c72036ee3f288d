//! PyPI's library `sppm`, unchanged, in the folder that we make: what it writes is the state that we read.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::pypi;
use sppm::model::InstanceLabel;
use sppm::talk::{self, EnvFile};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library with what it needs.
fn library() -> Option<(PathBuf, PathBuf)> {
    pypi::installed("pypi-sppm-2.1.4", &["sppm==2.1.4", "happy-python==0.3.6"], "sppm/process_status_lock.py")
}

fn run(script: &str, arguments: &[&str], env: &Path) -> Option<Output> {
    let (python, library) = library()?;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("program.py");
    fs::write(&file, script).unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").arg(python).arg(&file).args(arguments).current_dir(home.path());
    Some(command.env("PYTHONPATH", library).env("SPPM_ENV", env).output().unwrap())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn its_working_lock_writes_three_lines_into_our_file() {
    let folder = tempfile::tempdir().unwrap();
    let label = InstanceLabel::recorded("crawler.1");
    let places =
        talk::make(&folder.path().join("i"), &label, None, false, &EnvFile::default()).unwrap().places;
    let before = fs::metadata(&places.lock).unwrap().ino();
    let script = "import os, sys, time, sppm\n\
                  sppm.working_lock(True)\n\
                  print('pid', os.getpid(), time.time())\n\
                  print('state', open(sys.argv[1]).read().split('\\n'))\n\
                  sppm.working_lock(False)\n";
    let Some(output) = run(script, &[places.lock.to_str().unwrap()], &places.env) else { return };
    let said = stdout(&output);
    let line = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)).unwrap().trim();
    let (pid, now) = line("pid").split_once(' ').unwrap();
    assert!(line("state").starts_with(&format!("['{pid}', '")), "{said}");
    assert!(line("state").ends_with("', '1', '']"), "{said}");
    let idle = fs::read_to_string(&places.lock).unwrap();
    let lines: Vec<&str> = idle.split('\n').collect();
    let [writer, at, state, ""] = lines[..] else { panic!("{idle:?}") };
    assert_eq!((writer, state), (pid, "0"));
    let apart = at.parse::<f64>().unwrap() - now.parse::<f64>().unwrap();
    assert!(apart.abs() < 10.0, "{at} {now}");
    assert_eq!(fs::metadata(&places.lock).unwrap().ino(), before, "the very file that we made");
}

#[test]
fn a_script_of_its_own_start_runs_and_keeps_its_files_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let label = InstanceLabel::recorded("crawler");
    let places =
        talk::make(&folder.path().join("i"), &label, None, false, &EnvFile::default()).unwrap().places;
    let script = "import os, sppm\n\
                  def work(*args):\n\
                  \x20   sppm.working_lock(True)\n\
                  \x20   print('files', sorted(os.listdir(os.path.dirname(os.environ['SPPM_ENV']))), flush=True)\n\
                  \x20   sppm.working_lock(False)\n\
                  sppm.sppm_start(work, 'help')\n";
    let Some(output) = run(script, &["--no-daemon", "--start"], &places.env) else { return };
    let said = stdout(&output);
    let files = said.lines().find(|line| line.starts_with("files")).unwrap();
    for name in ["env", "lock", "notify", "pid"] {
        assert!(files.contains(&format!("'{name}'")), "{said}");
    }
    // It cleans up after itself: also the lock is gone, which means idle.
    assert!(!places.lock.exists() && !places.folder.join("pid").exists());
    talk::remove(&folder.path().join("i"), &label).unwrap();
}
