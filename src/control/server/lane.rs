//! Where requests queue up before they are read: so many at a time, the others keep nothing but their bytes.
//!
//! A request of 64 KiB can name 16,000 programs, and an answer can be megabytes long: a thousand clients that ask at
//! once must cost the memory of a few. The next is of whoever has the fewest that are being answered, so a client with
//! one question does not stand behind another's thousand. Never add here: what is asked.

use super::room::{Seat, Turn, Who};
use super::routes::too_much;
use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A queue. A handle.
#[derive(Debug, Clone)]
pub(super) struct Lane(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    free: usize,
    /// How many of each are being answered.
    served: BTreeMap<Who, usize>,
    /// In the order in which they came.
    waiting: VecDeque<(Who, oneshot::Sender<Service>)>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Service {
    lane: Lane,
    who: Who,
}

impl Lane {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue { free: at_once, ..Queue::default() })))
    }

    /// Waits for a turn. That it takes time is not the client's fault. None: its process has not taken what it was given.
    pub(super) async fn turn(&self, seat: &Seat) -> Option<Service> {
        seat.turn(Turn::Supervisor);
        let service = self.line_up(seat.who()).await.ok()?;
        seat.may_ask().then_some(service)
    }

    fn line_up(&self, who: Who) -> oneshot::Receiver<Service> {
        let (sender, receiver) = oneshot::channel();
        self.queue().waiting.push_back((who, sender));
        self.serve();
        receiver
    }

    /// Gives turns as long as there are some.
    fn serve(&self) {
        let mut given_back = Vec::new();
        let mut queue = self.queue();
        while let Some((who, sender)) = queue.next() {
            // Whoever has left meanwhile gives theirs back, which takes the queue.
            given_back.extend(sender.send(Service { lane: self.clone(), who }).err());
        }
        drop(queue);
        drop(given_back);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self) -> Option<(Who, oneshot::Sender<Service>)> {
        if self.free == 0 {
            return None;
        }
        let of_user =
            |uid: u32| self.served.iter().filter(|(who, _)| who.uid == uid).map(|(_, n)| n).sum::<usize>();
        let share = |who: Who| (of_user(who.uid), self.served.get(&who).copied().unwrap_or(0));
        let (at, _) = self.waiting.iter().enumerate().min_by_key(|(_, (who, _))| share(*who))?;
        let next = self.waiting.remove(at)?;
        self.free -= 1;
        *self.served.entry(next.0).or_insert(0) += 1;
        Some(next)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut queue = self.lane.queue();
        queue.free += 1;
        if let Some(count) = queue.served.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                queue.served.remove(&self.who);
            }
        }
        drop(queue);
        self.lane.serve();
    }
}

/// Around requests without a body: nothing of them is read before it is their turn.
pub(super) async fn in_turn(
    State(lane): State<Lane>,
    Extension(seat): Extension<Arc<Seat>>,
    request: Request,
    next: Next,
) -> Response {
    match lane.turn(&seat).await {
        Some(_service) => next.run(request).await,
        None => too_much(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_fewest_is_next_and_who_left_is_passed_over() {
        let lane = Lane::new(2);
        let line_up = |uid, pid| lane.line_up(Who { uid, pid });
        let [mut first, mut second, mut third] = [(7, 1), (7, 1), (7, 1)].map(|(uid, pid)| line_up(uid, pid));
        let (gone, mut other, mut user) = (line_up(9, 9), line_up(7, 2), line_up(8, 3));
        drop(gone);
        let served = [first.try_recv().unwrap(), second.try_recv().unwrap()];
        assert!([&mut third, &mut other, &mut user].iter_mut().all(|one| one.try_recv().is_err()));
        let [first, _second] = served;
        drop(first);
        let user = user.try_recv().unwrap();
        assert!(other.try_recv().is_err());
        drop(user);
        let other = other.try_recv().unwrap();
        assert!(third.try_recv().is_err());
        drop(other);
        assert!(third.try_recv().is_ok());
    }
}
