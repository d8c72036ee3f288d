//! What counts as busy, and what does not.

use super::common::wait::stays;
use super::common::{Rig, Who, Yaml, pause, wait_for};
use super::workers::{self, How, let_go, notes, puppet, time_until, until_busy, until_draining};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Writes its state without a rest, in both ways that are in use; with `busy` never idle, with `tasks` idle for up to two
/// milliseconds between tasks of up to one. At TERM it says whether it was in a task. `hold` and `lock` are busy for good.
const WRITER: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t inside;
static const char *path;
static char beside[4096];
static int by_rename;
static void on_term(int signal) {
    const char *what = inside ? "in half\n" : "between\n";
    if (write(1, what, strlen(what)) < 0) _exit(2);
    _exit(0);
}
static void state(int busy) {
    struct timespec now;
    char text[100];
    clock_gettime(CLOCK_REALTIME, &now);
    int size = snprintf(text, sizeof text, "%d\n%ld.%06ld\n%d\n", getpid(), now.tv_sec, now.tv_nsec / 1000, busy);
    int file = open(by_rename ? beside : path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || write(file, text, size) != size) _exit(3);
    close(file);
    if (by_rename && rename(beside, path)) _exit(4);
}
static void some(int most) {
    struct timespec time = {0, 1000L * (rand() % most)};
    nanosleep(&time, 0);
}
int main(int count, char **words) {
    const char *what = words[1];
    by_rename = count > 2 && !strcmp(words[2], "rename");
    path = getenv("SPPM_LOCK");
    snprintf(beside, sizeof beside, "%s.new", path);
    if (!strcmp(what, "hold") || !strcmp(what, "lock")) {
        if (*what == 'h') state(1);
        else if (flock(open(path, O_RDWR), LOCK_EX)) _exit(5);
        if (write(1, "begin\n", 6) < 0) _exit(2);
        for (;;) pause();
    }
    signal(SIGTERM, on_term);
    srand(getpid());
    if (!strcmp(what, "busy")) {
        inside = 1;
        for (;;) state(1);
    }
    for (;;) {
        state(1);
        inside = 1;
        some(1000);
        inside = 0;
        state(0);
        some(2000);
    }
}
"#;

fn a_writer_that_never_rests_is_never_taken_for_idle(who: Who) {
    let rig = Rig::of(who);
    let Some(writer) = workers::compile(&rig, "writer", WRITER) else { return };
    let mut yaml = Yaml::new(&rig);
    for way in ["truncate", "rename"] {
        yaml = yaml.program(way, &[super::common::yaml::command(&[writer.as_str(), "busy", way])]);
    }
    rig.start_with(&yaml);
    rig.sppm(&["stop", "--no-wait"]).ok();
    for way in ["truncate", "rename"] {
        rig.until_phase(way, "draining");
    }
    stays("nobody is signalled", Duration::from_secs(2), || {
        rig.log("truncate").is_empty() && rig.log("rename").is_empty()
    });
    let status = rig.status();
    for way in ["truncate", "rename"] {
        assert_eq!(status.phase(way), "draining");
        assert_eq!(status.instance(way)["busy"], true, "{way}");
    }
    rig.sppm(&["stop", "--force"]).ok();
    rig.shutdown();
}
crate::as_everyone!(a_writer_that_never_rests_is_never_taken_for_idle);

fn short_tasks_are_never_cut(who: Who) {
    let rig = Rig::of(who);
    let Some(writer) = workers::compile(&rig, "writer", WRITER) else { return };
    let mut yaml = Yaml::new(&rig);
    for way in ["truncate", "rename"] {
        let command = super::common::yaml::command(&[writer.as_str(), "tasks", way]);
        yaml = yaml.program(way, &[command, "instances: 6".into(), "stop: { timeout: 60s }".into()]);
    }
    rig.start_with(&yaml);
    for _ in 0..4 {
        rig.sppm(&["stop"]).ok();
        rig.sppm(&["start"]).ok();
    }
    rig.shutdown();
    for way in ["truncate", "rename"] {
        for index in 1..=6 {
            let log = rig.log(&format!("{way}.{index}"));
            assert_eq!(log, "between\n".repeat(5), "{way}.{index}");
        }
    }
}
crate::as_everyone!(short_tasks_are_never_cut);

