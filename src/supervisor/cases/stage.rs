//! The stage of the stories: a core, its records, a keeper's table, and a clock.
//!
//! A line is one of
//! - `plan web:v2:x3 db:work=5 …` with the options of [`program_of`]; `at-once=2` among them is start_concurrency
//! - `launched web.1`, `failed web.1`, `exited web.1 1 boom` (code, or `TERM`; last word, if any), `left web.1 2`, `empty web.1`, `busy web.1`,
//!   `idle web.1`, `command web.1 0` — news of the slot's newest run, or of `web.1#1`
//! - `start web`, `stop web force`, `restart web.2 force`, `signal web`, `scale web 3`, `shutdown force`
//! - `wait 5s` or `wait 100ms`: time passes, in ticks as the core wants them
//! - `crash`, `crash 20s`: the supervisor dies and comes back at once, or so much later; `crash at 2: LINE`: it dies when two actions of LINE are done
//! - `amnesia`: the same at once, and the records are lost
//! - `show web`: phase and reason of each instance; `waits`: what a shutdown waits for, and how many drain

use crate::model::{
    Exit, Generation, GiveUp, Hook, HookKind, InstanceLabel, Instances, Moment, OnStop, Orphans, PastMaxBusy,
    PerMille, Plan, Program, Readiness, ReadyBy, RestartWhen, RunId, Signal, Slot, StartConcurrency, StopBy,
    StopStep, Template,
};
use crate::supervisor::simulation::behaviour::failure;
use crate::supervisor::simulation::plans::{name, plan_of, program};
use crate::supervisor::{
    Action, Author, Event, Instance, Override, Request, Restored, ScaleTo, ShutdownRecord, Supervisor,
    TableEntry, TableStage, Target, Work,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

struct Entry {
    name: String,
    slot: Slot,
    label: InstanceLabel,
    generation: Generation,
    stage: TableStage,
    /// It has tasks: whether it is busy is told by lines.
    works: bool,
}

pub(super) struct Stage {
    core: Supervisor,
    now: Moment,
    generation: u64,
    plans: BTreeMap<Generation, Arc<Plan>>,
    accepted: Option<Generation>,
    instances: BTreeMap<Slot, Instance>,
    overrides: BTreeMap<crate::model::ProgramName, Override>,
    shutdown: Option<ShutdownRecord>,
    table: BTreeMap<RunId, Entry>,
    names: BTreeMap<String, RunId>,
    launches: BTreeMap<Slot, u32>,
    /// So many actions until the supervisor dies.
    left: Option<u32>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let now = Moment::from_nanos(1_000_000_000);
        let mut stage = Self {
            core: Supervisor::new(7, now, Restored::default()),
            now,
            generation: 0,
            plans: BTreeMap::new(),
            accepted: None,
            instances: BTreeMap::new(),
            overrides: BTreeMap::new(),
            shutdown: None,
            table: BTreeMap::new(),
            names: BTreeMap::new(),
            launches: BTreeMap::new(),
            left: None,
        };
        stage.core.handle(now, Event::Table { entries: Vec::new() });
        stage
    }

    /// Plays a line; what the core wants done.
    pub(super) fn play(&mut self, line: &str) -> Vec<String> {
        if let Some((head, rest)) = line.split_once(": ")
            && let Some(count) = head.strip_prefix("crash at ")
        {
            self.left = Some(count.parse().unwrap());
            let mut done = self.play(rest);
            self.left = None;
            self.core.out.clear();
            self.core.batch = Default::default();
            done.push("died".to_owned());
            done.extend(self.come_back());
            return done;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let force = words.contains(&"force");
        let by = Author { who: "ann".to_owned(), at: "noon".to_owned() };
        let request = match words[0] {
            "plan" => {
                self.plan(&words[1..]);
                return self.done();
            }
            "wait" => return self.wait(words[1]),
            "crash" => {
                self.now = self.now + words.get(1).map_or(Duration::ZERO, |text| span(text));
                return self.come_back();
            }
            "amnesia" => {
                self.instances.clear();
                return self.come_back();
            }
            "show" => return self.show(words[1]),
            "waits" => {
                return vec![format!("{} {}", self.core.drained().len(), self.core.waits_text(self.now))];
            }
            "start" => Request::Start { targets: vec![target(words[1])] },
            "stop" => {
                Request::Stop { targets: vec![target(words[1])], force, runtime: words.contains(&"runtime") }
            }
            "restart" => Request::Restart { targets: vec![target(words[1])], force },
            "signal" => Request::Signal { targets: vec![target(words[1])], signal: Signal::HUP },
            "scale" => {
                Request::Scale { program: name(words[1]), to: ScaleTo::Exactly(words[2].parse().unwrap()) }
            }
            "shutdown" => Request::Shutdown { force },
            news => {
                let run = self.run(words[1]);
                let event = news_of(news, run, words.get(2).copied(), words.get(3).copied());
                self.note_stage(run, &event);
                self.core.handle(self.now, event);
                return self.done();
            }
        };
        let refused = self.core.ask(self.now, &by, request).err();
        let mut done: Vec<String> = refused.map(|why| format!("refused: {why:?}")).into_iter().collect();
        done.extend(self.done());
        done
    }

    fn run(&self, text: &str) -> RunId {
        let newest = self.names.iter().rfind(|(name, _)| name.split('#').next() == Some(text));
        *self.names.get(text).or(newest.map(|(_, run)| run)).expect("a run of that name")
    }

    fn name(&self, run: RunId) -> String {
        self.names.iter().find(|(_, id)| **id == run).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn works(&self, run: RunId) -> bool {
        self.table.get(&run).is_some_and(|entry| entry.works)
    }

    fn plan(&mut self, programs: &[&str]) {
        let number = |text: &&str| text.strip_prefix("at-once=").map(|number| number.parse().unwrap());
        let at_once: Option<u32> = programs.iter().find_map(number);
        let entries = programs.iter().filter(|text| number(text).is_none());
        let mut plan = plan_of(entries.map(|text| program_of(text)));
        if let Some(at_once) = at_once {
            Arc::make_mut(&mut plan).supervisor.start_concurrency = StartConcurrency::new(at_once).unwrap();
        }
        self.generation = self.accepted.map_or(1, |accepted| accepted.0 + 1);
        let generation = Generation(self.generation);
        self.plans.insert(generation, Arc::clone(&plan));
        self.core.handle(self.now, Event::PlanAccepted { generation, plan });
    }

    fn wait(&mut self, text: &str) -> Vec<String> {
        let until = self.now + span(text);
        let mut done = Vec::new();
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.core.tick(self.now);
            done.extend(self.done());
        }
        self.now = until;
        done
    }

    fn show(&self, program: &str) -> Vec<String> {
        let status = self.core.program_status(&name(program), self.now);
        let instance =
            |i: &crate::supervisor::InstanceStatus| format!("{} {}: {}", i.label, i.phase, i.reason);
        let flag = status.flag.iter().map(|flag| format!("flag: {flag}"));
        status.instances.iter().map(instance).chain(flag).collect()
    }

    fn note_stage(&mut self, run: RunId, event: &Event) {
        let Some(entry) = self.table.get_mut(&run) else { return };
        match event {
            Event::Launched { pid, .. } => entry.stage = TableStage::Running { pid: *pid },
            Event::LaunchFailed { failure, .. } => entry.stage = TableStage::Failed(failure.clone()),
            Event::Exited { exit, .. } => entry.stage = TableStage::Exited { pid: 1, exit: *exit },
            Event::PlanAccepted { .. }
            | Event::TreeLeft { .. }
            | Event::TreeEmpty { .. }
            | Event::StopCommandDone { .. }
            | Event::HookDone { .. }
            | Event::Ready { .. }
            | Event::Beat { .. }
            | Event::Stuck { .. }
            | Event::BeatEvery { .. }
            | Event::Extend { .. }
            | Event::Work { .. }
            | Event::Table { .. } => {}
        }
    }

    /// Another supervisor, from the records and the keeper's table.
    fn come_back(&mut self) -> Vec<String> {
        let restored = Restored {
            plan: self.accepted.map(|accepted| (accepted, Arc::clone(&self.plans[&accepted]))),
            instances: self.instances.clone().into_iter().collect(),
            overrides: self.overrides.clone().into_iter().collect(),
            shutdown: self.shutdown.clone(),
        };
        let entry = |(run, entry): (&RunId, &Entry)| TableEntry {
            run: *run,
            slot: entry.slot.clone(),
            label: entry.label.clone(),
            generation: entry.generation,
            stage: entry.stage.clone(),
        };
        let entries = self.table.iter().map(entry).collect();
        self.core = Supervisor::new(self.now.as_nanos().into(), self.now, restored);
        self.core.handle(self.now, Event::Table { entries });
        self.done()
    }

    /// Carries out what the core wants.
    fn done(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(action) = self.core.next_action() {
            let aside = match &action {
                Action::LookAtWork { run } | Action::ForgetWork { run, .. } => !self.works(*run),
                Action::TellStop { .. } => true,
                _ => false,
            };
            if let Some(left) = self.left.as_mut().filter(|_| !aside) {
                if *left == 0 {
                    break;
                }
                *left -= 1;
            }
            done.extend(self.carry_out(action));
        }
        done
    }

    fn carry_out(&mut self, action: Action) -> Option<String> {
        Some(match action {
            Action::Record { slot, record } => {
                match record {
                    Some(record) => self.instances.insert(slot, Instance::clone(&record)),
                    None => self.instances.remove(&slot),
                };
                return None;
            }
            Action::RecordShutdown(record) => {
                self.shutdown = Some(record);
                return None;
            }
            Action::RecordPlan { generation, stale } => {
                self.accepted = Some(generation);
                for (slot, instance) in &mut self.instances {
                    if let Some(run) = instance.run_mut().filter(|run| !stale.contains(&run.id)) {
                        run.generation = generation;
                        run.spec = Arc::clone(&self.plans[&generation].programs[&slot.program]);
                    }
                }
                return None;
            }
            Action::KeepOverride { program, wish } => {
                match wish {
                    Some(wish) => self.overrides.insert(program, *wish),
                    None => self.overrides.remove(&program),
                };
                return None;
            }
            Action::Note(_) => return None,
            Action::Launch(launch) => {
                let count = self.launches.entry(launch.slot.clone()).or_default();
                *count += 1;
                let name = format!("{}.{}#{count}", launch.slot.program, launch.slot.index);
                self.names.insert(name.clone(), launch.run);
                let Program { command, .. } = &*launch.spec;
                let works = launch.spec.tags.iter().any(|tag| tag == "work");
                let crate::model::Command::Exec(words) = command else { return None };
                let text = format!("launch {name} as {}: {}", launch.label, words[0]);
                let (slot, label, generation) = (launch.slot, launch.label, launch.generation);
                self.table.insert(
                    launch.run,
                    Entry { name, slot, label, generation, stage: TableStage::Forked, works },
                );
                text
            }
            Action::AskToStop { run, signal, .. } => format!("ask {} {signal}", self.name(run)),
            Action::RunStopCommand { run, .. } => format!("stop command for {}", self.name(run)),
            Action::Signal { run, signal } => format!("signal {} {signal}", self.name(run)),
            Action::Kill { run } => format!("kill {}", self.name(run)),
            Action::CheckTree { run } => format!("check {}", self.name(run)),
            Action::LookAtWork { run } if self.works(run) => format!("look at {}", self.name(run)),
            // The shell answers at once.
            Action::LookAtWork { run } => {
                self.core.handle(self.now, Event::Work { run, work: Work::Idle });
                return None;
            }
            Action::ForgetWork { run, .. } if !self.works(run) => return None,
            Action::ForgetWork { run, .. } => format!("forget {}", self.name(run)),
            Action::RunHook { run, hook, .. } => format!("{} for {}", hook.key(), self.name(run)),
            Action::EndHook { run, hook } => format!("end {} for {}", hook.key(), self.name(run)),
            Action::TellStop { .. } => return None,
            Action::CheckBeat { run } => format!("feel {}", self.name(run)),
            Action::Respec { run, .. } => format!("respec {}", self.name(run)),
            Action::Release { run } => {
                let entry = self.table.remove(&run);
                format!("release {}", entry.map(|entry| entry.name).unwrap_or_default())
            }
            Action::Finish { code } => format!("finish {code}"),
        })
    }
}

fn span(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().unwrap()),
        None => Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}

