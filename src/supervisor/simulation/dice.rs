//! Chance: one seed, a stream for each kind of question, so that a new question of one kind does not shift the
//! answers of the others.

use crate::model::{Exit, Signal};
use std::time::Duration;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Swarm,
    Step,
    Time,
    Plan,
    Operator,
    Crash,
    Behaviour,
    Latency,
    Checks,
}

const KINDS: usize = 9;

/// All streams of one seed.
#[derive(Debug, Clone)]
pub(super) struct Dice {
    states: [u64; KINDS],
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut states = [0; KINDS];
        let mut state = seed ^ 0x5eed_5eed_5eed_5eed;
        for stream in &mut states {
            *stream = split_mix(&mut state);
        }
        Self { states }
    }

    pub(super) fn next(&mut self, kind: Kind) -> u64 {
        split_mix(&mut self.states[kind as usize])
    }

    /// 0 to `count - 1`.
    pub(super) fn below(&mut self, kind: Kind, count: u64) -> u64 {
        self.next(kind) % count.max(1)
    }

    pub(super) fn percent(&mut self, kind: Kind, percent: u64) -> bool {
        self.below(kind, 100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, kind: Kind, of: &[T]) -> T {
        of[self.below(kind, of.len() as u64) as usize]
    }

    pub(super) fn millis(&mut self, kind: Kind, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(kind, to.saturating_sub(from) + 1))
    }

    pub(super) fn seed128(&mut self, kind: Kind) -> u128 {
        u128::from(self.next(kind)) << 64 | u128::from(self.next(kind))
    }

    pub(super) fn exit(&mut self) -> Exit {
        let segv = Signal::from_number(11).unwrap_or(Signal::KILL);
        let exits = [
            Exit::Code(0),
            Exit::Code(0),
            Exit::Code(1),
            Exit::Code(1),
            Exit::Code(78),
            Exit::Signal { signal: segv, core: true },
            Exit::Unknown,
        ];
        self.pick(Kind::Behaviour, &exits)
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How likely what is in one seed: each switches some kinds of events off and skews the rest, so that rare
/// combinations are met that an even mix never shows.
#[derive(Debug, Clone)]
pub(super) struct Swarm {
    /// Weights of the steps: edit, unchanged plan, operator, late news, early tick.
    pub(super) steps: [u64; 5],
    /// Of the operators' requests, in the order of `operators::Verb`.
    pub(super) verbs: [u64; 8],
    /// Of the edits, in the order of `plans::Edit`.
    pub(super) edits: [u64; 10],
    /// Per 1000: a crash between two steps, a crash between two actions.
    pub(super) crashes: (u64, u64),
    /// Per cent of the crashes after which the records are gone.
    pub(super) amnesia: u64,
    /// Per cent of launches that fail, of runs that end early, late, never heed a stop, leave processes.
    pub(super) fails: u64,
    pub(super) short: u64,
    pub(super) long: u64,
    pub(super) deaf: u64,
    pub(super) leaves: u64,
    /// The longest a piece of news takes, in milliseconds.
    pub(super) latency: u64,
    /// The longest a launch takes, in milliseconds.
    pub(super) launch: u64,
    /// Per cent of the programs that publish whether they work.
    pub(super) gated: u64,
    /// Per cent of the programs that are watched, have hooks, have to say that they are ready.
    pub(super) watched: u64,
    /// Per cent of the runs that never say so, or give no sign of life.
    pub(super) mute: u64,
    /// Per cent of the programs with more than one instance.
    pub(super) several: u64,
    /// Most of what happens is about this one of `plans::NAMES`, if any.
    pub(super) favourite: Option<usize>,
    /// Per cent of the programs whose restart limit ends the supervisor.
    pub(super) fatal: u64,
}

impl Swarm {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let favours = dice.percent(Kind::Swarm, 60);
        let favourite = favours.then(|| dice.below(Kind::Swarm, 6) as usize);
        let mut weight = |highest: u64, off: u64| {
            if dice.percent(Kind::Swarm, off) { 0 } else { 1 + dice.below(Kind::Swarm, highest) }
        };
        let steps = [weight(12, 20), weight(4, 50), weight(12, 20), weight(4, 50), weight(4, 50)];
        let verbs = std::array::from_fn(|_| weight(10, 35));
        let edits = std::array::from_fn(|_| weight(10, 35));
        Self {
            steps,
            verbs,
            edits,
            crashes: (weight(40, 40), weight(20, 50)),
            amnesia: weight(20, 85),
            fails: weight(40, 50),
            short: weight(50, 40),
            long: weight(50, 40),
            deaf: weight(50, 40),
            leaves: weight(60, 40),
            latency: [5, 50, 500, 3000][(weight(4, 0) - 1) as usize],
            launch: [5, 300, 8000][(weight(3, 0) - 1) as usize],
            gated: weight(80, 40),
            several: weight(90, 20),
            fatal: weight(20, 90),
            watched: weight(60, 60),
            mute: weight(40, 40),
            favourite,
        }
    }
}

/// Draws an index by weight; `None` if all are zero.
pub(super) fn weighted(dice: &mut Dice, kind: Kind, weights: &[u64]) -> Option<usize> {
    let sum: u64 = weights.iter().sum();
    if sum == 0 {
        return None;
    }
    let mut drawn = dice.below(kind, sum);
    for (index, weight) in weights.iter().enumerate() {
        if drawn < *weight {
            return Some(index);
        }
        drawn -= weight;
    }
    None
}
