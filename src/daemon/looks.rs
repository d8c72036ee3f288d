//! Answers to `status`, with what is busy: files are looked at on a thread of its own, since a disk can be slow. What the decision
//! thread knows comes in parts, so that the first are looked at and written while it gathers the last.

use super::hearing::Hearing;
use super::status;
use super::wall::Wall;
use crate::control::request::{Answer, Reply};
use crate::control::wire::{
    Detail, ErrorDto, ErrorKind, InstanceDto, ProgramDto, SupervisorDto, WrittenStatus,
};
use crate::linux::locks::Locks;
use crate::linux::tree::Root;
use crate::model::{InstanceLabel, LockKind, LockPath, Moment, Program, Slot};
use crate::supervisor::ProgramStatus;
use crate::talk::{Places, Untouched};
use crate::work::{Board, Glance, Launch, Reading, look};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

/// What is needed to look at a run's work from elsewhere.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) root: Root,
    pub(super) slot: Slot,
    pub(super) label: InstanceLabel,
    pub(super) spec: Arc<Program>,
    pub(super) launch: Launch,
    /// Its own lock, open, and as it was made.
    pub(super) untouched: Option<(Arc<OwnedFd>, Untouched)>,
}

impl Sight {
    /// The working lock, and whether it is not in the run's own folder.
    pub(super) fn lock(&self, base: &Path) -> (PathBuf, bool) {
        match &self.spec.work.path {
            LockPath::Own => (Places::of(base, &self.label, false).lock, false),
            LockPath::At(path) => (PathBuf::from(path.fill(&self.slot, &self.label)), true),
        }
    }

    pub(super) fn glance<'a>(&'a self, keeper: u32, (lock, custom): &'a (PathBuf, bool)) -> Glance<'a> {
        let Self { root, spec, launch, .. } = self;
        Glance { root, keeper, lock, custom: *custom, kind: spec.work.kind, launch: *launch }
    }
}

/// A program as the decision thread knows it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) status: ProgramStatus,
    pub(super) spec: Option<Arc<Program>>,
    /// Which of its instances, in order, and how to look at it.
    pub(super) sights: Vec<(usize, Sight)>,
}

/// What is to be answered.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) supervisor: SupervisorDto,
    pub(super) detail: Detail,
    /// How many programs there will be.
    pub(super) expected: usize,
    pub(super) now: Moment,
    pub(super) wall: Wall,
    pub(super) reply: Reply,
}

#[derive(Debug)]
enum Order {
    Begin(Box<Question>),
    Rows(Vec<Row>),
    End,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Looker {
    orders: Sender<Order>,
}

/// What the thread has at hand.
pub(super) struct Eyes {
    pub(super) board: Board,
    pub(super) hearing: Hearing,
    /// `runtime_dir/i`.
    pub(super) base: PathBuf,
    pub(super) keeper: u32,
}

impl Looker {
    pub(super) fn start(eyes: Eyes) -> io::Result<Self> {
        let (orders, requests) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("looks".to_owned()).spawn(move || {
            while let Ok(order) = requests.recv() {
                if let Order::Begin(question) = order {
                    eyes.answer(*question, &requests);
                }
            }
        })?;
        Ok(Self { orders })
    }

    /// Begins an answer. The parts follow, and [`Looker::end`].
    pub(super) fn begin(&self, question: Question) {
        self.order(Order::Begin(Box::new(question)));
    }

    pub(super) fn part(&self, rows: Vec<Row>) {
        self.order(Order::Rows(rows));
    }

    pub(super) fn end(&self) {
        self.order(Order::End);
    }

    fn order(&self, order: Order) {
        let _ended = self.orders.send(order);
    }
}

impl Eyes {
    fn answer(&self, question: Question, parts: &Receiver<Order>) {
        let Question { supervisor, detail, expected, now, wall, reply } = question;
        let locks = Locks::read();
        let mut written = WrittenStatus::new(&supervisor, detail, expected);
        while let Ok(Order::Rows(rows)) = parts.recv() {
            for row in rows {
                let program = self.see(&row, now, &wall, &locks);
                written = written.and_then(|mut written| written.push(&program).map(|()| written));
            }
        }
        match written {
            Ok(written) => reply.send(Answer::Status(written)),
            Err(error) => {
                let message = format!("the answer cannot be written: {error}");
                reply.refuse(ErrorDto::new(ErrorKind::Failed, message));
            }
        }
    }

    fn see(&self, row: &Row, now: Moment, wall: &Wall, locks: &Locks) -> ProgramDto {
        let mut program = status::program(&row.status, row.spec.as_deref(), now, wall);
        for (instance, sight) in &row.sights {
            if let Some(dto) = program.instances.get_mut(*instance) {
                fill(dto, self.reading(sight, locks), wall);
                let words = self.hearing.words(sight.root.run);
                dto.complaint = words.complaint();
                dto.says = words.status;
            }
        }
        program
    }

    /// Most never say anything of their work: of such a one nothing was heard, and its lock is as it was made.
    fn reading(&self, sight: &Sight, locks: &Locks) -> Reading {
        let blank = sight.untouched.as_ref().filter(|_| self.board.is_blank(sight.root.run));
        let file = blank.and_then(|(file, untouched)| untouched.still(file));
        let flocked = match sight.spec.work.kind {
            LockKind::State => Some(false),
            LockKind::Auto | LockKind::Flock => file.and_then(|file| locks.exclusive(file, &self.base)),
        };
        match (file, flocked) {
            (Some(_), Some(false)) => Reading::Idle,
            _ => look(&sight.glance(self.keeper, &sight.lock(&self.base)), &self.board, locks),
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
