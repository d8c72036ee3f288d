//! Makes launch orders and sends them: looks up users, builds environments, makes folders and cgroups. On a thread of its own,
//! because a name service or a disk can be slow, and because there can be a thousand; a single one that needs neither is made by
//! the thread that asks, since to wake another takes as long as the order itself.
//!
//! The order goes straight to the keeper: what it follows from is on record before the launcher is asked, and no run is
//! released before its launch has failed or its process has ended, so there is nothing left to decide.

use super::environment::{self, Ways};
use super::inbox::{Inbox, Message};
use super::processes::Tried;
use super::tag::Owner;
use super::{channel, dialogue};
use crate::keeper::link::{Ends, Identity, LaunchOrder, Order, Output, Sender as KeeperLine};
use crate::linux::cgroup::Cgroups;
use crate::linux::packet::Waiting;
use crate::linux::users::{self, ResolvedUser};
use crate::model::{
    Command, InstanceLabel, LaunchFailure, LaunchStage, LockPath, Program, RunId, StderrSink, Template,
};
use crate::talk::{self, EnvFile, Past, Places, Untouched};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};

/// A wish for a launch order.
#[derive(Debug)]
pub(super) struct Preparation {
    pub(super) run: RunId,
    pub(super) owner: Owner,
    pub(super) spec: Arc<Program>,
    /// The run's id in its environment: that of the run it serves, for a stop command.
    pub(super) shown_run: RunId,
    /// What to execute instead of the program's own command: its stop command.
    pub(super) instead: Option<Vec<Template>>,
}

/// Prepares and orders, here or on its thread.
pub(super) struct Launcher {
    desk: Arc<Desk>,
    tasks: Sender<Task>,
    /// How much waits for the thread, or is with it.
    waiting: Arc<AtomicUsize>,
}

/// What the thread is given.
enum Task {
    Launch(Box<Preparation>),
    /// The keeper was behind.
    Send(RunId, Order),
    /// What earlier runs left.
    Clear(Vec<Past>),
}

/// What is left of a launch, and can take long.
#[derive(Default)]
struct Left {
    /// The order: the keeper is behind.
    order: Option<Order>,
    /// What an earlier run left, which nobody waits for to be removed.
    past: Option<Past>,
}

/// How far a launch is.
#[derive(Debug)]
pub(super) enum Launching {
    /// It is ordered right now.
    Ordered {
        /// For the sentence of a failure.
        tried: Box<Tried>,
        /// Where it will live.
        cgroup: Option<PathBuf>,
        /// Its lock as it was made, where that is its own.
        lock: Option<Untouched>,
    },
    /// It cannot be prepared.
    Failed(LaunchFailure),
    /// It was prepared, and the order could not be sent.
    NotSent {
        /// Why.
        errno: i32,
    },
}

/// A launch that needs only to be ordered.
struct Prepared {
    order: LaunchOrder,
    /// Where the run will live.
    cgroup: Option<PathBuf>,
    folder: Folder,
}

/// The run's own folder.
#[derive(Default)]
struct Folder {
    ends: Ends,
    /// Its lock as it was made, where that is its own.
    lock: Option<Untouched>,
    /// What the run before left there: to be removed when nobody waits for that.
    past: Option<Past>,
}

/// Lets a run in that is about to be launched as this user (`None`: as our own).
type Admit = Box<dyn Fn(RunId, &InstanceLabel, Option<u32>) + Send + Sync>;

/// Where orders are made and sent.
struct Desk {
    bench: Bench,
    keeper: KeeperLine,
    admit: Admit,
}

/// What all launches have in common.
struct Bench {
    base: environment::Base,
    cgroups: Option<Cgroups>,
    /// What programs find as `SPPM_SOCKET`.
    socket: PathBuf,
    /// Where each instance's own folder is.
    instances: PathBuf,
}

