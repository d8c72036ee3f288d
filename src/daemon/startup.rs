//! From an inherited socket to a supervisor that works: what the keeper holds, the configuration or its records, the
//! folders, the lock, the threads.

use super::adopt;
use super::inbox::{self, Inbox, Message, Purpose};
use super::launcher::Launcher;
use super::loader::{Loader, Reader};
use super::options::{Mode, Options, StartError};
use super::own_log::OwnLog;
use super::places::Places;
use super::processes::Process;
use super::records::{Found, Plans, Records, Wishes};
use super::reload::Reload;
use super::run::Daemon;
use super::settle::Waiters;
use super::sources::Recording;
use super::tag::Owner;
use super::trees::Trees;
use super::world::World;
use crate::config::{Loaded, Style, Watched, folders};
use crate::control::server::{Access, serve};
use crate::files::Watcher;
use crate::keeper::link::{Link, Order, ProcessFds, Report, Sender, Stage};
use crate::linux::cgroup::Cgroups;
use crate::linux::{clock, limits};
use crate::logs::Logger;
use crate::model::{ApiSettings, Generation, Plan, Program, ProgramName, RunId, Signal};
use crate::supervisor::{Event, Instance, Restored, Supervisor, TableEntry, TableStage};
use nix::unistd::{Gid, Group};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

/// Names of the descriptors that the keeper holds for us.
const CONTROL: &str = "control";
/// Where a take-over finds the folders: the file may be invalid by then.
const PLACES: &str = "places";
/// The last byte before the word about a background start; programs' output never goes there.
pub(super) const MARK: u8 = 0;

/// What the keeper told before anything else.
#[derive(Default)]
struct Inheritance {
    fresh_state: bool,
    processes: Vec<HeldProcess>,
    held: BTreeMap<String, OwnedFd>,
    /// News that came between.
    later: VecDeque<Report>,
}

struct HeldProcess {
    run: RunId,
    owner: Option<Owner>,
    pid: u32,
    stage: Stage,
    fds: Option<ProcessFds>,
}

/// What the new core begins with.
struct Beginning {
    places: Places,
    /// The plan of the records, with what it was read from.
    restored: Restored,
    /// The file as it is now; `None`: a take-over, which reads it later.
    fresh: Option<(Plan, Recording)>,
    watched: Watched,
    wishes: Wishes,
}

/// Does everything up to the loop.
pub(super) fn start(options: &Options) -> Result<Daemon, StartError> {
    prepare_process();
    let mut link = Link::inherited()
        .map_err(|error| StartError::new(format!("error: no keeper started this process: {error}")))?;
    let sender = link.sender();
    let mut inherited = inherit(&mut link)?;
    let environment = Arc::new(text_environment());
    let reader = Reader { path: options.config.clone(), environment: Arc::clone(&environment) };
    let beginning = begin(options, &reader, &mut inherited, &mut link, &sender)?;
    build(options, reader, environment, inherited, beginning, link, sender)
}

