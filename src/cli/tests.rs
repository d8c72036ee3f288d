//! The command line, and whole commands against a supervisor by script: requests and exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::args::Cli;
use super::*;
use crate::config::{SourceError, Sources, folders};
use crate::control::request::{Answer, ApiRequest, Call};
use crate::control::server::{Access, Door, Server, serve};
use crate::control::wire::{
    AcceptedDto, DiffDto, ErrorDto, InstanceDto, LogItem, ProgramDto, SettleDto, SettledDto, SettledWord,
    StatusDto, SupervisorDto, WrittenStatus,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words: Vec<String> =
        std::iter::once("sppm").chain(line.split_whitespace()).map(str::to_owned).collect();
    parse_words(&words)
}

pub(super) fn parse_words(words: &[String]) -> Result<Cli, clap::Error> {
    help::command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
}

/// A supervisor by script, found as a real one is, and the command that talks with it.
struct World {
    folder: tempfile::TempDir,
    config: PathBuf,
    door: Option<Door>,
    server: Mutex<Option<Server>>,
    asked: Arc<Mutex<Vec<ApiRequest>>>,
    backend: Script,
}

/// A backend that never starts anything real.
#[derive(Default)]
struct Script {
    started: Mutex<Vec<Options>>,
}

struct NoFiles;

impl Sources for NoFiles {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        Err(SourceError::not_found(path))
    }

    fn glob(&self, _: &Path) -> Result<Vec<PathBuf>, SourceError> {
        Ok(Vec::new())
    }
}

impl Backend for Script {
    fn sources(&self) -> Box<dyn Sources> {
        Box::new(NoFiles)
    }

    fn run_foreground(&self, options: &Options) -> u8 {
        self.started.lock().unwrap().push(options.clone());
        7
    }

    fn start_background(&self, options: &Options) -> Result<(), Box<ErrorDto>> {
        self.started.lock().unwrap().push(options.clone());
        Ok(())
    }

    fn supervise(&self, _: &Options) -> u8 {
        9
    }

    fn detach(&self, _: &Options) -> u8 {
        8
    }
}

impl World {
    fn new(play: impl Fn(ApiRequest, u32) -> Answer + Send + Sync + 'static) -> Self {
        let mut world = Self::silent();
        let asked = Arc::clone(&world.asked);
        let door = move |call: Call| {
            let mut asked = asked.lock().unwrap();
            asked.push(call.request.clone());
            let count = u32::try_from(asked.len()).unwrap();
            drop(asked);
            if matches!(call.request, ApiRequest::Logs { .. }) {
                call.reply.feed().try_send(LogItem::line("web", "stdout", b"x")).unwrap();
            } else {
                call.reply.send(play(call.request, count));
            }
            Ok(())
        };
        world.door = Some(Arc::new(door));
        world.listen();
        world
    }

    fn socket(&self) -> PathBuf {
        let folders = folders::defaults(&self.config, false, &self.environment());
        folders.runtime_dir.join(folders::SOCKET)
    }

    fn listen(&self) {
        let socket = self.socket();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        // Left by the server before, as by one that was killed.
        let _none_yet = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let access = Access { own_uid: nix::unistd::geteuid().as_raw(), group: None };
        let server = serve(listener, None, access, Arc::clone(self.door.as_ref().unwrap())).unwrap();
        *self.server.lock().unwrap() = Some(server);
    }

