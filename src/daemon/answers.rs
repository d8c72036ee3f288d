//! Requests of the API: what people mean, as requests to the core, and its answers in their words.

use super::catalogue::{self, Share, Unknown};
use super::inbox::Purpose;
use super::looks::{Question, Row};
use super::run::Daemon;
use super::wall::{self, Wall};
use super::{budget, follow};
use crate::control::request::{Answer, ApiRequest, Call, Reply};
use crate::control::wire::{AcceptedDto, Detail, ErrorDto, ErrorKind, ScaleTo, SupervisorDto};
use crate::journal::{Entry, Kind};
use crate::linux::{clock, limits};
use crate::model::{Moment, ProgramName, Slot};
use crate::supervisor::{self, Author, Refused, Request, Target};
use std::collections::BTreeSet;
use std::time::Duration;

/// So many programs are a part of an answer to `status`.
const PART: usize = 64;
/// So long `status` tells that this supervisor took over from one that died.
const TOLD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Daemon {
    /// Answers a request, now or as soon as the answer is known.
    pub(super) fn answer(&mut self, call: Call) {
        let Call { who, request, reply } = call;
        match request {
            ApiRequest::Status { names, detail } => self.status(&names, detail, reply),
            ApiRequest::Diff => {
                self.reload.loader.load(Purpose::Diff(Call { who, request: ApiRequest::Diff, reply }));
            }
            ApiRequest::Reload => {
                self.reload.loader.load(Purpose::Reload(Call { who, request: ApiRequest::Reload, reply }));
            }
            ApiRequest::Start { names } => {
                let everything = names.is_empty();
                self.ask(&names, who, reply, move |targets| Request::Start { targets }, everything);
            }
            ApiRequest::Stop { names, force, runtime } => {
                self.ask(&names, who, reply, move |targets| Request::Stop { targets, force, runtime }, false);
            }
            ApiRequest::Restart { names, force } => {
                self.ask(&names, who, reply, move |targets| Request::Restart { targets, force }, false);
            }
            ApiRequest::Signal { names, signal } => {
                self.ask(&names, who, reply, move |targets| Request::Signal { targets, signal }, false);
            }
            ApiRequest::Scale { name, to } => self.scale(&name, to, who, reply),
            ApiRequest::Shutdown { force } => {
                let by = author(who);
                let text = if force { "shutdown at once" } else { "shutdown" };
                tracing::info!("{text}, asked by {}", by.who);
                self.tell_request(text, &by.who, &[]);
                let targets = self.core.ask(clock::now(), &by, Request::Shutdown { force });
                self.act();
                reply.send(self.accepted(targets.unwrap_or_default(), &[]));
            }
            ApiRequest::Settle { names, wait } => {
                let until = clock::now() + wait.min(ApiRequest::MAX_WAIT);
                self.waiters.add(names, until, reply);
            }
            ApiRequest::Logs { names, lines, follow } => match catalogue::resolve(&self.core, &names) {
                Ok(targets) => {
                    follow::feed(&self.core, &self.world.logger, &targets, lines, follow, reply);
                }
                Err(unknown) => reply.refuse(self.unknown(&unknown.0)),
            },
            ApiRequest::Events { names, after } => self.events(&names, after, reply),
            ApiRequest::History { names, last } => self.history(&names, last, reply),
            ApiRequest::Why { name } => self.why(&name, reply),
            ApiRequest::Channel(request) => self.world.dialogue.channel.answer(request, reply),
        }
    }

    fn ask(
        &mut self,
        names: &[String],
        who: String,
        reply: Reply,
        request: impl FnOnce(Vec<Target>) -> Request,
        everything: bool,
    ) {
        let mut targets = match catalogue::resolve(&self.core, names) {
            Ok(targets) => targets,
            Err(Unknown(name)) => return reply.refuse(self.unknown(&name)),
        };
        if everything {
            self.leave_out_disabled(&mut targets);
        }
        let by = author(who);
        let request = request(targets.clone());
        let text = describe(&request);
        tracing::info!("{text}, asked by {}", by.who);
        self.tell_request(&text, &by.who, &targets);
        let asked = self.core.ask(clock::now(), &by, request);
        // Who hears that it is accepted must find it so after a crash, too.
        self.act();
        match asked {
            Ok(slots) => reply.send(self.accepted(slots, &targets)),
            Err(refused) => reply.refuse(self.refusal(&refused)),
        }
    }

    /// `start` of everything means everything that is switched on.
    fn leave_out_disabled(&self, targets: &mut Vec<Target>) {
        if let Some((_, plan)) = self.core.plan() {
            targets.retain(|target| plan.programs.contains_key(target.program()));
        }
    }

    fn scale(&mut self, name: &str, to: ScaleTo, who: String, reply: Reply) {
        let known = ProgramName::new(name).ok().filter(|name| catalogue::programs(&self.core).contains(name));
        let Some(program) = known else { return reply.refuse(self.unknown(name)) };
        let to = match to {
            ScaleTo::Exactly(count) => supervisor::ScaleTo::Exactly(count),
            ScaleTo::Up(more) => supervisor::ScaleTo::Up(more),
            ScaleTo::Down(less) => supervisor::ScaleTo::Down(less),
        };
        let by = author(who);
        let target = Target::Program(program.clone());
        self.tell_request(&format!("scale {program} {to:?}"), &by.who, std::slice::from_ref(&target));
        let asked = self.core.ask(clock::now(), &by, Request::Scale { program, to });
        self.act();
        match asked {
            Ok(slots) => reply.send(self.accepted(slots, &[target])),
            Err(refused) => reply.refuse(self.refusal(&refused)),
        }
    }

    /// A request, as an entry for each program that it is about.
    fn tell_request(&mut self, text: &str, who: &str, targets: &[Target]) {
        let entry = || Entry::new(wall::now_millis(), Kind::Request, text).by(who);
        let programs: BTreeSet<&ProgramName> = targets.iter().map(Target::program).collect();
        // One entry for many: a thousand of the same would push everything else out of the journal.
        if programs.is_empty() || programs.len() > 10 {
            return self.tell(entry());
        }
        for program in programs {
            self.tell(Entry { program: Some(program.to_string()), ..entry() });
        }
    }

    /// Targets as names to give to settle: programs as a whole where that was meant.
    fn accepted(&self, slots: Vec<Slot>, targets: &[Target]) -> Answer {
        let whole: BTreeSet<&ProgramName> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Program(name) => Some(name),
                Target::Instance(_) => None,
            })
            .collect();
        let mut names: BTreeSet<String> = whole.iter().map(ToString::to_string).collect();
        for slot in slots.iter().filter(|slot| !whole.contains(&slot.program)) {
            names.insert(match targets.is_empty() {
                true => slot.program.to_string(),
                false => format!("{}.{}", slot.program, slot.index),
            });
        }
        Answer::Accepted(AcceptedDto { targets: names.into_iter().collect(), notes: Vec::new() })
    }

    pub(super) fn unknown(&self, name: &str) -> ErrorDto {
        let known: Vec<String> = catalogue::programs(&self.core).iter().map(ToString::to_string).collect();
        let config = self.places.config.display().to_string();
        let error = ErrorDto::unknown_name(name, &config, known.iter().map(String::as_str));
        let help = error.error.help.clone().unwrap_or_default();
        match self.reload.error() {
            Some(_) => {
                error.with_help(format!("{help}; the file is not valid, so the last good one is in force"))
            }
            None => error,
        }
    }

    fn refusal(&self, refused: &Refused) -> ErrorDto {
        let name = |target: &Target| match target {
            Target::Program(name) => name.to_string(),
            Target::Instance(slot) => format!("{}.{}", slot.program, slot.index),
        };
        match refused {
            Refused::Unknown(target) => self.unknown(&name(target)),
            Refused::Disabled(program) => {
                let place = self.core.plan().and_then(|(_, plan)| plan.disabled.get(program));
                let error = ErrorDto::new(ErrorKind::Usage, format!("{program} has `enabled: false`"));
                let error = match place {
                    Some(disabled) => error.with_place(disabled.place.to_string()),
                    None => error,
                };
                error.with_help("remove that line, and the program is there again")
            }
            Refused::ShuttingDown => {
                ErrorDto::new(ErrorKind::ShuttingDown, "the supervisor is shutting down")
            }
            Refused::TooMany(program) => {
                let most = supervisor::MAX_INSTANCES;
                ErrorDto::new(ErrorKind::Usage, format!("{program} can have at most {most} instances"))
            }
            Refused::NotNumbered(program) => ErrorDto::new(
                ErrorKind::Usage,
                format!("{program} has no `instances` key, so there is only one"),
            )
            .with_help("write `instances: 1` into its entry; then `scale` works"),
            Refused::NotRunning(target) => {
                ErrorDto::new(ErrorKind::Failed, format!("{} does not run", name(target)))
            }
        }
    }

    /// Gathers what is known here; the rest is done elsewhere, meanwhile.
    fn status(&mut self, names: &[String], detail: Detail, reply: Reply) {
        let shares = match catalogue::shares(&self.core, names) {
            Ok(shares) => shares,
            Err(Unknown(name)) => return reply.refuse(self.unknown(&name)),
        };
        let (now, wall) = (clock::now(), Wall::read());
        let supervisor = self.supervisor_dto(&wall);
        let (expected, looker) = (shares.len(), &self.world.dialogue.looker);
        looker.begin(Question { supervisor, detail, expected, now, wall, reply });
        let mut part = Vec::with_capacity(PART.min(expected));
        for (name, share) in shares {
            part.push(self.row(&name, &share, detail, now));
            if part.len() == PART {
                looker.part(std::mem::replace(&mut part, Vec::with_capacity(PART)));
            }
        }
        looker.part(part);
        looker.end();
        // A large answer is a burst, too.
        self.thrift.worked(now, expected);
    }

    fn row(&self, name: &ProgramName, share: &Share, detail: Detail, now: Moment) -> Row {
        let mut status = self.core.program_status(name, now);
        status.instances.retain(|instance| share.has(instance.slot.index));
        let live = status.instances.iter().enumerate().filter(|(_, one)| one.pid.is_some());
        let sights = live.filter_map(|(index, one)| {
            let process = self.world.processes.get(&one.run?)?;
            Some((index, self.world.dialogue.sight(process)))
        });
        let spec = match detail {
            Detail::Full => self.core.spec(name).cloned(),
            Detail::Brief => None,
        };
        Row { sights: sights.collect(), spec, status }
    }

    fn supervisor_dto(&self, wall: &Wall) -> SupervisorDto {
        let plan = self.core.plan();
        SupervisorDto {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            keeper_pid: self.keeper_pid,
            config: self.places.config.display().to_string(),
            config_ok: self.reload.error().is_none(),
            config_error: self.reload.error().cloned(),
            generation: plan.map_or(0, |(generation, _)| generation.0),
            started_at: wall.stamp(self.started_at),
            name: plan.map(|(_, plan)| plan.supervisor.name.clone()).unwrap_or_default(),
            shutting_down: self.core.shutdown_record().is_some(),
            notes: self.notes(),
        }
    }

    /// That a supervisor died is told for a day: who looks in the morning must see it, and later it is history.
    fn takeover_note(&self) -> Option<String> {
        let how = self.took_over.as_ref()?;
        let at = Wall::read().stamp(self.started_at);
        (clock::now().since(self.started_at) < TOLD_FOR).then(|| format!("at {at} this supervisor {how}"))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.reload.note().into_iter().collect();
        if !self.needs_restart.is_empty() {
            let keys = self.needs_restart.join(", ");
            notes.push(format!("{keys}: the edit needs a restart of sppm"));
        }
        notes.extend(self.takeover_note());
        notes.extend(self.core.plan().and_then(|(_, plan)| budget::warning(plan, limits::open_files())));
        notes.extend(self.log_troubles.values().cloned());
        notes
    }
}

fn author(who: String) -> Author {
    Author { who, at: wall::now() }
}

/// For the log.
fn describe(request: &Request) -> String {
    let names = |targets: &[Target]| {
        let one = |target: &Target| match target {
            Target::Program(name) => name.to_string(),
            Target::Instance(slot) => format!("{}.{}", slot.program, slot.index),
        };
        let mut names: Vec<String> = targets.iter().take(10).map(one).collect();
        if targets.len() > 10 {
            names.push(format!("and {} more", targets.len() - 10));
        }
        names.join(", ")
    };
    match request {
        Request::Start { targets } => format!("start {}", names(targets)),
        Request::Stop { targets, force: false, .. } => format!("stop {}", names(targets)),
        Request::Stop { targets, force: true, .. } => format!("stop --force {}", names(targets)),
        Request::Restart { targets, force: false } => format!("restart {}", names(targets)),
        Request::Restart { targets, force: true } => format!("restart --force {}", names(targets)),
        Request::Signal { targets, signal } => format!("{signal} to {}", names(targets)),
        Request::Scale { program, to } => format!("scale {program} {to:?}"),
        Request::Shutdown { force } => format!("shutdown (force: {force})"),
    }
}
