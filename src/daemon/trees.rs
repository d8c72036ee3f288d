//! Finds, signals and kills what runs have started. On a thread of its own: looking through /proc takes
//! milliseconds, and a fork bomb longer. One look serves all runs that wait for one.

use super::inbox::{Inbox, Message};
use crate::linux::tree::{KillState, KillUntilEmpty, Root, Snapshot};
use crate::linux::{cgroup, proc, tree};
use crate::model::{RunId, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// What somebody else does.
type Deed = Box<dyn FnOnce() + Send>;

enum Order {
    /// Main is gone: what is left? Answered now, and again when nothing is.
    Check(Root),
    /// Everything of it gets this signal, then CONT.
    Ask(Root, Signal),
    /// KILL until nothing is left.
    Kill(Root),
    /// To be done when what was ordered before has reached its processes.
    Then(RunId, Deed),
    /// It is over.
    Forget(RunId),
    /// An orphan was reaped somewhere.
    Hint,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Trees {
    orders: Sender<Order>,
    /// Runs that the thread has heard of: most never come to its ears, and it is not woken to forget them.
    known: BTreeSet<RunId>,
}

impl Trees {
    pub(super) fn start(keeper: u32, inbox: Inbox) -> io::Result<Self> {
        let (orders, requests) = mpsc::channel();
        let mut forester = Forester {
            keeper,
            inbox,
            asked: Vec::new(),
            checked: BTreeMap::new(),
            killed: BTreeMap::new(),
            deeds: Vec::new(),
            pause: FIRST_PAUSE,
        };
        std::thread::Builder::new().name("trees".to_owned()).spawn(move || forester.run(&requests))?;
        Ok(Self { orders, known: BTreeSet::new() })
    }

    pub(super) fn check(&mut self, root: Root) {
        self.known.insert(root.run);
        self.order(Order::Check(root));
    }

    pub(super) fn ask(&mut self, root: Root, signal: Signal) {
        self.known.insert(root.run);
        self.order(Order::Ask(root, signal));
    }

    pub(super) fn kill(&mut self, root: Root) {
        self.known.insert(root.run);
        self.order(Order::Kill(root));
    }

    /// Does something when every signal that was ordered for the run so far is sent: at once where none was.
    pub(super) fn then(&self, run: RunId, deed: impl FnOnce() + Send + 'static) {
        match self.known.contains(&run) {
            true => self.order(Order::Then(run, Box::new(deed))),
            false => deed(),
        }
    }

    pub(super) fn forget(&mut self, run: RunId) {
        if self.known.remove(&run) {
            self.order(Order::Forget(run));
        }
    }

    pub(super) fn hint(&self) {
        self.order(Order::Hint);
    }

    fn order(&self, order: Order) {
        let _ended = self.orders.send(order);
    }
}

/// The pause between two looks for a kill that has not yet succeeded; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A tree of which main is gone.
struct Checked {
    root: Root,
    /// What was told last.
    told: Option<u32>,
    /// Empty looks so far. Without a cgroup one is not enough: a process can be born while /proc is read.
    empty_looks: u32,
}

struct Forester {
    keeper: u32,
    inbox: Inbox,
    /// Signals that wait for a look that succeeds.
    asked: Vec<(Root, Signal)>,
    checked: BTreeMap<RunId, Checked>,
    killed: BTreeMap<RunId, KillUntilEmpty>,
    /// What waits for the same look as the signals before it.
    deeds: Vec<(RunId, Deed)>,
    pause: Duration,
}

impl Forester {
    fn run(&mut self, orders: &Receiver<Order>) {
        while let Some(first) = self.wait(orders) {
            let mut next = Some(first);
            while let Some(order) = next {
                self.take(order);
                next = orders.try_recv().ok();
            }
            self.look();
            // The second look is worth as much at once as later, and a restart waits for it.
            if self.checked.values().any(|checked| checked.empty_looks == 1) {
                self.look();
            }
        }
    }

    /// Without anything to wait for, only an order ends the wait: no polling.
    fn wait(&mut self, orders: &Receiver<Order>) -> Option<Order> {
        if self.is_done() {
            self.pause = FIRST_PAUSE;
            return orders.recv().ok();
        }
        match orders.recv_timeout(self.pause) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Some(Order::Hint)
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn is_done(&self) -> bool {
        self.checked.is_empty() && self.killed.is_empty() && self.asked.is_empty() && self.deeds.is_empty()
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Check(root) => {
                self.checked.insert(root.run, Checked { root, told: None, empty_looks: 0 });
            }
            Order::Ask(root, signal) => self.asked.push((root, signal)),
            Order::Kill(root) => {
                self.pause = FIRST_PAUSE;
                let kill = KillUntilEmpty::new(root.clone());
                self.killed.insert(root.run, kill);
            }
            Order::Then(run, deed) => self.deeds.push((run, deed)),
            Order::Forget(run) => {
                self.checked.remove(&run);
                self.killed.remove(&run);
                self.deeds.retain(|(of, _)| *of != run);
                self.asked.retain(|(root, _)| root.run != run);
            }
            Order::Hint => {}
        }
    }

    fn look(&mut self) {
        if self.asked.is_empty() && self.killed.is_empty() {
            self.do_deeds();
            if self.is_done() {
                return;
            }
            if self.all_in_empty_cgroups() {
                return self.tell(&BTreeMap::new());
            }
        }
        let snapshot = match Snapshot::take(self.keeper) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(%error, "cannot look through /proc; trying again");
                return;
            }
        };
        for (root, signal) in std::mem::take(&mut self.asked) {
            ask(&snapshot, &root, signal);
        }
        self.killed.retain(|_, kill| kill.step(&snapshot) != KillState::Empty);
        self.do_deeds();
        let left: BTreeMap<RunId, u32> = self
            .checked
            .values()
            .map(|checked| (checked.root.run, count(&snapshot, &checked.root)))
            .collect();
        self.tell(&left);
    }

    fn do_deeds(&mut self) {
        self.deeds.drain(..).for_each(|(_, deed)| deed());
    }

    /// The cheap and common case: each has a cgroup, and all of them are empty.
    fn all_in_empty_cgroups(&self) -> bool {
        let empty = |checked: &Checked| checked.root.cgroup.as_deref().is_some_and(cgroup::is_empty);
        self.checked.values().all(empty)
    }

    /// What is not in `left` is empty.
    fn tell(&mut self, left: &BTreeMap<RunId, u32>) {
        let (inbox, killed) = (&self.inbox, &self.killed);
        self.checked.retain(|run, checked| {
            let left = left.get(run).copied().unwrap_or(0);
            checked.empty_looks = if left == 0 { checked.empty_looks + 1 } else { 0 };
            let sure = checked.root.cgroup.is_some() || checked.empty_looks > 1;
            // A kill under way looks more than once by itself, and says when it is sure.
            if left == 0 && (!sure || killed.contains_key(run)) {
                return true;
            }
            if checked.told.is_none() || left == 0 {
                inbox.send(Message::Tree { run: *run, left });
            }
            checked.told = Some(left);
            left > 0
        });
    }
}

