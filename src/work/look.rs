//! One reading for those who ask. It holds nothing, waits for nothing, and takes no lock.

use super::board::{Board, Busy};
use super::judge::{Facts, Launch, Memory, Now, Told, Verdict};
use super::kin;
use super::state::{self, Content};
use crate::linux::locks::Locks;
use crate::linux::tree::Root;
use crate::model::{LockKind, Moment};
use std::path::Path;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    /// The run and its tree.
    pub root: &'a Root,
    /// Who orphans of runs come to.
    pub keeper: u32,
    /// The working lock.
    pub lock: &'a Path,
    /// It is not in the run's own folder: it may be older than the run.
    pub custom: bool,
    /// What of it counts.
    pub kind: LockKind,
    /// When the run was launched.
    pub launch: Launch,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// No source says that it is busy.
    Idle,
    /// One does.
    Busy(Busy),
    /// It cannot be told; why, for people.
    Unknown(String),
}

/// How often a file in the middle of a change is read again at once: writers need microseconds.
const TRIES: usize = 5;

/// Looks at all sources. For a file that was never written it costs one stat(2). `locks` may serve many looks.
///
/// It blocks where the file system does: not for the decision thread.
pub fn look(glance: &Glance<'_>, board: &Board, locks: &Locks) -> Reading {
    let run = glance.root.run;
    let mut memory = board.memory(run);
    let (mut verdict, mut content) = by_file(glance, &mut memory);
    for _ in 1..TRIES {
        if !matches!(verdict.told, Told::Undecided { known: false, .. }) {
            break;
        }
        std::thread::yield_now();
        (verdict, content) = by_file(glance, &mut memory);
    }
    let flock = flocked(glance, &content, locks);
    let held = memory.flock(flock == Some(true), Now::read().moment);
    board.remember(run, memory);
    let state = match &verdict.told {
        Told::Busy(busy, _) => Some(busy.clone()),
        Told::Undecided { busy, .. } => busy.clone(),
        Told::Idle(_) => None,
    };
    if let Some(busy) = all(board.look(run).busy, [state, held]) {
        return Reading::Busy(busy);
    }
    match (verdict, flock) {
        (Verdict { trouble: Some(text), .. }, _) => Reading::Unknown(text),
        (Verdict { told: Told::Undecided { known: false, .. }, .. }, _) => {
            Reading::Unknown("its working lock is being written".to_owned())
        }
        (_, None) => Reading::Unknown("locks on its working lock cannot be seen from here".to_owned()),
        (_, Some(_)) => Reading::Idle,
    }
}

/// When its lock's file was last written, where that was since the launch: as good as a beat.
pub fn rewritten(glance: &Glance<'_>) -> Option<Moment> {
    let Content::Present(stamp) = state::read(glance.lock, false) else { return None };
    let now = Now::read();
    let old = glance.launch.is_after(stamp.modified, now);
    (!old).then(|| now.moment_of(stamp.modified, glance.launch))
}

/// The oldest beginning, and what the board says it is.
pub(super) fn all<const N: usize>(marked: Option<Busy>, others: [Option<Busy>; N]) -> Option<Busy> {
    let what = marked.as_ref().and_then(|busy| busy.what.clone());
    let since = marked.iter().chain(others.iter().flatten()).map(|busy| busy.since).min()?;
    Some(Busy { since, what })
}

/// What the file itself says. With `kind: flock` its content is not asked.
pub(super) fn by_file(glance: &Glance<'_>, memory: &mut Memory) -> (Verdict, Content) {
    let content = state::read(glance.lock, glance.kind != LockKind::Flock);
    if glance.kind == LockKind::Flock && !matches!(content, Content::Refused(_) | Content::Failed(_)) {
        return (Told::Idle(None).into(), content);
    }
    let facts = Facts {
        launch: glance.launch,
        custom: glance.custom,
        now: Now::read(),
        find: &mut |pid| kin::find(glance.root, glance.keeper, pid),
    };
    (memory.judge(&content, facts), content)
}

/// Whether somebody holds its flock; `None`: that cannot be seen.
fn flocked(glance: &Glance<'_>, content: &Content, locks: &Locks) -> Option<bool> {
    match (glance.kind, content.file()) {
        (LockKind::State, _) | (_, None) => Some(false),
        (LockKind::Auto | LockKind::Flock, Some(file)) => {
            locks.exclusive(file, glance.lock.parent().unwrap_or(Path::new("/")))
        }
    }
}
