//! The conversation with the supervisor: topics, the shared store, marks of one's own.

use super::connection::{Connection, Lasting, busy_line};
use super::shared::Local;
use super::stop::{self, Ends, Stop};
use super::subscription::{Queue, Subscription};
use super::wire::{self, Answer, ChannelError, Heard};
use super::{environment, locked};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// So long a request waits for its answer, and for a supervisor that is being replaced.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the supervisor that makes itself again when the supervisor is replaced, and then says again what lasts:
/// its subscriptions and its busy mark.
///
/// Clones are the same channel; it may be used by several threads, and is closed when the last clone and the last
/// [`Subscription`] are dropped. Without a supervisor messages are handed to nobody, and the store is its own.
///
/// ```no_run
/// # fn main() -> Result<(), sppm::client::ChannelError> {
/// let channel = sppm::client::Channel::open();
/// for message in channel.subscribe("jobs/*")? {
///     channel.publish("done", &message.data)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Option<Arc<Connection>>,
    listeners: Arc<Listeners>,
    /// Open [`ChannelTask`]s. Held until the mark is there: no second task begins without it.
    tasks: Mutex<usize>,
    local: Local,
    timeout: Duration,
}

type OnStop = Arc<dyn Fn(Stop) + Send + Sync>;

/// Who is told of what comes unasked.
#[derive(Default)]
struct Listeners {
    queues: Mutex<Vec<Weak<Queue>>>,
    on_stop: Mutex<Vec<OnStop>>,
}

impl Listeners {
    fn push(&self, push: Heard<'_>) {
        match push {
            Heard::Message(message) => self.each(|queue| queue.offer(&message)),
            Heard::Missed(count) => self.each(|queue| queue.miss(count)),
            Heard::Stop(stop) => {
                let calls = locked(&self.on_stop).clone();
                for call in calls {
                    // A panic there is the program's own matter, and has been printed; this thread goes on.
                    let _printed = catch_unwind(AssertUnwindSafe(|| call(stop.clone())));
                }
            }
            Heard::Answer(_) => {}
        }
    }

    fn each(&self, act: impl Fn(&Queue)) {
        locked(&self.queues).iter().filter_map(Weak::upgrade).for_each(|queue| act(&queue));
    }
}

impl Channel {
    /// A channel to the supervisor that started this program. It connects at the first request.
    #[must_use]
    pub fn open() -> Self {
        let path = environment::path("SPPM_SOCKET");
        let run = environment::variable("SPPM_RUN").and_then(|run| run.into_string().ok());
        Self::new(path.zip(run), TIMEOUT)
    }

    /// To this socket as this run; `None`: without a supervisor.
    pub(super) fn new(to: Option<(PathBuf, String)>, timeout: Duration) -> Self {
        let listeners = Arc::new(Listeners::default());
        let connection = to.map(|(path, run)| {
            let listeners = Arc::clone(&listeners);
            Connection::new(path, run, Box::new(move |push| listeners.push(push)))
        });
        let (tasks, local) = (Mutex::default(), Local::default());
        Self { inner: Arc::new(Inner { connection, listeners, tasks, local, timeout }) }
    }

