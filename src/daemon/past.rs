//! Questions about the past: events, history, and why something is as it is.

use super::advice::{self, Case};
use super::catalogue;
use super::causes::{Told, told};
use super::changes;
use super::findings::{self, Finding};
use super::notices::{AS_ASKED, SENT};
use super::processes::log_paths;
use super::run::Daemon;
use super::tag::Owner;
use super::wall::Wall;
use crate::control::request::{Answer, EventItem, Reply};
use crate::control::wire::{WhyDto, WhyInstanceDto};
use crate::journal::{Entry, Kind, Offer, Query};
use crate::linux::clock;
use crate::logs::tail;
use crate::model::{InstanceLabel, Program, ProgramName, Slot};
use crate::supervisor::{InstanceStatus, PhaseKind};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::sync::mpsc::error::TrySendError;

/// So many last lines of output are shown.
const LINES: usize = 10;
/// So much of a log is looked at for them, in bytes.
const TAIL: u64 = 64 * 1024;

/// An instance as the core knows it, with the files of its output: what is needed to finish the answer elsewhere.
struct Subject {
    picture: WhyInstanceDto,
    logs: Vec<PathBuf>,
    look: findings::Subject,
    /// What it is called in the journal: with the key `instances` and without, in the course of edits.
    names: Vec<String>,
    phase: PhaseKind,
    place: String,
    overdue: bool,
    forbidden: bool,
}

impl Daemon {
    pub(super) fn events(&self, names: &[String], after: Option<u64>, reply: Reply) {
        let query = match self.query(names) {
            Ok(query) => Query { after, last: after.is_none().then_some(0), ..query },
            Err(name) => return reply.refuse(self.unknown(&name)),
        };
        let feed = reply.events();
        self.world.journal.follow(
            query,
            Box::new(move |offer| {
                let item = match offer {
                    Offer::Entry(entry) => EventItem::Entry(Box::new(entry.clone())),
                    Offer::Missed(count) => EventItem::Missed(count),
                    Offer::Nothing => return (!feed.is_closed()).then_some(true),
                };
                match feed.try_send(item) {
                    Ok(()) => Some(true),
                    Err(TrySendError::Full(_)) => Some(false),
                    Err(TrySendError::Closed(_)) => None,
                }
            }),
        );
    }

    pub(super) fn history(&self, names: &[String], last: u32, reply: Reply) {
        let (query, known) = match self.query(names) {
            Ok(query) => (query, true),
            // A program that is gone is known to the journal alone.
            Err(_) => {
                let programs = names.iter().map(|name| program_part(name).to_owned()).collect();
                (Query { programs, ..Query::default() }, false)
            }
        };
        let unknown = self.unknown(names.first().map_or("", String::as_str));
        let query = Query { last: Some(last as usize), ..query };
        self.world.journal.read(
            query,
            Box::new(move |entries| match known || !entries.is_empty() {
                true => reply.send(Answer::History(entries)),
                false => reply.refuse(unknown),
            }),
        );
    }

    /// What patterns mean for the journal. `Err`: the name that is not known.
    fn query(&self, names: &[String]) -> Result<Query, String> {
        if names.is_empty() {
            return Ok(Query::default());
        }
        let targets = catalogue::resolve(&self.core, names).map_err(|unknown| unknown.0)?;
        Ok(Query {
            programs: targets.iter().map(|target| target.program().to_string()).collect(),
            ..Query::default()
        })
    }

    pub(super) fn why(&self, name: &str, reply: Reply) {
        let slot = catalogue::instance(&self.core, name);
        let program = slot.as_ref().map_or(name, |slot| slot.program.as_str()).to_owned();
        let known =
            ProgramName::new(&program).ok().filter(|name| catalogue::programs(&self.core).contains(name));
        let subjects = known.as_ref().map(|name| self.subjects(name, slot.as_ref())).unwrap_or_default();
        let unknown = self.unknown(name);
        let query = Query { programs: BTreeSet::new(), last: None, ..Query::default() };
        let present = known.is_some();
        let notes = self.reload.trouble().into_iter().collect();
        self.world.journal.read(
            query,
            Box::new(move |entries| {
                let Told { causes, left_out } = told(&entries, &program);
                if !present && causes.is_empty() {
                    return reply.refuse(unknown);
                }
                let instances =
                    subjects.into_iter().map(|subject| subject.finish(&program, &causes)).collect();
                let why = WhyDto { program, present, instances, causes, left_out, notes };
                reply.send(Answer::Why(Box::new(why)));
            }),
        );
    }

    fn subjects(&self, name: &ProgramName, only: Option<&Slot>) -> Vec<Subject> {
        let (now, wall) = (clock::now(), Wall::read());
        let status = self.core.program_status(name, now);
        let wanted = status.instances.iter().filter(|one| only.is_none_or(|slot| one.slot == *slot));
        wanted.map(|one| self.subject(one, &wall)).collect()
    }

