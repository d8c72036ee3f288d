//! A thousand hostile connections at once, while a program dies again and again and somebody asks for the status.

use super::attackers::{Attack, Outcome, kinds, raise_descriptors};
use crate::common::{Rig, Yaml, pause, wait_for, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So many connections in all.
const CONNECTIONS: usize = 1000;
/// So often a program is killed, without and with the siege.
const DEATHS: usize = 15;
/// What the siege may add to a restart. The aim is a tenth of it.
const LATER: Duration = Duration::from_millis(500);
/// How long somebody may have to wait for an answer meanwhile.
const ANSWER: Duration = Duration::from_secs(20);
/// What the siege may cost in memory at any moment, and for good, in KiB.
const GROWTH: u64 = 64 * 1024;
const LEFT: u64 = 12 * 1024;

/// A program that writes down when it started, one that talks, and many that only make the answers long.
fn besieged(rig: &Rig) -> Yaml {
    let victim = "#!/bin/sh\necho $$ $(date +%s%N) >> $RIG/victim.txt\nexec sleep 100000\n";
    let victim = crate::common::yaml::command(&[rig.script("victim", victim)]);
    let mut yaml = Yaml::new(rig)
        .program("victim", &[victim, "restart: { min_uptime: 100ms, limit: 0 }".into()])
        .program("talker", &[rig.counter()]);
    let long = format!("description: {}", "many words about a program that does nothing, ".repeat(40));
    for number in 0..200 {
        yaml = yaml.program(&format!("many-{number}"), &["command: [sleep, '1']", "autostart: false", &long]);
    }
    yaml
}

/// The victim's last start: its pid, and when.
fn last_start(rig: &Rig) -> Option<(i32, u128)> {
    let text = rig.read("victim.txt");
    let line = text.strip_suffix('\n')?.lines().last()?;
    let (pid, at) = line.split_once(' ')?;
    Some((pid.parse().ok()?, at.parse().ok()?))
}

/// From each KILL to the moment at which the successor says that it runs; sorted.
fn deaths(rig: &Rig) -> Vec<Duration> {
    let one = || {
        let (pid, _) = wait_for("the victim runs", || last_start(rig));
        // Steady, so that the next start comes at once.
        pause(Duration::from_millis(200));
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let next = wait_for("its successor", || last_start(rig).filter(|(next, _)| *next != pid));
        Duration::from_nanos(u64::try_from(next.1.saturating_sub(killed)).unwrap())
    };
    let mut all: Vec<Duration> = (0..DEATHS).map(|_| one()).collect();
    all.sort();
    all
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

/// Proportional set size in KiB; where the kernel does not tell it, the resident one.
fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let told = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    told.or_else(|| crate::common::processes::memory_kib(pid)).unwrap()
}

/// The smallest of several looks: what stays, without what some answer needs for a moment.
fn least_memory(pid: u32) -> u64 {
    let look = |_| {
        pause(Duration::from_millis(20));
        memory(pid)
    };
    (0..5).map(look).min().unwrap()
}

/// Looks at a supervisor's memory until it is stopped.
struct Peak(Arc<AtomicBool>, std::thread::JoinHandle<u64>);

impl Peak {
    fn watch(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !told.load(Ordering::SeqCst) {
                peak = peak.max(memory(pid));
                pause(Duration::from_millis(50));
            }
            peak
        });
        Self(stop, thread)
    }

    fn end(self) -> u64 {
        self.0.store(true, Ordering::SeqCst);
        self.1.join().unwrap()
    }
}

/// Asks for the status as an honest user until `done`; how long each answer took, sorted.
fn ask(rig: &Rig, done: &AtomicBool) -> Vec<Duration> {
    let mut all = Vec::new();
    while !done.load(Ordering::SeqCst) || all.is_empty() {
        let begun = Instant::now();
        let answer = rig.sppm(&["status", "--json", "victim"]);
        assert!(matches!(answer.code, Some(0 | 3)), "no status under siege\n{}", answer.all());
        all.push(begun.elapsed());
        pause(Duration::from_millis(100));
    }
    all.sort();
    all
}

