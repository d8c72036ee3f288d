//! Hints that watched files may have changed: kernel notices where they can be had, a slow look as a net.
//!
//! In: absolute paths. Out: calls of `on_hint`, some of them for nothing (the receiver compares content), none missing.
//! Notices only wake the thread: what changed is found by comparing stat(2), so that reading a file, or noise in its
//! folder, is no hint. Never add here: debouncing, reading, or knowledge of configuration.

use super::kind::fs_kind;
use super::trail::{self, Folder, Signature};
use notify::event::{EventKind, ModifyKind};
use notify::{EventKindMask, RecommendedWatcher, RecursiveMode};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The net under the notices, and how soon notices that could not be had are asked for again.
const SLOW: Duration = Duration::from_secs(30);

/// How often is looked where there are no notices.
const FAST: Duration = Duration::from_secs(2);

/// Notices closer together than this cause one look.
const PAUSE: Duration = Duration::from_millis(50);

/// What the kernel is asked to tell of a vital folder: names that come and go, and files that were written when they are closed. Not each write,
/// not reading: programs may have their logs in the same folder. Who keeps a file open, having written it, is found by the net.
const KINDS: EventKindMask = EventKindMask::CREATE
    .union(EventKindMask::REMOVE)
    .union(EventKindMask::MODIFY_NAME)
    .union(EventKindMask::MODIFY_META)
    .union(EventKindMask::ACCESS_CLOSE);

/// And of the others: that they were moved themselves.
const KINDS_ABOVE: EventKindMask = EventKindMask::MODIFY_NAME;

/// A folder may change while its watch is set up; after so many rounds the net has to do.
const ROUNDS: u32 = 4;

enum Message {
    Watch(Vec<PathBuf>),
    Notice,
    Stop,
}

/// A thread that watches a set of paths. Ends when dropped.
pub struct Watcher {
    inbox: mpsc::Sender<Message>,
    method: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts the thread, with nothing to watch. `on_hint` runs on it and should only pass the hint on.
    ///
    /// # Errors
    /// No thread to be had. That no notices can be had is not an error: see [`Watcher::method`].
    pub fn start(on_hint: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (inbox, messages) = mpsc::channel();
        let method = Arc::new(Mutex::new(String::from("nothing is watched")));
        let state = State {
            notice: Notice {
                inbox: inbox.clone(),
                told: Arc::new(AtomicBool::new(false)),
                stale: Arc::new(AtomicBool::new(false)),
                folders: Arc::new(BTreeSet::new()),
            },
            on_hint: Box::new(on_hint),
            method: Arc::clone(&method),
            signatures: BTreeMap::new(),
            notices: None,
            armed: BTreeMap::new(),
            lacking: None,
            armed_at: Instant::now(),
        };
        let thread =
            std::thread::Builder::new().name("watcher".into()).spawn(move || state.run(&messages))?;
        Ok(Self { inbox, method, thread: Some(thread) })
    }

    /// Watches exactly these paths from now on (files or folders, existing or not). Where some are new a hint
    /// follows at once, since they may have changed between being read and being watched.
    pub fn watch(&self, paths: &[PathBuf]) {
        // It fails only when the thread has died, and then there is nobody to tell.
        let _ = self.inbox.send(Message::Watch(paths.to_vec()));
    }

    /// How it watches, for people: "inotify", "polling every 2s: …".
    pub fn method(&self) -> String {
        self.method.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What notify's thread calls: at most one message waits, however many notices come.
#[derive(Clone)]
struct Notice {
    inbox: mpsc::Sender<Message>,
    told: Arc<AtomicBool>,
    /// A watched folder itself was removed or moved. One made in its place may get the same inode number, so
    /// comparing cannot tell that the watch is dead.
    stale: Arc<AtomicBool>,
    folders: Arc<BTreeSet<PathBuf>>,
}

impl notify::EventHandler for Notice {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        if event.is_ok_and(|event| self.concerns_a_watch(&event)) {
            self.stale.store(true, Ordering::Release);
        }
        if !self.told.swap(true, Ordering::AcqRel) {
            let _ = self.inbox.send(Message::Notice);
        }
    }
}

impl Notice {
    fn concerns_a_watch(&self, event: &notify::Event) -> bool {
        let moved = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        moved && event.paths.iter().any(|path| self.folders.contains(path))
    }
}

struct State {
    notice: Notice,
    on_hint: Box<dyn Fn() + Send>,
    method: Arc<Mutex<String>>,
    signatures: BTreeMap<PathBuf, Signature>,
    notices: Option<Notices>,
    /// The folders that `notices` was last set up for.
    armed: BTreeMap<PathBuf, Folder>,
    /// Why notices alone are not enough.
    lacking: Option<String>,
    armed_at: Instant,
}

impl State {
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        let mut looked = Instant::now();
        let mut noticed = false;
        loop {
            let due = looked + if noticed { PAUSE } else { self.interval() };
            match messages.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Watch(paths)) => self.set(paths),
                Ok(Message::Notice) if looked.elapsed() < PAUSE => {
                    noticed = true;
                    continue;
                }
                Ok(Message::Notice) | Err(mpsc::RecvTimeoutError::Timeout) => self.look(),
                Ok(Message::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            noticed = false;
            looked = Instant::now();
        }
    }

