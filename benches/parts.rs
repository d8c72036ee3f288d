//! How long the parts take by themselves: the core, the diff, the configuration, the logs. `cargo bench`.
//!
//! Through the public API alone. For sppm as a whole, beside others, see `benches/compare`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "benchmarks may stop where they stand")]

use divan::Bencher;
use sppm::config::{self, Context, SourceError, Sources};
use sppm::logs::{LogEvent, Logger, Output, SinkSettings};
use sppm::model::{Exit, Generation, InstanceLabel, LogStream, Moment, Plan, RunId};
use sppm::supervisor::{self, Action, Event, Restored, Supervisor};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn main() {
    divan::main();
}

const FILE: &str = "/b/sppm.yaml";

/// One file in memory.
struct Memory(String);

impl Sources for Memory {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        if path == Path::new(FILE) { Ok(self.0.clone()) } else { Err(SourceError::not_found(path)) }
    }

    fn glob(&self, _: &Path) -> Result<Vec<PathBuf>, SourceError> {
        Ok(Vec::new())
    }
}

/// So many programs with some keys each; the one with the number `edited` has another command.
fn text(programs: usize, edited: Option<usize>) -> String {
    let mut text = String::from("defaults: { logs: { max_size: 10MiB } }\nprograms:\n");
    for number in 0..programs {
        let word = if edited == Some(number) { "other" } else { "work" };
        let _ = writeln!(
            text,
            "  crawler-{number}:\n    command: [python3, -u, {word}.py, --shard, \"{number}\"]\n    directory: /srv/crawler\n    \
             environment: {{ LANG: C.UTF-8, SHARD: \"{number}\" }}\n    restart: {{ delay: 200ms, limit: 5 }}\n    \
             stop: {{ timeout: 20s }}"
        );
    }
    text
}

fn load(sources: &Memory) -> Plan {
    let environment = BTreeMap::from([("HOME".to_owned(), "/b".to_owned())]);
    let context = Context { path: Path::new(FILE), environment: &environment, root: true, cpus: 2 };
    match config::load(&context, sources) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{}", problems.render(config::Style::Plain)),
    }
}

fn plan(programs: usize, edited: Option<usize>) -> Arc<Plan> {
    Arc::new(load(&Memory(text(programs, edited))))
}

/// Parses, checks and resolves a file.
#[divan::bench(args = [100, 10_000], sample_count = 20, sample_size = 1)]
fn config_load(bencher: Bencher<'_, '_>, programs: usize) {
    let sources = Memory(text(programs, None));
    bencher.bench_local(|| load(&sources));
}

/// Compares two plans of which one program differs.
#[divan::bench(args = [100, 10_000], sample_count = 50)]
fn diff_one_changed(bencher: Bencher<'_, '_>, programs: usize) {
    let (old, new) = (plan(programs, None), plan(programs, Some(programs / 2)));
    bencher.bench_local(|| supervisor::diff(&old, &new));
}

fn at(seconds: u64) -> Moment {
    Moment::default() + Duration::from_secs(seconds)
}

/// A core that knows that there is nothing yet.
fn core() -> Supervisor {
    let mut core = Supervisor::new(7, at(1), Restored::default());
    core.handle(at(1), Event::Table { entries: Vec::new() });
    core
}

/// Empties the core; answers each launch with a process if `alive`.
fn obey(core: &mut Supervisor, now: Moment, alive: bool) -> Vec<RunId> {
    let mut runs = Vec::new();
    while let Some(action) = core.next_action() {
        if let Action::Launch(launch) = action {
            runs.push(launch.run);
            if alive {
                core.handle(now, Event::Launched { run: launch.run, pid: 1000 });
            }
        }
    }
    runs
}

/// A core with a plan in which everything runs, and the runs.
fn running(plan: &Arc<Plan>) -> (Supervisor, Vec<RunId>) {
    let mut core = core();
    core.handle(at(2), Event::PlanAccepted { generation: Generation(1), plan: Arc::clone(plan) });
    let runs = obey(&mut core, at(2), true);
    assert_eq!(runs.len(), plan.programs.len());
    (core, runs)
}

/// From the first plan to all its launch orders.
#[divan::bench(args = [10_000], sample_count = 20, sample_size = 1)]
fn core_accept_plan(bencher: Bencher<'_, '_>, programs: usize) {
    let plan = plan(programs, None);
    bencher.with_inputs(core).bench_local_values(|mut core| {
        core.handle(at(2), Event::PlanAccepted { generation: Generation(1), plan: Arc::clone(&plan) });
        let launched = obey(&mut core, at(2), false);
        assert_eq!(launched.len(), programs);
        core
    });
}

