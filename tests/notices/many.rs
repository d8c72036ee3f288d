//! A thousand programs that talk, and a socket that somebody takes away.

use crate::as_everyone;
use crate::common::{Rig, Who, Yaml, wait_until};
use crate::puppet::{puppet, tell};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

const PROGRAMS: usize = 1000;

#[test]
fn a_thousand_programs_each_have_a_way_to_talk() {
    let rig = Rig::new();
    let talks = rig.actor(
        "talks",
        "echo \"status $SPPM_INSTANCE here\" > \"$SPPM_NOTIFY\"\necho ready > \"$SPPM_NOTIFY\"\nexec sleep 100000",
    );
    let lines = [
        talks.as_str(),
        "instances: 1000",
        "ready: { notify: true, timeout: 5m }",
        "stop: { timeout: 60s }",
        "logs: { stdout: discard }",
    ];
    rig.save(&Yaml::new(&rig).supervisor("start_concurrency: 64").program("p", &lines));
    let begun = Instant::now();
    let answer = crate::common::command::finish(rig.command(&["start"]), Duration::from_secs(300));
    answer.ok();
    let took = begun.elapsed();
    let status = rig.status();
    assert_eq!(status.running_count(), PROGRAMS);
    for instance in status.instances() {
        let id = instance["id"].as_str().unwrap();
        assert_eq!(instance["says"], format!("{id} here"), "{instance:#}");
        assert_eq!(instance["complaint"], serde_json::Value::Null);
    }
    // With two descriptors more for each than without; both processes hold them.
    for process in [status.supervisor_proc(), status.keeper_proc()] {
        let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap().count();
        assert!((PROGRAMS * 3..PROGRAMS * 6).contains(&open), "{open} descriptors");
    }
    eprintln!("{PROGRAMS} programs got ready in {took:?}");
    crate::common::command::finish(rig.command(&["shutdown", "--force"]), Duration::from_secs(300)).ok();
    rig.until_nothing_runs();
}

fn the_socket_of_programs_is_there_again(who: Who) {
    let rig = Rig::of(who);
    let Some(web) = puppet(&rig, "web", "") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web]));
    let path = rig.path("r/talk.sock");
    let number = || std::fs::symlink_metadata(&path).ok().map(|found| found.ino());
    for turn in 0..3 {
        let before = number().unwrap();
        match turn {
            0 => std::fs::remove_file(&path).unwrap(),
            1 => std::fs::rename(&path, rig.path("r/elsewhere")).unwrap(),
            _ => {
                rig.write("other", "");
                std::fs::rename(rig.path("other"), &path).unwrap();
            }
        }
        let there = || number().is_some_and(|now| now != before) && rig.sppm(&["status"]).code == Some(0);
        wait_until("it is bound again", || {
            std::fs::symlink_metadata(&path)
                .is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) && there())
        });
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        tell(&rig, "web", &format!("say ping 'status turn {turn}'"));
        wait_until("it is heard", || rig.status().instance("web")["says"] == format!("turn {turn}"));
    }
    assert!(rig.own_log().matches("somebody took the socket of programs").count() == 3, "{}", rig.own_log());
    rig.sppm(&["shutdown"]).ok();
    assert!(!path.exists());
}
as_everyone!(the_socket_of_programs_is_there_again);