    /// Whether there is a supervisor to talk with, reachable or not.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.connection().is_some()
    }

    pub(super) fn connection(&self) -> Option<&Arc<Connection>> {
        self.inner.connection.as_ref()
    }

    pub(super) fn local(&self) -> &Local {
        &self.inner.local
    }

    pub(super) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// Hands `data`, a line of text, to all who subscribed to `topic`; answers to how many.
    ///
    /// # Errors
    /// Where it is no topic, the data is too large or has a line break, or nobody answers: then it may have been
    /// published or not.
    pub fn publish(&self, topic: &str, data: &str) -> Result<u64, ChannelError> {
        let (topic, data) = (wire::name(topic)?, wire::data(data)?);
        let Some(connection) = self.connection() else { return Ok(0) };
        match connection.ask(&format!("pub {topic} {data}"), "ok", false, self.timeout())? {
            Answer::Good(count) => wire::number(&count),
            Answer::Nothing | Answer::Changed => Ok(0),
        }
    }

    /// What others publish under a topic, or under all that match (`jobs/*`), from now on.
    ///
    /// # Errors
    /// Where it is no pattern, or the supervisor refuses. One that is away is no error: it is told when it is back.
    pub fn subscribe(&self, pattern: &str) -> Result<Subscription, ChannelError> {
        let pattern = wire::pattern(pattern)?;
        let subscription = Subscription { queue: Queue::new(pattern), channel: self.clone() };
        let ends: Weak<dyn Ends> = Arc::downgrade(&(Arc::clone(&subscription.queue) as Arc<dyn Ends>));
        stop::listen().tell(ends);
        if let Some(connection) = self.connection() {
            let queue = Arc::downgrade(&subscription.queue);
            let add = |lasting: &mut Lasting| {
                *lasting.patterns.entry(pattern.to_owned()).or_default() += 1;
                locked(&self.inner.listeners.queues).push(queue);
            };
            match connection.declare(add, &format!("sub {pattern}"), self.timeout()) {
                Ok(()) | Err(ChannelError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(subscription)
    }

    pub(super) fn unsubscribe(&self, queue: &Arc<Queue>) {
        queue.end();
        let Some(connection) = self.connection() else { return };
        let gone = Arc::downgrade(queue);
        locked(&self.inner.listeners.queues).retain(|other| !other.ptr_eq(&gone));
        let remove = |lasting: &mut Lasting| {
            let Some(count) = lasting.patterns.get_mut(&queue.pattern) else { return false };
            *count -= 1;
            let last = *count == 0;
            if last {
                lasting.patterns.remove(&queue.pattern);
            }
            last
        };
        connection.note(remove, &format!("unsub {}", queue.pattern));
    }

    /// Marks this program busy while this channel's connection lives, or until [`idle`](Self::idle); whether it could.
    ///
    /// Where the supervisor is being replaced, the mark is made when it is back.
    pub fn busy(&self, what: &str) -> bool {
        let what = wire::one_line(what);
        let line = busy_line(&what);
        self.mark(Some(what), &line)
    }

    /// Takes the mark back.
    pub fn idle(&self) -> bool {
        self.mark(None, "idle")
    }

    fn mark(&self, what: Option<String>, line: &str) -> bool {
        let Some(connection) = self.connection() else { return false };
        connection.declare(|lasting| lasting.busy = what, line, self.timeout()).is_ok()
    }

    /// As [`task`](super::task), with a mark of this channel: each process of a program may have one of its own.
    ///
    /// ```
    /// let channel = sppm::client::Channel::open();
    /// let task = channel.task("page 7");
    /// drop(task);
    /// ```
    pub fn task(&self, what: &str) -> ChannelTask {
        let mut tasks = locked(&self.inner.tasks);
        *tasks += 1;
        if *tasks == 1 {
            self.busy(what);
        }
        ChannelTask { channel: self.clone() }
    }

    /// Has `call` called, in the channel's thread, when the supervisor wants this program to stop. Returns at once, and does
    /// nothing without a supervisor. [`stop_wanted`](super::stop_wanted) does this by itself.
    ///
    /// `call` must not ask this channel for anything: the thread that would hear the answer is the one that calls it.
    pub fn on_stop(&self, call: impl Fn(Stop) + Send + Sync + 'static) {
        let Some(connection) = self.connection() else { return };
        locked(&self.inner.listeners.on_stop).push(Arc::new(call));
        let wait = |lasting: &mut Lasting| {
            lasting.waits_for_stop = true;
            true
        };
        connection.note(wait, "wait-stop");
        connection.start();
    }

    /// Ends the connection and its mark; subscriptions end too.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
        self.listeners.each(Ends::end);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("available", &self.is_available()).finish_non_exhaustive()
    }
}

/// A task in hand, marked on a channel: busy until it is dropped. Made by [`Channel::task`].
#[derive(Debug)]
#[must_use = "the task ends when this is dropped: bind it, `let _task = …`"]
pub struct ChannelTask {
    channel: Channel,
}

impl Drop for ChannelTask {
    fn drop(&mut self) {
        let mut tasks = locked(&self.channel.inner.tasks);
        *tasks = tasks.saturating_sub(1);
        if *tasks == 0 {
            self.channel.idle();
        }
    }
}
