//! One launch: pipes, fork, and the entry that comes of it. Never waits: what the child does until exec is told later.

use super::link::{Ends, Identity, LaunchOrder, Output, ProcessFds, Stage};
use super::table::{Entry, Paths, Progress};
use crate::linux::child_setup::{self, Failure, Input, Rights, Setup};
use crate::linux::low::{Seat, Seats};
use crate::model::{LaunchStage, RunId};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A pipe for output.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Starts what the order says. A failure is an entry too: it must be told, over a take-over if need be.
pub(super) fn launch(mut order: Box<LaunchOrder>, soft_open_files: Option<u64>, seats: &mut Seats) -> Entry {
    let mut seat = seats.take();
    let launched = try_launch(&order, soft_open_files, seats.null(), seat.as_mut());
    match launched {
        Ok((pid, report, fds)) => {
            let Ends { notify, sd, lock } = std::mem::take(&mut order.ends);
            // Nobody shares them: they came with the order.
            let [notify, sd, lock] = [notify, sd, lock].map(|end| end.and_then(Arc::into_inner));
            let fds = ProcessFds { notify, sd, lock, ..fds };
            let paths = Paths::of(&mut order);
            // A copy: what is kept for long must not lie in the middle of the order, which goes. Of a thousand orders
            // that wait, each would hold on to its whole page.
            let tag = order.tag.clone();
            Entry::new(order.run, tag, pid, Progress::Starting { report, paths, seat }, Some(fds))
        }
        Err(failure) => {
            seat.into_iter().for_each(|seat| seats.give_back(seat));
            failed(order.run, order.tag, failure.stage, failure.errno)
        }
    }
}

/// The entry of a launch that did not even get a process.
pub(super) fn failed(run: RunId, tag: Vec<u8>, stage: LaunchStage, errno: i32) -> Entry {
    let failure = Stage::Failed { stage, errno, path: None };
    Entry::new(run, tag, 0, Progress::Failed(failure), None)
}

fn try_launch(
    order: &LaunchOrder,
    soft_open_files: Option<u64>,
    null: Option<BorrowedFd<'_>>,
    seat: Option<&mut Seat>,
) -> Result<(u32, OwnedFd, ProcessFds), Failure> {
    let identity = order.identity.as_ref().filter(|identity| !is_already(identity));
    let prepare = |error: io::Error| Failure {
        stage: LaunchStage::Prepare,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        candidate: 0,
    };
    let stdout = pipe_for(identity).map_err(prepare)?;
    let stderr = match order.output {
        Output::Merged => None,
        Output::Apart => Some(pipe_for(identity).map_err(prepare)?),
    };
    let error_end = stderr.as_ref().unwrap_or(&stdout).write.as_fd();
    let setup = Setup {
        argv: &order.argv,
        candidates: &order.candidates,
        environment: &order.environment,
        directory: Some(&order.directory),
        rights: identity.map(|identity| Rights {
            uid: identity.uid,
            gid: identity.gid,
            groups: &identity.groups,
        }),
        umask: Some(order.umask),
        rlimits: &order.rlimits,
        soft_open_files,
        nice: order.nice,
        oom_score_adj: order.oom_score_adj,
        cgroup: order.cgroup.as_deref(),
        stdin: match (&order.stdin, null) {
            (Some(path), _) => Input::File(path),
            (None, Some(null)) => Input::Open(null),
            (None, None) => Input::File(c"/dev/null"),
        },
        output: Some((stdout.write.as_fd(), error_end)),
        handed: None,
    };
    let spawned = child_setup::spawn(&setup, seat)?;
    let fds = ProcessFds {
        pidfd: spawned.pidfd,
        stdout: stdout.read,
        stderr: stderr.map(|pipe| pipe.read),
        notify: None,
        sd: None,
        lock: None,
    };
    Ok((spawned.pid, spawned.report, fds))
}

/// Without root's rights the only user that one can become is the one that one is.
fn is_already(identity: &Identity) -> bool {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    !uid.is_root() && (uid.as_raw(), gid.as_raw()) == (identity.uid, identity.gid)
}

/// A pipe that belongs to the program's user: else it could not open /dev/stdout. The program's end can be read, too: who holds
/// a reader gets no EPIPE when the keeper and the supervisor die. Without /proc the plain write end must do.
fn pipe_for(identity: Option<&Identity>) -> io::Result<Pipe> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    if let Some(identity) = identity {
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        // Where this fails (a user namespace without that id) the identity step fails too, and says so.
        let _ = rustix::fs::fchown(&write, Some(uid), Some(gid));
    }
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let both_ways = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty());
    Ok(Pipe { read, write: both_ways.unwrap_or(write) })
}
