//! What may be in the place of the working lock: nothing of it is believed, followed or fatal.

use super::common::{Rig, Who, Yaml, wait_until};
use std::time::{Duration, Instant};

/// Each with the shell that makes it of `$L`, and what is said about it. `$RIG/victim` claims that this program is busy.
const KINDS: [(&str, &str, &str); 14] = [
    ("torn", "printf 12 > $L", ""),
    ("emptied", ": > $L; sleep 0.02; : > $L", ""),
    ("rubbish", "head -c 300 /dev/urandom > $L", "not three lines"),
    ("hostile", "printf '\\033[2J\\n-1\\n1\\n' > $L", "not three lines"),
    ("stranger", "printf '%s\\n%s\\n1\\n' $STRANGER $(date +%s.%N) > $L", ""),
    ("first", "printf '1\\n%s\\n1\\n' $(date +%s.%N) > $L", ""),
    ("nobody", "printf '4194305\\n%s\\n1\\n' $(date +%s.%N) > $L", ""),
    ("huge", "truncate -s 1T $L", "a file of 1099511627776 bytes"),
    ("missing", "rm $L", ""),
    ("fifo", "rm $L; mkfifo $L", "a FIFO"),
    ("link", "rm $L; ln -s $RIG/victim.$SPPM_INSTANCE $L", "a symbolic link"),
    ("zero", "rm $L; ln -s /dev/zero $L", "a symbolic link"),
    ("folder", "rm $L; mkdir -p $L/x", "a folder"),
    (
        "twice",
        "ln -f $L $RIG/twice.$SPPM_INSTANCE; printf '%s\\n%s\\n1\\n' $$ $(date +%s.%N) > $L",
        "more than one name",
    ),
];

fn nothing_of_it_is_believed(who: Who, custom: bool) {
    let rig = Rig::of(who);
    rig.folder_named("locks");
    let mut yaml = Yaml::new(&rig);
    for (name, make, _) in KINDS {
        let victim = "printf '%s\\n%s\\n1\\n' $$ $(date +%s.%N) > $RIG/victim.$SPPM_INSTANCE";
        let body = format!(
            "L=$SPPM_LOCK; STRANGER={}\n{victim}\n{make}\necho made\nexec sleep 1000",
            std::process::id()
        );
        let mut lines = vec![rig.actor(name, &body)];
        if custom {
            rig.write(&format!("locks/{name}"), "");
            let path = rig.path("locks/{instance}").display().to_string();
            lines.push(format!("working_lock: {{ path: \"{path}\" }}"));
        }
        yaml = yaml.program(name, &lines);
    }
    rig.start_with(&yaml);
    wait_until("all is made", || KINDS.iter().all(|(name, ..)| rig.log(name).contains("made")));
    // For two seconds, what is no reading may be one in the making.
    let before = rig.until("all is said", |status| {
        KINDS.iter().all(|(name, _, said)| {
            let instance = status.instance(name);
            assert_ne!(instance["busy"], true, "{name}: {instance:#}");
            instance["busy_what"].as_str().unwrap_or_default().contains(said)
        })
    });
    // What is torn is a change under way for two seconds.
    let start = Instant::now();
    rig.sppm(&["stop"]).ok();
    assert!(start.elapsed() < Duration::from_secs(8), "took {:?}", start.elapsed());
    let after = rig.status();
    assert_eq!(before.supervisor_proc(), after.supervisor_proc(), "another supervisor");
    for (name, _, said) in KINDS {
        assert_eq!(after.phase(name), "stopped", "{name}");
        if !said.is_empty() {
            assert!(rig.own_log().contains(said), "{name} was not reported\n{}", rig.own_log());
        }
    }
    rig.sppm(&["start"]).ok();
    rig.until("all run again", |status| status.all_running());
    rig.shutdown();
}

fn in_its_own_folder(who: Who) {
    nothing_of_it_is_believed(who, false);
}
crate::as_everyone!(in_its_own_folder);

fn at_a_path_of_ones_own(who: Who) {
    nothing_of_it_is_believed(who, true);
}
crate::as_everyone!(at_a_path_of_ones_own);

/// A reading that is older than the launch is not this run's, also where its writer's number is this run's main now.
#[test]
fn what_an_earlier_run_left_at_a_path_of_ones_own_is_not_believed() {
    let rig = Rig::new();
    rig.folder_named("locks");
    let body = "if [ -e \"$RIG/again\" ]; then touch -d '1 hour ago' x; else printf '%s\\n%s\\n1\\n' $$ $(date +%s.%N) > \"$SPPM_LOCK\"; fi\n\
                echo begin\nexec sleep 1000";
    let path = rig.path("locks/web").display().to_string();
    let lines = [rig.actor("web", body), format!("working_lock: {{ path: \"{path}\" }}")];
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    let first = super::workers::until_busy(&rig, "web").process_of("web");
    rig.write("again", "");
    first.signal(nix::sys::signal::Signal::SIGKILL);
    let status = rig.until("it runs again", |status| {
        status.phase("web") == "running" && status.pid("web") != Some(first.pid)
    });
    assert_eq!(status.instance("web")["busy"], false, "{:#}", status.instance("web"));
    // The old one's reading, with the new one's number.
    let pid = status.pid("web").unwrap();
    rig.write("locks/web", &format!("{pid}\n{}\n1\n", 1_000_000_000));
    let file = std::fs::File::options().write(true).open(rig.path("locks/web")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    assert_eq!(rig.status().instance("web")["busy"], false);
    rig.sppm(&["stop", "web"]).ok();
    rig.shutdown();
}
