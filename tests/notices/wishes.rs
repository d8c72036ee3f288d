//! A program asks for its own restart and its own stop.

use crate::as_everyone;
use crate::common::{Rig, Who, Yaml, wait_until};
use crate::puppet::{events, in_order, puppet, tell, text_of, why};

/// After a restart or stop that `web` has asked for itself: who and why, wherever one looks.
#[track_caller]
fn told_everywhere(rig: &Rig, what: &str, who: &str) {
    let request = events(rig, "web", "request").pop().expect("a request");
    assert_eq!((&request["text"], &request["by"]), (&format!("{what} web").into(), &who.into()));
    in_order(&why(rig, "web"), &["what led there", &format!("{who} asked: {what} web")]);
    let reason = text_of(rig, "web", "reason");
    assert!(reason.contains(who), "{reason}");
    let history = rig.sppm(&["history", "web"]).ok().stdout;
    assert!(history.contains(&format!("{who} asked: {what} web")), "{history}");
}

fn a_program_restarts_and_stops_itself_by_line_and_by_socket(who: Who) {
    let rig = Rig::of(who);
    let Some(command) = puppet(&rig, "web", "") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[command]).program("other", &[rig.steady()]));
    let other = rig.status().process_of("other");
    for (count, saying) in [(1, "line restart-me a leak"), (2, "say 'restart-me a leak'")] {
        let before = rig.status().process_of("web");
        tell(&rig, "web", saying);
        rig.until("another one runs", |status| {
            status.phase("web") == "running" && status.pid("web").is_some_and(|pid| pid != before.pid)
        });
        assert!(!before.alive());
        assert_eq!(rig.status().restarts("web"), count);
        told_everywhere(&rig, "restart", "web itself (a leak)");
    }
    for saying in ["line stop-me", "say stop-me"] {
        let before = rig.status().process_of("web");
        tell(&rig, "web", saying);
        rig.until_phase("web", "stopped");
        assert!(!before.alive());
        told_everywhere(&rig, "stop", "web itself");
        // Nobody but an operator starts it again.
        rig.sppm(&["reload"]).ok();
        assert_eq!(rig.status().phase("web"), "stopped");
        rig.sppm(&["start", "web"]).ok();
        assert_eq!(rig.status().phase("web"), "running");
    }
    assert!(other.alive());
    rig.shutdown();
}
as_everyone!(a_program_restarts_and_stops_itself_by_line_and_by_socket);

#[test]
fn its_stop_lasts_until_the_supervisor_ends() {
    let rig = Rig::new();
    let Some(command) = puppet(&rig, "web", "") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[command]));
    tell(&rig, "web", "line stop-me enough for today");
    rig.until_phase("web", "stopped");
    // Also over a take-over.
    let supervisor = rig.status().supervisor_proc();
    supervisor.signal(nix::sys::signal::Signal::SIGKILL);
    rig.until("another supervisor", |status| *status.supervisor("pid") != supervisor.pid);
    let status = rig.status();
    assert_eq!(status.phase("web"), "stopped");
    assert!(status.reason("web").contains("web itself (enough for today)"), "{}", status.reason("web"));
    rig.sppm(&["shutdown"]).ok();
    rig.start();
    assert_eq!(rig.status().phase("web"), "running");
    rig.shutdown();
}

#[test]
fn one_of_several_asks_for_itself_only() {
    let rig = Rig::new();
    let Some(command) = puppet(&rig, "web", "") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[command]).with("web", "instances: 3"));
    let before = rig.status().running();
    tell(&rig, "web.2", "line restart-me");
    let after = rig.until("the second is another", |status| {
        status.all_running() && status.pid("web.2").is_some_and(|pid| pid != before["web.2"].pid)
    });
    tell(&rig, "web.3", "line stop-me");
    let last = rig.until_phase("web.3", "stopped");
    for id in ["web.1", "web.3"] {
        assert_eq!(after.process_of(id), before[id], "{id}");
    }
    assert_eq!(last.process_of("web.1"), before["web.1"]);
    assert_eq!(last.process_of("web.2"), after.process_of("web.2"));
    assert!(text_of(&rig, "web.3", "reason").contains("web.3 itself"));
    rig.shutdown();
}

#[test]
fn what_it_asks_for_takes_back_nothing_that_an_operator_wants() {
    let rig = Rig::new();
    let Some(command) = puppet(&rig, "web", "line busy a page") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[command]));
    rig.until("it is busy", |status| status.instance("web")["busy"] == true);
    rig.sppm(&["stop", "web", "--no-wait"]).ok();
    rig.until_phase("web", "draining");
    tell(&rig, "web", "line restart-me; line stop-me; line status asked; line idle");
    rig.until_phase("web", "stopped");
    let reason = text_of(&rig, "web", "reason");
    assert!(reason.starts_with("stopped by ") && !reason.contains("itself"), "{reason}");
    assert!(events(&rig, "web", "request").iter().all(|event| event["by"] != "web itself"));
    // It is as lasting as an operator's stop is.
    rig.sppm(&["shutdown"]).ok();
    rig.start();
    assert_eq!(rig.status().phase("web"), "stopped");
    rig.shutdown();
}

#[test]
fn asking_again_and_again_is_told_once() {
    let rig = Rig::new();
    let Some(command) = puppet(&rig, "web", "") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[command]));
    let before = rig.status().process_of("web");
    tell(&rig, "web", "line busy; for n in 1 2 3 4 5 6 7 8; do line restart-me $n; done; line idle");
    rig.until("another one runs", |status| {
        status.phase("web") == "running" && status.pid("web").is_some_and(|pid| pid != before.pid)
    });
    assert_eq!(rig.status().restarts("web"), 1);
    wait_until("it is told", || !events(&rig, "web", "request").is_empty());
    assert_eq!(events(&rig, "web", "request").len(), 1);
    rig.shutdown();
}
