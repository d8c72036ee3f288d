//! The pump with real pipes and files. One file per promise; this one holds what they share.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod flood;
mod following;
mod rest;
mod rotation;
mod trouble;

use super::*;
use rustix::pipe::PipeFlags;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing here takes so long.
const SOON: Duration = Duration::from_secs(20);

struct World {
    _guard: tempfile::TempDir,
    base: PathBuf,
    logger: Logger,
    events: Receiver<LogEvent>,
}

impl World {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        let (sender, events) = channel();
        let logger = Logger::start(move |event| sender.send(event).unwrap_or_default()).unwrap();
        Self { _guard: guard, base, logger, events }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// A run with one pipe whose other end is returned.
    fn attach(&self, number: u128, label: &str, sink: SinkSettings) -> File {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        let label = InstanceLabel::recorded(label);
        let output = Output { stream: LogStream::Stdout, pipe: read, sink };
        self.logger.attach(RunId::from_bits(number), label, vec![output]);
        self.logger.tell();
        File::from(write)
    }

    /// Waits until all that was written before is in its sink.
    fn drain(&self, number: u128) {
        let run = RunId::from_bits(number);
        self.logger.drain(run);
        self.until(|event| matches!(event, LogEvent::Drained { run: other, .. } if *other == run));
    }

    fn until(&self, wanted: impl Fn(&LogEvent) -> bool) -> LogEvent {
        loop {
            let event = self.events.recv_timeout(SOON).expect("the event never came");
            if wanted(&event) {
                return event;
            }
        }
    }

    fn trouble(&self) -> String {
        match self.until(|event| matches!(event, LogEvent::Trouble { .. })) {
            LogEvent::Trouble { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.logger.stop();
    }
}

/// A follower that never leaves by itself.
impl<F: FnMut(&FollowItem) -> FollowVerdict + Send> FollowSink for F {
    fn offer(&mut self, item: &FollowItem) -> FollowVerdict {
        self(item)
    }

    fn wait(&mut self) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// The log's files, oldest first.
fn files(log: &Path) -> Vec<Vec<u8>> {
    let rotated = (1..1000).map(|number| rotate::numbered(log, number));
    let mut all: Vec<Vec<u8>> =
        std::iter::once(log.to_owned()).chain(rotated).map_while(|path| std::fs::read(path).ok()).collect();
    all.reverse();
    all
}

fn sizes(path: &Path, max_size: u64, max_files: u32) -> SinkSettings {
    SinkSettings::file(path.to_owned(), max_size, max_files)
}

/// Runs an ignored test of this crate in a process of its own, behind a shell's preparation ending in `exec "$@"`;
/// what it said.
fn alone(module: &str, test: &str, shell: &str) -> String {
    let name = format!("{}::{test}", module.split_once("::").unwrap().1);
    let done = std::process::Command::new("sh")
        .args(["-c", shell, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    said
}
