//! How a simulated program behaves: drawn once, at its launch.

use super::dice::{Dice, Kind, Swarm};
use crate::model::{Exit, LaunchFailure, LaunchStage, Program, Signal};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    /// From the order to the exec, or to the failure.
    pub(super) launch: Duration,
    pub(super) fails: bool,
    /// It ends by itself so long after its start.
    pub(super) ends: Option<(Duration, Exit)>,
    /// The how-manieth request it heeds, and how long it takes; `None`: none.
    pub(super) heeds: Option<(u32, Duration)>,
    /// How it ends then.
    pub(super) last_words: Exit,
    /// Processes that outlive it.
    pub(super) leaves: u32,
    /// How fast they heed TERM, if they do.
    pub(super) left_heed: Option<Duration>,
    /// They end by themselves so long after main.
    pub(super) left_end: Option<Duration>,
    /// They are in the middle of a task when main ends, and for so long.
    pub(super) left_task: Duration,
    /// How long the stop command runs, how it ends (`None`: could not be launched).
    pub(super) command: (Duration, Option<Exit>),
    /// When it says that it is ready, after its start; `None`: never.
    pub(super) ready: Option<Duration>,
    /// It gives signs of life.
    pub(super) beats: bool,
    /// How long its hooks run, how they end (`None`: could not be launched).
    pub(super) hook: (Duration, Option<Exit>),
    /// It has tasks.
    pub(super) works: bool,
    /// How long a task lasts, and the pause between two; the first begins at once or after a pause.
    pub(super) task: Duration,
    pub(super) pause: Duration,
    pub(super) begins_busy: bool,
}

impl Behaviour {
    /// What a program does that gives no trouble.
    pub(super) fn good() -> Self {
        Self {
            launch: Duration::from_millis(10),
            fails: false,
            ends: None,
            heeds: Some((1, Duration::from_millis(50))),
            last_words: Exit::Signal { signal: Signal::TERM, core: false },
            leaves: 0,
            left_heed: Some(Duration::ZERO),
            left_end: None,
            left_task: Duration::ZERO,
            command: (Duration::from_millis(20), Some(Exit::Code(0))),
            ready: Some(Duration::from_millis(20)),
            beats: true,
            hook: (Duration::from_millis(20), Some(Exit::Code(0))),
            works: false,
            task: Duration::from_millis(300),
            pause: Duration::from_millis(300),
            begins_busy: false,
        }
    }

    pub(super) fn any(dice: &mut Dice, swarm: &Swarm, spec: &Program) -> Self {
        let kind = Kind::Behaviour;
        // Exactly at the deadline is where mistakes live.
        let grace = spec.stop.grace();
        let delays = [Duration::ZERO, Duration::from_millis(30), grace / 2, grace];
        let end = match (dice.percent(kind, swarm.short), dice.percent(kind, swarm.long)) {
            (true, _) => Some(dice.pick(kind, &[Duration::ZERO, Duration::from_millis(400)])),
            (false, true) => Some(match dice.percent(kind, 20) {
                true => spec.restart.min_uptime,
                false => dice.millis(kind, 1000, 60_000),
            }),
            (false, false) => None,
        };
        let deaf = dice.percent(kind, swarm.deaf);
        let heeds = (!deaf).then(|| (1 + u32::from(dice.percent(kind, 30)), dice.pick(kind, &delays)));
        let command = match dice.below(kind, 4) {
            0 => None,
            1 => Some(Exit::Code(1)),
            _ => Some(Exit::Code(0)),
        };
        Self {
            launch: dice.millis(kind, 0, swarm.launch),
            fails: dice.percent(kind, swarm.fails),
            ends: end.map(|after| (after, dice.exit())),
            heeds,
            last_words: dice.pick(kind, &[Exit::Code(0), Exit::Code(1), Self::good().last_words]),
            leaves: if dice.percent(kind, swarm.leaves) { 1 + dice.below(kind, 3) as u32 } else { 0 },
            left_heed: dice.percent(kind, 60).then(|| dice.pick(kind, &delays)),
            left_end: dice.percent(kind, 30).then(|| dice.millis(kind, 0, 15_000)),
            command: (dice.millis(kind, 0, 2000), command),
            ready: (!dice.percent(kind, swarm.mute)).then(|| dice.millis(kind, 0, 8_000)),
            beats: !dice.percent(kind, swarm.mute),
            hook: (dice.millis(kind, 0, 4000), command),
            works: dice.percent(kind, swarm.gated),
            task: dice.millis(kind, 10, 40_000),
            pause: dice.millis(kind, 10, 5_000),
            begins_busy: dice.percent(kind, 50),
            left_task: match dice.percent(kind, swarm.gated / 2) {
                true => dice.millis(kind, 10, 20_000),
                false => Duration::ZERO,
            },
        }
    }
}

/// Why a launch fails here.
pub(in crate::supervisor) fn failure() -> LaunchFailure {
    LaunchFailure {
        stage: LaunchStage::Exec,
        errno: 2,
        message: "cannot execute /x: no such file".to_owned(),
    }
}
