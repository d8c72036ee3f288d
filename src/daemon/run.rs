//! The supervisor process: the loop around the core.
//!
//! One message after the other; after each batch the core is ticked, its actions are carried out until it has no more,
//! and whoever waited is answered. Reading this page and `world` is reading everything that happens.

use super::above::Above;
use super::inbox::{LoadOutcome, Mailbox, Message, Purpose};
use super::options::Options;
use super::own_log::OwnLog;
use super::places::Places;
use super::reload::{Reload, Verdict};
use super::settle::Waiters;
use super::startup;
use super::world::World;
use super::{budget, changes, records::Plans};
use super::{voice, wall};
use crate::config::{Loaded, Problems, Style};
use crate::control::request::{Answer, Call};
use crate::control::server::Server;
use crate::control::wire::{ChangeKind, DiffDto, ErrorDto};
use crate::journal::{Entry, Kind};
use crate::keeper::link::{Order, Report, SignalOrigin};
use crate::linux::memory::Thrift;
use crate::linux::{clock, limits};
use crate::logs::{LogEvent, SinkTarget};
use crate::model::{ApiSettings, Generation, Moment, Signal};
use crate::supervisor::{Author, Event, Request, Supervisor, diff};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// So many messages are taken before the core acts, so that a flood of one kind does not starve its deadlines.
const BATCH: usize = 512;

/// Requests are answered for so long between two looks at everything else; at least one is. However many ask, a program
/// that dies waits no longer than this for each step of its restart, and for one answer.
const FOR_REQUESTS: Duration = Duration::from_millis(2);

/// Everything that the decision thread owns.
pub(super) struct Daemon {
    pub(super) core: Supervisor,
    pub(super) world: World,
    pub(super) mailbox: Mailbox,
    pub(super) reload: Reload,
    pub(super) above: Above,
    pub(super) waiters: Waiters,
    /// When a waiter must be looked at although nothing happens.
    pub(super) waiters_due: Option<Moment>,
    pub(super) places: Places,
    pub(super) plans: Plans,
    /// A plan was accepted in this turn.
    pub(super) plans_are_stale: bool,
    pub(super) environment: Arc<BTreeMap<String, String>>,
    pub(super) keeper_pid: u32,
    pub(super) started_at: Moment,
    /// How this supervisor came to its place, if another one was there before.
    pub(super) took_over: Option<String>,
    /// What the control socket was opened with.
    pub(super) api: ApiSettings,
    /// Edited keys that need a restart of sppm.
    pub(super) needs_restart: Vec<String>,
    /// Sinks that do not work now.
    pub(super) log_troubles: BTreeMap<SinkTarget, String>,
    pub(super) server: Option<Server>,
    pub(super) cgroups: Option<crate::linux::cgroup::Cgroups>,
    pub(super) own_log: OwnLog,
    /// Gives the memory of a burst back.
    pub(super) thrift: Thrift,
}

/// Is the supervisor that a keeper has started. Returns the exit code.
pub fn supervise(options: &Options) -> u8 {
    match startup::start(options) {
        Ok(daemon) => {
            voice::announce(options.mode);
            daemon.run()
        }
        Err(error) => {
            voice::complain(options.mode, &error);
            error.exit_code
        }
    }
}

impl Daemon {
    fn run(mut self) -> u8 {
        // The keeper knows already; it is told in that order.
        self.above.works(&self.core, &self.places.config);
        self.settle_down();
        loop {
            let deadlines = [
                self.core.next_deadline(),
                self.reload.deadline(),
                self.above.deadline(),
                self.waiters_due,
                self.thrift.deadline(),
                self.world.aftermath.deadline(),
            ];
            let until = deadlines.into_iter().flatten().min();
            let mut next = self.mailbox.next(until);
            let mut taken = 0;
            for _ in 0..BATCH {
                let Some(message) = next else { break };
                if let Some(code) = self.take(message) {
                    return code;
                }
                taken += 1;
                if self.core.is_urgent() {
                    self.act();
                }
                next = self.mailbox.try_next();
            }
            if let Some(message) = next
                && let Some(code) = self.take(message)
            {
                return code;
            }
            self.settle_down();
            taken += self.answer_some();
            self.thrift.worked(clock::now(), taken);
            self.thrift.tick(clock::now());
            if let Some(code) = self.world.finished {
                return self.finish(code);
            }
        }
    }

