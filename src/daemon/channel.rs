//! Where the channel of programs meets the rest: its socket, who may use it, what operators ask of it, and what programs
//! say on it as messages of the inbox.

use super::hearing::Hearing;
use super::inheritance::STORE;
use super::options::StartError;
use super::processes::Process;
use crate::channel::{Delivery, Hub, Pattern, Refusal, Server, Subscription, Value, is_name};
use crate::control::request::{Answer, ChannelRequest, MessageItem, Messages, Reply};
use crate::control::wire::{ErrorDto, ErrorKind, KvDto, MessageDto, PublishedDto};
use crate::keeper::link::{HoldFor, Order, Sender};
use crate::linux::proc;
use crate::model::{InstanceLabel, RunId, Saying, StopKind};
use crate::work::Mark;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The socket's name below the runtime folder. As long as that of the control socket, so what is checked for one path holds
/// for the other.
pub(super) const SOCKET: &str = "talk.sock";

/// Who publishes for operators.
const OPERATOR: &str = "operator";

/// So many sayings are on their way to the decision thread at most; whoever says more waits.
const UNDER_WAY: usize = 1024;
/// It waits no longer than this for each: supervision may be slow, but is never blocked.
const PATIENCE: Duration = Duration::from_secs(1);

/// The channel, for the decision thread.
#[derive(Debug)]
pub(super) struct Channel {
    hub: Hub,
    path: PathBuf,
    server: Option<Arc<Server>>,
    turnstile: Turnstile,
    /// The server, for other threads.
    shared: Arc<Mutex<Option<Weak<Server>>>>,
}

impl Channel {
    /// Without its socket yet. The store goes on where the supervisor before left it.
    pub(super) fn new(runtime_dir: &Path, store: Option<OwnedFd>, keeper: &Sender) -> Self {
        let keeper = keeper.clone();
        let hold = Box::new(move |fd| {
            // A keeper that is gone holds nothing; that news is on its way.
            let _ = keeper.send(&Order::Hold { name: STORE.to_owned(), purpose: HoldFor::Keep, fd });
        });
        let hub = Hub::kept(store, hold).unwrap_or_else(|error| {
            tracing::warn!(%error, "the store of programs begins anew, and ends with this supervisor");
            Hub::default()
        });
        Self::with(runtime_dir, hub)
    }

    fn with(runtime_dir: &Path, hub: Hub) -> Self {
        let path = runtime_dir.join(SOCKET);
        Self { hub, path, server: None, turnstile: Turnstile::default(), shared: Arc::default() }
    }

