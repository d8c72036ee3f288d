//! PyPI's library `sppm`, unchanged, in the folder that we make: what it writes is the state that we read. And programs
//! with it under the supervisor, which have no settings file of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Background, Rig, Status, pause, pypi, wait_until};
use sppm::model::InstanceLabel;
use sppm::talk::{self, EnvFile};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

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

/// Tasks last until the file `go` is there: each removes it again, and comes to its end.
const TASK: &str = r#"
import os, time
import sppm

def task(n):
    print("begin", n, flush=True)
    while True:
        try:
            os.unlink(os.environ["GO"])
            break
        except FileNotFoundError:
            time.sleep(0.01)
    print("end", n, flush=True)
"#;

/// A loop around the lock, and nothing else: it knows of no signal.
const MARKS: &str = r#"
n = 0
while True:
    n += 1
    sppm.working_lock(True)
    task(n)
    sppm.working_lock(False)
    time.sleep(0.2)
"#;

/// A script with its `sppm_start`, which makes two processes of it. That of the work remembers TERM and asks.
const STARTS: &str = r#"
def work(*_):
    n = 0
    while not sppm.signal_monitor(lambda: print("goodbye", flush=True)):
        n += 1
        sppm.working_lock(True)
        task(n)
        sppm.working_lock(False)
        time.sleep(0.05)

if __name__ == "__main__":
    sppm.sppm_start(work, "help")
"#;

struct Crawler {
    rig: Rig,
}

impl Crawler {
    fn start(script: &str, arguments: &str, keys: &str) -> Option<Self> {
        let (python, library) = library()?;
        let mut rig = Rig::new();
        rig.env("GO", rig.path("go").to_str().unwrap());
        rig.write("crawler.py", &format!("{TASK}{script}"));
        let folders = ["run", "state", "log"].map(|name| rig.path(name).display().to_string());
        rig.save_text(&format!(
            "supervisor: {{ runtime_dir: {}, state_dir: {}, log_dir: {} }}\n\
             programs:\n  crawler:\n    command: [{}, -u, crawler.py{arguments}]\n    \
             environment: {{ PYTHONPATH: {} }}\n{keys}",
            folders[0],
            folders[1],
            folders[2],
            python.display(),
            library.display()
        ));
        rig.start();
        Some(Self { rig })
    }

    /// The lines of tasks and signals, without what the library logs.
    fn lines(&self) -> Vec<String> {
        let words = ["begin", "end", "goodbye"];
        let ours = |line: &&str| words.iter().any(|word| line.starts_with(word));
        self.rig.log("crawler").lines().filter(ours).map(str::to_owned).collect()
    }

    fn until_busy(&self) -> Status {
        self.rig.until("it is busy", |status| status.instance("crawler")["busy"] == true)
    }

    /// The request waits for the task in hand; answers the lines since.
    fn is_left_alone_until_idle(&self, request: &str) -> Vec<String> {
        wait_until("a task is in hand", || self.lines().last().is_some_and(|line| line.starts_with("begin")));
        let pid = self.until_busy().pid("crawler");
        let seen = self.lines().len();
        let mut call = Background::start(self.rig.command(&[request, "crawler"]), &self.rig.path(request));
        self.rig.until_phase("crawler", "draining");
        // A signal that came in spite of the task would have ended it by then.
        pause(Duration::from_millis(300));
        let status = self.rig.status();
        assert_eq!(status.phase("crawler"), "draining");
        assert_eq!(status.pid("crawler"), pid);
        assert_eq!(self.lines().len(), seen);
        self.rig.write("go", "");
        call.end().ok();
        assert_ne!(self.rig.status().pid("crawler"), pid);
        self.lines().split_off(seen)
    }
}

#[test]
fn a_program_with_its_working_lock_is_stopped_between_two_tasks_only() {
    let Some(crawler) = Crawler::start(MARKS, "", "") else { return };
    let rig = &crawler.rig;
    let status = crawler.until_busy();
    let instance = status.instance("crawler");
    // Byte for byte what the library has written is the moment since when it is busy.
    let lock = rig.read("run/i/crawler/lock");
    let written: f64 = lock.lines().nth(1).unwrap().parse().unwrap();
    let since = instance["busy_since"].as_str().unwrap();
    let printed = Command::new("date").args(["-u", "+%s", "-d", since]).output().unwrap();
    let printed: f64 = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
    assert!((written - printed).abs() < 2.0, "{since} is not {written}");
    rig.sppm(&["status", "crawler"]).ok().expect_text("in the middle of a task").expect_text(since);
    for request in ["restart", "stop"] {
        let lines = crawler.is_left_alone_until_idle(request);
        assert_eq!(lines.first().map(String::as_str), Some("end 1"));
        assert!(!lines.contains(&"begin 2".to_owned()), "a task has begun after the stop: {lines:?}");
    }
    rig.shutdown();
}

#[test]
fn a_script_of_its_own_start_finishes_its_task_in_both_its_processes() {
    let keys = "    stop: { scope: tree }\n";
    let Some(crawler) = Crawler::start(STARTS, ", --start, --no-daemon", keys) else { return };
    for request in ["restart", "stop"] {
        let lines = crawler.is_left_alone_until_idle(request);
        assert_eq!(lines[..2], ["end 1", "goodbye"], "{}", crawler.rig.log("crawler"));
    }
    crawler.rig.shutdown();
}