    /// The core acts, and what it wants is done, until it wants nothing more.
    fn settle_down(&mut self) {
        let now = clock::now();
        self.core.tick(now);
        self.reload.tick(now);
        self.act();
        self.above.tick(now, &self.core);
        self.world.records.compact_if_grown(&self.core);
        if std::mem::take(&mut self.plans_are_stale) {
            self.forget_old_plans();
        }
        self.waiters_due = self.waiters.look(&self.core, now);
    }

    /// Answers requests, for a moment. An answer must not run ahead of what is done and written down.
    fn answer_some(&mut self) -> usize {
        let until = clock::now() + FOR_REQUESTS;
        let mut answered = 0;
        while let Some(call) = self.mailbox.call() {
            if !(call.request.only_asks() && call.reply.is_gone()) {
                self.act();
                self.world.do_all();
                self.answer(call);
            }
            answered += 1;
            if clock::now() >= until {
                break;
            }
        }
        if answered > 0 {
            self.settle_down();
        }
        answered
    }

    /// What the core wants is done, until it wants nothing more.
    pub(super) fn act(&mut self) {
        loop {
            // As many as can be, so that what they lead to is written down in one piece.
            while let Some(event) = self.world.pending.pop_front() {
                self.core.handle(clock::now(), event);
                if self.core.is_urgent() {
                    break;
                }
            }
            if !self.core.has_more_now() && self.world.tell_idle() {
                continue;
            }
            let Some(action) = self.core.next_action() else { break };
            self.world.carry_out(action);
        }
        self.world.conclude(self.core.shutdown_record().is_some());
    }

    /// One message. `Some`: the process ends at once with this code.
    fn take(&mut self, message: Message) -> Option<u8> {
        match message {
            Message::Keeper(report) => self.keeper_says(report),
            Message::KeeperGone => {
                self.world.do_all();
                tracing::error!(
                    "the line to the keeper is lost; the programs run on, and this supervisor ends"
                );
                self.world.journal.flush();
                self.own_log.flush();
                return Some(70);
            }
            Message::Launching { run, launching } => self.world.launching(run, launching),
            Message::Tree { run, left: 0 } => self.core.handle(clock::now(), Event::TreeEmpty { run }),
            Message::Tree { run, left } => {
                self.core.handle(clock::now(), Event::TreeLeft { run, processes: left });
            }
            Message::ForeignExited { run, exit } => self.world.foreign_exited(run, exit),
            Message::Log(event) => self.log_says(event),
            Message::FileHint => self.reload.hint(clock::now()),
            Message::Loaded(outcome) => self.loaded(*outcome),
            Message::Signal(signal) => self.signalled(signal, None),
            Message::Said { run, saying, ticket } => {
                self.said(run, saying);
                drop(ticket);
            }
            Message::Gate(news) => {
                if let Some((run, work)) = self.world.dialogue.work_of(news) {
                    self.core.handle(clock::now(), Event::Work { run, work });
                }
            }
        }
        None
    }

    fn keeper_says(&mut self, report: Report) {
        match report {
            Report::Process { run, pid, stage, fds, .. } => self.world.process_news(run, pid, stage, fds),
            Report::Signal { signal, origin } => self.signalled(signal, Some(origin)),
            Report::Strangers => self.world.trees.hint(),
            Report::Ping => {
                // A keeper that is gone needs no answer.
                let _ = self.world.keeper.send(&Order::Pong);
            }
            Report::Hello { .. }
            | Report::Held { .. }
            | Report::TableEnd
            | Report::Claimed
            | Report::ClaimRefused { .. } => {}
        }
    }

    fn log_says(&mut self, event: LogEvent) {
        match event {
            LogEvent::Closed { run, last } => self.world.closed(run, last),
            LogEvent::Drained { run, last } => self.world.drained(run, &last),
            LogEvent::Trouble { target, message, .. } => {
                tracing::error!("{message}");
                self.tell(Entry::new(wall::now_millis(), Kind::LogTrouble, message.clone()));
                self.log_troubles.insert(target, message);
            }
            LogEvent::Recovered { target, dropped, .. } => {
                tracing::info!(dropped, "a log works again");
                let text = format!("a log works again; {dropped} bytes were dropped");
                self.tell(Entry::new(wall::now_millis(), Kind::LogRecovered, text));
                self.log_troubles.remove(&target);
            }
            LogEvent::Abandoned { target } => drop(self.log_troubles.remove(&target)),
        }
    }

