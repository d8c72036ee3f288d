//! From an inherited socket to a supervisor that works: what the keeper holds, the configuration or its records, the
//! folders, the lock, the threads.

use super::above::Above;
use super::adopt;
use super::aftermath::Aftermath;
use super::begin::{Beginning, begin};
use super::budget;
use super::dialogue::Dialogue;
use super::inbox::{self, Inbox, Mailbox, Message, Purpose};
use super::inheritance::{Inheritance, inherit, take_processes};
use super::killer::{Killer, Killers};
use super::launcher::Launcher;
use super::listen::{find_group, listen, listen_for_signals};
use super::loader::{Loader, Reader};
use super::notices;
use super::options::{Options, StartError};
use super::places::Places;
use super::records::{Plans, Records};
use super::reload::Reload;
use super::run::Daemon;
use super::settle::Waiters;
use super::sources::Print;
use super::trees::Trees;
use super::wall;
use super::world::World;
use crate::config::{Watched, folders};
use crate::files::Watcher;
use crate::journal::{Entry, Journal, Kind};
use crate::keeper::link::{Link, Order, Predecessor};
use crate::linux::cgroup::Cgroups;
use crate::linux::memory::Thrift;
use crate::linux::{clock, limits};
use crate::logs::{LogEvent, Logger};
use crate::model::{ApiSettings, Plan, Signal, Slot};
use crate::supervisor::{Event, Instance, Supervisor, TableEntry};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;

/// Does everything up to the loop.
pub(super) fn start(options: &Options) -> Result<Daemon, StartError> {
    prepare_process();
    let link = Link::inherited()
        .map_err(|error| StartError::new(format!("error: no keeper started this process: {error}")))?;
    let sender = link.sender();
    let mut inherited = inherit(&link)?;
    let reader = Reader { path: options.config.clone(), environment: Arc::new(text_environment()) };
    let beginning = begin(options, &reader, &mut inherited, &link, &sender)?;
    budget::make_room(&beginning.plan);
    build(reader, inherited, beginning, link)
}

fn prepare_process() {
    crate::linux::memory::be_frugal();
    crate::linux::proc::set_own_name(c"sppm");
    // A session of our own: a terminal's signals go to the keeper, which passes each on with its origin. It fails only
    // where we lead one already.
    let _ = nix::unistd::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    for signal in
        [Signal::from_number(libc::SIGPIPE), Signal::from_number(libc::SIGXFSZ)].into_iter().flatten()
    {
        // Writing to a pipe without a reader, or past a size limit, must be an error and not a death.
        let _ = crate::linux::signals::ignore(signal);
    }
    let _ = limits::raise_open_files();
}

fn text_environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Starts the threads and puts the daemon together.
fn build(
    reader: Reader,
    mut inherited: Inheritance,
    beginning: Beginning,
    link: Link,
) -> Result<Daemon, StartError> {
    let Beginning { places, own_log, restored, plan, read_file, watched, print, wishes } = beginning;
    let sender = link.sender();
    let environment = Arc::clone(&reader.environment);
    let (inbox, mut mailbox) = inbox::inbox()
        .map_err(|error| StartError::new(format!("error: cannot make the mailbox: {error}")))?;
    let keeper_pid = nix::unistd::getppid().as_raw().unsigned_abs();
    let api = &plan.supervisor.api;
    let group = api.group.as_deref().map(find_group).transpose()?;
    let server = listen(&places, api, group, &mut inherited, &sender, &inbox)?;
    places.leave_links(&environment).map_err(|message| StartError::new(format!("error: {message}")))?;
    let cgroups = Cgroups::detect(&folders::hash8(&places.folders.runtime_dir));
    let reload = watch_file(reader, group, &plan, (&watched, print), &inbox)?;
    listen_for_signals(inbox.clone()).map_err(thread_failed)?;
    let recorded = restored.instances.clone();
    let mut core = Supervisor::new(seed(), clock::now(), restored);
    let records = Records::begin(places.ledger(), clock::boot_id(), &core).map_err(|error| {
        StartError::new(format!("error: cannot write {}: {error}", places.ledger().display()))
    })?;
    let runtime_dir = &places.folders.runtime_dir;
    let dialogue = Dialogue::start(runtime_dir, &sender, keeper_pid, inherited.take_left(), &inbox)?;
    let admit = Box::new(dialogue.channel.admitter());
    let launcher = Launcher::start(cgroups.clone(), runtime_dir, admit, sender.clone(), inbox.clone());
    let mut world = World {
        keeper: sender.clone(),
        launcher: launcher.map_err(thread_failed)?,
        trees: Trees::start(keeper_pid, inbox.clone()).map_err(thread_failed)?,
        logger: start_logger(&inbox)?,
        journal: Journal::start(places.history()).map_err(thread_failed)?,
        aftermath: Aftermath::new(Killers::begin(read_file)),
        records,
        wishes,
        processes: BTreeMap::new(),
        dialogue,
        expected: Default::default(),
        burst: Default::default(),
        pending: VecDeque::new(),
        finished: None,
    };
    let took_over = read_file.then(|| takeover_text(inherited.predecessor));
    world.journal.add(first_entry(took_over.as_deref(), keeper_pid));
    let table =
        take_table(&mut inherited, &recorded, (keeper_pid, cgroups.as_ref()), &core, &mut world, &inbox);
    world.resume_dialogue(&core)?;
    core.handle(clock::now(), Event::Table { entries: table });
    if read_file {
        reload.loader.load(Purpose::Asked("after a take-over".to_owned()));
    }
    hear_keeper(link, &mut inherited, &mut mailbox)?;
    log_the_start(&places, &plan, keeper_pid, cgroups.is_some());
    Ok(Daemon {
        core,
        world,
        mailbox,
        reload,
        above: Above::named_by_environment(&sender),
        waiters: Waiters::default(),
        waiters_due: None,
        needs_restart: needs_restart(&places, api, &plan),
        api: api.clone(),
        plans: Plans::new(places.plans()),
        plans_are_stale: false,
        places,
        environment,
        keeper_pid,
        started_at: clock::now(),
        took_over,
        log_troubles: BTreeMap::new(),
        server: Some(server),
        cgroups,
        own_log,
        thrift: Thrift::begun(clock::now()),
    })
}