    /// Opens the socket to these processes and to those that are admitted later.
    pub(super) fn open<'a>(
        &mut self,
        processes: impl Iterator<Item = &'a Process>,
        hearing: &Hearing,
    ) -> Result<(), StartError> {
        let (said, left) = (hearing.clone(), hearing.clone());
        let said =
            Box::new(move |run, connection, saying| said.takes(run, Mark::Connection(connection), saying));
        let closed =
            Box::new(move |run, connection| left.takes(run, Mark::Connection(connection), Saying::Idle));
        let server = Server::start(&self.path, self.hub.clone(), said, closed).map_err(|error| {
            let place = self.path.display();
            StartError::new(format!("error: cannot serve the socket of programs: {error}\n  --> {place}"))
        })?;
        for process in processes {
            // As it runs now: nobody recorded as whom it was launched.
            if let Some(uid) = proc::user(process.pid) {
                server.admit(process.run, process.owner.label.clone(), uid);
            }
        }
        let server = Arc::new(server);
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(&server));
        self.server = Some(server);
        Ok(())
    }

    /// Topics and store.
    pub(super) fn hub(&self) -> Hub {
        self.hub.clone()
    }

    pub(super) fn turnstile(&self) -> Turnstile {
        self.turnstile.clone()
    }

    /// Lets a run in that is about to be launched as this user (`None`: as our own): before it can knock. For another thread.
    pub(super) fn admitter(&self) -> impl Fn(RunId, &InstanceLabel, Option<u32>) + Send + Sync + use<> {
        let server = Arc::clone(&self.shared);
        move |run, label, uid| {
            let server =
                server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade);
            if let Some(server) = server {
                server.admit(run, label.clone(), uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()));
            }
        }
    }

    /// Handles all that a run has already asked for, once there is a socket. For another thread.
    pub(super) fn drain(&self) -> impl Fn(RunId) + Send + use<> {
        let server = Arc::clone(&self.shared);
        move |run| {
            let server =
                server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Weak::upgrade);
            if let Some(server) = server {
                server.drain(run);
            }
        }
    }

    /// Whatever was said since the last time takes effect.
    pub(super) fn tell(&self) {
        if let Some(server) = &self.server {
            server.tell();
        }
    }

    /// A stop is wanted, or not any more.
    pub(super) fn tell_stop(&self, run: RunId, stop: Option<(StopKind, String)>) {
        if let Some(server) = &self.server {
            server.stop_wanted(run, stop);
        }
    }

    /// A run is about to be launched as this user; `None`: as our own.
    pub(super) fn admit(&self, run: RunId, label: &InstanceLabel, uid: Option<u32>) {
        if let Some(server) = &self.server {
            let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
            server.admit(run, label.clone(), uid);
        }
    }

    /// A run is over.
    pub(super) fn dismiss(&self, run: RunId) {
        if let Some(server) = &self.server {
            server.dismiss(run);
        }
    }

    /// The end: streams of messages end, and the socket is gone.
    pub(super) fn close(&mut self) {
        self.hub.close();
        self.turnstile.open_for_good();
        self.server = None;
    }

    /// Answers an operator.
    pub(super) fn answer(&self, request: ChannelRequest, reply: Reply) {
        let answer = match request {
            ChannelRequest::Publish { topic, data } => self
                .hub
                .publish(&topic, OPERATOR, &data)
                .map(|count| Answer::Published(PublishedDto { subscribers: count as u64 }))
                .map_err(|refusal| refused(&refusal)),
            ChannelRequest::Messages { topics } => match self.listen(&topics) {
                Ok(feed) => return reply.messages(Box::new(feed)),
                Err(error) => Err(error),
            },
            ChannelRequest::Keys { prefix } => {
                let all = self.hub.list(&prefix).into_iter();
                Ok(Answer::Keys(all.map(|(key, value)| with_data(key, value)).collect()))
            }
            ChannelRequest::Get { key } => match self.hub.get(&key) {
                Some(value) => Ok(Answer::Key(with_data(key, value))),
                None => Err(unknown(&key)),
            },
            ChannelRequest::Set { key, data, expected } => match self.hub.set(&key, &data, expected) {
                Ok(version) => Ok(Answer::Key(KvDto { key, version, data: None })),
                Err(refusal) => Err(refused(&refusal)),
            },
            ChannelRequest::Delete { key, expected } => self.delete(key, expected),
        };
        reply.send(answer.unwrap_or_else(|error| Answer::Error(*error)));
    }

    fn delete(&self, key: String, expected: Option<u64>) -> Result<Answer, Box<ErrorDto>> {
        loop {
            let version = self.hub.get(&key).ok_or_else(|| unknown(&key))?.version;
            match self.hub.delete(&key, Some(expected.unwrap_or(version))) {
                Ok(_) => return Ok(Answer::Key(KvDto { key, version, data: None })),
                // A program was faster; it is looked at again.
                Err(Refusal::Changed(_)) if expected.is_none() => {}
                Err(refusal) => return Err(refused(&refusal)),
            }
        }
    }

    fn listen(&self, topics: &[String]) -> Result<Listener, Box<ErrorDto>> {
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let awaited = Arc::clone(&waker);
        let subscription = self.hub.subscribe(move || {
            if let Some(waker) = awaited.lock().unwrap_or_else(PoisonError::into_inner).take() {
                waker.wake();
            }
        });
        let everything = ["*".to_owned()];
        let topics = if topics.is_empty() { &everything } else { topics };
        for topic in topics {
            let pattern = Pattern::new(topic).ok_or_else(|| {
                let message =
                    format!("`{}` is neither a topic nor a pattern of topics", topic.escape_debug());
                ErrorDto::new(ErrorKind::Usage, message).with_help(
                    "letters, digits and . _ / -, at most 128, and * for any run of them: 'jobs/*'",
                )
            })?;
            subscription.add(pattern).map_err(|refusal| refused(&refusal))?;
        }
        Ok(Listener { subscription, waker })
    }
}

impl Drop for Channel {
    /// Its server's thread must not wait for a decision thread that is gone.
    fn drop(&mut self) {
        self.turnstile.open_for_good();
    }
}

fn with_data(key: String, Value { version, data }: Value) -> KvDto {
    KvDto { key, version, data: Some(data.to_string()) }
}

