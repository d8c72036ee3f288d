//! Tasks under a kernel lock: busy is who holds an exclusive flock(2) on the file `$SPPM_LOCK`.

use super::stop::{Ends, Wanted};
use super::{environment, locked, rest, stop};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

/// When this process let its last task go.
static LET_GO: Mutex<Option<Instant>> = Mutex::new(None);

/// A task in hand, under the kernel lock: busy until it is dropped. Made by [`flock_task`].
#[derive(Debug)]
#[must_use = "the task ends when this is dropped: bind it, `let _task = …`"]
pub struct FlockTask {
    file: Option<File>,
}

/// Begins a task under the kernel lock: waits until nobody else holds it. `None`: a stop is wanted, begin nothing.
///
/// For a stop the supervisor takes the same lock itself (`working_lock: { kind: flock }`, or `auto`); who waits for it
/// meanwhile is told over `$SPPM_SOCKET` and leaves here. Between two tasks a millisecond is left in which another gets
/// the lock: flock(2) has no queue. The lock dies with this process. Not to be nested, and not to be mixed with
/// [`task`](super::task) or [`working_lock`](super::working_lock), which replace the file. Without a supervisor there is
/// no lock to wait for.
///
/// ```
/// while let Some(_task) = sppm::client::flock_task() {
///     // … the work …
///     # break;
/// }
/// ```
pub fn flock_task() -> Option<FlockTask> {
    let wanted = stop::listen();
    if wanted.get().is_some() {
        return None;
    }
    if let Some(at) = *locked(&LET_GO) {
        rest::until_seen(at);
    }
    match environment::path("SPPM_LOCK") {
        Some(path) => take(&path, wanted),
        None => Some(FlockTask { file: None }),
    }
}

/// The same with the lock and the stops of a test. A file that cannot be opened protects nothing, and is no error.
pub(super) fn take(path: &Path, wanted: &Wanted) -> Option<FlockTask> {
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return Some(FlockTask { file: None });
    };
    match file.try_lock() {
        Ok(()) => Some(FlockTask { file: Some(file) }),
        Err(TryLockError::WouldBlock) => wait(file, wanted),
        Err(TryLockError::Error(_)) => Some(FlockTask { file: None }),
    }
}

impl Drop for FlockTask {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Said, not only closed: a child that is being started has the same lock until it executes something.
            // An error has no cure, and the close that follows lets it go as well.
            let _closed_anyway = file.unlock();
            *locked(&LET_GO) = Some(Instant::now());
        }
    }
}

/// A wait for the lock that a stop can end. The call that blocks is made by a thread of its own.
struct Wait {
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Waits,
    /// The thread has it; or the kernel refused.
    Done(io::Result<File>),
    /// Nobody waits any more: the thread gives it back when it gets it.
    Left,
}

impl Ends for Wait {
    fn end(&self) {
        let mut state = locked(&self.state);
        if matches!(*state, State::Waits) {
            *state = State::Left;
        }
        drop(state);
        self.changed.notify_all();
    }
}

fn wait(file: File, wanted: &Wanted) -> Option<FlockTask> {
    let wait = Arc::new(Wait { state: Mutex::new(State::Waits), changed: Condvar::new() });
    let ends: Weak<dyn Ends> = Arc::downgrade(&(Arc::clone(&wait) as Arc<dyn Ends>));
    let other = Arc::clone(&wait);
    let thread = std::thread::Builder::new().name("sppm-flock".to_owned());
    if thread.spawn(move || other.block(file)).is_err() {
        return Some(FlockTask { file: None }); // no threads left: there is no better answer than an unprotected task
    }
    wanted.tell(ends);
    let mut state = locked(&wait.state);
    loop {
        match std::mem::replace(&mut *state, State::Left) {
            State::Left => return None,
            State::Done(got) => return Some(FlockTask { file: got.ok() }),
            State::Waits => *state = State::Waits,
        }
        state = wait.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Wait {
    fn block(&self, file: File) {
        let got = loop {
            match file.lock() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                got => break got,
            }
        };
        let mut state = locked(&self.state);
        if matches!(*state, State::Waits) {
            *state = State::Done(got.map(|()| file));
            self.changed.notify_all();
        }
    }
}