fn target(text: &str) -> Target {
    match text.split_once('.') {
        Some((program, index)) => Target::Instance(Slot::new(name(program), index.parse().unwrap())),
        None => Target::Program(name(text)),
    }
}

fn news_of(news: &str, run: RunId, detail: Option<&str>, last_word: Option<&str>) -> Event {
    let exit = |text: Option<&str>| match text.unwrap().parse() {
        Ok(code) => Exit::Code(code),
        Err(_) => Exit::Signal { signal: text.unwrap().parse().unwrap(), core: false },
    };
    match news {
        "launched" => Event::Launched { run, pid: 1 },
        "failed" => Event::LaunchFailed { run, failure: failure() },
        "exited" => Event::Exited { run, exit: exit(detail), words: last_word.map(str::to_owned) },
        "left" => Event::TreeLeft { run, processes: detail.unwrap().parse().unwrap() },
        "empty" => Event::TreeEmpty { run },
        "busy" => Event::Work {
            run,
            work: Work::Busy { since: Moment::from_nanos(1_000_000_000), what: detail.map(str::to_owned) },
        },
        "ready" => Event::Ready { run },
        "stuck" => Event::Stuck { run, how: "it said that it is stuck".to_owned() },
        "hook" => {
            Event::HookDone { run, hook: HookKind::BeforeStop, exit: detail.map(|text| exit(Some(text))) }
        }
        "restart-hook" => {
            Event::HookDone { run, hook: HookKind::BeforeRestart, exit: detail.map(|text| exit(Some(text))) }
        }
        "beat" => Event::Beat {
            run,
            at: Moment::from_nanos(detail.unwrap().parse::<u64>().unwrap() * 1_000_000_000),
        },
        "every" => Event::BeatEvery { run, every: Duration::from_secs(detail.unwrap().parse().unwrap()) },
        "extend" => Event::Extend { run, by: Duration::from_secs(detail.unwrap().parse().unwrap()) },
        "idle" => Event::Work { run, work: Work::Idle },
        "command" => Event::StopCommandDone { run, exit: detail.map(|text| exit(Some(text))) },
        other => panic!("no such line: {other}"),
    }
}

