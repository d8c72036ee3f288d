//! The core in a simulated world, seed after seed, with every law checked after every step.
//!
//! `SPPM_SEEDS=n` runs n seeds instead of the usual number; `SPPM_SEED=n` runs the one seed n and prints its trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

pub(super) mod behaviour;
mod crash;
mod dice;
mod driver;
mod flights;
mod laws;
mod ledger;
mod memory;
mod mutants;
mod operators;
pub(super) mod plans;
mod quiet;
mod trace;
mod wishes;
mod world;

use driver::Sim;
use laws::Broken;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 5000;
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

/// One half of the seeds: two tests, so that two processors have something to do.
fn every_law_holds(half: u64) {
    let seeds = number("SPPM_SEEDS").unwrap_or(SEEDS);
    let mut actions = 0;
    for seed in (half..seeds).step_by(2) {
        let report = run(seed, false);
        actions += report.actions;
        assert!(report.outcome.is_ok(), "{}", story(seed));
    }
    println!("{} seeds, {actions} actions", seeds / 2);
}

#[test]
fn every_law_holds_in_every_even_seed() {
    if let Some(seed) = number("SPPM_SEED") {
        println!("{}", story(seed));
        assert!(run(seed, false).outcome.is_ok());
        return;
    }
    every_law_holds(0);
}

#[test]
fn every_law_holds_in_every_odd_seed() {
    if number("SPPM_SEED").is_none() {
        every_law_holds(1);
    }
}
