//! `sppm wait`: until programs are ready, stopped or completed.

use super::{DONE, Outcome, SOME_FAILED, subject};
use crate::cli::args::{Goal, Wait};
use crate::cli::failure::Failure;
use crate::cli::feed::{self, News};
use crate::cli::interrupt;
use crate::cli::progress::{Progress, seconds};
use crate::cli::render::visible;
use crate::cli::session::{PATIENCE, Session};
use crate::cli::wait::{TAKE_OVER, is_away};
use crate::control::client::{self, Client, ClientError};
use crate::control::wire::{ErrorDto, ErrorKind, InstanceDto, SettleDto, StatusDto};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// So often the status is asked for although no event has come: a net, not the way.
const NET: Duration = Duration::from_secs(30);
/// What an answer may come later than it was asked for.
const SLACK: Duration = Duration::from_secs(20);

/// How far one instance is.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reached,
    Moving,
    /// It will not get there by itself.
    Lost,
}

pub(super) fn wait(session: &Session<'_>, args: &Wait) -> Outcome {
    let client = session.client()?;
    let after = feed::last_number(&client)?;
    let status = session.status(&client, &args.names)?;
    interrupt::explain(session.terminal, "nothing is changed by that".to_owned());
    let news = feed::listen(&client, &[], after);
    let until = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let progress = Progress::new(session.terminal);
    let mut vigil =
        Vigil { client, args, names: args.names.clone(), news, until, progress, missing: Vec::new() };
    let status = vigil.run(status)?;
    let took = vigil.progress.took();
    drop(vigil);
    if session.terminal.json {
        session.terminal.json(&status)?;
    }
    report(session, args, &status, took)
}

/// Says how it ended.
fn report(session: &Session<'_>, args: &Wait, status: &StatusDto, took: Duration) -> Outcome {
    let instances = status.programs.iter().flat_map(|program| &program.instances);
    let lost: Vec<&InstanceDto> = instances.filter(|one| verdict(one, args.goal) == Verdict::Lost).collect();
    if lost.is_empty() {
        let names: Vec<String> = status.programs.iter().map(|program| program.name.clone()).collect();
        let names = if names.is_empty() { args.names.clone() } else { names };
        let are = if names.len() == 1 { "is" } else { "are" };
        let goal = word(args.goal);
        session.terminal.say(&format!("{} {are} {goal}, after {}", subject(&names), seconds(took)))?;
        return Ok(DONE);
    }
    if !session.terminal.json {
        for one in lost {
            let text = format!("{} is {}, not {}: {}", one.id, one.phase, word(args.goal), one.reason);
            let help = format!("`sppm why {}` tells how that came", visible(&one.id));
            session.terminal.error(&ErrorDto::new(ErrorKind::Failed, visible(&text)).with_help(help).into());
        }
    }
    Ok(SOME_FAILED)
}

/// One wait.
struct Vigil<'a> {
    client: Client,
    args: &'a Wait,
    /// What is still known of what was named.
    names: Vec<String>,
    news: Receiver<News>,
    until: Option<Instant>,
    progress: Progress,
    missing: Vec<String>,
}

