//! Faults that tests switch on to prove that the simulation would find them. Outside tests there is no switch:
//! `mutant!(X)` is the constant `false`.

/// One way in which the core could be wrong; named for what it does, with the law that it breaks.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Law 1: a launch is ordered while one is under way.
    SecondLaunch,
    /// Law 2: a slot that is no longer wanted is forgotten before its process is gone.
    ForgetTooEarly,
    /// Law 3: the next run starts as soon as main has ended.
    IgnoreTree,
    /// Law 4: a busy program is asked to stop.
    SkipGate,
    /// Law 5: KILL follows at once.
    NoGrace,
    /// Law 6: the pause before a restart has no end.
    EndlessBackoff,
    /// Law 6: a stop that is wanted during a launch is forgotten.
    StopLostInLaunch,
    /// Law 7: an edit of a live key restarts.
    LiveRestarts,
    /// Law 7: reading the same plan again restarts.
    SamePlanRestarts,
    /// Law 8: the end is announced while something lives.
    FinishEarly,
    /// Law 10: decisions depend on something outside.
    Unseeded,
    /// Law 11: news of a past run are believed.
    BelievePast,
    /// Law 12: a take-over forgets a pending replacement.
    HandoffForgets,
    /// Law 12: a take-over launches again what runs.
    HandoffRelaunches,
    /// One at a time: all instances are replaced at once.
    ReplaceAll,
    /// One at a time: the next one is replaced although this one failed.
    RollOverFailure,
    /// The restart limit is not kept.
    NoLimit,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes `mutant` the one fault of this thread.
#[cfg(test)]
pub(crate) fn activate(mutant: Option<Mutant>) {
    ACTIVE.with(|active| active.set(mutant));
}

/// Whether `mutant` is switched on.
#[cfg(test)]
pub(crate) fn active(mutant: Mutant) -> bool {
    ACTIVE.with(|active| active.get() == Some(mutant))
}

macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(test)]
        let on = $crate::supervisor::mutant::active($crate::supervisor::mutant::Mutant::$name);
        #[cfg(not(test))]
        let on = false;
        on
    }};
}
pub(super) use mutant;