impl Launcher {
    pub(super) fn start(
        cgroups: Option<Cgroups>,
        runtime_dir: &Path,
        admit: Admit,
        keeper: KeeperLine,
        inbox: Inbox,
    ) -> io::Result<Self> {
        let (tasks, given) = mpsc::channel();
        let (socket, instances) = (runtime_dir.join(channel::SOCKET), dialogue::base(runtime_dir));
        let bench = Bench { base: environment::inherited(), cgroups, socket, instances };
        let desk = Arc::new(Desk { bench, keeper, admit });
        let waiting = Arc::new(AtomicUsize::new(0));
        let (its_desk, its_waiting) = (Arc::clone(&desk), Arc::clone(&waiting));
        std::thread::Builder::new().name("launcher".to_owned()).spawn(move || {
            for task in given {
                match task {
                    Task::Launch(preparation) => {
                        let run = preparation.run;
                        let tell = |launching| inbox.send(Message::Launching { run, launching });
                        drop(its_desk.launch(*preparation, Waiting::Allowed, tell));
                    }
                    Task::Send(run, order) => {
                        if let Err(error) = its_desk.keeper.send(&order) {
                            inbox.send(Message::Launching { run, launching: Launching::not_sent(&error) });
                        }
                    }
                    Task::Clear(past) => drop(past),
                }
                its_waiting.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
        Ok(Self { desk, tasks, waiting })
    }

    /// Prepares a launch and orders it. One that is `alone` and takes no time: at once, and `at_once` is told; else by the thread,
    /// which tells by [`Message::Launching`]. What an earlier run left is to be given to [`Launcher::clear`].
    pub(super) fn prepare(
        &self,
        preparation: Preparation,
        alone: bool,
        at_once: impl FnMut(Launching),
    ) -> Option<Past> {
        let takes_long = || self.desk.bench.may_take_long(&preparation);
        if !alone || self.waiting.load(Ordering::Relaxed) > 0 || takes_long() {
            self.give(Task::Launch(Box::new(preparation)));
            return None;
        }
        let run = preparation.run;
        let Left { order, past } = self.desk.launch(preparation, Waiting::Never, at_once);
        if let Some(order) = order {
            self.give(Task::Send(run, order));
        }
        past
    }

    /// Removes what earlier runs left, on the thread.
    pub(super) fn clear(&self, past: Vec<Past>) {
        self.give(Task::Clear(past));
    }

    fn give(&self, task: Task) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ended = self.tasks.send(task);
    }
}

impl Launching {
    fn not_sent(error: &io::Error) -> Self {
        Self::NotSent { errno: error.raw_os_error().unwrap_or(0) }
    }
}

/// Whether the keeper will take it later.
fn is_behind(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS))
}

impl Desk {
    /// Makes the order and sends it; `waiting` for a keeper that is behind. Returns what is still to be done.
    fn launch(&self, preparation: Preparation, waiting: Waiting, mut tell: impl FnMut(Launching)) -> Left {
        let (run, label) = (preparation.run, preparation.owner.label.clone());
        let serves = preparation.instead.is_some();
        let prepared = self.bench.prepare(preparation);
        let Prepared { order, cgroup, folder: Folder { lock, past, .. } } = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                tell(Launching::Failed(failure));
                return Left::default();
            }
        };
        // Told before anything that the keeper can have to say of it.
        if !serves {
            (self.admit)(run, &label, order.identity.as_ref().map(|own| own.uid));
        }
        tell(Launching::Ordered { tried: Tried::of(&order), cgroup, lock });
        let order = Order::Launch(Box::new(order));
        let sent = match waiting {
            Waiting::Never => self.keeper.try_send(&order),
            Waiting::Allowed => self.keeper.send(&order),
        };
        match sent {
            Ok(()) => Left { order: None, past },
            Err(error) if waiting == Waiting::Never && is_behind(&error) => Left { order: Some(order), past },
            Err(error) => {
                tell(Launching::not_sent(&error));
                Left { order: None, past }
            }
        }
    }
}

impl Bench {
    /// Whether a name service is asked, files are touched that are not in our own runtime folder, or much is to be removed.
    fn may_take_long(&self, preparation: &Preparation) -> bool {
        let Preparation { spec, owner, .. } = preparation;
        spec.user.is_some()
            || matches!(spec.work.path, LockPath::At(_))
            || talk::has_past(&self.instances, &owner.label)
    }

