//! What a package installs for shells and readers: completions that know the live names, and manual pages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::{Rig, Yaml, tools};
use std::time::{Duration, Instant};

/// What bash offers for a line, with the script loaded.
fn bash(rig: &Rig, line: &str) -> String {
    let script = r#"
source "$RIG/sppm.bash"
words=($1); [[ "$1" == *" " ]] && words+=("")
COMP_WORDS=("${words[@]}"); COMP_CWORD=$(( ${#words[@]} - 1 )); COMP_LINE="$1"; COMP_POINT=${#1}; COMP_TYPE=9
_clap_complete_sppm sppm "${words[COMP_CWORD]}" "${words[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let mut command = rig.program(&tools::find(&["bash"]).expect("bash"));
    let path = format!("{}:{}", rig.binary().parent().unwrap().display(), tools::PATH);
    command.args(["-c", script, "bash", line]).env("PATH", path);
    let answer = finish(command, Duration::from_secs(20));
    assert!(answer.stderr.is_empty(), "{}", answer.all());
    answer.stdout
}

#[test]
fn bash_completes_the_names_of_what_runs() {
    if tools::find_or_skip(&["bash"]).is_none() {
        return;
    }
    let rig = Rig::new();
    rig.write("sppm.bash", &rig.bare(&["completions", "bash"]).ok().stdout);
    let pool = [rig.steady(), "instances: 2".into(), "tags: [batch]".into()];
    rig.start_with(&Yaml::new(&rig).program("crawler", &[rig.steady()]).program("pool", &pool));
    assert_eq!(bash(&rig, "sppm stop craw").trim(), "crawler");
    assert_eq!(bash(&rig, "sppm why pool.").split_whitespace().collect::<Vec<_>>(), ["pool.1", "pool.2"]);
    assert_eq!(bash(&rig, "sppm restart @").trim(), "@batch");
    assert_eq!(bash(&rig, "sppm stat").trim(), "status");
    let file = rig.file().display();
    assert_eq!(bash(&rig, &format!("sppm -c {file} logs -f cra")).trim(), "crawler");
    assert_eq!(bash(&rig, "sppm -c /nowhere.yaml logs cra").trim(), "");
    rig.shutdown();
    assert_eq!(bash(&rig, "sppm stop craw").trim(), "", "names of a supervisor that is gone");
}

#[test]
fn a_supervisor_that_does_not_answer_does_not_hold_the_shell_up() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let supervisor = rig.status().supervisor_proc();
    supervisor.signal(nix::sys::signal::Signal::SIGSTOP);
    let mut asked = rig.program(rig.binary());
    asked.env("_SPPM_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").args(["--", "sppm", "stop", "w"]);
    let start = Instant::now();
    let answer = finish(asked, Duration::from_secs(20));
    let took = start.elapsed();
    supervisor.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(
        (answer.code, answer.stdout.trim(), answer.stderr.as_str()),
        (Some(0), "", ""),
        "{}",
        answer.all()
    );
    assert!(took < Duration::from_secs(2), "{took:?}");
    rig.shutdown();
}

#[test]
fn scripts_of_other_shells_are_loaded_without_a_word() {
    let rig = Rig::new();
    for (shell, arguments) in [("zsh", &["-fc"][..]), ("fish", &["--no-config", "-c"])] {
        let script = rig.bare(&["completions", shell]).ok().stdout;
        assert!(script.contains("_SPPM_COMPLETE"), "{script}");
        let Some(program) = tools::find(&[shell]) else {
            tools::cannot(&format!("no {shell} here"));
            continue;
        };
        rig.write("script", &script);
        let mut command = rig.program(&program);
        let load = if shell == "zsh" {
            "autoload -U compinit; compinit -D; . $RIG/script"
        } else {
            "source $RIG/script"
        };
        command.args(arguments).arg(load);
        let answer = finish(command, Duration::from_secs(20)).ok();
        assert!(answer.stderr.is_empty(), "{}", answer.all());
    }
}

#[test]
fn manual_pages_are_written_and_can_be_read() {
    let rig = Rig::new();
    let folder = rig.folder_named("man1");
    rig.bare(&["man", "--all", folder.to_str().unwrap()]).ok().expect_text("pages");
    let pages: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() >= 20, "{pages:?}");
    let page = std::fs::read_to_string(folder.join("sppm-stop.1")).unwrap();
    assert_eq!(rig.bare(&["man", "stop"]).ok().stdout, page);
    rig.bare(&["man", "frob"]).expect_code(2);
    rig.bare(&["man", "--all", "/nowhere"]).expect_code(1);
    let Some(groff) = tools::find(&["groff"]) else { return tools::cannot("no groff here") };
    for page in &pages {
        let mut command = rig.program(&groff);
        command.args(["-Kutf8", "-man", "-Tutf8", "-ww", "-P-c", "-P-b", "-P-u"]).arg(page);
        let answer = finish(command, Duration::from_secs(20)).ok();
        assert!(answer.stderr.is_empty(), "{}: {}", page.display(), answer.all());
        assert!(answer.stdout.contains("NAME"), "{}", answer.all());
    }
    if let Some(man) = tools::find(&["man"]) {
        let mut command = rig.program(&man);
        command.arg("-l").arg(folder.join("sppm-why.1")).env("MANPAGER", "cat").env("MANWIDTH", "100");
        let answer = finish(command, Duration::from_secs(20)).ok();
        assert!(answer.stdout.contains("sppm why web"), "{}", answer.all());
    }
}
