//! The proof that the simulation sees: each mutant of the core is found, and by the law that it breaks.

use super::laws::Law;
use super::{run, story};
use crate::supervisor::mutant::{Mutant, activate};

/// Each mutant is found within so many seeds.
const WITHIN: u64 = 5000;

const MUTANTS: [(Mutant, Law); 32] = [
    (Mutant::SecondLaunch, Law::OneRun),
    (Mutant::ForgetTooEarly, Law::Owned),
    (Mutant::IgnoreTree, Law::TreeGone),
    (Mutant::SkipGate, Law::Busy),
    (Mutant::BusyIsIdle, Law::Busy),
    (Mutant::KillBusy, Law::Busy),
    (Mutant::NoHooks, Law::Hooks),
    (Mutant::ReadyAtOnce, Law::Ready),
    (Mutant::EndlessStart, Law::Converges),
    (Mutant::NoWatchdog, Law::Converges),
    (Mutant::NoGrace, Law::Grace),
    (Mutant::HurryStays, Law::Grace),
    (Mutant::EndlessBackoff, Law::Converges),
    (Mutant::StopLostInLaunch, Law::Converges),
    (Mutant::TrialNeverEnds, Law::Converges),
    (Mutant::LiveRestarts, Law::Concerned),
    (Mutant::SamePlanRestarts, Law::Concerned),
    (Mutant::FinishEarly, Law::EndsLast),
    (Mutant::BelievePast, Law::Past),
    (Mutant::HandoffForgets, Law::Handoff),
    (Mutant::HandoffRelaunches, Law::TreeGone),
    (Mutant::RecordsLate, Law::Handoff),
    (Mutant::SlotsForgotten, Law::Converges),
    (Mutant::ScaleStays, Law::Wishes),
    (Mutant::AutostartStops, Law::Wishes),
    (Mutant::ReplaceAll, Law::OneAtATime),
    (Mutant::RollOverFailure, Law::FirstFailure),
    (Mutant::NoLimit, Law::Limit),
    (Mutant::NoPause, Law::Limit),
    (Mutant::EndlessFlights, Law::Flights),
    (Mutant::JumpsTheQueue, Law::Flights),
    (Mutant::NobodyCalled, Law::Flights),
];

/// The first seed in which `mutant` is seen to break `law`.
fn first_found(mutant: Mutant, law: Law) -> Option<u64> {
    activate(Some(mutant));
    let found = (0..WITHIN).find(|&seed| run(seed, false).outcome.is_err_and(|broken| broken.law == law));
    activate(None);
    found
}

fn hunt(mutants: &[(Mutant, Law)]) -> Vec<String> {
    let miss = |&(mutant, law): &(Mutant, Law)| match first_found(mutant, law) {
        Some(seed) => {
            println!("{mutant:?} breaks {law:?} in seed {seed}");
            None
        }
        None => Some(format!("{mutant:?} breaks {law:?}, and that is not seen in {WITHIN} seeds")),
    };
    mutants.iter().filter_map(miss).collect()
}

#[test]
fn the_first_half_of_the_mutants_is_found() {
    let missed = hunt(&MUTANTS[..MUTANTS.len() / 2]);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_second_half_of_the_mutants_is_found() {
    let missed = hunt(&MUTANTS[MUTANTS.len() / 2..]);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Law 10 for some seeds: `None`, or the first that differs from itself.
fn first_that_differs(seeds: u64) -> Option<u64> {
    (0..seeds).find(|&seed| story(seed) != story(seed))
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    assert_eq!(first_that_differs(100), None);
    activate(Some(Mutant::Unseeded));
    let found = first_that_differs(100);
    activate(None);
    assert!(found.is_some());
}
