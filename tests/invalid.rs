//! Invalid, empty and hostile configurations change nothing, cost little, are explained, and are forgotten by the next
//! valid save.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::rig::is_root;
use common::wait::stays;
use common::{Proc, Rig, Status, Who, Yaml, pause, processes, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Two programs, watched.
fn two(rig: &Rig) -> Yaml {
    Yaml::new(rig).program("one", &[rig.steady()]).program("two", &[rig.steady()])
}

/// A broken text, and words that people must be shown.
fn broken(yaml: &Yaml) -> Vec<(&'static str, String, &'static [&'static str])> {
    let text = yaml.text();
    let line = |wrong: &str| yaml.clone().with("two", wrong).text();
    vec![
        ("an unknown key", line("comand: [x]"), &["sppm.yaml:", "comand", "command", "^"]),
        ("a wrong value", line("umask: maybe"), &["sppm.yaml:", "umask", "^"]),
        (
            "a wrong policy",
            line("restart: { policy: sometimes }"),
            &["sppm.yaml:", "sometimes", "on-failure"],
        ),
        (
            "a key of a later version",
            line("depends_on: one"),
            &["sppm.yaml:", "depends_on", "not in this version"],
        ),
        ("a foreign word", line("cwd: /tmp"), &["sppm.yaml:", "cwd", "directory"]),
        (
            "a shell line as a command",
            yaml.clone().set("two", "command: a | b").text(),
            &["sppm.yaml:", "shell"],
        ),
        ("a size with two readings", line("logs: { max_size: 10M }"), &["sppm.yaml:", "10M", "MiB"]),
        ("an unset variable", line("description: ${NO_SUCH_VARIABLE}"), &["sppm.yaml:", "NO_SUCH_VARIABLE"]),
        ("a program twice", format!("{text}  two:\n    command: [x]\n"), &["sppm.yaml:", "two"]),
        ("no YAML", format!("{text}  : : [\n"), &["sppm.yaml:"]),
        ("a tab", text.replace("  two:", "\ttwo:"), &["sppm.yaml:"]),
        ("an empty file", String::new(), &["sppm.yaml", "programs"]),
        ("only comments", "# nothing\n".into(), &["sppm.yaml", "programs"]),
        ("no programs", "version: 1\n".into(), &["sppm.yaml", "programs"]),
        ("an include that is not there", format!("include: [no-such.yaml]\n{text}"), &["no-such.yaml"]),
    ]
}

fn a_broken_save_changes_nothing_and_is_explained(who: Who) {
    let rig = Rig::of(who);
    let yaml = two(&rig);
    rig.start_with(&yaml);
    let before = rig.status();
    let mut generation = before.generation();
    for (what, text, words) in broken(&yaml) {
        rig.save_text(&text);
        let seen = rig.until(&format!("{what} is seen by itself"), |status| !status.config_ok());
        assert_eq!(seen.generation(), generation, "{what} was applied");
        let reload = rig.sppm(&["reload"]).expect_code(78);
        for word in words {
            assert!(reload.all().contains(word), "{what}: no {word:?}\n{}", reload.all());
        }
        rig.sppm(&["check"]).expect_code(78);
        assert!(!seen.config_error().is_empty(), "{what}: status does not say why");
        let table = rig.sppm(&["status"]);
        assert!(table.all().contains("sppm.yaml"), "{what}: the table hides it\n{}", table.all());
        for process in before.running().values() {
            assert!(process.alive(), "{what} disturbed a program");
        }
        rig.save(&yaml);
        let mended = rig.until(&format!("the mended file after {what}"), Status::config_ok);
        assert_eq!(before.running(), mended.running(), "{what} disturbed a program");
        generation = mended.generation();
    }
    assert!(rig.own_log().contains("sppm.yaml"), "the log does not tell\n{}", rig.own_log());
    let next = yaml.set("one", "command: [sleep, '99999']");
    rig.save(&next);
    let applied = rig.until("the next valid save is applied", |status| {
        status.pid("one") != before.pid("one") && status.all_running()
    });
    assert_eq!(applied.pid("two"), before.pid("two"));
    rig.shutdown();
}
as_everyone!(a_broken_save_changes_nothing_and_is_explained);

/// All problems at once, each with line and caret.
#[test]
fn every_problem_is_shown_at_once() {
    let rig = Rig::new();
    rig.save_text(
        "programs:\n  web:\n    command: [x]\n    umask: nine\n    restrat: always\n    priority: high\n",
    );
    let answer = rig.sppm(&["check"]).expect_code(78);
    for place in ["sppm.yaml:4:", "sppm.yaml:5:", "sppm.yaml:6:"] {
        assert!(answer.stderr.contains(place), "no {place}\n{}", answer.all());
    }
    for word in ["restart", "programs.web.", "^", "help"] {
        assert!(answer.stderr.contains(word), "no {word}\n{}", answer.all());
    }
    rig.sppm(&["start"]).expect_code(78);
    rig.sppm(&["run"]).expect_code(78);
    wait_until("nothing is left", || rig.processes().is_empty());
}

/// Peak memory and processor time that one broken save may cost the supervisor.
#[track_caller]
fn costs_little(rig: &Rig, what: &str, save: impl FnOnce()) {
    let supervisor = rig.status().supervisor_proc();
    let before = processes::memory_kib(supervisor.pid).unwrap();
    let ticks = processes::cpu_ticks(supervisor.pid).unwrap();
    let start = Instant::now();
    save();
    rig.until(&format!("{what} is refused"), |status| !status.config_ok());
    // Debug builds are some 20 times slower than what is shipped, and the machine is busy with other tests.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    let used = processes::cpu_ticks(supervisor.pid).unwrap() - ticks;
    assert!(used < 1500, "{what} took {used} ticks of the processor");
    let peak = processes::peak_memory_kib(supervisor.pid).unwrap();
    assert!(peak < before + 96 * 1024, "{what}: {peak} KiB at its peak, {before} before");
    assert_eq!(supervisor, rig.status().supervisor_proc(), "{what} killed the supervisor");
}

#[test]
fn hostile_texts_cost_little() {
    let rig = Rig::new();
    let yaml = two(&rig);
    rig.start_with(&yaml);
    let before = rig.status();
    let mut bomb = String::from("x-a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in ('a'..='h').zip('b'..='i') {
        bomb.push_str(&format!("x-{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", ")));
    }
    let deep =
        "programs:\n".to_owned() + &(1..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
    let texts = [
        ("a bomb of aliases", format!("{bomb}programs: {{ a: {{ command: *i }} }}\n").into_bytes()),
        ("200 kB of [", vec![b'['; 200_000]),
        ("200 kB of {", vec![b'{'; 200_000]),
        ("two thousand levels", deep.into_bytes()),
        ("no UTF-8", b"programs: { a: { command: [\xff\xfe] } }\n".to_vec()),
        ("nothing but zeros", vec![0; 4096]),
        ("random bytes", (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()),
        ("a secret of 100 MB", vec![b'a'; 100_000_000]),
        ("100 MB of comments", b"# comment\n".repeat(10_000_000)),
    ];
    for (what, bytes) in texts {
        let draft = rig.path("draft");
        fs::write(&draft, &bytes).unwrap();
        costs_little(&rig, what, || fs::rename(&draft, rig.file()).unwrap());
        let reload = rig.sppm(&["reload"]).expect_code(78);
        assert!(reload.all().len() < 20_000, "{what}: the answer has {} bytes", reload.all().len());
        rig.save(&yaml);
        rig.until(&format!("the mended file after {what}"), Status::config_ok);
    }
    assert_eq!(before.running(), rig.status().running());
    rig.shutdown();
}

fn what_is_no_file_is_refused_and_commands_still_find_the_socket(who: Who) {
    let rig = Rig::of(who);
    let yaml = two(&rig);
    rig.start_with(&yaml);
    let before = rig.status();
    // Without `-c` it is still this folder's supervisor that is meant, and not that of the user's own file.
    rig.folder_named("c/sppm");
    rig.write("c/sppm/sppm.yaml", "programs: {}\n");
    let remove = || {
        if rig.file().is_dir() {
            fs::remove_dir(rig.file()).unwrap();
        } else {
            fs::remove_file(rig.file()).unwrap();
        }
    };
    let fifo = || nix::unistd::mkfifo(rig.file(), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    let link = |to: &str| std::os::unix::fs::symlink(to, rig.file()).unwrap();
    let kinds: [(&str, &dyn Fn()); 6] = [
        ("nothing at all", &|| ()),
        ("a folder", &|| fs::create_dir(rig.file()).unwrap()),
        ("a FIFO", &fifo),
        ("a link to nowhere", &|| link("/nowhere/at/all")),
        ("a link to itself", &|| link("sppm.yaml")),
        ("a device", &|| link("/dev/zero")),
    ];
    for (what, place) in kinds {
        remove();
        place();
        rig.until(&format!("{what} in the file's place is noticed"), |status| !status.config_ok());
        let reload = rig.sppm(&["reload"]);
        assert_eq!(reload.code, Some(78), "{what}\n{}", reload.all());
        rig.bare(&["reload"]).expect_code(78);
        let status = rig.status();
        assert_eq!(before.running(), status.running(), "{what} disturbed a program");
        if what == "nothing at all" {
            rig.write("sppm.yaml", "");
        }
    }
    remove();
    rig.save(&yaml);
    rig.until("the file is back", Status::config_ok);
    rig.shutdown();
}
as_everyone!(what_is_no_file_is_refused_and_commands_still_find_the_socket);

/// Root does not believe a file that others can write.
#[test]
fn root_refuses_a_file_that_others_can_write() {
    if !is_root() {
        return common::tools::cannot("not root");
    }
    let rig = Rig::new();
    let yaml = two(&rig);
    rig.save(&yaml);
    rig.chmod("sppm.yaml", 0o666);
    rig.sppm(&["start"]).expect_code(78).expect_text("sppm.yaml");
    rig.chmod("sppm.yaml", 0o644);
    rig.start();
    let before = rig.status();
    rig.save(&yaml.clone().set("one", "command: [sleep, '5']"));
    rig.chmod("sppm.yaml", 0o666);
    rig.sppm(&["reload"]).expect_code(78);
    let folder = rig.folder_named("open");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(folder.join("sppm.yaml"), yaml.text()).unwrap();
    let mut other = rig.program(rig.binary());
    other.arg("-c").arg(folder.join("sppm.yaml")).arg("check");
    common::command::finish(other, common::wait::LIMIT).expect_code(78).expect_text("open");
    assert_eq!(before.pid("two"), rig.status().pid("two"));
    rig.save(&yaml);
    rig.until("the mended file", Status::config_ok);
    rig.shutdown();
}

/// Who can write there could hand a supervisor another socket and another plan.
fn a_runtime_folder_of_everybody_is_refused(who: Who) {
    let rig = Rig::of(who);
    rig.save(&two(&rig));
    rig.folder_named("r");
    rig.chmod("r", 0o777);
    rig.sppm(&["start"]).expect_code(1).expect_text("supervisor.runtime_dir").expect_text("everybody");
    wait_until("nothing of it is left", || rig.processes().is_empty());
    rig.chmod("r", 0o755);
    rig.start();
    rig.shutdown();
}
as_everyone!(a_runtime_folder_of_everybody_is_refused);

/// A cold start with an invalid file ends with 78 and leaves nothing; a running supervisor outlives it and its own death.
#[test]
fn an_invalid_file_survives_even_the_supervisors_death() {
    let rig = Rig::new();
    let yaml = two(&rig);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save_text("programs: [\n");
    rig.until("it is noticed", |status| !status.config_ok());
    before.supervisor_proc().signal(Signal::SIGKILL);
    let after =
        rig.until("a new supervisor answers", |status| status.supervisor("pid") != before.supervisor("pid"));
    assert_eq!(before.running(), after.running(), "the accepted plan was lost");
    rig.until("and says that the file is invalid", |status| !status.config_ok());
    stays("nobody is disturbed", Duration::from_secs(1), || before.running().values().all(Proc::alive));
    rig.save(&yaml.set("one", "command: [sleep, '99999']"));
    rig.until("the next valid save is applied", |status| {
        status.config_ok() && status.all_running() && status.pid("one") != before.pid("one")
    });
    rig.shutdown();
}

/// A text with control characters does not reach the terminal as it is.
#[test]
fn control_characters_are_made_visible() {
    let rig = Rig::new();
    rig.save_text("programs:\n  \"a\\e[31mred\":\n    command: [x]\n  b:\n    \"com\u{9b}31m\": [x]\n");
    let answer = rig.sppm(&["check"]).expect_code(78);
    assert!(!answer.all().contains('\u{1b}') && !answer.all().contains('\u{9b}'), "{:?}", answer.all());
    pause(Duration::ZERO);
    wait_until("nothing was started", || rig.processes().is_empty());
}
