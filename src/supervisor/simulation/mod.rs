//! The core in a simulated world, seed after seed, with every law checked after every step.
//!
//! `SPPM_SEEDS=n` runs n seeds instead of the usual number; `SPPM_SEED=n` runs the one seed n and prints its trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod behaviour;
mod dice;
mod driver;
mod laws;
mod ledger;
mod memory;
mod mutants;
mod operators;
pub(super) mod plans;
mod quiet;
mod wishes;
pub(super) mod world;

use driver::Sim;
use laws::Broken;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 5000;
const THREADS: u64 = 2;
const STEPS: u32 = 150;

struct Report {
    outcome: Result<(), Broken>,
    step: u32,
    actions: u64,
    trace: Vec<String>,
}

fn run(seed: u64, traced: bool) -> Report {
    let mut sim = Sim::new(seed, traced);
    let outcome = live(&mut sim);
    Report { outcome, step: sim.step, actions: sim.actions, trace: sim.trace.take().unwrap_or_default() }
}

fn live(sim: &mut Sim) -> Result<(), Broken> {
    sim.begin()?;
    for _ in 0..STEPS {
        if sim.finished {
            return Ok(());
        }
        sim.one_step()?;
    }
    sim.converge()
}

/// The seed again, for people.
fn story(seed: u64) -> String {
    let report = run(seed, true);
    let broken = match &report.outcome {
        Ok(()) => "no law was broken".to_owned(),
        Err(broken) => format!("broken: {:?}: {}", broken.law, broken.text),
    };
    format!("{}\nseed {seed}, step {}: {broken}", report.trace.join("\n"), report.step)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_law_holds_in_every_seed() {
    if let Some(seed) = number("SPPM_SEED") {
        println!("{}", story(seed));
        assert!(run(seed, false).outcome.is_ok());
        return;
    }
    let seeds = number("SPPM_SEEDS").unwrap_or(SEEDS);
    let first_failure = std::thread::scope(|scope| {
        let work = |thread: u64| {
            let mut actions = 0;
            for seed in (thread..seeds).step_by(THREADS as usize) {
                let report = run(seed, false);
                actions += report.actions;
                if report.outcome.is_err() {
                    return (Some(seed), actions);
                }
            }
            (None, actions)
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        let ends: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        println!("{seeds} seeds, {} actions", ends.iter().map(|(_, actions)| actions).sum::<u64>());
        ends.into_iter().filter_map(|(seed, _)| seed).min()
    });
    if let Some(seed) = first_failure {
        panic!("{}", story(seed));
    }
}
