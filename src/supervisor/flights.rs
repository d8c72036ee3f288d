//! Launches in flight: at most so many at once (`supervisor.start_concurrency`). The others wait in the order in which
//! they came, which after a new plan is the start order.

use super::mutant::mutant;
use super::{Instance, Patience, Phase, Supervisor};
use crate::model::{Moment, Slot, StartConcurrency};
use std::collections::BTreeSet;

/// How many launches are in flight, and who waits. Follows the instances, turn by turn.
#[derive(Debug, Default)]
pub(super) struct Flights {
    in_flight: usize,
    /// By the numbers of the tickets.
    queue: BTreeSet<(u64, Slot)>,
    /// The number of the next ticket.
    next: u64,
}

impl Flights {
    /// The number of a new ticket.
    pub(super) fn draw(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Whether who comes now may be launched: there is room, and nobody came before.
    pub(super) fn admit(&self, most: StartConcurrency) -> bool {
        let first = self.queue.is_empty() || mutant!(JumpsTheQueue);
        (first && self.has_room(most)) || mutant!(EndlessFlights)
    }

    /// Whether it is the turn of this one.
    pub(super) fn calls(&self, slot: &Slot, most: StartConcurrency) -> bool {
        self.called(most) == Some(slot)
    }

    /// Whose turn it is.
    fn called(&self, most: StartConcurrency) -> Option<&Slot> {
        self.queue.first().filter(|_| self.has_room(most)).map(|(_, slot)| slot)
    }

    fn has_room(&self, most: StartConcurrency) -> bool {
        u32::try_from(self.in_flight).is_ok_and(|in_flight| in_flight < most.get())
    }

    /// Takes an instance into account.
    pub(super) fn count(&mut self, slot: &Slot, instance: &Instance) {
        self.in_flight += usize::from(instance.is_in_flight());
        if let Phase::Waiting(ticket) = &instance.phase {
            self.next = self.next.max(ticket.number + 1);
            self.queue.insert((ticket.number, slot.clone()));
        }
    }

    /// Takes an instance, as it was counted, out of account.
    pub(super) fn forget(&mut self, slot: &Slot, instance: &Instance) {
        self.in_flight = self.in_flight.saturating_sub(usize::from(instance.is_in_flight()));
        if let Phase::Waiting(ticket) = &instance.phase {
            self.queue.remove(&(ticket.number, slot.clone()));
        }
    }
}

impl Instance {
    /// It was launched and is not ready yet: what `start_concurrency` counts. What should have ended and was left running
    /// in the middle of a task keeps nobody waiting.
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(&self.phase, Phase::Starting(run) if run.patience != Patience::GivenUp)
    }
}

impl Supervisor {
    /// Without a plan nothing is launched.
    pub(super) fn most_flights(&self) -> StartConcurrency {
        self.plan.as_ref().map_or(StartConcurrency::ONE, |plan| plan.supervisor.start_concurrency)
    }

    /// Launches those that wait, as far as there is room. Called where a turn of the whole core ends, so that nobody who
    /// comes in that turn is before them.
    pub(super) fn call_waiting(&mut self, now: Moment) {
        if self.table.is_awaited() || mutant!(NobodyCalled) {
            return;
        }
        for _ in 0..self.flights.queue.len() {
            let Some(slot) = self.flights.called(self.most_flights()).cloned() else { return };
            self.settle(now, &slot);
        }
    }
}

/// Why it waits.
pub(super) fn waits_text(most: StartConcurrency) -> String {
    let which = match most.get() {
        1 => "the one launch".to_owned(),
        many => format!("one of {many} launches"),
    };
    format!("waits for {which} in flight to end (supervisor.start_concurrency)")
}