fn ask(snapshot: &Snapshot, root: &Root, signal: Signal) {
    let mut members = snapshot.members(root);
    for pid in root.cgroup.as_deref().map(cgroup::members).and_then(Result::ok).unwrap_or_default() {
        if !members.iter().any(|member| member.pid == pid)
            && let Ok(start_time) = proc::start_time(pid)
        {
            members.push(tree::Member { pid, start_time });
        }
    }
    for member in members {
        // A member that may not be signalled, or is gone, is what the KILL that follows is for.
        let _ = tree::signal(member, signal);
        let _ = tree::signal(member, Signal::CONT);
    }
}

fn count(snapshot: &Snapshot, root: &Root) -> u32 {
    let in_cgroup = match root.cgroup.as_deref().map(|path| (path, cgroup::members(path))) {
        Some((_, Ok(members))) => members,
        Some((path, Err(_))) if !cgroup::is_empty(path) => return 1,
        Some((_, Err(_))) | None => Vec::new(),
    };
    let members = snapshot.members(root);
    let others = members.iter().filter(|member| !in_cgroup.contains(&member.pid)).count();
    u32::try_from(in_cgroup.len() + others).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::inbox::inbox;
    use crate::linux::tree::Main;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn a_deed_comes_after_the_signal_that_was_ordered_before_it() {
        let (inbox, _mailbox) = inbox().unwrap();
        let mut trees = Trees::start(std::process::id(), inbox).unwrap();
        let run = RunId::from_random(3);
        let (done, deeds) = mpsc::channel();
        let before = done.clone();
        trees.then(run, move || before.send(None).unwrap());
        assert_eq!(deeds.try_recv(), Ok(None), "nothing was ordered, so nothing is waited for");
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let root = Root { run, main: Main::Pinned(child.id()), cgroup: None };
        trees.ask(root, Signal::TERM);
        // It waits on the thread that is to send the signal: it would wait for ever if it came before that.
        trees.then(run, move || done.send(child.wait().unwrap().signal()).unwrap());
        assert_eq!(deeds.recv_timeout(Duration::from_secs(30)), Ok(Some(15)));
    }
}
