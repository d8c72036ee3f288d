//! Answers to `status`, with what is busy: files are looked at on a thread of its own, since a disk can be slow.

use crate::control::request::{Answer, Reply};
use crate::control::wire::{InstanceDto, StatusDto};
use crate::linux::locks::Locks;
use crate::linux::tree::Root;
use crate::model::LockKind;
use crate::work::{Board, Glance, Launch, Reading, look};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};

use super::hearing::Words;
use super::wall::Wall;

/// What is needed to look at a run's work from elsewhere.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) root: Root,
    pub(super) keeper: u32,
    pub(super) lock: PathBuf,
    pub(super) custom: bool,
    pub(super) kind: LockKind,
    pub(super) launch: Launch,
    /// What it has said for people.
    pub(super) words: Words,
}

impl Sight {
    pub(super) fn glance(&self) -> Glance<'_> {
        let Self { root, keeper, lock, custom, kind, launch, words: _ } = self;
        Glance { root, keeper: *keeper, lock, custom: *custom, kind: *kind, launch: *launch }
    }
}

/// An answer that lacks what only a look can tell.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) status: StatusDto,
    /// Which instance of which program, in order, and how to look at it.
    pub(super) sights: Vec<(usize, usize, Sight)>,
    pub(super) reply: Reply,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Looker {
    orders: Sender<Unseen>,
}

impl Looker {
    pub(super) fn start(board: Board) -> io::Result<Self> {
        let (orders, requests) = mpsc::channel::<Unseen>();
        std::thread::Builder::new().name("looks".to_owned()).spawn(move || {
            for mut unseen in requests {
                see(&board, &mut unseen);
                unseen.reply.send(Answer::Status(Box::new(unseen.status)));
            }
        })?;
        Ok(Self { orders })
    }

    /// Looks, and answers.
    pub(super) fn look(&self, unseen: Unseen) {
        let _ended = self.orders.send(unseen);
    }
}

fn see(board: &Board, unseen: &mut Unseen) {
    if unseen.sights.is_empty() {
        return;
    }
    let locks = Locks::read();
    let wall = Wall::read();
    for (program, instance, sight) in &unseen.sights {
        let found = unseen.status.programs.get_mut(*program).and_then(|one| one.instances.get_mut(*instance));
        if let Some(dto) = found {
            fill(dto, look(&sight.glance(), board, &locks), &wall);
            dto.says.clone_from(&sight.words.status);
            dto.complaint = sight.words.complaint();
        }
    }
}

fn fill(dto: &mut InstanceDto, reading: Reading, wall: &Wall) {
    let (busy, since, what) = match reading {
        Reading::Idle => (Some(false), None, None),
        Reading::Busy(busy) => (Some(true), Some(wall.stamp(busy.since)), busy.what),
        Reading::Unknown(text) => (None, None, Some(text)),
    };
    dto.busy = busy;
    dto.busy_since = since;
    dto.busy_what = what;
}