    /// All that the order needs, made.
    fn prepare(&self, preparation: Preparation) -> Result<Prepared, LaunchFailure> {
        let Preparation { run, mut owner, spec, shown_run, instead } = preparation;
        let user = spec.user.as_ref().map(users::resolve).transpose()?;
        let (slot, label) = (owner.slot.clone(), owner.label.clone());
        let fill = |template: &Template| template.fill(&slot, &label);
        let places = Places::of(&self.instances, &label, spec.wants_socket());
        let lock = match &spec.work.path {
            LockPath::Own => places.lock.clone(),
            LockPath::At(path) => PathBuf::from(fill(path)),
        };
        let ways = Ways { run: shown_run, places: &places, lock: &lock, socket: &self.socket };
        let variables = environment::build(&self.base, &spec, &slot, &label, &ways, user.as_ref());
        let mut argv: Vec<String> = match (&instead, &spec.command) {
            (Some(argv), _) | (None, Command::Exec(argv)) => argv.iter().map(fill).collect(),
            (None, Command::Shell(text)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), fill(text)],
        };
        let program = argv.first().cloned().unwrap_or_default();
        let candidates = candidates(&program, variables.get(OsStr::new("PATH")).map(AsRef::as_ref));
        if let (None, Some(argv0)) = (&instead, &spec.argv0)
            && let Some(first) = argv.first_mut()
        {
            *first = fill(argv0);
        }
        // A stop command lives in the cgroup of the run that it serves, and ends with it at the latest.
        let mut folder = Folder::default();
        if instead.is_none() {
            folder = self.folder(&label, &spec, &lock, user.as_ref())?;
            owner.cgroup = self.cgroup(&owner, run);
        }
        let order = LaunchOrder {
            run,
            tag: owner.encode(),
            argv: argv.into_iter().map(c_string).collect::<Result<_, _>>()?,
            candidates: candidates.into_iter().map(c_string).collect::<Result<_, _>>()?,
            environment: environment::encode(&variables),
            directory: c_string(fill(&spec.directory))?,
            identity: user.map(identity),
            umask: spec.umask.0,
            rlimits: spec.limits.rlimits.clone(),
            nice: spec.limits.nice,
            oom_score_adj: spec.limits.oom_score_adj,
            cgroup: owner.cgroup.as_deref().map(c_path).transpose()?,
            stdin: spec.stdin.as_ref().map(fill).map(c_string).transpose()?,
            output: match spec.logs.stderr {
                StderrSink::WithStdout => Output::Merged,
                StderrSink::Apart(_) => Output::Apart,
            },
            ends: std::mem::take(&mut folder.ends),
        };
        Ok(Prepared { order, cgroup: owner.cgroup, folder })
    }

    /// The run's own folder, made anew, and its working lock where that is elsewhere.
    fn folder(
        &self,
        label: &InstanceLabel,
        spec: &Program,
        lock: &Path,
        user: Option<&ResolvedUser>,
    ) -> Result<Folder, LaunchFailure> {
        let owner = user.map(|user| (user.uid, user.gid));
        let custom = matches!(spec.work.path, LockPath::At(_));
        let env = EnvFile { lock: custom.then(|| lock.to_owned()), ..EnvFile::default() };
        let opened = talk::make(&self.instances, label, owner, spec.wants_socket(), &env)
            .map_err(|error| not_made("the folder", &self.instances.join(label.as_str()), &error))?;
        if custom {
            talk::make_lock(lock, owner).map_err(|error| not_made("working_lock.path", lock, &error))?;
        }
        let ends = Ends {
            notify: Some(Arc::new(opened.fifo)),
            sd: opened.sd.map(Arc::new),
            lock: (!custom).then(|| Arc::new(opened.lock)),
        };
        Ok(Folder { ends, lock: (!custom).then_some(opened.untouched), past: opened.past })
    }

    /// A cgroup of its own, where they can be had. Without one the tree is found by other means.
    fn cgroup(&self, owner: &Owner, run: RunId) -> Option<PathBuf> {
        let cgroups = self.cgroups.as_ref()?;
        cgroups.create(&cgroup_name(&owner.label, run)).ok()
    }
}

/// The name of a run's cgroup, by which it is known again.
pub(super) fn cgroup_name(label: &InstanceLabel, run: RunId) -> String {
    let short = &run.to_string()[..8];
    format!("{label}-{short}")
}

fn not_made(what: &str, path: &Path, error: &io::Error) -> LaunchFailure {
    LaunchFailure {
        stage: LaunchStage::Prepare,
        errno: error.raw_os_error().unwrap_or(0),
        message: format!("cannot launch it: cannot make {what} {}: {error}", path.display()),
    }
}

/// The paths that execvp(3) would try.
fn candidates(program: &str, path: Option<&OsStr>) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| format!("{folder}/{program}")).collect()
}

fn identity(user: ResolvedUser) -> Identity {
    Identity { uid: user.uid, gid: user.gid, groups: user.groups }
}

fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, LaunchFailure> {
    CString::new(text).map_err(|error| LaunchFailure {
        stage: LaunchStage::Prepare,
        errno: 0,
        message: format!("cannot launch it: an argument has a NUL byte at {}", error.nul_position()),
    })
}

fn c_path(path: &Path) -> Result<CString, LaunchFailure> {
    c_string(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_as_execvp_does() {
        let path = OsStr::new("/a::/b");
        assert_eq!(candidates("x", Some(path)), ["/a/x", "./x", "/b/x"]);
        assert_eq!(candidates("./x", Some(path)), ["./x"]);
    }
}
