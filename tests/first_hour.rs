//! The first hour with sppm, in an empty folder, with nothing set: init, start, status, logs, an edit, shutdown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::rig::is_root;
use common::{Background, Rig, Who, processes, wait_for, wait_until};
use std::fs;
use std::path::{Path, PathBuf};

/// Where this rig's supervisor keeps its things when nothing says otherwise.
struct Defaults {
    base: PathBuf,
    runtime: PathBuf,
    state: PathBuf,
    logs: PathBuf,
    ours: bool,
}

impl Defaults {
    /// Found by the pid file that names the keeper.
    fn of(rig: &Rig, keeper: u32) -> Self {
        let root = is_root() && rig.who() == Who::Own;
        let base = if root { PathBuf::from("/run/sppm") } else { rig.path("s/sppm/run") };
        let names_keeper = |folder: &PathBuf| {
            let text = fs::read_to_string(folder.join("sppm.pid")).unwrap_or_default();
            text.trim() == keeper.to_string()
        };
        let mut folders = fs::read_dir(&base).expect("the base folder").flatten().map(|entry| entry.path());
        let runtime = folders.find(names_keeper).expect("a pid file with the keeper's pid");
        let hash = runtime.file_name().expect("a name").to_owned();
        let below = |root_folder: &str| match root {
            true => Path::new(root_folder).join(&hash),
            false => rig.path("s/sppm"),
        };
        let (state, logs) = (below("/var/lib/sppm"), below("/var/log/sppm"));
        Self { base, runtime, state, logs, ours: root }
    }

    /// Every entry by which the command would find this supervisor.
    fn ways_in(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.base.join("by-path")).into_iter().flatten().flatten();
        let leads_here = |path: &PathBuf| {
            let link = fs::read_link(path).unwrap_or_default();
            let text = fs::read_to_string(path).unwrap_or_default();
            let name = self.runtime.file_name().expect("a name").to_string_lossy().into_owned();
            link.to_string_lossy().contains(&name) || text.contains(&name)
        };
        entries.map(|entry| entry.path()).filter(leads_here).collect()
    }
}

impl Drop for Defaults {
    fn drop(&mut self) {
        if self.ours {
            for folder in [&self.runtime, &self.state, &self.logs] {
                // What was never made cannot be removed.
                let _missing = fs::remove_dir_all(folder);
            }
        }
    }
}

fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find_file(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
    }
    None
}

fn from_init_to_shutdown(who: Who) {
    let rig = Rig::of(who);
    rig.bare(&["init", "--", "sh", "-c", "while :; do echo tick; sleep 0.1; done"]).ok();
    assert!(rig.file().exists(), "init wrote no sppm.yaml");
    rig.bare(&["check"]).ok();
    rig.bare(&["start"]).ok();

    let status = rig.status();
    assert!(status.all_running(), "{:#}", status.0);
    let names: Vec<String> = status.names().iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let name = names[0].as_str();
    let before = status.process_of(name);
    let defaults = Defaults::of(&rig, status.keeper_proc().pid);
    let cgroup = processes::cgroup_folder(before.pid);
    assert!(!defaults.ways_in().is_empty(), "no entry in by-path");
    let table = rig.bare(&["status"]).ok();
    assert!(table.stdout.contains(name) && table.stdout.contains("running"), "{}", table.all());
    assert!(
        table.stdout.lines().next().unwrap_or("").contains("sppm.yaml"),
        "the first line does not say which file\n{}",
        table.all()
    );

    let mut follow = Background::start(rig.command(&["logs", "-f", name]), &rig.path("follow"));
    follow.wait_for_text("tick");

    let text = fs::read_to_string(rig.file()).unwrap();
    rig.save_text(&text.replace("tick", "tock"));
    rig.until("the edit is applied", |status| {
        status.pid(name).is_some_and(|pid| pid != before.pid) && status.phase(name) == "running"
    });
    follow.wait_for_text("tock");
    rig.bare(&["status"]).ok();
    assert!(rig.bare(&["logs", name]).ok().stdout.contains("tock"));

    rig.bare(&["shutdown"]).ok();
    follow.end();
    rig.until_nothing_runs();
    let log = find_file(&defaults.logs, &format!("{name}.log"));
    assert!(log.is_some_and(|path| fs::read_to_string(path).unwrap().contains("tock")), "the log is gone");
    assert!(find_file(&defaults.runtime, "sppm.sock").is_none(), "the socket is left");
    assert!(find_file(&defaults.runtime, "sppm.pid").is_none(), "the pid file is left");
    assert_eq!(defaults.ways_in(), Vec::<PathBuf>::new(), "entries in by-path are left");
    let own = processes::cgroup_folder(std::process::id());
    if let Some(folder) = cgroup.filter(|folder| Some(folder) != own.as_ref()) {
        wait_until("its cgroup is gone", || !folder.exists());
    }
    assert_eq!(rig.bare(&["status"]).code, Some(69));
}
as_everyone!(from_init_to_shutdown);