fn prepare_process() {
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

/// Reads the keeper's table to its end.
fn inherit(link: &mut Link) -> Result<Inheritance, StartError> {
    let mut inherited = Inheritance::default();
    loop {
        match next_report(link)? {
            Report::Hello { fresh_state, .. } => inherited.fresh_state = fresh_state,
            Report::Process { run, tag, pid, stage, fds } => {
                inherited.processes.push(HeldProcess { run, owner: Owner::decode(&tag), pid, stage, fds });
            }
            Report::Held { name, fd } => {
                inherited.held.insert(name, fd);
            }
            Report::TableEnd => return Ok(inherited),
            other => inherited.later.push_back(other),
        }
    }
}

fn next_report(link: &Link) -> Result<Report, StartError> {
    loop {
        match link.receive() {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => return Err(StartError::new("error: the keeper is gone")),
            // A report that cannot be read is lost; the next one is not.
            Err(_) => {}
        }
    }
}

fn begin(
    options: &Options,
    reader: &Reader,
    inherited: &mut Inheritance,
    link: &mut Link,
    sender: &Sender,
) -> Result<Beginning, StartError> {
    let known = inherited.held.get(PLACES).and_then(|fd| read_places(fd, options));
    let taking_over = known.is_some();
    let (places, fresh, watched) = match known {
        Some(places) => (places, None, Watched::default()),
        None => {
            let (Loaded { plan, warnings, watched }, recording) = load(options, reader)?;
            for warning in &warnings {
                // Said to whoever starts it; the log gets the like at every reload.
                let _ = writeln!(std::io::stderr(), "{}", warning.render(Style::Plain).trim_end());
            }
            (Places::of(&options.config, &plan), Some((plan, recording)), watched)
        }
    };
    places.make().map_err(|message| StartError::new(format!("error: {message}")))?;
    claim(&places, inherited, link, sender)?;
    if inherited.fresh_state {
        let _ = fs::rename(places.ledger(), places.ledger().with_extension("set-aside"));
    }
    let wishes = Wishes::read(places.overrides());
    let restored = restore(&places, reader, &wishes, taking_over);
    let fresh = match (fresh, &restored.plan) {
        // A take-over without records: the file decides after all.
        (None, None) => {
            let (Loaded { plan, .. }, recording) = load(options, reader)?;
            Some((plan, recording))
        }
        (fresh, _) => fresh,
    };
    Ok(Beginning { places, restored, fresh, watched, wishes })
}

fn load(options: &Options, reader: &Reader) -> Result<(Loaded, Recording), StartError> {
    let (result, recording) = reader.load_from_disk(None);
    match result {
        Ok(loaded) => Ok((loaded, recording)),
        Err(problems) => {
            let style = match options.mode {
                Mode::Foreground if std::io::IsTerminal::is_terminal(&std::io::stderr()) => Style::Colour,
                Mode::Foreground | Mode::Background => Style::Plain,
            };
            Err(StartError { message: problems.render(style), exit_code: 78 })
        }
    }
}

/// The lock of the runtime folder: the keeper takes it, and dies with it.
fn claim(
    places: &Places,
    inherited: &mut Inheritance,
    link: &mut Link,
    sender: &Sender,
) -> Result<(), StartError> {
    let order =
        Order::Claim { runtime_dir: places.folders.runtime_dir.clone(), pid_file: places.pid_file.clone() };
    sender.send(&order).map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))?;
    loop {
        match next_report(link)? {
            Report::Claimed => return Ok(()),
            Report::ClaimRefused { holder, message } => {
                let folder = places.folders.runtime_dir.display();
                let text = match holder {
                    Some(pid) => format!(
                        "error: a supervisor runs already for {} (pid {pid})\n  --> {folder}\n  help: `sppm status` shows it; `sppm reload` applies an edit",
                        places.config.display()
                    ),
                    None => format!("error: cannot have the runtime folder: {message}\n  --> {folder}"),
                };
                return Err(StartError::new(text));
            }
            Report::Ping => {
                let _ = sender.send(&Order::Pong);
            }
            other => inherited.later.push_back(other),
        }
    }
}

/// What an earlier supervisor wrote down, if it is of this boot.
fn restore(places: &Places, reader: &Reader, wishes: &Wishes, taking_over: bool) -> Restored {
    let plans = Plans::new(places.plans());
    let lasting = || Restored { overrides: wishes.all(), ..Restored::default() };
    let Some(found) = Found::read(&places.ledger(), &clock::boot_id()) else { return lasting() };
    let mut known: BTreeMap<Generation, Arc<Plan>> = BTreeMap::new();
    for generation in found.generations() {
        let plan = plans.read(generation).and_then(|recording| reader.load(&recording).ok());
        if let Some(loaded) = plan {
            known.insert(generation, Arc::new(loaded.plan));
        }
    }
    let current =
        found.generation().and_then(|generation| Some((generation, known.get(&generation)?.clone())));
    let find = |name: &ProgramName, generation: Generation| -> Option<Arc<Program>> {
        let plan = known.get(&generation).or(current.as_ref().map(|(_, plan)| plan))?;
        plan.programs.get(name).cloned()
    };
    Restored {
        plan: current.clone(),
        overrides: found.wishes(),
        // Without its keeper a shutdown has ended already, as far as it could.
        shutdown: found.shutdown().filter(|_| taking_over),
        instances: found.into_instances(&find),
    }
}

