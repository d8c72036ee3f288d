//! Many tasks of random length under many random requests.

use super::common::rig::is_root;
use super::common::{Rig, Who, Yaml, pause};
use super::workers::{Line, every_task_is_whole, journals, prepare_workers, worker};
use std::sync::Mutex;
use std::time::Duration;

/// How many requests; `SPPM_TASKS_OPERATIONS=200` for the whole of it.
const OPERATIONS: u64 = 40;

/// Requests that follow from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// One who asks for one thing after the other of one program.
fn operator(rig: &Rig, file: &Mutex<Yaml>, name: &str, mut dice: Dice, count: u64) {
    for number in 0..count {
        pause(Duration::from_millis(dice.below(150)));
        // Sometimes the next request comes while the last one is still under way.
        let wait = dice.below(3) > 0;
        let ask = |words: &[&str]| {
            let mut words = words.to_vec();
            if !wait {
                words.push("--no-wait");
            }
            rig.sppm(&words).ok();
        };
        let edit = |line: &str| {
            let mut yaml = file.lock().unwrap();
            *yaml = yaml.clone().set(name, line);
            rig.save(&yaml);
        };
        match dice.below(7) {
            0 => {
                ask(&["stop", name]);
                ask(&["start", name]);
            }
            1 => ask(&["restart", name]),
            2 => ask(&["restart", &format!("{name}.1")]),
            3 => {
                edit(&format!("environment: {{ N: '{number}' }}"));
                rig.sppm(&["reload"]).ok();
            }
            4 => edit(&format!("environment: {{ N: '{number}' }}")),
            5 => edit(&format!("instances: {}", 1 + dice.below(3))),
            _ => ask(&["scale", &format!("{name}={}", 1 + dice.below(3))]),
        }
    }
}

fn every_task_that_began_has_ended(who: Who) {
    let mut rig = Rig::of(who);
    if !prepare_workers(&mut rig) {
        return;
    }
    let rig = rig;
    let mut yaml = Yaml::new(&rig);
    let mut names = Vec::new();
    for kind in ["state", "flock"] {
        for on_stop in ["wait", "signal"] {
            let name = format!("{kind}-{on_stop}");
            let lines = [
                worker(&rig, kind, 0.001, 0.15),
                "instances: 2".into(),
                format!("working_lock: {{ on_stop: {on_stop} }}"),
                "stop: { timeout: 60s }".into(),
                "restart: { delay: 10ms }".into(),
            ];
            yaml = yaml.program(&name, &lines);
            names.push(name);
        }
    }
    rig.start_with(&yaml);
    let seed = number("SPPM_TASKS_SEED", 20_240_229);
    let each = number("SPPM_TASKS_OPERATIONS", OPERATIONS) / names.len() as u64;
    let file = Mutex::new(yaml);
    std::thread::scope(|scope| {
        for (at, name) in names.iter().enumerate() {
            let dice = Dice(seed.wrapping_mul(2 * at as u64 + 1) | 1);
            let (rig, file) = (&rig, &file);
            scope.spawn(move || operator(rig, file, name, dice, each));
        }
    });
    rig.sppm(&["start"]).ok();
    let events = rig.sppm(&["events", "-n", "all"]).ok().stdout;
    assert!(!events.contains("killing"), "{events}");
    rig.shutdown();
    let tasks = every_task_is_whole(&rig);
    let runs = journals(&rig);
    eprintln!("{} requests, {} runs, {tasks} tasks, none cut", each * names.len() as u64, runs.len());
    assert!(runs.len() as u64 > each, "hardly anything was stopped: {} runs", runs.len());
}
crate::as_everyone!(every_task_that_began_has_ended);

/// A stop that was wanted, and what came of it.
#[derive(Debug)]
struct Stop {
    /// Seconds between the end of the last task (or the wish, if that was later) and the worker's own end.
    late: f64,
    /// Tasks that began after it was wanted.
    further: usize,
}

/// Of a run that was stopped once.
fn stop_of(lines: &[Line]) -> Option<Stop> {
    let mut wanted = lines.iter().filter(|line| line.what == "wanted");
    let (Some(first), None) = (wanted.next(), wanted.next()) else { return None };
    let left = lines.iter().find(|line| line.what == "left")?;
    let last = lines.iter().rfind(|line| line.what == "end")?;
    let further = lines.iter().filter(|line| line.what == "begin" && line.at > first.at).count();
    Some(Stop { late: left.at - last.at.max(first.at), further })
}

fn a_stop_comes_right_at_the_end_of_a_task(who: Who) {
    let mut rig = Rig::of(who);
    if !prepare_workers(&mut rig) {
        return;
    }
    let rig = rig;
    let mut yaml = Yaml::new(&rig);
    // A state's gap is there after each task that took longer than 50 ms.
    for (kind, shortest) in [("state", 0.06), ("flock", 0.001)] {
        let lines =
            [worker(&rig, kind, shortest, 0.2), "instances: 6".into(), "stop: { timeout: 60s }".into()];
        yaml = yaml.program(kind, &lines);
    }
    rig.start_with(&yaml);
    for _ in 0..4 {
        rig.sppm(&["stop"]).ok();
        rig.sppm(&["start"]).ok();
    }
    rig.shutdown();
    every_task_is_whole(&rig);
    for kind in ["state", "flock"] {
        let runs = journals(&rig).into_iter().filter(|(name, _)| name.starts_with(kind));
        let stops: Vec<Stop> = runs.filter_map(|(_, lines)| stop_of(&lines)).collect();
        let mut late: Vec<f64> = stops.iter().map(|stop| stop.late).collect();
        late.sort_by(f64::total_cmp);
        let mut further: Vec<usize> = stops.iter().map(|stop| stop.further).collect();
        further.sort_unstable();
        let said = format!("{kind}: {} stops, late {late:.3?}, further tasks {further:?}", stops.len());
        eprintln!("{said}");
        assert!(stops.len() >= 12, "{said}");
        // Right at an end, never far from one.
        assert!(late[stops.len() / 4] < 0.1 && late[stops.len() - 1] < 3.0, "{said}");
        // At which one is luck where others may run as soon as the gate: it has to be let run within a gap of a millisecond.
        let most = if who == Who::Own && is_root() { 3 } else { 15 };
        assert!(further[stops.len() / 2] <= most && further[stops.len() - 1] <= 60, "{said}");
    }
}
crate::as_everyone!(a_stop_comes_right_at_the_end_of_a_task);