fn the_file_that_init_writes_runs_as_it_is(who: Who) {
    let rig = Rig::of(who);
    rig.bare(&["init"]).ok();
    let text = fs::read_to_string(rig.file()).unwrap();
    assert!(text.contains("yaml-language-server"), "no line for editors:\n{text}");
    rig.bare(&["check"]).ok();
    let again = rig.bare(&["init"]);
    assert_ne!(again.code, Some(0), "init wrote over a file that was there");
    assert_eq!(fs::read_to_string(rig.file()).unwrap(), text);

    rig.bare(&["start"]).ok();
    let status = rig.status();
    let _defaults = Defaults::of(&rig, status.keeper_proc().pid);
    assert!(!status.programs().is_empty() && status.all_running(), "{:#}", status.0);
    rig.bare(&["shutdown"]).ok();
    rig.until_nothing_runs();
}
as_everyone!(the_file_that_init_writes_runs_as_it_is);

/// Two folders with a file each: two supervisors side by side, without any setting.
#[test]
fn two_folders_are_two_supervisors() {
    let (one, two) = (Rig::new(), Rig::new());
    let mut defaults = Vec::new();
    for rig in [&one, &two] {
        rig.save_text("programs: { web: { command: [sleep, '100000'] } }\n");
        rig.bare(&["start"]).ok();
        defaults.push(Defaults::of(rig, rig.status().keeper_proc().pid));
    }
    let (first, second) = (one.status().process_of("web"), two.status().process_of("web"));
    assert_ne!(first, second);
    one.bare(&["shutdown"]).ok();
    one.until_nothing_runs();
    assert!(second.alive(), "the other folder's program ended too");
    two.bare(&["shutdown"]).ok();
    two.until_nothing_runs();
}

/// The quickstart of the README, line by line as people paste it.
#[test]
fn the_quickstart_of_the_readme_works() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme
        .split("<!-- quickstart -->")
        .nth(1)
        .and_then(|rest| rest.split("```sh\n").nth(1))
        .and_then(|rest| rest.split("```").next())
        .expect("a block of sh after the mark `quickstart`");
    let mut rig = Rig::new();
    let bin = rig.folder_named("bin");
    std::os::unix::fs::symlink(rig.binary(), bin.join("sppm")).unwrap();
    let path = format!("{}:{}", bin.display(), common::tools::PATH);
    rig.env("PATH", &path);
    rig.script("quickstart", &format!("#!/bin/sh\nset -eux\n{block}"));
    let answer = common::command::finish(rig.program(&rig.path("quickstart")), common::wait::LIMIT).ok();
    for word in ["greeter.1", "greeter.2", "clock", "running", "good day from greeter.1"] {
        assert!(answer.stdout.contains(word), "no {word:?}\n{}", answer.all());
    }
    rig.until_nothing_runs();
    common::rig::remove_default_folders_of(&rig.folder().display().to_string());
}

/// What follows the output of a program ends by itself, with the last line.
#[test]
fn the_follower_ends_with_the_supervisor() {
    let rig = Rig::new();
    rig.start_with(&common::Yaml::new(&rig).program("count", &[rig.counter()]));
    let mut follow = Background::start(rig.command(&["logs", "-f", "count"]), &rig.path("follow"));
    follow.wait_for_text("line 5");
    rig.shutdown();
    let answer = follow.end();
    assert!(answer.code.is_some(), "the follower was killed by a signal");
    let last = wait_for("the last line of the log", || rig.log("count").lines().last().map(str::to_owned));
    assert!(answer.stdout.contains(&last), "the follower missed {last:?}");
}