impl Vigil<'_> {
    /// Waits for the end; answers the status then.
    fn run(&mut self, first: StatusDto) -> Result<StatusDto, Failure> {
        let mut status = first;
        let mut answered = Instant::now();
        loop {
            let verdicts: Vec<Verdict> = instances(&status).map(|one| verdict(one, self.args.goal)).collect();
            if verdicts.contains(&Verdict::Lost) {
                return Ok(status);
            }
            if !verdicts.contains(&Verdict::Moving) && self.at_rest()? {
                return Ok(status);
            }
            self.pause(&status)?;
            match self.ask() {
                Ok(new) => {
                    status = new;
                    answered = Instant::now();
                }
                Err(error) if is_away(&error) && answered.elapsed() < TAKE_OVER => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether what is ready has been so for a second; what is not waited for in this way has no such second.
    fn at_rest(&mut self) -> Result<bool, Failure> {
        match self.args.goal {
            Goal::Stopped | Goal::Completed => return Ok(true),
            Goal::Ready => {}
        }
        let left = self.left()?;
        let wait = left.map_or(Duration::from_secs(2), |left| left.min(Duration::from_secs(2)));
        let answer: Result<SettleDto, ClientError> =
            self.client.get(&client::settle(&self.names, wait), wait + SLACK);
        match answer {
            // At rest, but not well: the next look says how.
            Ok(picture) => Ok(picture.settled && crate::cli::render::none_bad(&picture)),
            Err(error) if is_away(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for news, with progress meanwhile.
    fn pause(&mut self, status: &StatusDto) -> Result<(), Failure> {
        let asked = Instant::now();
        loop {
            let goal = self.args.goal;
            let moving = instances(status).filter(|one| verdict(one, goal) != Verdict::Reached);
            self.progress.show(moving.map(|one| (one.id.as_str(), one.phase.as_str())));
            let step = self.progress.period();
            let step = self.left()?.map_or(step, |left| step.min(left));
            match self.news.recv_timeout(step) {
                Ok(News::Ended(failure)) => return Err(failure.unwrap_or_else(ended)),
                Ok(News::Entry(_) | News::Missed(_) | News::Back) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) if asked.elapsed() >= NET => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // One look for all that came together.
        for news in self.news.try_iter() {
            if let News::Ended(failure) = news {
                return Err(failure.unwrap_or_else(ended));
            }
        }
        Ok(())
    }

    /// The status of what is left of what was named.
    fn ask(&mut self) -> Result<StatusDto, ClientError> {
        loop {
            match self.client.get::<StatusDto>(&client::status(&self.names), PATIENCE) {
                Err(ClientError::Refused(error)) if error.error.kind == ErrorKind::UnknownName => {
                    self.forget(error)?;
                    if self.names.is_empty() {
                        let all: StatusDto = self.client.get(&client::status(&[]), PATIENCE)?;
                        return Ok(StatusDto { programs: Vec::new(), ..all });
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Takes out what is no longer there: stopped for good, which is an error where something else was hoped for.
    fn forget(&mut self, error: Box<ErrorDto>) -> Result<(), ClientError> {
        let known = |name: &String| {
            let target = client::status(std::slice::from_ref(name));
            !matches!(self.client.get::<StatusDto>(&target, PATIENCE),
                Err(ClientError::Refused(error)) if error.error.kind == ErrorKind::UnknownName)
        };
        let (left, gone): (Vec<String>, Vec<String>) = self.names.iter().cloned().partition(known);
        self.names = left;
        match (self.args.goal, gone.first()) {
            (Goal::Stopped, Some(_)) => {}
            (Goal::Ready | Goal::Completed, Some(name)) => {
                let message = format!("{} was taken out of sppm.yaml", visible(name));
                return Err(ClientError::Refused(Box::new(ErrorDto::new(ErrorKind::Failed, message))));
            }
            // It is back already, or the refusal is about something else.
            (_, None) if self.missing.len() > 3 => return Err(ClientError::Refused(error)),
            (_, None) => self.missing.push(error.error.message.clone()),
        }
        Ok(())
    }

    /// How much time is left; an error when none is.
    fn left(&mut self) -> Result<Option<Duration>, Failure> {
        let Some(until) = self.until else { return Ok(None) };
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        self.progress.clear();
        let names = subject(&self.args.names);
        let text = format!("{names}: not {} after {}", word(self.args.goal), seconds(self.progress.took()));
        Err(ErrorDto::new(ErrorKind::TimedOut, text).with_help("`sppm status` shows how far it is").into())
    }
}

fn instances(status: &StatusDto) -> impl Iterator<Item = &InstanceDto> {
    status.programs.iter().flat_map(|program| &program.instances)
}

fn ended() -> Failure {
    ErrorDto::new(ErrorKind::NoSupervisor, "the supervisor has ended").with_help("sppm start").into()
}

/// How far an instance is on its way. What stands still but can be set in motion by somebody is waited for.
fn verdict(one: &InstanceDto, goal: Goal) -> Verdict {
    let reached = match goal {
        Goal::Ready => one.phase == "running" && one.ready,
        Goal::Completed => one.phase == "completed",
        Goal::Stopped => {
            matches!(one.phase.as_str(), "stopped" | "completed")
                || (one.phase == "failed" && one.next_start_at.is_none())
        }
    };
    let lost = match goal {
        Goal::Ready => matches!(one.phase.as_str(), "failed" | "completed"),
        Goal::Completed => one.phase == "failed",
        Goal::Stopped => false,
    };
    match (reached, lost) {
        (true, _) => Verdict::Reached,
        (false, true) => Verdict::Lost,
        (false, false) => Verdict::Moving,
    }
}

fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::Ready => "ready",
        Goal::Stopped => "stopped",
        Goal::Completed => "completed",
    }
}
