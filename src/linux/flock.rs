//! Whole-file locks (flock(2)): tried, given back, and waited for in a thread whose wait can be ended.
//!
//! The lock belongs to the open file, not to the descriptor: duplicates share it, in other processes too, and one
//! `LOCK_UN` takes it from all of them. Never add here: which files are locked, and why.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Takes the lock as a reader, which is refused while somebody holds it exclusively and keeps everybody from doing so.
/// Returns whether it was got.
///
/// # Errors
/// ENOLCK, and where the file system has no such locks.
pub fn try_shared(file: impl AsFd) -> io::Result<bool> {
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives the lock back, for all duplicates of the descriptor. Closing it would not: a fork in flight may have one.
pub fn unlock(file: impl AsFd) {
    // It cannot fail on an open file; without a lock it does nothing.
    while flock(&file, FlockOperation::Unlock) == Err(Errno::INTR) {}
}

/// How a wait stands.
#[derive(Debug)]
enum Stage {
    Waiting,
    /// Nobody wants it any more.
    Left,
    /// It has ended; `Err`: without the lock.
    Over(io::Result<()>),
}

#[derive(Debug)]
struct Shared {
    stage: Mutex<Stage>,
    over: Condvar,
}

impl Shared {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that waits for a lock as a reader. Dropping it ends the wait and gives the lock back.
#[derive(Debug)]
pub struct Taker {
    file: Arc<OwnedFd>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Taker {
    /// How long the end of a wait is waited for. Only a file system that does not let go of a sleeper takes longer; the
    /// thread then ends, and gives the lock back, whenever it does.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Begins to wait. `told` is called once, on the thread, when the wait has ended and nobody called it off.
    ///
    /// # Errors
    /// EAGAIN: no more threads.
    pub fn start(file: Arc<OwnedFd>, told: Box<dyn FnOnce() + Send>) -> io::Result<Self> {
        install_handler()?;
        let shared = Arc::new(Shared { stage: Mutex::new(Stage::Waiting), over: Condvar::new() });
        let (own, at) = (Arc::clone(&shared), Arc::clone(&file));
        let thread = std::thread::Builder::new()
            .name("flock".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || wait(&at, &own, told))?;
        Ok(Self { file, shared, thread: Some(thread) })
    }

    /// Whether the wait is over: with the lock, or with the error that ended it. `None`: it goes on.
    ///
    /// # Errors
    /// As flock(2): ENOLCK and the like.
    pub fn outcome(&self) -> io::Result<Option<()>> {
        match &*self.shared.stage() {
            Stage::Waiting | Stage::Left => Ok(None),
            Stage::Over(Ok(())) => Ok(Some(())),
            Stage::Over(Err(error)) => {
                Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))
            }
        }
    }

    /// Takes the lock over from a wait that was successful; its file stays locked. `None`: it was not.
    pub fn into_held(mut self) -> Option<Arc<OwnedFd>> {
        if !matches!(self.outcome(), Ok(Some(()))) {
            return None;
        }
        if let Some(thread) = self.thread.take() {
            // It has nothing left to do but to end.
            let _ = thread.join();
        }
        Some(Arc::clone(&self.file))
    }

    /// A signal just before the call that sleeps is lost on it, so it is sent until the thread says that it heard.
    fn call_off(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut stage = self.shared.stage();
        if matches!(*stage, Stage::Waiting) {
            *stage = Stage::Left;
        }
        let begun = Instant::now();
        let mut pause = Duration::from_micros(100);
        while !matches!(*stage, Stage::Over(_)) && begun.elapsed() < Self::PATIENCE {
            kick(&thread);
            let (next, _) =
                self.shared.over.wait_timeout(stage, pause).unwrap_or_else(PoisonError::into_inner);
            stage = next;
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        let over = matches!(*stage, Stage::Over(_));
        drop(stage);
        if over {
            let _ = thread.join();
        }
        unlock(&self.file);
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.call_off();
    }
}

fn wait(file: &OwnedFd, shared: &Shared, told: Box<dyn FnOnce() + Send>) {
    only_kicks();
    let outcome = loop {
        if matches!(*shared.stage(), Stage::Left) {
            break Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        match flock(file, FlockOperation::LockShared) {
            Ok(()) => break Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => break Err(error.into()),
        }
    };
    let mut stage = shared.stage();
    let left = matches!(*stage, Stage::Left);
    if left {
        unlock(file);
    }
    *stage = Stage::Over(outcome);
    shared.over.notify_all();
    drop(stage);
    if !left {
        told();
    }
}

/// The signal that ends a wait. Nobody else's: it is for sockets with urgent data, which nobody asks for, and ignored
/// where it has no handler.
const KICK: nix::sys::signal::Signal = nix::sys::signal::Signal::SIGURG;

/// Other signals of the process are for threads that expect them.
fn only_kicks() {
    use nix::sys::signal::SigSet;
    let mut others = SigSet::all();
    others.remove(KICK);
    // With a mask that stays as it was, only the other signals' handlers would run here.
    let _ = others.thread_set_mask();
}

extern "C" fn on_kick(_signal: libc::c_int) {}

/// Without SA_RESTART: the call that sleeps ends with EINTR.
fn install_handler() -> io::Result<()> {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let action = SigAction::new(SigHandler::Handler(on_kick), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, so it may run anywhere.
        unsafe { sigaction(KICK, &action) }.map(drop).map_err(|error| error as i32)
    });
    installed.map_err(io::Error::from_raw_os_error)
}

fn kick(thread: &JoinHandle<()>) {
    // SAFETY: the thread was neither joined nor detached (its handle is there), so its id is valid even when it has ended.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), KICK as libc::c_int) };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs::File;
    use std::path::Path;
    use std::sync::mpsc;

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    fn is_free(path: &Path) -> bool {
        flock(open(path), FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    #[test]
    fn a_reader_keeps_writers_out_and_other_readers_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (one, two) = (open(&path), open(&path));
        assert!(try_shared(&one).unwrap() && try_shared(&two).unwrap());
        assert!(!is_free(&path));
        let duplicate = one.try_clone().unwrap();
        unlock(&one);
        unlock(&two);
        assert!(is_free(&path));
        drop(duplicate);
        flock(&two, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(!try_shared(&one).unwrap());
    }

    #[test]
    fn a_wait_ends_with_the_lock_when_its_holder_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut holder = std::process::Command::new("flock")
            .arg("-x")
            .arg(&path)
            .args(["sh", "-c", "echo; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let file: Arc<OwnedFd> = Arc::new(open(&path).into());
        let (tell, told) = mpsc::channel();
        let taker = Taker::start(Arc::clone(&file), Box::new(move || tell.send(()).unwrap())).unwrap();
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
        assert!(taker.outcome().unwrap().is_none());
        // The command that flock(1) started has the descriptor too.
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let child: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
        holder.kill().unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        let held = taker.into_held().unwrap();
        assert!(!is_free(&path));
        unlock(&held);
        assert!(is_free(&path));
        holder.wait().unwrap();
    }

    #[test]
    fn a_thousand_waits_are_called_off_at_once_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holder = open(&path);
        flock(&holder, FlockOperation::LockExclusive).unwrap();
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        for round in 0..1_000_u32 {
            let file: Arc<OwnedFd> = Arc::new(open(&path).into());
            let taker = Taker::start(file, Box::new(|| unreachable!("nobody gave it the lock"))).unwrap();
            // Before the thread runs, on its way into the call, and asleep in it.
            for _ in 0..(round % 50) * 200 {
                std::hint::spin_loop();
            }
            if round % 100 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            let asked = Instant::now();
            drop(taker);
            slowest = slowest.max(asked.elapsed());
        }
        assert!(slowest < Taker::PATIENCE, "{slowest:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        unlock(&holder);
        assert!(is_free(&path));
    }

    #[test]
    fn a_lock_that_came_just_then_is_given_back_when_called_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file: Arc<OwnedFd> = Arc::new(open(&path).into());
        for _ in 0..200 {
            let holder = open(&path);
            flock(&holder, FlockOperation::LockExclusive).unwrap();
            let taker = Taker::start(Arc::clone(&file), Box::new(|| {})).unwrap();
            // A fork in flight has a duplicate as long as this one lives.
            let duplicate = file.try_clone().unwrap();
            unlock(&holder);
            drop(taker);
            assert!(is_free(&path));
            drop(duplicate);
        }
    }
}