fn unknown(key: &str) -> Box<ErrorDto> {
    let name = key.escape_debug();
    Box::new(match is_name(key) {
        true => ErrorDto::new(ErrorKind::UnknownName, format!("there is no key `{name}`"))
            .with_help("`sppm kv list` shows all"),
        false => ErrorDto::new(ErrorKind::Usage, format!("`{name}` cannot be a key"))
            .with_help("letters, digits and . _ / -, beginning with a letter or digit, at most 128"),
    })
}

fn refused(refusal: &Refusal) -> Box<ErrorDto> {
    Box::new(match refusal {
        Refusal::Usage(_) | Refusal::TooLarge(_) => ErrorDto::new(ErrorKind::Usage, refusal.to_string()),
        Refusal::Full(_) => ErrorDto::new(ErrorKind::Full, refusal.to_string()),
        Refusal::Changed(_) => ErrorDto::new(ErrorKind::Changed, refusal.to_string())
            .with_help("somebody else was faster: look again, and decide again"),
    })
}

/// An operator's subscription, as the server takes it.
#[derive(Debug)]
struct Listener {
    subscription: Subscription,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Messages for Listener {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<MessageItem>> {
        // First the waker: what comes between the look and the wait must wake.
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        let closed = self.subscription.is_closed();
        match self.subscription.next() {
            Some(Delivery::Message(message)) => Poll::Ready(Some(MessageItem::Message(MessageDto {
                topic: message.topic.to_string(),
                from: message.from.to_string(),
                data: message.data.to_string(),
            }))),
            Some(Delivery::Missed(count)) => Poll::Ready(Some(MessageItem::Missed(count))),
            None if closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Keeps the inbox from growing without end: a program that says more than is heard waits, and with it others that talk, but
/// no supervision.
#[derive(Debug, Clone, Default)]
pub(super) struct Turnstile(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    count: Mutex<Count>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct Count {
    under_way: usize,
    open: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes with a saying; gives its place back when that was heard.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Gate>);

impl Turnstile {
    pub(super) fn pass(&self) -> Ticket {
        let full = |count: &mut Count| count.under_way >= UNDER_WAY && !count.open;
        let (mut count, _late) = self
            .0
            .room
            .wait_timeout_while(self.0.lock(), PATIENCE, full)
            .unwrap_or_else(PoisonError::into_inner);
        count.under_way += 1;
        drop(count);
        Ticket(Arc::clone(&self.0))
    }

    fn open_for_good(&self) {
        self.0.lock().open = true;
        self.0.room.notify_all();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        count.under_way -= 1;
        if count.under_way + 1 == UNDER_WAY {
            self.0.room.notify_all();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn who_says_more_than_is_heard_waits_until_it_is() {
        let turnstile = Turnstile::default();
        let mut tickets: Vec<Ticket> = (0..UNDER_WAY).map(|_| turnstile.pass()).collect();
        let (sender, passed) = std::sync::mpsc::channel();
        let other = turnstile.clone();
        std::thread::spawn(move || sender.send(other.pass()).unwrap());
        assert!(passed.recv_timeout(Duration::from_millis(50)).is_err());
        tickets.pop();
        assert!(passed.recv_timeout(Duration::from_secs(20)).is_ok());
        turnstile.open_for_good();
        tickets.extend((0..UNDER_WAY).map(|_| turnstile.pass()));
    }

    #[test]
    fn a_feed_wakes_its_reader_and_ends_with_the_channel() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        struct Counter(AtomicUsize);
        impl std::task::Wake for Counter {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let mut channel = Channel::with(Path::new("/nowhere"), Hub::default());
        let counter = Arc::new(Counter(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&counter));
        let mut context = Context::from_waker(&waker);
        let mut feed = channel.listen(&["a*".to_owned()]).unwrap();
        assert!(feed.poll_next(&mut context).is_pending());
        channel.hub.publish("b", OPERATOR, "x").unwrap();
        assert_eq!(counter.0.load(Ordering::SeqCst), 0);
        channel.hub.publish("ab", OPERATOR, "x").unwrap();
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        let dto = MessageDto { topic: "ab".into(), from: "operator".into(), data: "x".into() };
        assert_eq!(feed.poll_next(&mut context), Poll::Ready(Some(MessageItem::Message(dto))));
        assert!(feed.poll_next(&mut context).is_pending());
        channel.close();
        assert_eq!(counter.0.load(Ordering::SeqCst), 2);
        assert_eq!(feed.poll_next(&mut context), Poll::Ready(None));
        let error = channel.listen(&["ä".to_owned()]).unwrap_err();
        assert_eq!(error.error.kind, ErrorKind::Usage);
    }
}
