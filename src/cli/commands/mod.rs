//! One file per command: ask, wait, show. Never add here: a decision about programs.

mod busy;
mod check;
mod completions;
mod diff;
mod events;
mod init;
mod kv;
mod logs;
mod man;
mod messages;
mod restart;
mod run;
mod scale;
mod schema;
mod shutdown;
mod signal;
mod start;
mod status;
mod stop;
mod wait;
mod watch;
mod why;

use super::args::{Command, Waiting};
use super::backend::Options;
use super::failure::Failure;
use super::render;
use super::session::{PATIENCE, Session};
use super::wait::{Watch, pause};
use crate::control::client::{Client, ClientError, Target};
use crate::control::wire::{AcceptedDto, ErrorKind, SettleDto};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What a command ends with.
type Outcome = Result<u8, Failure>;

/// Everything is as it should be.
const DONE: u8 = 0;
/// Some program failed to reach the wanted state.
const SOME_FAILED: u8 = 1;

/// Runs a command; returns its exit code.
pub(super) fn execute(session: &Session<'_>, command: &Command) -> Outcome {
    match command {
        Command::Start(args) => start::start(session, &args.names, &args.waiting),
        Command::Stop(args) => stop::stop(session, args),
        Command::Restart(args) => restart::restart(session, args),
        Command::Reload(args) => diff::reload(session, &args.names),
        Command::Shutdown(args) => shutdown::shutdown(session, args),
        Command::Scale(args) => scale::scale(session, args),
        Command::Signal(args) => signal::signal(session, &args.words),
        Command::Wait(args) => wait::wait(session, args),
        Command::Status(args) if args.watch => watch::watch(session, &args.names),
        Command::Status(args) => status::status(session, &args.names),
        Command::Why(args) => why::why(session, args),
        Command::Logs(args) => logs::logs(session, args),
        Command::Events(args) => events::events(session, args),
        Command::History(args) => events::history(session, args),
        Command::Diff => diff::diff(session),
        Command::Publish(args) => messages::publish(session, args),
        Command::Subscribe(args) => messages::subscribe(session, args),
        Command::Kv(args) => kv::kv(session, args),
        Command::Busy(args) => busy::busy(session, args),
        Command::Init(args) => init::init(session, &args.command),
        Command::Check => check::check(session),
        Command::Schema => schema::schema(session),
        Command::Run(args) => run::run(session, &args.command, args.background),
        Command::Completions(args) => completions::completions(session, args.shell),
        Command::Man(args) => man::man(session, args.verb.as_deref(), args.all.as_deref()),
        Command::Up(args) if args.detach => {
            start::start(session, &[], &Waiting { no_wait: false, timeout: None })
        }
        Command::Up(_) => run::run(session, &[], false),
        Command::Kill(args) => signal::send(session, &args.names, args.signal),
        Command::Supervise(args) => {
            Ok(session.backend.supervise(&Options { config: session.config()?, background: args.background }))
        }
        Command::Detach(args) => {
            Ok(session.backend.detach(&Options { config: session.config()?, background: args.background }))
        }
    }
}

/// What an operation came to: what was accepted, and how it stands after the wait.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    accepted: AcceptedDto,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    picture: Option<SettleDto>,
    #[serde(skip)]
    took: Duration,
}

/// Orders something. A request that may be given twice survives the death of the supervisor.
fn order(
    client: &Client,
    path: &'static str,
    body: &impl Serialize,
    twice: bool,
) -> Result<AcceptedDto, Failure> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match client.post(&Target::path(path), body, PATIENCE) {
            Err(ClientError::Lost(_)) if twice && Instant::now() < until => pause(),
            answer => return Ok(answer?),
        }
    }
}

/// Notes what was accepted and waits for its end, if that is wanted.
fn follow_through(
    session: &Session<'_>,
    client: &Client,
    verb: &'static str,
    accepted: AcceptedDto,
    waiting: &Waiting,
) -> Result<Report, Failure> {
    for note in &accepted.notes {
        session.terminal.note(&format!("note: {}", render::visible(note)));
    }
    if waiting.no_wait || accepted.targets.is_empty() {
        return Ok(Report { accepted, picture: None, took: Duration::ZERO });
    }
    let mut watch = Watch::new(session, client, verb, waiting);
    let picture = watch.settle(&accepted.targets)?;
    Ok(Report { took: watch.took(), picture: Some(picture), accepted })
}

/// Shows what an operation came to: JSON, or a sentence when all went well and an error for each that failed.
fn show(session: &Session<'_>, report: &Report, verb: &str, sentence: &str) -> Outcome {
    if session.terminal.json {
        session.terminal.json(report)?;
    }
    let Some(picture) = &report.picture else {
        session.terminal.say(sentence)?;
        return Ok(DONE);
    };
    if render::none_bad(picture) {
        session.terminal.say(sentence)?;
        return Ok(DONE);
    }
    if session.terminal.json {
        return Ok(SOME_FAILED);
    }
    for line in render::failed(picture) {
        session.terminal.error(&Failure::new(ErrorKind::Failed, format!("{verb} failed: {line}")));
    }
    Ok(SOME_FAILED)
}

/// "web", "web and api", "web, api and db", "5 programs".
fn subject(targets: &[String]) -> String {
    const NAMED: usize = 4;
    match targets {
        [] => "nothing".to_owned(),
        [one] => render::visible(one),
        [most @ .., last] if targets.len() <= NAMED => {
            let most: Vec<String> = most.iter().map(|name| render::visible(name)).collect();
            format!("{} and {}", most.join(", "), render::visible(last))
        }
        many => render::plural(many.len(), "program"),
    }
}

/// Whether the supervisor is not there, as opposed to any other failure.
fn no_supervisor(failure: &Failure) -> bool {
    match failure {
        Failure::Error(error) => error.error.kind == ErrorKind::NoSupervisor,
        Failure::Unread => false,
    }
}