    fn subject(&self, one: &InstanceStatus, wall: &Wall) -> Subject {
        let picture = WhyInstanceDto {
            id: one.label.to_string(),
            phase: one.phase.to_string(),
            since: wall.stamp(one.since),
            reason: one.reason.clone(),
            next: next(one, wall),
            ..WhyInstanceDto::default()
        };
        let spec = self.spec_of(one);
        let stops = one.phase == PhaseKind::Stopping;
        let exit = one.last_exit.map(|(exit, _)| exit);
        Subject {
            look: findings::Subject {
                instance: picture.id.clone(),
                command: spec.map(changes::command).unwrap_or_default(),
                pid: one.pid,
                open_files: spec.and_then(|spec| findings::open_files_of(&spec.limits)),
                asked_with: spec.and_then(|spec| spec.stop.first_signal()).filter(|_| stops),
            },
            names: [true, false].map(|numbered| InstanceLabel::of(&one.slot, numbered).to_string()).to_vec(),
            picture,
            logs: spec.map(|spec| logs_of(spec, one)).unwrap_or_default(),
            phase: one.phase,
            place: spec.map(|spec| spec.place.to_string()).unwrap_or_default(),
            overdue: one.overdue.is_some(),
            forbidden: spec.zip(exit).is_some_and(|(spec, exit)| spec.restart.forbids(exit)),
        }
    }

    /// What it was launched with, or would be.
    fn spec_of(&self, one: &InstanceStatus) -> Option<&Program> {
        let planned = self.core.plan().and_then(|(_, plan)| plan.programs.get(&one.slot.program));
        let run = self.core.instance(&one.slot).and_then(|instance| instance.run());
        run.map(|run| &run.spec).or(planned).map(AsRef::as_ref)
    }
}

fn logs_of(spec: &Program, one: &InstanceStatus) -> Vec<PathBuf> {
    let owner = Owner {
        slot: one.slot.clone(),
        label: one.label.clone(),
        generation: Default::default(),
        helper_of: None,
        cgroup: None,
    };
    log_paths(spec, &owner).into_iter().filter_map(|(_, path)| path).collect()
}

impl Subject {
    /// Reads what takes a disk or a walk through /proc: not on the decision thread.
    fn finish(mut self, program: &str, causes: &[Entry]) -> WhyInstanceDto {
        for path in self.logs.iter().rev() {
            if let Ok(tail) = tail::last_lines(path, LINES, TAIL) {
                let lines = tail.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned());
                self.picture.last_lines.extend(lines);
            }
        }
        let found = findings::of(&self.look, &self.picture.last_lines);
        let about = |entry: &&Entry| entry.instance.as_ref().is_some_and(|name| self.names.contains(name));
        let mut ends = causes.iter().rev().filter(about);
        let case = Case {
            program,
            phase: self.phase,
            place: &self.place,
            last_end: ends.clone().find(|entry| matches!(entry.kind, Kind::Exited | Kind::LaunchFailed)),
            last_trouble: ends.find(|entry| is_trouble(entry)),
            overdue: self.overdue,
            forbidden: self.forbidden,
        };
        self.picture.help = advice::steps(&case, &found);
        self.picture.findings = found.iter().map(Finding::sentence).collect();
        self.picture
    }
}

/// It was ended for a reason of its own, by itself or by us.
fn is_trouble(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Exited => !entry.text.ends_with(AS_ASKED) && !entry.text.ends_with(SENT),
        kind => matches!(kind, Kind::LaunchFailed | Kind::NotReady | Kind::Stuck),
    }
}

fn program_part(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((program, index)) if index.bytes().all(|b| b.is_ascii_digit()) => program,
        Some(_) | None => name,
    }
}

/// What happens next, by itself.
fn next(one: &InstanceStatus, wall: &Wall) -> Option<String> {
    let at = one.next_start_at.map(|at| wall.stamp(at));
    let name = &one.slot.program;
    Some(match (one.phase, at) {
        (PhaseKind::Backoff, Some(at)) => format!("it is started again at {at}"),
        (PhaseKind::Failed, Some(at)) => {
            format!("one more try at {at}; `sppm start {name}` tries now, and so does an edit of its entry")
        }
        (PhaseKind::Failed | PhaseKind::Completed, _) => {
            format!("nothing by itself; `sppm start {name}` starts it, and so does an edit of its entry")
        }
        (PhaseKind::Stopped, _) => format!("nothing by itself; `sppm start {name}` starts it"),
        (PhaseKind::Draining, _) => "it is asked to stop when it is idle; --force does not wait".to_owned(),
        (PhaseKind::Stopping, _) => "KILL follows when its stop.timeout has passed".to_owned(),
        (PhaseKind::Killing, _) => "it is killed again until nothing of it lives".to_owned(),
        (PhaseKind::Waiting, _) => "it is launched as soon as it is its turn".to_owned(),
        (PhaseKind::Starting | PhaseKind::Running | PhaseKind::Backoff, _) => {
            return None;
        }
    })
}
