//! Seeded randomness: run ids and jitter, a stream of its own for each, so that one more draw of the one kind
//! does not shift the other.

use super::mutant::mutant;
use crate::model::RunId;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter and for ids that only must not collide.
#[derive(Debug, Clone)]
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The core's two streams.
#[derive(Debug, Clone)]
pub(super) struct Random {
    ids: (Stream, Stream),
    jitter: Stream,
}

impl Random {
    /// 128 bits for the ids, so that two supervisors never draw the same; the rest follows from them.
    pub(super) fn new(seed: u128) -> Self {
        let (high, low) = ((seed >> 64) as u64, seed as u64);
        Self { ids: (Stream(high), Stream(low)), jitter: Stream(high ^ low.rotate_left(32)) }
    }

    pub(super) fn run_id(&mut self) -> RunId {
        RunId::from_random(u128::from(self.ids.0.next()) << 64 | u128::from(self.ids.1.next()))
    }

    /// A number from -1000 to 1000, both included.
    pub(super) fn per_mille(&mut self) -> i64 {
        if mutant!(Unseeded) {
            self.jitter.next();
        }
        (self.jitter.next() % 2001) as i64 - 1000
    }
}