/// Starts the threads and puts the daemon together.
fn build(
    options: &Options,
    reader: Reader,
    environment: Arc<BTreeMap<String, String>>,
    mut inherited: Inheritance,
    beginning: Beginning,
    link: Link,
    sender: Sender,
) -> Result<Daemon, StartError> {
    let Beginning { places, restored, fresh, watched, wishes } = beginning;
    let own_log = OwnLog::start(places.own_log(), options.mode).map_err(thread_failed)?;
    let plan = restored.plan.as_ref().map(|(_, plan)| Arc::clone(plan));
    let plan = plan.or_else(|| fresh.as_ref().map(|(plan, _)| Arc::new(plan.clone())));
    let settings = plan.as_ref().map(|plan| plan.supervisor.clone());
    let (inbox, mailbox) = inbox::inbox();
    let keeper_pid = nix::unistd::getppid().as_raw().unsigned_abs();

    let api = settings.as_ref().map(|settings| settings.api.clone());
    let group = api.as_ref().and_then(|api| api.group.as_deref()).map(find_group).transpose()?;
    let server = listen(&places, api.as_ref(), group, &mut inherited, &sender, &inbox)?;
    places.leave_links(&environment).map_err(|message| StartError::new(format!("error: {message}")))?;

    let logger = {
        let inbox = inbox.clone();
        Logger::start(move |event| inbox.send(Message::Log(event))).map_err(thread_failed)?
    };
    let trees = Trees::start(keeper_pid, inbox.clone()).map_err(thread_failed)?;
    let cgroups = Cgroups::detect(&folders::hash8(&places.folders.runtime_dir));
    let launcher = Launcher::start(cgroups.clone(), inbox.clone()).map_err(thread_failed)?;
    let loader = Loader::start(reader, group, inbox.clone()).map_err(thread_failed)?;
    let watcher = {
        let inbox = inbox.clone();
        Watcher::start(move || inbox.send(Message::FileHint)).map_err(thread_failed)?
    };
    listen_for_signals(inbox.clone()).map_err(thread_failed)?;

    let instances = restored.instances.clone();
    let restored_plan = restored.plan.is_some();
    let mut core = Supervisor::new(seed(), clock::now(), restored);
    let records = Records::begin(places.ledger(), clock::boot_id(), &core).map_err(|error| {
        StartError::new(format!("error: cannot write {}: {error}", places.ledger().display()))
    })?;
    let plans = Plans::new(places.plans());
    let mut processes = BTreeMap::new();
    let mut table = take_processes(&mut inherited, &core, &logger, &mut processes, &sender);
    let foreign = adopt::find_foreign(&instances, &mut processes, &logger, &inbox);
    table.extend(foreign);
    let mut world = World {
        keeper: sender.clone(),
        launcher,
        trees,
        logger,
        records,
        wishes,
        processes,
        pending: VecDeque::new(),
        finished: None,
    };
    for (run, exit) in ended(&inherited) {
        if let Some(process) = world.processes.get_mut(&run) {
            process.ended = Some(exit);
            world.logger.drain(run);
        }
    }
    let follow = settings.map(|settings| settings.follow_file).unwrap_or(crate::model::FollowFile {
        enabled: true,
        debounce: std::time::Duration::from_millis(300),
    });
    let mut reload = Reload::new(loader, watcher, follow);
    reload.watch(&watched);
    core.handle(clock::now(), Event::Table { entries: table });
    let needs = match fresh {
        Some((plan, recording)) if !restored_plan => {
            let generation = Generation(1);
            if let Err(error) = plans.keep(generation, &recording) {
                tracing::error!(%error, "cannot keep the accepted configuration");
            }
            let needs = needs_restart(&places, &plan);
            core.handle(clock::now(), Event::PlanAccepted { generation, plan: Arc::new(plan) });
            needs
        }
        // The accepted plan goes on; then the file is an ordinary reload.
        Some(_) | None => {
            reload.loader.load(Purpose::Asked("after a take-over".to_owned()));
            Vec::new()
        }
    };
    sender
        .send(&Order::Ready)
        .map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))?;
    for report in std::mem::take(&mut inherited.later) {
        inbox.send(Message::Keeper(report));
    }
    read_reports(link, inbox).map_err(thread_failed)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %places.config.display(),
        keeper = keeper_pid,
        cgroup = cgroups.is_some(),
        "the supervisor works"
    );
    Ok(Daemon {
        core,
        world,
        mailbox,
        reload,
        waiters: Waiters::default(),
        waiters_due: None,
        places,
        plans,
        environment,
        keeper_pid,
        started_at: clock::now(),
        own_user: own_user(),
        needs_restart: needs,
        log_troubles: BTreeMap::new(),
        server: Some(server),
        cgroups,
        own_log,
    })
}