/// The keeper learns that this supervisor works; its news come in from now on.
fn hear_keeper(link: Link, inherited: &mut Inheritance, mailbox: &mut Mailbox) -> Result<(), StartError> {
    link.sender()
        .send(&Order::Ready)
        .map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))?;
    mailbox.hear(link, std::mem::take(&mut inherited.later));
    Ok(())
}

fn log_the_start(places: &Places, plan: &Plan, keeper: u32, cgroup: bool) {
    let (version, config) = (env!("CARGO_PKG_VERSION"), places.config.display());
    tracing::info!(version, %config, keeper, cgroup, "the supervisor works");
    if let Some(warning) = budget::warning(plan, limits::open_files()) {
        tracing::warn!("{warning}");
    }
}

/// What the journal says of this start.
fn first_entry(took_over: Option<&str>, keeper_pid: u32) -> Entry {
    let who =
        format!("sppm {} (pid {}, keeper pid {keeper_pid})", env!("CARGO_PKG_VERSION"), std::process::id());
    match took_over {
        None => Entry::new(wall::now_millis(), Kind::SupervisorStarted, format!("{who} started")),
        Some(how) => Entry::new(wall::now_millis(), Kind::SupervisorTookOver, format!("{who} {how}")),
    }
}

/// How this supervisor came to its place, which is logged: "took over from pid 12, which was ended by SIGKILL …".
fn takeover_text(predecessor: Option<Predecessor>) -> String {
    let before = match predecessor {
        Some(Predecessor { pid, hung: true, .. }) => {
            format!("pid {pid}, which did not answer any more and was killed by its keeper")
        }
        Some(Predecessor { pid, exit, hung: false }) => {
            format!("pid {pid}, which {}", notices::stranger_text(exit, Killer::Unknown))
        }
        None => "a supervisor that had ended with its keeper".to_owned(),
    };
    let how = format!("took over from {before}; the programs went on");
    tracing::warn!("this supervisor {how}");
    how
}

fn watch_file(
    reader: Reader,
    group: Option<u32>,
    plan: &Plan,
    (watched, print): (&Watched, Option<Print>),
    inbox: &Inbox,
) -> Result<Reload, StartError> {
    let loader = Loader::start(reader, group, print, inbox.clone()).map_err(thread_failed)?;
    let hints = inbox.clone();
    let watcher = Watcher::start(move || hints.send(Message::FileHint)).map_err(thread_failed)?;
    let mut reload = Reload::new(loader, watcher, plan.supervisor.follow_file);
    reload.watch(watched);
    Ok(reload)
}

fn start_logger(inbox: &Inbox) -> Result<Logger, StartError> {
    let inbox = inbox.clone();
    let tell = move |event| match event {
        // That a program writes no more matters when it ends.
        LogEvent::Closed { .. } => inbox.leave(Message::Log(event)),
        _ => inbox.send(Message::Log(event)),
    };
    Logger::start(tell).map_err(thread_failed)
}

/// All processes that there are: the keeper's, and those that outlived theirs.
fn take_table(
    inherited: &mut Inheritance,
    recorded: &[(Slot, Instance)],
    (keeper, cgroups): (u32, Option<&Cgroups>),
    core: &Supervisor,
    world: &mut World,
    inbox: &Inbox,
) -> Vec<TableEntry> {
    let mut table = take_processes(inherited, core, &world.logger, &mut world.processes, &world.keeper);
    table.extend(adopt::find_foreign(recorded, keeper, cgroups, &mut world.processes, &world.logger, inbox));
    table
}

fn thread_failed(error: std::io::Error) -> StartError {
    StartError::new(format!("error: cannot start a helper thread: {error}"))
}

/// Keys that differ from what this supervisor was started with.
pub(super) fn needs_restart(places: &Places, api: &ApiSettings, plan: &Plan) -> Vec<String> {
    let settings = &plan.supervisor;
    let mut keys = Vec::new();
    if settings.folders.runtime_dir != places.folders.runtime_dir {
        keys.push("supervisor.runtime_dir".to_owned());
    }
    if settings.folders.state_dir != places.folders.state_dir {
        keys.push("supervisor.state_dir".to_owned());
    }
    if settings.pid_file != places.pid_file {
        keys.push("supervisor.pid_file".to_owned());
    }
    if settings.api != *api {
        keys.push("supervisor.api".to_owned());
    }
    keys
}

/// 128 random bits from the kernel; where it has none to give, the time and our pid must do.
fn seed() -> u128 {
    let mut bytes = [0; 16];
    let filled =
        fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    match filled {
        Ok(()) => u128::from_ne_bytes(bytes),
        Err(_) => u128::from(clock::now().as_nanos()) << 32 | u128::from(std::process::id()),
    }
}