fn hook(timeout: Duration) -> Hook {
    Hook { argv: vec![Template::new("hook")], timeout }
}

/// `web`, then options after colons: `v2` another command, `x3` instances, `work` or `work=5` (max_busy), `off`
/// (autostart), `keep` (orphans), `never`, `on-failure`, `limit=1`, `stay`, `fatal` (then), `steps` (INT 2s, TERM 3s),
/// `command` (stop command), `timeout=9`, `uptime=1`, `tag` (a live key), `first` (priority). No jitter; pauses of 1 s, 2 s, 4 s.
fn program_of(text: &str) -> Program {
    let mut parts = text.split(':');
    let title = parts.next().unwrap();
    let mut spec = program(title);
    spec.restart.jitter = PerMille(0);
    spec.restart.delay = Duration::from_secs(1);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, "0"));
        let seconds = Duration::from_secs(value.parse().unwrap());
        match key {
            "work" => {
                spec.work.max_busy = (!seconds.is_zero()).then_some(seconds);
                spec.tags.push("work".to_owned());
            }
            "signal" => spec.work.on_stop = OnStop::Signal,
            "then-signal" => spec.work.then = PastMaxBusy::Signal,
            "then-keep" => spec.work.then = PastMaxBusy::Keep,
            "notify" => spec.ready = Readiness { by: ReadyBy::Notify, timeout: seconds },
            "watchdog" => spec.watchdog = Some(seconds),
            "before-stop" => spec.hooks.before_stop = Some(hook(seconds)),
            "before-restart" => spec.hooks.before_restart = Some(hook(seconds)),
            "off" => spec.autostart = false,
            "keep" => spec.orphans = Orphans::Keep,
            "never" => spec.restart.when = RestartWhen::Never,
            "on-failure" => spec.restart.when = RestartWhen::OnFailure,
            "limit" => spec.restart.limit = value.parse().unwrap(),
            "stay" => spec.restart.then = GiveUp::Stay,
            "fatal" => spec.restart.then = GiveUp::Shutdown,
            "uptime" => spec.restart.min_uptime = seconds,
            "first" => spec.priority = 0,
            "tag" => spec.tags.push("tag".to_owned()),
            "command" => {
                spec.stop.by = StopBy::Command { argv: vec![Template::new("stop-it")], timeout: seconds };
            }
            "timeout" => {
                spec.stop.by = StopBy::Signals(vec![StopStep { signal: Signal::TERM, wait: seconds }])
            }
            "steps" => {
                let step = |signal, seconds| StopStep { signal, wait: Duration::from_secs(seconds) };
                spec.stop.by = StopBy::Signals(vec![step(Signal::INT, 2), step(Signal::TERM, 3)]);
            }
            version if version.starts_with('v') => {
                spec.command = crate::model::Command::Exec(vec![Template::new(format!("{title}-{version}"))]);
            }
            count if count.starts_with('x') => {
                spec.instances = Instances::Numbered(count[1..].parse().unwrap())
            }
            other => panic!("no such option: {other}"),
        }
    }
    spec
}