/// Processes of the keeper's table, with the specs that the core knows for them.
fn take_processes(
    inherited: &mut Inheritance,
    core: &Supervisor,
    logger: &Logger,
    processes: &mut BTreeMap<RunId, Process>,
    sender: &Sender,
) -> Vec<TableEntry> {
    let mut table = Vec::new();
    for held in &mut inherited.processes {
        let known = held.owner.as_ref().and_then(|owner| Some((owner.clone(), spec_of(core, owner)?)));
        let Some((owner, spec)) = known else {
            // Nobody can say whose it is: it is let go, not killed.
            let _ = sender.send(&Order::Release { run: held.run });
            continue;
        };
        let mut process = Process::new(held.run, owner.clone(), spec);
        process.pid = held.pid;
        if let Some(fds) = held.fds.take() {
            process.attach(fds, logger);
        }
        let stage = match &held.stage {
            Stage::Forked => TableStage::Forked,
            Stage::Execed | Stage::Exited(_) => TableStage::Running { pid: held.pid },
            Stage::Failed { stage, errno, path } => {
                TableStage::Failed(process.failure(*stage, *errno, path.as_deref()))
            }
        };
        processes.insert(held.run, process);
        if owner.helper_of.is_none() {
            let Owner { slot, label, generation, .. } = owner;
            table.push(TableEntry { run: held.run, slot, label, generation, stage });
        }
    }
    table
}

fn spec_of(core: &Supervisor, owner: &Owner) -> Option<Arc<Program>> {
    let run = core.instance(&owner.slot).and_then(Instance::run);
    let planned = core.plan().and_then(|(_, plan)| plan.programs.get(&owner.slot.program));
    run.map(|run| &run.spec).or(planned).cloned()
}

/// What ended while nobody was there. It is announced when its last output is in the log, as always.
fn ended(inherited: &Inheritance) -> Vec<(RunId, crate::model::Exit)> {
    let exit = |held: &HeldProcess| match held.stage {
        Stage::Exited(exit) => Some((held.run, exit)),
        Stage::Forked | Stage::Execed | Stage::Failed { .. } => None,
    };
    inherited.processes.iter().filter_map(exit).collect()
}

/// The control socket: the one that the keeper holds, or a new one.
fn listen(
    places: &Places,
    api: Option<&ApiSettings>,
    group: Option<u32>,
    inherited: &mut Inheritance,
    sender: &Sender,
    inbox: &Inbox,
) -> Result<crate::control::server::Server, StartError> {
    let path = places.socket();
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        StartError::new(format!("error: cannot {what} the control socket: {error}\n  --> {}", path.display()))
    };
    let listener = match inherited.held.remove(CONTROL) {
        Some(fd) if path.exists() => UnixListener::from(fd),
        Some(_) | None => {
            // The lock is ours, so whoever bound it is gone.
            let _ = fs::remove_file(&path);
            let listener = UnixListener::bind(&path).map_err(|error| failed("bind", &error))?;
            let fd = listener.try_clone().map_err(|error| failed("hold", &error))?;
            let order = Order::Hold { name: CONTROL.to_owned(), fd: fd.into() };
            sender.send(&order).map_err(|error| failed("hold", &error))?;
            hold_places(places, sender)?;
            listener
        }
    };
    let mode = api.map_or(0o660, |api| api.mode.0);
    if group.is_some() {
        nix::unistd::chown(&path, None, group.map(Gid::from_raw)).map_err(|error| failed("chgrp", &error))?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(|error| failed("chmod", &error))?;
    let access = Access { own_uid: nix::unistd::geteuid().as_raw(), group };
    let inbox = inbox.clone();
    serve(listener, access, Arc::new(move |call| inbox.call(call))).map_err(|error| failed("serve", &error))
}