    /// A signal to the supervisor, or to the keeper, which passes it on with its origin.
    fn signalled(&mut self, signal: Signal, origin: Option<SignalOrigin>) {
        let by_terminal = origin == Some(SignalOrigin::Kernel);
        let shutting_down = self.core.shutdown_record().is_some();
        match signal {
            Signal::HUP if !by_terminal => {
                self.reload.loader.load(Purpose::Asked(format!("{signal}{}", from(origin))));
            }
            Signal::QUIT => self.shut_down(signal, origin, true),
            Signal::INT if by_terminal && shutting_down => self.shut_down(signal, origin, true),
            // The terminal is gone, and with it whoever ran this in the foreground.
            Signal::HUP | Signal::TERM | Signal::INT => self.shut_down(signal, origin, false),
            Signal::USR1 => {
                tracing::info!("log files are opened anew ({signal}{})", from(origin));
                self.world.logger.reopen();
            }
            other => tracing::warn!("{other}{} is ignored: it means nothing in this version", from(origin)),
        }
    }

    fn shut_down(&mut self, signal: Signal, origin: Option<SignalOrigin>, force: bool) {
        let by = Author { who: format!("{signal}{}", from(origin)), at: wall::now() };
        tracing::info!(force, "shutdown, asked by {}", by.who);
        let text = if force { "shutdown at once" } else { "shutdown" };
        self.tell(Entry::new(wall::now_millis(), Kind::Request, text).by(&by.who));
        // A shutdown is never refused.
        let _ = self.core.ask(clock::now(), &by, Request::Shutdown { force });
    }

    /// A configuration was read.
    fn loaded(&mut self, outcome: LoadOutcome) {
        let now = clock::now();
        let Some((generation, current)) = self.core.plan().map(|(g, plan)| (g, Arc::clone(plan))) else {
            return;
        };
        if let Verdict::LookAgain = self.reload.judge(now, &outcome, &current) {
            return;
        }
        let LoadOutcome { purpose, result, recording } = outcome;
        let loaded = match result {
            Ok(loaded) => loaded,
            Err(problems) => return self.invalid(purpose, &problems),
        };
        self.reload.watch(&loaded.watched);
        if self.reload.valid() {
            self.tell(Entry::new(wall::now_millis(), Kind::ConfigValid, "the configuration is valid again"));
        }
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let Loaded { plan, .. } = loaded;
        let picture = changes::picture(&current, &plan, generation, warnings);
        if let Purpose::Diff(call) = purpose {
            return call.reply.send(Answer::Diff(picture));
        }
        let difference = diff(&current, &plan);
        let same_switches = current.disabled.keys().eq(plan.disabled.keys());
        let mut generation = generation;
        if difference != Default::default() || !same_switches {
            self.tell_change(&picture, &purpose);
            generation = self.accept(now, plan, &recording, &purpose);
        }
        if let Purpose::Reload(call) = purpose {
            call.reply.send(Answer::Diff(DiffDto { generation: generation.0, ..picture }));
        }
    }

    fn accept(
        &mut self,
        now: Moment,
        plan: crate::model::Plan,
        recording: &super::sources::Recording,
        purpose: &Purpose,
    ) -> Generation {
        let generation = Generation(self.core.plan().map_or(0, |(generation, _)| generation.0) + 1);
        if let Err(error) = self.plans.keep(generation, recording) {
            tracing::error!(%error, "cannot keep the accepted configuration: a take-over would read the file again");
        }
        tracing::info!(%generation, "the configuration has changed and is applied ({})", describe(purpose));
        if let Some(warning) = budget::warning(&plan, limits::open_files()) {
            tracing::warn!("{warning}");
        }
        self.needs_restart = startup::needs_restart(&self.places, &self.api, &plan);
        self.reload.follow(plan.supervisor.follow_file);
        self.core.handle(now, Event::PlanAccepted { generation, plan: Arc::new(plan) });
        self.above.reloaded(now, &self.core, &self.places.config);
        self.plans_are_stale = true;
        generation
    }