fn who_dies_in_the_middle_of_a_task_is_idle_at_once(who: Who) {
    let rig = Rig::of(who);
    let Some(writer) = workers::compile(&rig, "writer", WRITER) else { return };
    let mut yaml = Yaml::new(&rig);
    for what in ["hold", "lock"] {
        // A child that nobody reaps, and main itself.
        let child =
            rig.actor(what, &format!("{writer} {what} &\necho $! > \"$RIG/owner.{what}\"\nexec sleep 1000"));
        let main = rig.actor(&format!("{what}-main"), &format!("exec {writer} {what}"));
        yaml = yaml.program(what, &[child]).program(&format!("{what}-main"), &[main]);
    }
    rig.start_with(&yaml);
    for what in ["hold", "lock"] {
        until_busy(&rig, what);
        let owner: u32 = wait_for("its pid", || rig.read(&format!("owner.{what}")).trim().parse().ok());
        let owner = super::common::Proc::of(owner).unwrap();
        let main = until_draining(&rig, what).process_of(what);
        pause(Duration::from_millis(300));
        assert!(main.alive());
        owner.signal(Signal::SIGKILL);
        let took = time_until("it is stopped", || !main.alive());
        assert!(took < Duration::from_secs(2), "{what}: idle only after {took:?}");

        let name = format!("{what}-main");
        let first = until_busy(&rig, &name).process_of(&name);
        until_draining(&rig, &name);
        first.signal(Signal::SIGKILL);
        rig.until_phase(&name, "stopped");
    }
    rig.shutdown();
}
crate::as_everyone!(who_dies_in_the_middle_of_a_task_is_idle_at_once);

fn every_way_to_say_it_is_waited_for(who: Who) {
    let rig = Rig::of(who);
    let mut yaml = Yaml::new(&rig);
    for how in workers::ALL {
        yaml = yaml.program(how.name(), &[puppet(&rig, how)]);
    }
    rig.start_with(&yaml);
    for how in workers::ALL {
        until_busy(&rig, how.name());
        until_draining(&rig, how.name());
    }
    stays("nobody is signalled", Duration::from_secs(1), || {
        workers::ALL.iter().all(|how| notes(&rig, how.name()) == ["begin"])
    });
    for how in workers::ALL {
        let main = rig.status().process_of(how.name());
        let_go(&rig, how.name());
        let took = time_until("it is stopped", || !main.alive());
        assert!(took < Duration::from_secs(3), "{how:?}: {took:?}");
        rig.until_phase(how.name(), "stopped");
        assert_eq!(notes(&rig, how.name()), ["begin", "end", "termed"], "{how:?}");
    }
    rig.shutdown();
}
crate::as_everyone!(every_way_to_say_it_is_waited_for);

#[test]
fn of_two_sources_only_the_wanted_kind_counts() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    for how in [How::State, How::Flock] {
        for kind in ["auto", "state", "flock"] {
            let name = format!("{}-by-{kind}", how.name());
            yaml = yaml.program(&name, &[puppet(&rig, how), format!("working_lock: {{ kind: {kind} }}")]);
        }
    }
    rig.start_with(&yaml);
    for how in [How::State, How::Flock] {
        for kind in ["auto", "state", "flock"] {
            let name = format!("{}-by-{kind}", how.name());
            wait_for("its task has begun", || rig.log(&name).contains("begin").then_some(()));
            if kind == "auto" || kind == how.name() {
                until_busy(&rig, &name);
                until_draining(&rig, &name);
                let_go(&rig, &name);
                rig.until_phase(&name, "stopped");
                assert_eq!(notes(&rig, &name), ["begin", "end", "termed"], "{name}");
            } else {
                rig.sppm(&["stop", &name]).ok();
                assert_eq!(notes(&rig, &name), ["begin", "termed"], "{name}");
            }
        }
    }
    rig.shutdown();
}

#[test]
fn idle_for_wants_it_idle_for_so_long() {
    let rig = Rig::new();
    let state = "state() { printf '%s\\n%s\\n%s\\n' $$ \"$(date +%s.%N)\" \"$1\" > \"$SPPM_LOCK.new\"; mv \"$SPPM_LOCK.new\" \"$SPPM_LOCK\"; }";
    let body = format!(
        "trap 'echo termed $(date +%s%N); exit 0' TERM\n{state}\n\
         for n in 1 2 3 4 5 6 7 8; do state 1; echo begin; sleep 0.2; state 0; echo end $(date +%s%N); sleep 0.3; done\n\
         while :; do sleep 0.02; done"
    );
    let lines = [rig.actor("pausing", &body), "working_lock: { idle_for: 1s }".into()];
    rig.start_with(&Yaml::new(&rig).program("pausing", &lines));
    rig.sppm(&["stop", "pausing"]).ok();
    let log = rig.log("pausing");
    let count = |what: &str| log.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("begin"), count("end"), count("termed")), (8, 8, 1), "{log}");
    let at = |what: &str| -> u64 {
        let line = log.lines().rfind(|line| line.starts_with(what)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let idle = Duration::from_nanos(at("termed") - at("end"));
    assert!(idle >= Duration::from_millis(900) && idle < Duration::from_secs(4), "idle for {idle:?}");
    rig.shutdown();
}
