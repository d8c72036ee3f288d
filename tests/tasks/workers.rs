//! Programs that have tasks: workers of the Python client that keep a journal, puppets that end a task when they are told,
//! and writers in C that are faster than anybody who looks.

use super::common::command::finish;
use super::common::wait::LIMIT;
use super::common::yaml::{command, quoted};
use super::common::{Proc, Rig, Status, examples, tools, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Tasks of random length, one after the other. Every line of the journal ends with the monotonic time.
const WORKER: &str = r#"
import atexit, os, random, sys, time, sppm
kind, shortest, longest = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
name = "%s.%d" % (os.environ["SPPM_INSTANCE"], os.getpid())
journal = os.open(os.path.join(os.environ["RIG"], "journal", name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(what):
    os.write(journal, ("%s %.6f\n" % (what, time.monotonic())).encode())
atexit.register(note, "left")
channel = sppm.Channel()
channel.on_stop(lambda kind, why: note("wanted"))
task = sppm.task if kind == "state" else sppm.flock_task
n = 0
while True:
    n += 1
    with task():
        note("begin %d" % n)
        time.sleep(random.uniform(shortest, longest))
        note("end %d" % n)
"#;

/// Makes the Python client and the workers' folder; `false`: there is no Python here.
pub(crate) fn prepare_workers(rig: &mut Rig) -> bool {
    if tools::python().is_none() {
        return false;
    }
    let client = rig.path("client");
    examples::copy(rig, &Path::new(examples::PROJECT).join("clients/python/src"), &client);
    rig.env("PYTHONPATH", client.to_str().unwrap());
    rig.env("PYTHONDONTWRITEBYTECODE", "1");
    rig.write("worker.py", WORKER);
    rig.folder_named("journal");
    true
}

/// `command:` of a worker whose tasks take so many seconds.
pub(crate) fn worker(rig: &Rig, kind: &str, shortest: f64, longest: f64) -> String {
    let python = tools::python().expect("looked for before");
    let script = rig.path("worker.py");
    let [shortest, longest] = [shortest, longest].map(|seconds| seconds.to_string());
    command(&[python.to_str().unwrap(), script.to_str().unwrap(), kind, &shortest, &longest])
}

/// A line of a worker's journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) what: String,
    /// Which task.
    pub(crate) task: u32,
    /// Seconds.
    pub(crate) at: f64,
}

/// What each run of all workers has noted, by instance and pid.
pub(crate) fn journals(rig: &Rig) -> BTreeMap<String, Vec<Line>> {
    let files = fs::read_dir(rig.path("journal")).unwrap().flatten();
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        (name, text.lines().map(parse).collect())
    };
    files.map(read).collect()
}

fn parse(line: &str) -> Line {
    let words: Vec<&str> = line.split(' ').collect();
    let task = if words.len() == 3 { words[1].parse().unwrap() } else { 0 };
    Line { what: words[0].to_owned(), task, at: words.last().unwrap().parse().unwrap() }
}

/// How many tasks have ended in all runs of an instance.
pub(crate) fn ended(rig: &Rig, instance: &str) -> usize {
    let own = |name: &str| name.rsplit_once('.').is_some_and(|(of, _)| of == instance);
    let runs = journals(rig).into_iter().filter(|(name, _)| own(name));
    runs.flat_map(|(_, lines)| lines).filter(|line| line.what == "end").count()
}

/// Every task that began has ended, before the next one began and before its worker left. Answers how many there were.
#[track_caller]
pub(crate) fn every_task_is_whole(rig: &Rig) -> u32 {
    let mut tasks = 0;
    for (name, lines) in journals(rig) {
        let mut open = None;
        for line in &lines {
            match (line.what.as_str(), open) {
                ("begin", None) => open = Some(line.task),
                ("end", Some(task)) if task == line.task => {
                    open = None;
                    tasks += 1;
                }
                ("wanted", _) | ("left", None) => {}
                _ => panic!("{name}: {line:?} with task {open:?} in hand\n{lines:#?}\n{}", rig.own_log()),
            }
        }
        assert_eq!(open, None, "{name}: cut in half\n{lines:#?}\n{}", rig.own_log());
        let worked = lines.iter().any(|line| line.what == "begin");
        let left = lines.iter().any(|line| line.what == "left");
        assert!(left || !worked, "{name} was killed\n{lines:#?}\n{}", rig.own_log());
    }
    tasks
}

/// By what a puppet says that it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Three lines in the file.
    State,
    /// An exclusive flock(2).
    Flock,
    /// A line to `SPPM_NOTIFY`.
    Line,
    /// `sppm busy`.
    Command,
}