fn besiege(rig: &Rig) -> Vec<(&'static str, Attack)> {
    let socket = rig.path("r/sppm.sock");
    let kinds = kinds();
    let each = CONNECTIONS / kinds.len();
    let mut all: Vec<(&str, Attack)> = Vec::new();
    for (name, hello, drip) in kinds {
        all.push((name, Attack::hold(&socket, each, hello, drip)));
    }
    let line = b"GET /v1/status HTTP/1.1\r\nx: ".to_vec();
    all.push(("a line of a gigabyte", Attack::endless(&socket, line, vec![b'a'; 1 << 16])));
    let body = b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    all.push(("a body of a gigabyte", Attack::endless(&socket, body, vec![b' '; 1 << 16])));
    let chunked = b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 1 << 16], b"\r\n".to_vec()].concat();
    all.push(("chunks without an end", Attack::endless(&socket, chunked, chunk)));
    all.push(("killed clients", Attack::killed(&socket)));
    all
}

#[test]
fn a_siege_delays_nothing_and_costs_little() {
    raise_descriptors();
    let rig = Rig::new();
    rig.start_with(&besieged(&rig));
    let status = rig.status();
    let supervisor = status.supervisor_proc();
    let talker = status.process_of("talker");
    // A long history of the talker's, for those who want all of it.
    let old = "a line from long ago, of a talker that said very much\n".repeat(100_000);
    fs::write(rig.path("log/talker.log.1"), old).unwrap();
    let quiet = deaths(&rig);
    let before = least_memory(supervisor.pid);

    let attacks = besiege(&rig);
    let peak = Peak::watch(supervisor.pid);
    let done = AtomicBool::new(false);
    let (busy, answers) = std::thread::scope(|scope| {
        let asker = scope.spawn(|| ask(&rig, &done));
        let busy = deaths(&rig);
        done.store(true, Ordering::SeqCst);
        let answers = asker.join().unwrap();
        (busy, answers)
    });
    let outcomes: Vec<(&str, Outcome)> =
        attacks.into_iter().map(|(name, attack)| (name, attack.end())).collect();
    let peak = peak.end();
    let mut after = 0;
    wait_until("the memory goes back", || {
        after = least_memory(supervisor.pid);
        after <= before + LEFT
    });

    println!("restart: median {:?} without, {:?} under siege", median(&quiet), median(&busy));
    println!("         longest {:?} without, {:?} under siege", quiet.last().unwrap(), busy.last().unwrap());
    println!(
        "status:  median {:?}, longest {:?}, {} answers",
        median(&answers),
        answers.last().unwrap(),
        answers.len()
    );
    println!("memory:  {before} KiB before, {peak} KiB at most, {after} KiB after");
    println!("attacks: {outcomes:?}");
    assert!(median(&busy) <= median(&quiet) + LATER, "{quiet:?}\n{busy:?}");
    assert!(*answers.last().unwrap() <= ANSWER, "{answers:?}");
    assert!(peak <= before + GROWTH, "{before} KiB, then {peak} KiB");
    // Most are refused, and of which kind those are that are not is chance.
    assert!(outcomes.iter().any(|(_, outcome)| outcome.served > 0), "nobody was ever served: {outcomes:?}");
    for (name, outcome) in &outcomes {
        assert!(outcome.made > 0, "{name}: never got in");
        if name.contains("end") || name.contains("gigabyte") {
            let taken = outcome.taken;
            assert!(0 < taken && taken < 8 << 20, "{name}: {taken} bytes were taken");
        }
    }
    let status = rig.status();
    assert_eq!(status.supervisor_proc(), supervisor, "the supervisor died of it\n{}", rig.own_log());
    assert_eq!(status.process_of("talker"), talker, "a program was touched");
    rig.shutdown();
}