    fn kill(&self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.stop(Duration::ZERO);
        }
    }

    fn silent() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sppm.yaml");
        Self {
            folder,
            config,
            door: None,
            server: Mutex::default(),
            asked: Arc::default(),
            backend: Script::default(),
        }
    }

    fn environment(&self) -> std::collections::BTreeMap<String, String> {
        std::collections::BTreeMap::from([(
            "XDG_STATE_HOME".to_owned(),
            self.folder.path().join("state").display().to_string(),
        )])
    }

    /// The exit code of a command, and the error that goes with it.
    fn run(&self, line: &str) -> (u8, Option<String>) {
        let cli = parse(&format!("-q -c {} {line}", self.config.display())).unwrap();
        let mut session = session::Session::new(&cli.global, &self.backend);
        session.place.environment = self.environment();
        session.place.root = false;
        match commands::execute(&session, &cli.command) {
            Ok(code) => (code, None),
            Err(failure) => {
                let text = match &failure {
                    failure::Failure::Error(error) => failure::render(error),
                    failure::Failure::Unread => String::new(),
                };
                (failure.exit_code(), Some(anstream::adapter::strip_str(&text).to_string()))
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

fn status_of(as_wanted: bool) -> Answer {
    let supervisor = SupervisorDto {
        version: "0".to_owned(),
        pid: 2,
        keeper_pid: 0,
        config: "/s/sppm.yaml".to_owned(),
        config_ok: true,
        config_error: None,
        generation: 1,
        started_at: String::new(),
        name: String::new(),
        shutting_down: false,
        notes: Vec::new(),
    };
    let instance = InstanceDto {
        id: "web".to_owned(),
        phase: "running".to_owned(),
        pid: Some(3),
        since: String::new(),
        uptime_s: Some(1.0),
        ready: true,
        healthy: None,
        busy: None,
        busy_since: None,
        busy_what: None,
        restarts: 0,
        last_exit: None,
        next_start_at: None,
        adopted: false,
        reason: String::new(),
        says: None,
        complaint: None,
    };
    let program = ProgramDto {
        name: "web".to_owned(),
        desired: "running".to_owned(),
        phase: "running".to_owned(),
        ready: 1,
        wanted: 1,
        flag: None,
        instances: vec![instance],
        as_wanted,
        description: None,
        command: None,
        place: None,
        tags: Vec::new(),
    };
    Answer::Status(WrittenStatus::of(&StatusDto { supervisor, programs: vec![program] }).unwrap())
}

fn settled(settled: bool, state: SettledWord) -> Answer {
    let instance = SettledDto {
        id: "web".to_owned(),
        phase: "starting".to_owned(),
        state,
        reason: "exec: no such file /x".to_owned(),
    };
    Answer::Settled(SettleDto { settled, instances: vec![instance] })
}

fn accepted() -> Answer {
    Answer::Accepted(AcceptedDto { targets: vec!["web".to_owned()], notes: Vec::new() })
}

#[test]
fn no_supervisor_is_69_and_names_the_places() {
    let world = World::silent();
    for verb in
        ["status", "stop", "restart web", "reload", "diff", "logs", "shutdown", "scale web=1", "signal web 1"]
    {
        let (code, text) = world.run(verb);
        let text = text.unwrap();
        assert_eq!(code, 69, "{verb}: {text}");
        assert!(text.starts_with("error: no supervisor runs for /"), "{text}");
        let own = world.folder.path().join("state/sppm/run").display().to_string();
        assert!(text.contains(&own) && text.contains("--> /run/sppm/"), "{text}");
        assert!(text.ends_with("  help: sppm start\n"), "{text}");
    }
}

#[test]
fn status_exits_with_3_unless_all_is_as_wanted() {
    let world = World::new(|_, count| status_of(count > 1));
    assert_eq!(world.run("status").0, 3);
    assert_eq!(world.run("status").0, 0);
    assert_eq!(world.run("logs web").0, 0);
}

#[test]
fn an_unknown_name_is_4_and_an_invalid_file_78() {
    let world = World::new(|request, _| match request {
        ApiRequest::Diff | ApiRequest::Reload => {
            Answer::Error(ErrorDto::config_invalid("1 error", "error: x\n --> sppm.yaml:1:1\n"))
        }
        _ => Answer::Error(ErrorDto::unknown_name("wbe", "/s/sppm.yaml", ["web"])),
    });
    for verb in
        ["status wbe", "start wbe", "stop wbe", "restart wbe", "logs wbe", "scale wbe=1", "signal HUP wbe"]
    {
        let (code, text) = world.run(verb);
        assert_eq!((code, text.unwrap().contains("did you mean `web`?")), (4, true), "{verb}");
    }
    assert_eq!(world.run("reload"), (78, Some("error: x\n --> sppm.yaml:1:1\n".to_owned())));
    assert_eq!(world.run("diff").0, 78);
    let (code, text) = world.run("reload web");
    assert_eq!((code, text.unwrap().contains("`sppm restart web`")), (2, true));
}

#[test]
fn a_command_waits_until_all_is_at_rest_and_tells_how_it_went() {
    let world = World::new(|request, count| match request {
        ApiRequest::Settle { .. } if count < 4 => settled(false, SettledWord::Moving),
        ApiRequest::Settle { .. } => settled(true, SettledWord::Good),
        _ => accepted(),
    });
    assert_eq!(world.run("restart web"), (0, None));
    assert_eq!(world.asked.lock().unwrap().len(), 4);
    let failing = World::new(|request, _| match request {
        ApiRequest::Settle { .. } => settled(true, SettledWord::Bad),
        _ => accepted(),
    });
    assert_eq!(failing.run("start web").0, 1);
    assert_eq!(failing.run("start web --no-wait").0, 0);
}

#[test]
fn a_wait_has_an_end_where_one_is_given() {
    let world = World::new(|request, _| match request {
        ApiRequest::Settle { wait, .. } => {
            // The answer of a supervisor with which nothing settles comes when the asked time is over.
            std::thread::sleep(wait);
            settled(false, SettledWord::Moving)
        }
        _ => accepted(),
    });
    let (code, text) = world.run("stop web --timeout 100ms");
    assert_eq!(code, 75);
    assert!(text.unwrap().contains("it goes on"));
}

#[test]
fn reload_and_diff_say_what_changes() {
    let world = World::new(|_, _| Answer::Diff(DiffDto::default()));
    assert_eq!(world.run("diff"), (0, None));
    assert_eq!(world.run("reload"), (0, None));
    assert_eq!(*world.asked.lock().unwrap(), [ApiRequest::Diff, ApiRequest::Reload]);
}

#[test]
fn init_never_overwrites() {
    let world = World::silent();
    assert_eq!(world.run("init -- python3 -u crawler.py"), (0, None));
    let text = std::fs::read_to_string(&world.config).unwrap();
    assert!(text.contains("  crawler:\n    command: [python3, \"-u\", crawler.py]"), "{text}");
    let (code, message) = world.run("init");
    assert_eq!((code, message.unwrap().contains("exists already")), (1, true));
    assert_eq!(std::fs::read_to_string(&world.config).unwrap(), text);
}

#[test]
fn an_invalid_file_starts_nothing() {
    let world = World::silent();
    for verb in ["start", "check"] {
        assert_eq!(world.run(verb).0, 78, "{verb}");
    }
    assert!(world.backend.started.lock().unwrap().is_empty());
    assert_eq!(world.run("supervise").0, 9);
}

#[test]
fn a_wait_survives_the_death_and_return_of_the_supervisor() {
    let world = World::new(|request, count| match request {
        ApiRequest::Settle { .. } if count < 4 => settled(false, SettledWord::Moving),
        ApiRequest::Settle { .. } => settled(true, SettledWord::Good),
        _ => accepted(),
    });
    let asked = |count: usize| {
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while world.asked.lock().unwrap().len() < count {
            assert!(std::time::Instant::now() < until, "the command does not ask");
            // The list of what was asked has no event; it is only looked at.
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::scope(|scope| {
        let command = scope.spawn(|| world.run("restart web"));
        asked(1);
        world.kill();
        // The absence itself, during which the command asks in vain.
        std::thread::sleep(Duration::from_millis(300));
        world.listen();
        assert_eq!(command.join().unwrap(), (0, None));
    });
}

#[test]
fn shutdown_returns_when_nobody_listens_any_more() {
    let world = World::new(|request, _| match request {
        ApiRequest::Status { .. } => status_of(true),
        ApiRequest::Settle { .. } => settled(false, SettledWord::Moving),
        _ => accepted(),
    });
    std::thread::scope(|scope| {
        let command = scope.spawn(|| world.run("shutdown --timeout 30s"));
        while !world.asked.lock().unwrap().iter().any(|asked| matches!(asked, ApiRequest::Settle { .. })) {
            std::thread::yield_now();
        }
        assert!(!command.is_finished());
        std::fs::remove_file(world.socket()).unwrap();
        world.kill();
        assert_eq!(command.join().unwrap(), (0, None));
    });
}
