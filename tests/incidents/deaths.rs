//! What is killed: by the kernel or a stranger, by sppm because it ignores TERM, and the supervisor itself.

use crate::common::{Rig, Yaml};
use crate::look::{SLOWLY, in_order, reason, status, why, why_json};
use nix::sys::signal::Signal;

/// The kernel's count of processes killed for want of memory.
fn out_of_memory() -> Option<String> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find(|line| line.starts_with("oom_kill ")).map(str::to_owned)
}

#[test]
fn killed_by_the_kernel_or_by_a_stranger() {
    let rig = Rig::new();
    let before = out_of_memory();
    rig.start_with(
        &Yaml::new(&rig)
            .program("web", &[rig.steady(), SLOWLY.into()])
            .program("api", &[rig.steady(), SLOWLY.into()]),
    );
    rig.status().process_of("web").signal(Signal::SIGKILL);
    rig.until_phase("web", "backoff");
    in_order(&reason(&rig, "web"), &["was ended by SIGKILL (not sent by sppm) after", "next start in"]);
    let text = why(&rig, "web");
    in_order(
        &text,
        &[
            "web  backoff since",
            "was ended by SIGKILL, which sppm did not send: ",
            "next: it is started again at",
        ],
    );
    // Whether the kernel was it can be known where it counts, and where nothing else on the machine ran out of memory.
    match before.is_some() && before == out_of_memory() {
        true => in_order(
            &text,
            &[
                "another process",
                "the kernel has killed nothing for want of memory",
                "what you can do",
                "`last`",
            ],
        ),
        false => in_order(&text, &["the kernel", "what you can do", "dmesg"]),
    }
    // sppm's own signals are known as such.
    rig.sppm(&["signal", "KILL", "api"]).ok();
    rig.until_phase("api", "backoff");
    in_order(&reason(&rig, "api"), &["was ended by SIGKILL (sent by `sppm signal`)"]);
    in_order(&why(&rig, "api"), &["asked: SIGKILL to api", "was ended by SIGKILL, which `sppm signal` sent"]);
    rig.shutdown();
}

#[test]
fn killed_by_the_kernel_for_what_it_did() {
    let rig = Rig::new();
    rig.save(&Yaml::new(&rig).program("web", &[rig.kills_itself("SEGV"), SLOWLY.into()]));
    rig.sppm(&["start"]).expect_code(1);
    in_order(&reason(&rig, "web"), &["was ended by SIGSEGV after", "next start in"]);
    in_order(
        &why(&rig, "web"),
        &[
            "it touched memory that is not its own",
            "next: it is started again",
            "what you can do",
            "a core dump",
            "limits.core",
        ],
    );
    rig.shutdown();
}

#[test]
fn term_is_ignored() {
    let rig = Rig::new();
    let stubborn = rig.actor("stubborn", "trap '' TERM\nwhile :; do sleep 1000; done");
    let yaml = Yaml::new(&rig).program("web", &[stubborn, "stop: { timeout: 10m }".into()]);
    rig.start_with(&yaml);
    // While it is waited for: what it was asked, what follows, and that it will not listen.
    rig.sppm(&["stop", "web", "--no-wait"]).ok();
    let pid = rig.until_phase("web", "stopping").pid("web").unwrap();
    in_order(&reason(&rig, "web"), &["asked with SIGTERM, SIGKILL follows in", "stopped by"]);
    let ignores = format!("its main process, pid {pid}, ignores SIGTERM");
    in_order(&why(&rig, "web"), &["web  stopping since", &ignores, "next: KILL follows"]);
    rig.sppm(&["stop", "web", "--force"]).ok();
    // The same with a time that passes.
    rig.save(&yaml.clone().set("web", "stop: { timeout: 1s }"));
    rig.sppm(&["reload"]).ok();
    rig.sppm(&["start", "web"]).ok();
    rig.sppm(&["stop", "web"]).ok();
    let overdue = "it did not end within 1.0s of SIGTERM";
    in_order(&reason(&rig, "web"), &["stopped by", "it was killed: ", overdue]);
    in_order(
        &why(&rig, "web"),
        &[
            "web  stopped since",
            "killing: killed: ",
            overdue,
            "was ended by SIGKILL, which sppm sent",
            "next: nothing by itself; `sppm start web` starts it",
            "what you can do",
            "give it longer by stop.timeout, or another signal by stop.signal (",
            "sppm.yaml:",
        ],
    );
    // Also when it runs again, and the step restarts nothing, as is said.
    rig.sppm(&["start", "web"]).ok();
    let running = rig.status().process_of("web");
    in_order(&reason(&rig, "web"), &["started by", "its last run was killed: ", overdue]);
    rig.save(&yaml.set("web", "stop: { timeout: 1s, signal: HUP }"));
    rig.sppm(&["reload"]).ok();
    assert_eq!(rig.status().process_of("web"), running);
    rig.sppm(&["stop", "web"]).ok();
    assert!(!reason(&rig, "web").contains("killed"), "{}", status(&rig));
    rig.shutdown();
}

#[test]
fn the_supervisor_died() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let before = rig.status();
    let dead = before.supervisor_proc();
    dead.signal(Signal::SIGKILL);
    let after =
        rig.until("another one answers", |status| status.supervisor("pid") != before.supervisor("pid"));
    assert_eq!(after.process_of("web"), before.process_of("web"));
    assert_eq!(after.instance("web")["adopted"], true);
    // It is no program's own: the first lines of the table say it.
    let how = format!("took over from pid {}, which was ended by SIGKILL, which sppm did not send", dead.pid);
    in_order(
        &status(&rig),
        &["note: at ", "this supervisor ", &how, "dmesg", "the programs went on", "NAME", "web   running"],
    );
    in_order(
        &why(&rig, "web"),
        &[
            "web  running since",
            "what led there",
            "started, pid",
            &how,
            "the programs went on",
            "next: it goes on",
        ],
    );
    let json = why_json(&rig, "web");
    let kinds: Vec<&str> =
        json["causes"].as_array().unwrap().iter().filter_map(|c| c["kind"].as_str()).collect();
    assert!(kinds.contains(&"supervisor_took_over"), "{kinds:?}");
    rig.shutdown();
}