    /// Only when the records speak of the new plan: a successor must find the one that they speak of.
    fn forget_old_plans(&mut self) {
        let accepted = self.core.plan().map(|(generation, _)| generation);
        let runs = self.core.instances().filter_map(|(_, instance)| instance.run().map(|run| run.generation));
        let in_use: BTreeSet<Generation> = runs.chain(accepted).collect();
        self.plans.keep_only(&in_use);
    }

    fn invalid(&mut self, purpose: Purpose, problems: &Problems) {
        self.reload.watch(&problems.watched);
        let answer = |call: Call| {
            let message = match problems.errors() {
                1 => "the configuration is not valid: 1 error; nothing was changed".to_owned(),
                many => format!("the configuration is not valid: {many} errors; nothing was changed"),
            };
            let error = ErrorDto::config_invalid(message, problems.render(Style::Plain));
            call.reply.refuse(error.with_problems(&problems.report()));
        };
        match purpose {
            Purpose::Diff(call) => answer(call),
            Purpose::Reload(call) => {
                self.note_invalid(problems);
                answer(call);
            }
            Purpose::Watch | Purpose::WatchAgain | Purpose::Asked(_) => self.note_invalid(problems),
        }
    }

    fn note_invalid(&mut self, problems: &Problems) {
        if self.reload.invalid(problems) {
            let text =
                format!("the configuration is not valid, and nothing was changed: {}", problems.first_line());
            self.tell(Entry::new(wall::now_millis(), Kind::ConfigInvalid, text));
        }
    }

    /// One more entry of the journal.
    pub(super) fn tell(&mut self, entry: Entry) {
        self.world.aftermath.tell(entry);
    }

    /// An accepted edit, as an entry for each program that it touches, so that `why NAME` finds it.
    fn tell_change(&mut self, picture: &DiffDto, purpose: &Purpose) {
        let cause = describe(purpose);
        if picture.changes.is_empty() {
            let text = format!("the configuration was accepted ({cause}); no program changes");
            self.tell(Entry::new(wall::now_millis(), Kind::ConfigChanged, text));
        }
        for change in &picture.changes {
            let keys: Vec<&str> = change.keys.iter().map(|key| key.key.as_str()).collect();
            let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
            let fate = match change.change {
                ChangeKind::Start => "it is new there",
                ChangeKind::Stop => "it is not named any more",
                ChangeKind::Restart | ChangeKind::Scale | ChangeKind::Live => change.change.as_str(),
            };
            let text = format!("the configuration was accepted ({cause}): {fate}{keys}");
            let entry = Entry::new(wall::now_millis(), Kind::ConfigChanged, text);
            self.tell(Entry { program: Some(change.program.clone()), ..entry });
        }
    }

    /// The orderly end: everything has stopped, and nothing is left behind but logs and state.
    fn finish(mut self, code: u8) -> u8 {
        self.world.do_all();
        tracing::info!(code, "everything has stopped; this is the end");
        self.waiters.look_now(&self.core, clock::now());
        self.world.logger.stop();
        self.tell(Entry::new(wall::now_millis(), Kind::SupervisorEnded, "the supervisor ended in order"));
        self.world.do_all();
        self.world.journal.flush();
        self.world.wishes.finish();
        self.world.dialogue.channel.close();
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_millis(500));
        }
        self.places.clear(&self.environment);
        self.plans.remove();
        self.world.records.remove();
        if let Some(cgroups) = &self.cgroups
            && let Err(error) = cgroups.remove_root()
        {
            tracing::debug!(%error, "the cgroup is still in use");
        }
        self.own_log.flush();
        // A keeper that is gone cannot be told.
        let _ = self.world.keeper.send(&Order::Goodbye { code });
        code
    }
}

fn from(origin: Option<SignalOrigin>) -> String {
    match origin {
        Some(SignalOrigin::Process { pid, uid }) => format!(" from pid {pid} (uid {uid})"),
        Some(SignalOrigin::Kernel) => " from the terminal".to_owned(),
        None => String::new(),
    }
}

fn describe(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Watch | Purpose::WatchAgain => "the file was edited".to_owned(),
        Purpose::Asked(who) => who.clone(),
        Purpose::Reload(call) => format!("sppm reload by {}", call.who),
        Purpose::Diff(call) => format!("sppm diff by {}", call.who),
    }
}