    fn interval(&self) -> Duration {
        match (&self.lacking, self.signatures.is_empty()) {
            // Nothing to look at: nothing to wake for but a message.
            (_, true) => Duration::from_secs(u64::from(u32::MAX)),
            (Some(_), false) => FAST,
            (None, false) => SLOW,
        }
    }

    fn set(&mut self, paths: Vec<PathBuf>) {
        let mut old = std::mem::take(&mut self.signatures);
        let mut grown = false;
        for path in paths {
            let known = old.remove(&path);
            grown |= known.is_none();
            self.signatures.insert(path, known.unwrap_or_default());
        }
        if self.take_signatures() || grown {
            (self.on_hint)();
        }
    }

    fn look(&mut self) {
        if self.lacking.is_some() && self.armed_at.elapsed() >= SLOW {
            self.armed.clear();
        }
        if self.take_signatures() {
            (self.on_hint)();
        }
    }

    /// Compares, and watches other folders where the way has changed. The comparison comes after the watch is set:
    /// what happens in between is seen by one of the two.
    fn take_signatures(&mut self) -> bool {
        self.notice.told.store(false, Ordering::Release);
        let mut changed = false;
        for _ in 0..ROUNDS {
            let mut folders = BTreeMap::new();
            for (path, signature) in &mut self.signatures {
                let now = trail::look(path, &mut folders);
                changed |= now != *signature;
                *signature = now;
            }
            if folders == self.armed && !self.notice.stale.swap(false, Ordering::AcqRel) {
                break;
            }
            self.arm(folders);
        }
        changed
    }

    /// Sets up all watches anew: a folder that was moved keeps its old watch under a wrong name otherwise.
    fn arm(&mut self, folders: BTreeMap<PathBuf, Folder>) {
        self.notices = None;
        self.lacking = far_away(&folders);
        self.armed_at = Instant::now();
        self.notice.folders = Arc::new(folders.keys().cloned().collect());
        self.notice.stale.store(false, Ordering::Release);
        match new_notices(self.notice.clone(), &folders) {
            Ok((notices, blind)) => {
                self.notices = Some(notices);
                self.lacking = blind.or(self.lacking.take());
            }
            Err(error) => self.lacking = Some(format!("inotify cannot be had: {}", reason(&error))),
        }
        self.armed = folders;
        let method = match (&self.lacking, &self.notices) {
            (None, _) => "inotify".to_owned(),
            (Some(why), Some(_)) => format!("inotify and polling every {}s: {why}", FAST.as_secs()),
            (Some(why), None) => format!("polling every {}s: {why}", FAST.as_secs()),
        };
        *self.method.lock().unwrap_or_else(PoisonError::into_inner) = method;
    }
}

/// Those who ask the kernel, each for all of its folders the same. They ask as long as they live.
struct Notices {
    vital: RecommendedWatcher,
    above: RecommendedWatcher,
}

/// A watch on each folder, and the first vital one that cannot be watched.
fn new_notices(
    notice: Notice,
    folders: &BTreeMap<PathBuf, Folder>,
) -> notify::Result<(Notices, Option<String>)> {
    let about = |kinds, notice| -> notify::Result<RecommendedWatcher> {
        notify::Watcher::new(notice, notify::Config::default().with_event_kinds(kinds))
    };
    let mut notices = Notices { vital: about(KINDS, notice.clone())?, above: about(KINDS_ABOVE, notice)? };
    let mut blind = None;
    for (path, folder) in folders {
        let watcher = if folder.vital { &mut notices.vital } else { &mut notices.above };
        let watched = notify::Watcher::watch(watcher, path, RecursiveMode::NonRecursive);
        if let (Err(error), true, None) = (watched, folder.vital, &blind) {
            blind = Some(format!("{} cannot be watched: {}", path.display(), reason(&error)));
        }
    }
    Ok((notices, blind))
}

fn far_away(folders: &BTreeMap<PathBuf, Folder>) -> Option<String> {
    let far = |path: &Path| fs_kind(path).is_ok_and(|kind| kind.needs_polling());
    let path = folders.keys().find(|path| far(path))?;
    Some(format!("{} is on a network or FUSE file system", path.display()))
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::MaxFilesWatch => "the limit fs.inotify.max_user_watches is reached".to_owned(),
        notify::ErrorKind::PathNotFound => "it is gone".to_owned(),
        notify::ErrorKind::Generic(text) => text.clone(),
        notify::ErrorKind::WatchNotFound | notify::ErrorKind::InvalidConfig(_) => error.to_string(),
    }
}