pub(crate) const ALL: [How; 4] = [How::State, How::Flock, How::Line, How::Command];

impl How {
    /// A name for a program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Flock => "flock",
            Self::Line => "line",
            Self::Command => "command",
        }
    }

    /// A script with one task, which ends when [`let_go`] is called. It notes `begin`, `end`, and `termed` at TERM.
    pub(crate) fn body(self, binary: &Path) -> String {
        let wait = r#"while [ ! -e "$RIG/go.$SPPM_INSTANCE" ]; do sleep 0.02; done"#;
        let state = r#"state() { printf '%s\n%s\n%s\n' $$ "$(date +%s.%N)" "$1" > "$SPPM_LOCK.new"; mv "$SPPM_LOCK.new" "$SPPM_LOCK"; }"#;
        let task = match self {
            Self::State => format!("{state}\nstate 1\necho begin\n{wait}\necho end\nstate 0"),
            Self::Flock => {
                format!(
                    "exec 9<>\"$SPPM_LOCK\"\nflock -x 9\necho begin\n{wait}\necho end\nflock -u 9\nexec 9<&-"
                )
            }
            Self::Line => {
                format!(
                    "echo busy > \"$SPPM_NOTIFY\"\necho begin\n{wait}\necho end\necho idle > \"$SPPM_NOTIFY\""
                )
            }
            Self::Command => {
                let binary = quoted(binary.to_str().unwrap());
                format!("{binary} busy -- sh -c 'echo begin; {wait}; echo end'")
            }
        };
        format!("trap 'echo termed; exit 0' TERM\n{task}\nwhile :; do sleep 0.02; done")
    }
}

/// `command:` of a puppet.
pub(crate) fn puppet(rig: &Rig, how: How) -> String {
    rig.actor(&format!("puppet-{}", how.name()), &how.body(rig.binary()))
}

/// Ends a puppet's task.
pub(crate) fn let_go(rig: &Rig, instance: &str) {
    rig.write(&format!("go.{instance}"), "");
}

/// Waits until an instance is in the middle of its task, and says so.
#[track_caller]
pub(crate) fn until_busy(rig: &Rig, instance: &str) -> Status {
    wait_for("its task has begun", || rig.log(instance).contains("begin").then_some(()));
    rig.until(&format!("{instance} is busy"), |status| status.instance(instance)["busy"] == true)
}

/// Asks for a stop and waits until it waits for the end of the task.
#[track_caller]
pub(crate) fn until_draining(rig: &Rig, instance: &str) -> Status {
    rig.sppm(&["stop", "--no-wait", instance]).ok();
    rig.until_phase(instance, "draining")
}

/// What a puppet has noted, in order.
pub(crate) fn notes(rig: &Rig, instance: &str) -> Vec<String> {
    let of_puppet = |line: &&str| ["begin", "end", "termed"].contains(line);
    rig.log(instance).lines().filter(of_puppet).map(str::to_owned).collect()
}

/// Compiles a program of one file of C; `None`: there is no compiler here.
pub(crate) fn compile(rig: &Rig, name: &str, source: &str) -> Option<String> {
    let compiler = tools::find_or_skip(&["cc"])?;
    let (file, program) = (rig.path(&format!("{name}.c")), rig.path(name));
    rig.write(&format!("{name}.c"), source);
    let mut cc = Command::new(compiler);
    finish(
        {
            cc.args(["-O1", "-Wall", "-o"]).arg(&program).arg(&file);
            cc
        },
        LIMIT,
    )
    .ok();
    rig.own(&program);
    Some(program.display().to_string())
}

/// Kills the supervisor, and answers what its successor says.
#[track_caller]
pub(crate) fn kill_supervisor(rig: &Rig) -> Status {
    let victim = rig.status().supervisor_proc();
    victim.signal(nix::sys::signal::Signal::SIGKILL);
    successor(rig, &victim)
}

/// Waits for the one that comes after `victim`.
#[track_caller]
pub(crate) fn successor(rig: &Rig, victim: &Proc) -> Status {
    rig.until("a new supervisor answers", |status| {
        status.supervisor("pid").as_u64() != Some(u64::from(victim.pid))
    })
}

/// Looks often, and answers how long it took until `condition` held.
#[track_caller]
pub(crate) fn time_until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        super::common::pause(Duration::from_millis(2));
    }
    start.elapsed()
}