/// Leaves the folders with the keeper, as five lines of text.
fn hold_places(places: &Places, sender: &Sender) -> Result<(), StartError> {
    let folders = &places.folders;
    let paths = [&folders.runtime_dir, &folders.state_dir, &folders.log_dir, &places.pid_file];
    let json = serde_json::to_vec(&paths).unwrap_or_default();
    let fd = crate::linux::memfd::sealed("sppm-places", &json)
        .map_err(|error| StartError::new(format!("error: cannot make a memory file: {error}")))?;
    sender
        .send(&Order::Hold { name: PLACES.to_owned(), fd })
        .map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))
}

fn read_places(fd: &OwnedFd, options: &Options) -> Option<Places> {
    let bytes = crate::linux::memfd::read_sealed(fd, 64 * 1024).ok()?;
    let [runtime_dir, state_dir, log_dir, pid_file] = serde_json::from_slice(&bytes).ok()?;
    let folders = crate::model::Folders { runtime_dir, state_dir, log_dir };
    Some(Places { config: options.config.clone(), folders, pid_file })
}

fn read_reports(link: Link, inbox: Inbox) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("keeper".to_owned());
    thread
        .spawn(move || {
            loop {
                match link.receive() {
                    Ok(Some(report)) => inbox.send(Message::Keeper(report)),
                    Ok(None) => return inbox.send(Message::KeeperGone),
                    // It is lost, and the keeper believes it told: a successor gets the whole table.
                    Err(error) => {
                        tracing::error!(%error, "a report of the keeper could not be read; starting over");
                        return inbox.send(Message::KeeperGone);
                    }
                }
            }
        })
        .map(|_| ())
}

fn listen_for_signals(inbox: Inbox) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])?;
    for number in [SIGTTIN, SIGTTOU] {
        if let Some(signal) = Signal::from_number(number) {
            crate::linux::signals::ignore(signal)?;
        }
    }
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread
        .spawn(move || {
            for signal in signals.forever().filter_map(Signal::from_number) {
                inbox.send(Message::Signal(signal));
            }
        })
        .map(|_| ())
}

/// Keys that differ from what this supervisor was started with.
pub(super) fn needs_restart(places: &Places, plan: &Plan) -> Vec<String> {
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
    keys
}

fn find_group(name: &str) -> Result<u32, StartError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(StartError {
            message: format!("error: supervisor.api.group: there is no group {name}"),
            exit_code: 78,
        }),
        Err(error) => Err(StartError::new(format!("error: cannot look up the group {name}: {error}"))),
    }
}

fn own_user() -> (u32, String) {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    (uid.as_raw(), user.map_or_else(|| format!("uid {uid}"), |user| user.name))
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

fn thread_failed(error: std::io::Error) -> StartError {
    StartError::new(format!("error: cannot start a helper thread: {error}"))
}

/// Tells whoever waits for a background start that it works, and lets go of its output.
pub(super) fn announce(mode: Mode) {
    match mode {
        Mode::Foreground => {}
        Mode::Background => {
            let _ = std::io::stderr().write_all(&[MARK, b'0', b'\n']);
            if let Ok(null) = fs::File::options().write(true).open(Path::new("/dev/null")) {
                let _ = rustix::stdio::dup2_stderr(&null);
            }
        }
    }
}

/// Says why there is no supervisor.
pub(super) fn complain(mode: Mode, error: &StartError) {
    let mut text = error.message.trim_end().as_bytes().to_vec();
    text.push(b'\n');
    if let Mode::Background = mode {
        text.push(MARK);
        text.extend_from_slice(format!("{}\n", error.exit_code).as_bytes());
    }
    let _ = std::io::stderr().write_all(&text);
}
