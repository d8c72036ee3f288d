//! Each way of saving: seen by itself, whole, and applied exactly once.

use super::cast::{five, only_changed, start};
use super::common::command::finish;
use super::common::wait::{LIMIT, stays};
use super::common::{Rig, Status, Who, Yaml, pause, tools};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Fails unless the one save since `before` becomes one generation in which just `worker` is replaced, and no more.
#[track_caller]
fn applied_once(rig: &Rig, before: &Status, way: &str) -> Status {
    let next = before.generation() + 1;
    let after = rig.until(&format!("{way}: applied"), |status| {
        status.generation() == next && status.all_running() && status.pid("worker") != before.pid("worker")
    });
    assert!(after.config_ok(), "{way}: {}", after.config_error());
    only_changed(before, &after, &["worker"]);
    let starts = rig.starts("worker").len();
    stays(&format!("{way}: applied once"), Duration::from_millis(1500), || {
        rig.starts("worker").len() == starts
            && rig.try_status().is_none_or(|status| status.generation() == next)
    });
    after
}

/// The five, and the number that each save puts into the worker's environment.
fn numbered(rig: &Rig) -> Yaml {
    five(rig).with("worker", "environment: { N: 0 }")
}

fn text_with(yaml: &Yaml, number: u32) -> String {
    yaml.clone().set("worker", &format!("environment: {{ N: {number} }}")).text()
}

/// Runs a tool as the rig's user.
#[track_caller]
fn tool(rig: &Rig, names: &[&str], args: &[&str]) -> bool {
    let Some(path) = tools::find_or_skip(names) else { return false };
    let mut command = rig.program(&path);
    command.args(args).env("TERM", "dumb");
    finish(command, LIMIT).ok();
    true
}

fn files_tools_and_editors(who: Who) {
    let rig = Rig::of(who);
    let yaml = numbered(&rig);
    let mut status = start(&rig, &yaml);
    let file = rig.file().display().to_string();
    let draft = rig.path("draft.yaml").display().to_string();

    assert!(tool(&rig, &["sed"], &["-i", "s/N: 0/N: 1/", &file]));
    status = applied_once(&rig, &status, "sed -i");

    rig.write("draft.yaml", &text_with(&yaml, 2));
    assert!(tool(&rig, &["mv"], &[&draft, &file]));
    status = applied_once(&rig, &status, "mv over");

    rig.write("draft.yaml", &text_with(&yaml, 3));
    assert!(tool(&rig, &["cp"], &[&draft, &file]));
    status = applied_once(&rig, &status, "cp over");

    let text = text_with(&yaml, 4);
    let (head, tail) = text.split_at(text.len() / 2);
    rig.write("sppm.yaml", head);
    pause(Duration::from_millis(200));
    append(rig.file(), tail);
    status = applied_once(&rig, &status, "truncate and write in two pieces");

    fs::remove_file(rig.file()).unwrap();
    pause(Duration::from_millis(100));
    rig.write("sppm.yaml", &text_with(&yaml, 5));
    status = applied_once(&rig, &status, "delete and re-create");

    for (number, copy) in [(6, "no"), (7, "yes")] {
        let edit = format!("%s/N: {}/N: {number}/", number - 1);
        let set = format!("set writebackup nobackup backupcopy={copy}");
        let args = ["-u", "NONE", "-es", "-c", &set, "-c", &edit, "-c", "wq", &file];
        if !tool(&rig, &["vim", "vim.tiny"], &args) {
            break;
        }
        status = applied_once(&rig, &status, &format!("vim with backupcopy={copy}"));
    }
    drop(status);
    rig.shutdown();
}
super::as_everyone!(files_tools_and_editors);

fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Kubernetes: `sppm.yaml -> ..data/sppm.yaml`, `..data -> ..1`, swapped by a rename of `..data`.
#[test]
fn the_symlink_swap_of_a_configmap() {
    let mut rig = Rig::new();
    let yaml = numbered(&rig);
    let mount = rig.folder_named("mount");
    let place = |number: u32| {
        let folder = mount.join(format!("..{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("sppm.yaml"), text_with(&yaml, number)).unwrap();
        let link = mount.join("..data_tmp");
        std::os::unix::fs::symlink(format!("..{number}"), &link).unwrap();
        fs::rename(link, mount.join("..data")).unwrap();
    };
    place(0);
    std::os::unix::fs::symlink("..data/sppm.yaml", mount.join("sppm.yaml")).unwrap();
    rig.use_file(mount.join("sppm.yaml"));
    // Relative paths are relative to the file's folder, where the scripts are not.
    for script in ["site.py", "crawler.py"] {
        fs::copy(rig.path(script), mount.join(script)).unwrap();
    }
    rig.start();
    let mut status = rig.until("all run", Status::all_running);
    for number in 1..=3 {
        place(number);
        fs::remove_dir_all(mount.join(format!("..{}", number - 1))).unwrap();
        status = applied_once(&rig, &status, &format!("swap {number}"));
    }
    rig.shutdown();
}

/// A link to a file somewhere else: the file is edited there.
#[test]
fn the_target_of_a_link_is_followed() {
    let mut rig = Rig::new();
    let yaml = numbered(&rig);
    let elsewhere = rig.folder_named("elsewhere");
    fs::write(elsewhere.join("real.yaml"), yaml.text()).unwrap();
    let link = rig.path("link.yaml");
    std::os::unix::fs::symlink(elsewhere.join("real.yaml"), &link).unwrap();
    rig.use_file(link);
    rig.start();
    let mut status = rig.until("all run", Status::all_running);
    for number in 1..=2 {
        let draft = elsewhere.join("draft");
        fs::write(&draft, text_with(&yaml, number)).unwrap();
        fs::rename(&draft, elsewhere.join("real.yaml")).unwrap();
        status = applied_once(&rig, &status, &format!("rename at the target {number}"));
    }
    rig.shutdown();
}

/// Many saves in a row, faster than the quiet time: applied at the latest when it is quiet again, and the last one counts.
#[test]
fn a_burst_of_saves_ends_with_the_last() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("worker", &[rig.steady(), "environment: { N: 0 }".into()]);
    rig.start_with(&yaml);
    let before = rig.status();
    for number in 1..=20 {
        rig.save_text(&text_with(&yaml, number));
        pause(Duration::from_millis(20));
    }
    let has_last = |status: &Status| {
        let pid = status.pid("worker")?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        environment.split(|&b| b == 0).any(|variable| variable == b"N=20").then_some(())
    };
    let after =
        rig.until("the last save is applied", |status| status.all_running() && has_last(status).is_some());
    assert!(
        after.generation() - before.generation() <= 3,
        "{} generations",
        after.generation() - before.generation()
    );
    rig.shutdown();
}

/// With `follow_file` off an edit waits for `reload`.
#[test]
fn an_unwatched_file_is_read_only_when_asked_for() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .supervisor("follow_file: { enabled: false }")
        .program("worker", &[rig.steady(), "environment: { N: 0 }".into()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save_text(&text_with(&yaml, 1));
    stays("not read", Duration::from_secs(2), || rig.status().generation() == before.generation());
    rig.sppm(&["reload"]).ok();
    applied_once(&rig, &before, "reload");
    rig.shutdown();
}

/// Half of the programs or more lost in a save is read again after a while before it is believed.
#[test]
fn a_save_that_loses_most_programs_is_read_twice() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    for name in ["a", "b", "c", "d"] {
        yaml = yaml.program(name, &[rig.steady()]);
    }
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save(&yaml.clone().without("b").without("c").without("d"));
    pause(Duration::from_secs(1));
    rig.save(&yaml);
    stays("a short-lived loss is not believed", Duration::from_secs(4), || {
        before.running().values().all(super::common::Proc::alive)
    });
    rig.save(&yaml.clone().without("b").without("c").without("d"));
    rig.until("a lasting loss is", |status| status.names() == ["a"]);
    only_changed_of(&before, "a", &rig.status());
    // On purpose, by command: at once.
    rig.save_text(&Yaml::new(&rig).text());
    rig.sppm(&["reload"]).ok();
    rig.until("nothing is left to run", |status| status.names().is_empty());
    rig.shutdown();
}

#[track_caller]
fn only_changed_of(before: &Status, id: &str, after: &Status) {
    assert_eq!(before.pid(id), after.pid(id), "{id} was disturbed");
}
