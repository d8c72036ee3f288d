//! What a follower is told of the past, on a thread of its own: a log may be large, its disk slow, its reader slower.
//!
//! In: where each source's log ended when the follower came. Out: lines offered to the follower, a block of the file in
//! memory at a time; then the follower goes back to the pump, which has kept what came meanwhile. Never add here: new
//! lines.

use super::line::Framer;
use super::settings::{FollowItem, FollowSink, FollowVerdict};
use super::tail::{self, End};
use crate::model::{InstanceLabel, LogStream};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// The thread needs little.
const STACK: usize = 256 * 1024;

/// One source's past.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) stream: (InstanceLabel, LogStream),
    pub(super) path: PathBuf,
    pub(super) end: End,
    /// So many lines, and so many bytes at most.
    pub(super) lines: usize,
    pub(super) bytes: u64,
    /// What a pipe holds of a begun line: it comes whole when it is ended, so it is no history.
    pub(super) partial: Vec<u8>,
}

/// Tells `sink` all of it, then gives it to `done`; not where it has left.
///
/// # Errors
/// There is no thread to be had, and the sink is dropped.
pub(super) fn tell(
    pasts: Vec<Past>,
    mut sink: Box<dyn FollowSink>,
    done: impl FnOnce(Option<Box<dyn FollowSink>>) + Send + 'static,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("history".into()).stack_size(STACK);
    thread
        .spawn(move || {
            crate::linux::proc::be_modest();
            let told = pasts.into_iter().try_for_each(|past| past.tell(&mut *sink));
            done(told.is_continue().then_some(sink));
        })
        .map(drop)
}

/// Offers until it is taken. Break: the receiver has left.
pub(super) fn give(sink: &mut dyn FollowSink, item: &FollowItem) -> ControlFlow<()> {
    loop {
        match sink.offer(item) {
            FollowVerdict::Taken => return ControlFlow::Continue(()),
            FollowVerdict::Stop => return ControlFlow::Break(()),
            FollowVerdict::Full => sink.wait(),
        }
    }
}

impl Past {
    fn tell(self, sink: &mut dyn FollowSink) -> ControlFlow<()> {
        let Self { stream, path, end, lines, bytes, partial } = self;
        // A log that cannot be read has no history: the pump says what is wrong with it.
        let Ok(stretch) = tail::stretch(&path, &end, lines, bytes) else { return ControlFlow::Continue(()) };
        let item = |text: &[u8], complete| FollowItem::Line {
            label: stream.0.clone(),
            stream: stream.1,
            text: text.to_vec(),
            complete,
        };
        let (mut framer, mut told) = (Framer::default(), ControlFlow::Continue(()));
        let _unreadable = stretch.read(&mut |block| {
            framer.feed(block, &mut |text, complete| {
                if told.is_continue() {
                    told = give(sink, &item(text, complete));
                }
            });
            told
        });
        told?;
        let unfinished = framer.partial();
        // Where the two differ, another writer of the same file has begun a line: each comes with its own stream.
        let told_later = if unfinished.ends_with(&partial) { partial.len() } else { unfinished.len() };
        match &unfinished[..unfinished.len() - told_later] {
            [] => ControlFlow::Continue(()),
            now => give(sink, &item(now, false)),
        }
    }
}
