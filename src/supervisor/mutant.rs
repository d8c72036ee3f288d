//! Faults that tests switch on to prove that the simulation would find them. Outside tests there is no switch:
//! `mutant!(X)` is the constant `false`.

/// One way in which the core could be wrong. Which law each breaks stands in `simulation::mutants`.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A launch is ordered while one is under way.
    SecondLaunch,
    /// A slot that is no longer wanted is forgotten before its process is gone.
    ForgetTooEarly,
    /// The next run starts as soon as main has ended.
    IgnoreTree,
    /// The gate is not looked at.
    SkipGate,
    /// KILL does not wait for the end of a task.
    KillBusy,
    /// Hooks are not run.
    NoHooks,
    /// What has to say that it is ready is taken for ready when it runs.
    ReadyAtOnce,
    /// A start that does not get ready is waited for without end.
    EndlessStart,
    /// Nobody looks whether what is watched gives signs of life.
    NoWatchdog,
    /// The answer "busy" is taken for "idle".
    BusyIsIdle,
    /// KILL follows at once.
    NoGrace,
    /// A forced stop that was taken back makes the next stop a forced one.
    HurryStays,
    /// The pause before a restart has no end.
    EndlessBackoff,
    /// A stop that is wanted during a launch is forgotten.
    StopLostInLaunch,
    /// An instance that is stopped while on trial stays on trial, and the others wait for ever.
    TrialNeverEnds,
    /// An edit of a live key restarts.
    LiveRestarts,
    /// Reading the same plan again restarts.
    SamePlanRestarts,
    /// The end is announced while something lives.
    FinishEarly,
    /// Decisions depend on something outside.
    Unseeded,
    /// News of a past run are believed.
    BelievePast,
    /// A take-over forgets a pending replacement.
    HandoffForgets,
    /// A take-over launches again what runs.
    HandoffRelaunches,
    /// A launch is ordered before it is on disk.
    RecordsLate,
    /// After a take-over slots that were never recorded are not made.
    SlotsForgotten,
    /// A scale outlives the edit that ends it.
    ScaleStays,
    /// Switching autostart off stops what runs.
    AutostartStops,
    /// All instances are replaced at once.
    ReplaceAll,
    /// The next one is replaced although this one failed.
    RollOverFailure,
    /// The restart limit is not kept.
    NoLimit,
    /// There is no pause between failed starts.
    NoPause,
    /// Launches in flight are not limited.
    EndlessFlights,
    /// Who comes when there is room is launched before those that wait.
    JumpsTheQueue,
    /// A launch that ended lets nobody follow.
    NobodyCalled,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
    static ASKED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Makes `mutant` the one fault of this thread.
#[cfg(test)]
pub(crate) fn activate(mutant: Option<Mutant>) {
    ACTIVE.with(|active| active.set(mutant));
}

/// Whether `mutant` is switched on. What depends on the outside is so now and then, whatever the seed.
#[cfg(test)]
pub(crate) fn active(mutant: Mutant) -> bool {
    let on = ACTIVE.with(|active| active.get() == Some(mutant));
    if on && mutant == Mutant::Unseeded {
        return ASKED.with(|asked| asked.replace(asked.get() + 1) % 3 == 0);
    }
    on
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
