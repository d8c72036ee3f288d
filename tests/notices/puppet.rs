//! A program that does what the test tells it to, and looks at what came of it.

use crate::common::yaml::command;
use crate::common::{Rig, tools, wait_for};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// What a puppet begins with.
const BEGIN: &str = "pipe=\"$RIG/$SPPM_INSTANCE.pipe\"\n[ -p \"$pipe\" ] || mkfifo \"$pipe\"\n";
/// Then it obeys. A builtin's open of the FIFO ends with the line, so the next line is a new writer's.
const OBEY: &str = "while :; do\n  read -r line < \"$pipe\" && eval \"$line\"\ndone\n";

/// Sends its arguments to `NOTIFY_SOCKET`, one message each. In `b`: with a pipe for BARRIER=1, whose end is waited for.
const NOTIFY: &str = r#"
import array, os, socket, sys
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
out.connect(os.environ["NOTIFY_SOCKET"])
for message in sys.argv[1:]:
    if message == "BARRIER=1":
        reader, writer = os.pipe()
        out.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
        os.close(writer)
        assert os.read(reader, 1) == b""
        print("barrier passed", flush=True)
    else:
        out.send(message.encode())
"#;

/// Says its arguments over `SPPM_SOCKET`, one line each, and prints the answers.
const SAY: &str = r#"
import os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(os.environ["SPPM_SOCKET"])
talk = line.makefile("rw")
for words in ["hello " + os.environ["SPPM_RUN"], *sys.argv[1:]]:
    talk.write(words + "\n")
    talk.flush()
    print(words.split()[0], "->", talk.readline().strip(), flush=True)
"#;

/// The `command:` line of a puppet, which first runs `body`. In its shell `notify …` sends messages of sd_notify(3), `say …`
/// talks over the socket, `line …` writes a line into the FIFO.
pub(crate) fn puppet(rig: &Rig, name: &str, body: &str) -> Option<String> {
    let python = tools::python()?;
    rig.write("notify.py", NOTIFY);
    rig.write("say.py", SAY);
    let ways = format!(
        "notify() {{ {0} \"$RIG/notify.py\" \"$@\"; }}\nsay() {{ {0} \"$RIG/say.py\" \"$@\"; }}\n\
         line() {{ printf '%s\\n' \"$*\" > \"$SPPM_NOTIFY\"; }}\n",
        python.display()
    );
    Some(rig.actor(name, &format!("{ways}{BEGIN}{body}\necho \"$SPPM_INSTANCE obeys\"\n{OBEY}")))
}

/// Lets the puppet do this.
#[track_caller]
pub(crate) fn tell(rig: &Rig, instance: &str, what: &str) {
    let path = rig.path(&format!("{instance}.pipe"));
    let mut pipe = wait_for(&format!("{instance} obeys"), || {
        // Without a reader there is ENXIO, and nothing hangs.
        fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).ok()
    });
    pipe.write_all(format!("{what}\n").as_bytes()).unwrap();
}

/// A script as a hook's or a program's words, in the form of YAML.
pub(crate) fn words(rig: &Rig, name: &str, text: &str) -> String {
    let path = rig.script(name, &format!("#!/bin/sh\n{text}\n"));
    command(&[path]).trim_start_matches("command: ").to_owned()
}

pub(crate) fn why(rig: &Rig, name: &str) -> String {
    rig.sppm(&["why", name]).ok().stdout
}

/// A text of an instance in `status --json`; empty where it is null.
pub(crate) fn text_of(rig: &Rig, instance: &str, key: &str) -> String {
    rig.status().instance(instance)[key].as_str().unwrap_or_default().to_owned()
}

/// The events of a program that have this kind, oldest first.
pub(crate) fn events(rig: &Rig, program: &str, kind: &str) -> Vec<serde_json::Value> {
    let all = rig.sppm(&["history", program, "--json"]).ok().stdout;
    let all = all.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    all.filter(|event| event["kind"] == kind).collect()
}

/// Each of `texts` is there, one behind the other.
#[track_caller]
pub(crate) fn in_order(text: &str, texts: &[&str]) {
    let mut rest = text;
    for wanted in texts {
        let at = rest.find(wanted).unwrap_or_else(|| panic!("no {wanted:?} (in this place) in\n{text}"));
        rest = &rest[at + wanted.len()..];
    }
}
