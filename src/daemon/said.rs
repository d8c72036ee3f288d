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
            Saying::Stuck => Event::Stuck { run },
            Saying::BeatEvery(every) => Event::BeatEvery { run, every },
            Saying::Extend(by) => Event::Extend { run, by },
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

    /// A run asks for its own stop or restart.
    fn asks(&mut self, run: RunId, what: &str, why: Option<String>, request: impl FnOnce(Target) -> Request) {
        let Some(slot) = self.core.slot_of(run).cloned() else { return };
        let Some(label) = self.world.processes.get(&run).map(|process| process.owner.label.clone()) else {
            return;
        };
        let instance = self.core.instance(&slot);
        let known = matches!(instance.map(|one| &one.replace), Some(Some(Replace::Operator { .. })));
        if what == "restart" && known {
            // It is on its way; that need not be told as often as it is asked for.
            return;
        }
        // Whatever it wants for itself, it does not take back what somebody else wants of it.
        if !self.core.is_wanted(&slot) {
            tracing::debug!(%label, what, "asked for by itself, and it is to end anyway");
            return;
        }
        let who = match why {
            Some(why) => format!("{label} itself ({why})"),
            None => format!("{label} itself"),
        };
        tracing::info!("{what} {label}, asked by {who}");
        let entry = Entry::new(wall::now_millis(), Kind::Request, format!("{what} {label}"));
        self.tell(entry.about(slot.program.as_str(), label.as_str()).by(&who));
        let by = Author { who, at: wall::now() };
        // Refused only where it is to end anyway.
        let _ = self.core.ask(clock::now(), &by, request(Target::Instance(slot)));
    }
}
