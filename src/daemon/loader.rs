//! Reads configurations on a thread of its own: a file may be large, and its disk slow.

use super::budget;
use super::inbox::{Inbox, LoadOutcome, Message, Purpose};
use super::sources::{DiskSources, Print, Recorder, Recording};
use crate::config::{self, Context, Loaded, Problems, Sources};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// What every load of this supervisor has in common.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) environment: Arc<BTreeMap<String, String>>,
}

impl Reader {
    /// Reads and resolves from `sources`.
    pub(super) fn load(&self, sources: &dyn Sources) -> Result<Loaded, Problems> {
        let root = rustix::process::geteuid().is_root();
        let context = Context { path: &self.path, environment: &self.environment, root, cpus: cpus() };
        config::load(&context, sources)
    }

    /// Reads from the disk, and notes what was read.
    pub(super) fn load_from_disk(&self, api_group: Option<u32>) -> (Result<Loaded, Problems>, Recording) {
        let disk = DiskSources::new(api_group);
        let recorder = Recorder::new(&disk);
        let result = self.load(&recorder);
        (result, recorder.finish())
    }
}

/// For programs with an instance for each of them.
fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1))
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Loader {
    orders: Sender<Purpose>,
}

impl Loader {
    /// `applied`: what the plan is from, where that was read just now.
    pub(super) fn start(
        reader: Reader,
        api_group: Option<u32>,
        applied: Option<Print>,
        inbox: Inbox,
    ) -> io::Result<Self> {
        let (orders, requests) = mpsc::channel::<Purpose>();
        let mut applied = applied.map(|print| (print, cpus()));
        std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            crate::linux::proc::be_modest();
            for purpose in requests {
                // The watch hints too often, and once for nothing at each start.
                let seen = applied.as_ref().filter(|_| matches!(purpose, Purpose::Watch));
                if seen.is_some_and(|(print, there)| {
                    *there == cpus() && print.fits(&DiskSources::new(api_group))
                }) {
                    continue;
                }
                let (result, recording) = reader.load_from_disk(api_group);
                if let Ok(loaded) = &result {
                    budget::make_room(&loaded.plan);
                }
                if !matches!(purpose, Purpose::Diff(_)) {
                    // One that is not valid is read again: what could not be had is not in the recording.
                    applied = result.is_ok().then(|| (recording.print(), cpus()));
                }
                inbox.send(Message::Loaded(Box::new(LoadOutcome { purpose, result, recording })));
            }
        })?;
        Ok(Self { orders })
    }

    /// Reads, and answers by [`Message::Loaded`].
    pub(super) fn load(&self, purpose: Purpose) {
        let _ended = self.orders.send(purpose);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::daemon::inbox::{Mailbox, inbox};

    /// What the loader read for, and whether that was valid.
    fn next(mailbox: &mut Mailbox) -> (String, bool) {
        let Some(Message::Loaded(outcome)) = mailbox.next(None) else { panic!("no reading") };
        let purpose = match outcome.purpose {
            Purpose::Asked(who) => who,
            other => format!("{other:?}"),
        };
        (purpose, outcome.result.is_ok())
    }

    #[test]
    fn the_watch_has_nothing_read_twice_but_what_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sppm.yaml");
        let reader = Reader { path: path.clone(), environment: Arc::default() };
        let (inbox, mut mailbox) = inbox().unwrap();
        let loader = Loader::start(reader, None, None, inbox).unwrap();
        let (valid, invalid) = ("programs: {a: {command: [sleep]}}", "programs: 7");
        // Whether the watch's hint leads to a reading, and that to a plan: somebody else's comes after it in any case.
        let mut hint = |text: &str, name: &str| {
            std::fs::write(&path, text).unwrap();
            loader.load(Purpose::Watch);
            loader.load(Purpose::Asked(name.to_owned()));
            let (purpose, ok) = next(&mut mailbox);
            let read = purpose != name;
            if read {
                assert_eq!((purpose.as_str(), next(&mut mailbox).0.as_str()), ("Watch", name));
            }
            (read, ok)
        };
        assert_eq!(hint(valid, "first"), (true, true));
        assert_eq!(hint(valid, "the same"), (false, true));
        assert_eq!(hint(invalid, "another"), (true, false));
        assert_eq!(hint(invalid, "the same, not valid"), (true, false));
        assert_eq!(hint(valid, "the first again"), (true, true));
    }
}
