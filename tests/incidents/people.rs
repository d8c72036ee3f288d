//! What people do: a colleague who stops something, an invalid edit at night, a program that an edit removed.

use crate::common::command::finish;
use crate::common::rig::is_root;
use crate::common::wait::LIMIT;
use crate::common::{Rig, Yaml, tools};
use crate::look::{in_order, reason, start_works, status, why, why_json};
use std::process::Command;

/// A command of another user, who is in the group of the API; of our own where we cannot be another.
fn colleague(rig: &Rig, args: &[&str]) -> (Command, String) {
    let other = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(65534)).unwrap();
    let (true, Some(other), Some(setpriv)) = (is_root(), other, tools::find(&["setpriv"])) else {
        tools::cannot("cannot be another user: the colleague is ourselves");
        let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
        return (rig.command(args), own.map_or(String::new(), |user| user.name));
    };
    let copy = rig.path("sppm");
    std::fs::copy(rig.binary(), &copy).unwrap();
    let mut command = rig.program(&setpriv);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    command.arg("-c").arg(rig.file()).args(args);
    (command, other.name)
}

#[test]
fn stopped_by_a_colleague() {
    let rig = Rig::new();
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(65534)).unwrap();
    let mut yaml = Yaml::new(&rig).program("web", &[rig.steady()]).program("other", &[rig.steady()]);
    if let (Some(group), true) = (group, is_root()) {
        yaml = yaml.supervisor(&format!("api: {{ group: {} }}", group.name));
    }
    rig.start_with(&yaml);
    let (stop, who) = colleague(&rig, &["stop", "web"]);
    finish(stop, LIMIT).ok();
    let stopped = format!("stopped by {who} at ");
    in_order(&reason(&rig, "web"), &[&stopped, "`sppm start web` starts it again"]);
    in_order(
        &why(&rig, "web"),
        &[
            "web  stopped since",
            &stopped,
            "what led there",
            &format!("{who} asked: stop web"),
            "was ended by SIGTERM, as asked",
            "next: nothing by itself; `sppm start web` starts it",
        ],
    );
    let json = why_json(&rig, "web");
    let request = json["causes"].as_array().unwrap().iter().find(|cause| cause["kind"] == "request").unwrap();
    assert_eq!(request["by"], who.as_str(), "{json:#}");
    start_works(&rig, "web");
    behind_sudo(&rig);
    rig.shutdown();
}

/// Everybody is root behind sudo: whoever logged in is named all the same, where the kernel knows.
fn behind_sudo(rig: &Rig) {
    let mut stop = rig.program(std::path::Path::new("/bin/sh"));
    stop.args(["-c", "echo 65534 2>/dev/null >/proc/self/loginuid || exit 99; exec \"$@\"", "sh"]);
    stop.arg(rig.binary()).arg("-c").arg(rig.file()).args(["stop", "other"]);
    let answer = finish(stop, LIMIT);
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(65534)).unwrap();
    match (answer.code, user) {
        (Some(0), Some(user)) => {
            in_order(&reason(rig, "other"), &[&format!("stopped by {} as ", user.name)]);
        }
        (Some(99), _) | (_, None) => tools::cannot("a login cannot be pretended here"),
        (_, Some(_)) => panic!("{}", answer.all()),
    }
}

#[test]
fn an_invalid_edit_at_night() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("web", &[rig.steady()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save(&yaml.clone().with("web", "restrat: always").program("new", &[rig.steady()]));
    rig.until("the edit was read", |status| !status.config_ok());
    // It is no program's own: the first lines of the table say it, and the program runs on.
    in_order(
        &status(&rig),
        &[
            "the file is not valid; the last good one stays in force",
            "there is no key `restrat`",
            "did you mean `restart`?",
            "NAME",
            "web   running",
        ],
    );
    assert_eq!(rig.status().process_of("web"), before.process_of("web"));
    in_order(
        &why(&rig, "web"),
        &[
            "web  running since",
            "note: the file has not been valid since",
            "sppm.yaml:",
            "there is no key `restrat`",
            "mend it there, `sppm check` shows everything that is wrong",
            "the configuration is not valid, and nothing was changed",
        ],
    );
    assert!(why_json(&rig, "web")["notes"][0].as_str().unwrap().contains("restrat"));
    // The new program of that edit is missed first.
    rig.sppm(&["why", "new"])
        .expect_code(4)
        .expect_text("the file is not valid, so the last good one is in force");
    rig.sppm(&["check"]).expect_code(78).expect_text("restrat");
    rig.save(&yaml.program("new", &[rig.steady()]));
    rig.until_phase("new", "running");
    assert!(!why(&rig, "web").contains("note:"));
    rig.shutdown();
}

#[test]
fn removed_by_an_edit() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("web", &[rig.steady()]).program("api", &[rig.steady()]);
    rig.start_with(&yaml);
    // It takes its time: as long as it is there, its row says why it goes.
    let slow = rig.actor("slow", "trap 'while ! test -f \"$RIG/enough\"; do sleep 0.05; done; exit' TERM\nwhile :; do sleep 0.05; done");
    rig.save(&yaml.clone().set("web", &slow));
    rig.sppm(&["reload"]).ok();
    rig.until("the slow one runs", |status| status.phase("web") == "running" && rig.starts("web").len() == 2);
    rig.save(&yaml.clone().without("web"));
    rig.until_phase("web", "stopping");
    in_order(&reason(&rig, "web"), &["asked with SIGTERM", "the configuration does not name it any more"]);
    rig.write("enough", "");
    rig.until("it is gone", |status| status.find("web").is_none());
    rig.sppm(&["status", "web"]).expect_code(4).expect_text("`sppm why` knows those that are gone");
    in_order(
        &why(&rig, "web"),
        &[
            "web  is gone: it is not in sppm.yaml any more",
            "what led there",
            "the configuration was accepted (the file was edited): it is not named any more",
            "next: nothing, until an entry of that name is in sppm.yaml again",
        ],
    );
    assert_eq!(why_json(&rig, "web")["present"], false);
    rig.save(&yaml);
    rig.until_phase("web", "running");
    rig.shutdown();
}