/// The same plan read again: nothing may happen, and soon.
#[divan::bench(args = [10_000], sample_count = 20, sample_size = 1)]
fn core_unchanged_plan_again(bencher: Bencher<'_, '_>, programs: usize) {
    let (first, again) = (plan(programs, None), plan(programs, None));
    let (mut core, _) = running(&first);
    let mut generation = 1;
    bencher.bench_local(|| {
        generation += 1;
        core.handle(
            at(3),
            Event::PlanAccepted { generation: Generation(generation), plan: Arc::clone(&again) },
        );
        assert!(obey(&mut core, at(3), false).is_empty());
    });
}

/// One program of many ends and is started again: exit, look at its tree, release, launch, launched.
#[divan::bench(args = [1, 1_000, 10_000], sample_count = 100, sample_size = 100)]
fn core_exit_and_restart(bencher: Bencher<'_, '_>, programs: usize) {
    let (mut core, mut runs) = running(&plan(programs, None));
    let (mut now, mut next) = (at(10), 0);
    bencher.bench_local(|| {
        // Every run is steady when it ends, so that its successor comes at once.
        now = now + Duration::from_secs(10);
        let run = runs[next];
        core.handle(now, Event::Exited { run, exit: Exit::Code(1), words: None });
        core.handle(now, Event::TreeEmpty { run });
        let launched = obey(&mut core, now, true);
        assert_eq!(launched.len(), 1);
        runs[next] = launched[0];
        next = (next + 1) % runs.len();
    });
}

const LINES: usize = 64 * 1024 * 1024;

/// Lines of 64 bytes through a pipe into files below `folder`, until all of it is there.
fn pump(folder: &Path, max_size: u64, follow: bool) {
    let (done, wait) = mpsc::channel();
    let logger = Logger::start(move |event| {
        if let LogEvent::Drained { .. } = event {
            let _ = done.send(());
        }
    })
    .expect("a thread");
    let label = InstanceLabel::recorded("bench");
    if follow {
        let path = None;
        let source = sppm::logs::FollowSource { label: label.clone(), stream: LogStream::Stdout, path };
        logger.follow(vec![source], 0, Box::new(Counter), true);
    }
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    let run = RunId::from_bits(1);
    let sink = SinkSettings::file(folder.join("bench.log"), max_size, 3);
    logger.attach(run, label, vec![Output { stream: LogStream::Stdout, pipe: read, sink }]);
    let block: Vec<u8> = (0..64 * 1024).map(|at| if at % 64 == 63 { b'\n' } else { b'x' }).collect();
    let mut write = File::from(write);
    for _ in 0..LINES / block.len() {
        write.write_all(&block).expect("the logger reads");
    }
    drop(write);
    logger.drain(run);
    wait.recv().expect("it is drained");
    logger.stop();
}

/// A follower that takes everything.
struct Counter;

impl sppm::logs::FollowSink for Counter {
    fn offer(&mut self, item: &sppm::logs::FollowItem) -> sppm::logs::FollowVerdict {
        divan::black_box(item);
        sppm::logs::FollowVerdict::Taken
    }

    /// There is always room.
    fn wait(&mut self) {}

    fn is_gone(&self) -> bool {
        false
    }
}

/// A folder in memory, where there is one.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory } else { Path::new("/tmp") };
    tempfile::Builder::new().prefix("sppm-bench-").tempdir_in(parent).expect("a folder")
}

/// `max_size` of the file in MiB; 0 = it is never rotated.
#[divan::bench(args = [0, 20, 1], sample_count = 5, sample_size = 1)]
fn logs_to_file(bencher: Bencher<'_, '_>, max_size: u64) {
    let bytes = divan::counter::BytesCount::new(LINES);
    let folder = folder();
    bencher.counter(bytes).bench_local(|| pump(folder.path(), max_size * 1024 * 1024, false));
}

/// The same, with somebody who follows: every line is framed and handed on.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn logs_to_file_and_follower(bencher: Bencher<'_, '_>) {
    let bytes = divan::counter::BytesCount::new(LINES);
    let folder = folder();
    bencher.counter(bytes).bench_local(|| pump(folder.path(), 0, true));
}
