//! What programs ask for themselves, as requests and news to the core.

use super::run::Daemon;
use super::wall;
use crate::journal::{Entry, Kind};
use crate::linux::clock;
use crate::model::{RunId, Saying};
use crate::supervisor::{Author, Event, Replace, Request, Target};

impl Daemon {
    /// A run said something that needs a decision. What a past run says, the core leaves unheard.
    pub(super) fn said(&mut self, run: RunId, saying: Saying) {
        let event = match saying {
            Saying::Ready => Event::Ready { run },
            Saying::Stuck => Event::Stuck { run, how: "it said that it is stuck".to_owned() },
            Saying::BeatEvery(every) => Event::BeatEvery { run, every },
            Saying::Extend(by) => Event::Extend { run, by },
            // Again and again right after its start, it is no better than one that ends again and again.
            Saying::RestartMe(why) if self.is_unsteady(run) => {
                let Some(who) = self.asker(run, "restart", why) else { return };
                Event::Stuck { run, how: format!("{who} asked for it right after its start") }
            }
            Saying::RestartMe(why) => {
                return self.asks(run, "restart", why, |target| Request::Restart {
                    targets: vec![target],
                    force: false,
                });
            }
            // It asks for itself as it is now, not for ever.
            Saying::StopMe(why) => {
                return self.asks(run, "stop", why, |target| Request::Stop {
                    targets: vec![target],
                    force: false,
                    runtime: true,
                });
            }
            // Heard where they are remembered.
            Saying::Busy(_)
            | Saying::Idle
            | Saying::Beat
            | Saying::Request
            | Saying::Status(_)
            | Saying::Reloading
            | Saying::Stopping
            | Saying::MainPid(_)
            | Saying::Publish { .. }
            | Saying::Unknown(_) => return,
        };
        self.core.handle(clock::now(), event);
    }

    /// It runs, and not for as long as it takes to count as steady.
    fn is_unsteady(&self, run: RunId) -> bool {
        let instance = self.core.slot_of(run).and_then(|slot| self.core.instance(slot));
        let live = instance.and_then(|instance| instance.run()).filter(|live| live.id == run);
        let now = clock::now();
        live.is_some_and(|live| live.ready_at.is_some_and(|at| now.since(at) < live.spec.restart.min_uptime))
    }

    /// A run asks for its own stop or restart.
    fn asks(&mut self, run: RunId, what: &str, why: Option<String>, request: impl FnOnce(Target) -> Request) {
        let Some(who) = self.asker(run, what, why) else { return };
        let Some(slot) = self.core.slot_of(run).cloned() else { return };
        let by = Author { who, at: wall::now() };
        // Refused only where it is to end anyway.
        let _ = self.core.ask(clock::now(), &by, request(Target::Instance(slot)));
    }

    /// Who asks for its own stop or restart, when that is told; `None`: it means nothing.
    fn asker(&mut self, run: RunId, what: &str, why: Option<String>) -> Option<String> {
        let slot = self.core.slot_of(run)?;
        let label = self.world.processes.get(&run)?.owner.label.clone();
        let replace = self.core.instance(slot).and_then(|one| one.replace.as_ref());
        if what == "restart" && matches!(replace, Some(Replace::Operator { .. } | Replace::Stuck(_))) {
            // It is on its way; that need not be told as often as it is asked for.
            return None;
        }
        // Whatever it wants for itself, it does not take back what somebody else wants of it.
        if !self.core.is_wanted(slot) {
            tracing::debug!(%label, what, "asked for by itself, and it is to end anyway");
            return None;
        }
        let who = match why {
            Some(why) => format!("{label} itself ({why})"),
            None => format!("{label} itself"),
        };
        tracing::info!("{what} {label}, asked by {who}");
        let entry = Entry::new(wall::now_millis(), Kind::Request, format!("{what} {label}"));
        self.tell(entry.about(slot.program.as_str(), label.as_str()).by(&who));
        Some(who)
    }
}
