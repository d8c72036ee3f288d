//! What does not start: a crash loop, a missing binary, a wrong folder, a taken port, exit 78, no descriptors left.

use crate::common::yaml::command;
use crate::common::{Rig, Yaml, tools};
use crate::look::{SLOWLY, in_order, reason, start_works, why, why_json};
use std::net::TcpListener;

#[test]
fn a_crash_loop() {
    let rig = Rig::new();
    let line = "restart: { delay: 20ms, limit: 5, jitter: 0%, then: { retry: 15m } }";
    let yaml = Yaml::new(&rig).program("web", &[rig.steady(), line.into()]);
    rig.start_with(&yaml);
    let crash = rig.actor("crash", "echo reading >&2\necho \"KeyError: 'DATABASE_URL'\" >&2\nexit 1");
    rig.save(&yaml.set("web", &crash));
    rig.sppm(&["reload"]);
    rig.until_phase("web", "failed");
    let shown = reason(&rig, "web");
    in_order(
        &shown,
        &[
            "exited with code 1 after",
            "saying \"KeyError: 'DATABASE_URL'\"",
            "given up after 6 failed starts in a row",
            "one more try in 1",
        ],
    );
    // The edit that began it is told, however often it has crashed since.
    in_order(
        &why(&rig, "web"),
        &[
            "web  failed since",
            "what led there",
            "the configuration was accepted (sppm reload by ",
            "restart (command",
            "exited with code 1",
            "more failures among",
            "failed: it exited with code 1",
            "last lines",
            "| KeyError: 'DATABASE_URL'",
            "next: one more try at",
            "(in 1",
            "what you can do",
            "`sppm logs web`",
            "`sppm start web` tries at once",
        ],
    );
    let json = why_json(&rig, "web");
    assert!(json["left_out"]["failures"].as_u64().unwrap() >= 2, "{json:#}");
    assert!(json["instances"][0]["help"][0].as_str().unwrap().contains("sppm logs web"), "{json:#}");
    rig.script("crash", "#!/bin/sh\nexec sleep 1000\n");
    start_works(&rig, "web");
    rig.shutdown();
}

#[test]
fn a_missing_binary_after_a_deploy() {
    let rig = Rig::new();
    rig.folder_named("app");
    let server = rig.script("app/server", "#!/bin/sh\nexec sleep 1000\n");
    rig.start_with(&Yaml::new(&rig).program("web", &[command(&[&server]), SLOWLY.into()]));
    std::fs::rename(rig.path("app"), rig.path("app.old")).unwrap();
    rig.sppm(&["restart", "web"]).expect_code(1);
    let cause = format!("the program {server} does not exist (neither does {})", rig.path("app").display());
    in_order(&reason(&rig, "web"), &[&cause, "next start in"]);
    in_order(
        &why(&rig, "web"),
        &[
            "web  backoff since",
            &cause,
            "asked: restart web",
            "launch failed at stage exec",
            "next: it is started again at",
            "what you can do",
            "sppm.yaml:",
            "`sppm start web` tries at once",
        ],
    );
    std::fs::rename(rig.path("app.old"), rig.path("app")).unwrap();
    start_works(&rig, "web");
    rig.shutdown();
}

#[test]
fn a_wrong_folder() {
    let rig = Rig::new();
    std::os::unix::fs::symlink("releases/42", rig.path("current")).unwrap();
    let folder = rig.path("current/web").display().to_string();
    let line = format!("directory: {folder}");
    rig.save(&Yaml::new(&rig).program("web", &[command(&["sleep", "1000"]), line, SLOWLY.into()]));
    rig.sppm(&["start"]).expect_code(1).expect_text(&folder);
    let link =
        format!("{} is a symbolic link to releases/42, which is not there", rig.path("current").display());
    let cause = format!("the working folder {folder} does not exist ({link})");
    in_order(&reason(&rig, "web"), &[&cause, "next start in"]);
    in_order(
        &why(&rig, "web"),
        &[
            &cause,
            "launch failed at stage directory",
            "next: it is started again at",
            "sppm.yaml:",
            "sppm start web",
        ],
    );
    rig.folder_named("releases/42/web");
    start_works(&rig, "web");
    rig.shutdown();
}

#[test]
fn a_port_that_is_taken() {
    let Some(python) = tools::python() else { return };
    let rig = Rig::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    rig.write(
        "bind.py",
        "import socket, sys, time\n\
         s = socket.socket()\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
         try: s.bind(('127.0.0.1', int(sys.argv[1])))\n\
         except OSError as e: sys.exit(f'cannot listen on 127.0.0.1:{sys.argv[1]}: {e}')\n\
         s.listen()\n\
         time.sleep(1000)\n",
    );
    let bind = command(&[python.display().to_string(), "bind.py".into(), port.to_string()]);
    rig.save(
        &Yaml::new(&rig)
            .program("web", &[bind.clone(), SLOWLY.into()])
            .program("twin", &[bind, SLOWLY.into(), "autostart: false".into()]),
    );
    rig.sppm(&["start"]).expect_code(1);
    let words = format!("saying \"cannot listen on 127.0.0.1:{port}: [Errno 98] Address already in use\"");
    in_order(&reason(&rig, "web"), &["exited with code 1", &words, "next start in"]);
    let pid = std::process::id();
    let found = format!("port {port} is held by pid {pid} (");
    let step = format!("`kill {pid}` if that should not be there");
    in_order(
        &why(&rig, "web"),
        &["last lines", "found", &found, "what you can do", &step, "`sppm start web`"],
    );
    let json = why_json(&rig, "web");
    assert!(json["instances"][0]["findings"][0].as_str().unwrap().starts_with(&found), "{json:#}");
    drop(held);
    start_works(&rig, "web");
    // What ran into it once and runs now is not accused of it.
    assert!(!why(&rig, "web").contains("found:"), "{}", why(&rig, "web"));
    // Where sppm itself runs the holder, it says as what.
    rig.sppm(&["start", "twin"]).expect_code(1);
    in_order(
        &why(&rig, "twin"),
        &[&format!("port {port} is held by pid "), "which sppm runs as `web`", "`sppm stop web`"],
    );
    rig.shutdown();
}

#[test]
fn exit_78_which_never_codes_forbids_to_start_again() {
    let rig = Rig::new();
    let body = "test -f \"$RIG/good\" && exec sleep 1000\necho 'config.toml:3: no key `prot`' >&2\nexit 78";
    let line = "restart: { never_codes: [78] }".to_owned();
    rig.save(&Yaml::new(&rig).program("web", &[rig.actor("web", body), line]));
    rig.sppm(&["start"]).expect_code(1);
    in_order(
        &reason(&rig, "web"),
        &[
            "exited with code 78, which restart.never_codes forbids to start again",
            "config.toml:3: no key `prot`",
        ],
    );
    in_order(
        &why(&rig, "web"),
        &[
            "web  failed since",
            "exited with code 78: its configuration is wrong",
            "last lines",
            "config.toml:3",
            "next: nothing by itself; `sppm start web` starts it",
            "what you can do",
            "put right what its last lines name; then `sppm start web`",
            "restart.never_codes",
        ],
    );
    rig.write("good", "");
    start_works(&rig, "web");
    rig.shutdown();
}

#[test]
fn a_limit_of_descriptors_of_a_program() {
    let Some(python) = tools::python() else { return };
    let rig = Rig::new();
    rig.write(
        "files.py",
        "import sys, time\n\
         kept = []\n\
         try:\n\
         \x20   for n in range(50): kept.append(open('/dev/null'))\n\
         except OSError as e:\n\
         \x20   print('accept:', e, flush=True)\n\
         \x20   if sys.argv[1] == 'ends': raise\n\
         time.sleep(1000)\n",
    );
    let files = |how: &str| command(&[python.display().to_string(), "files.py".into(), how.into()]);
    let few = || "limits: { open_files: 32 }".to_owned();
    let yaml = Yaml::new(&rig)
        .program("web", &[files("ends"), few(), SLOWLY.into()])
        .program("api", &[files("stays"), few(), SLOWLY.into()]);
    rig.save(&yaml);
    rig.sppm(&["start"]).expect_code(1);
    in_order(&reason(&rig, "web"), &["exited with code 1", "Too many open files", "next start in"]);
    in_order(
        &why(&rig, "web"),
        &[
            "found",
            "it ran into its limit: it may have 32 open files, its limits.open_files",
            "what you can do",
            "raise limits.open_files of web (",
            "sppm.yaml:",
        ],
    );
    // One that goes on with it is found out, too, and its descriptors can be looked at.
    let pid =
        rig.until("api has its last lines", |_| rig.log("api").contains("Too many")).pid("api").unwrap();
    let look = format!("`ls -l /proc/{pid}/fd`");
    in_order(&why(&rig, "api"), &["it may have 32 open files, its limits.open_files, and has 32 now", &look]);
    rig.save(&yaml.set("web", "limits: { open_files: 64 }"));
    rig.sppm(&["reload"]).ok();
    rig.until_phase("web", "running");
    rig.shutdown();
}

/// The supervisor itself keeps enough to be asked, whatever the programs would take.
#[test]
fn a_limit_of_descriptors_of_the_supervisor() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    for n in 10..60 {
        yaml = yaml.program(&format!("p{n}"), &[rig.steady(), SLOWLY.into()]);
    }
    rig.save(&yaml);
    let mut few = rig.program(std::path::Path::new("/bin/sh"));
    few.args(["-c", "ulimit -n 120; exec \"$@\"", "sh"])
        .arg(rig.binary())
        .arg("-c")
        .arg(rig.file())
        .arg("start");
    crate::common::command::finish(few, crate::common::wait::LIMIT).expect_code(1);
    let status = rig.until("each is up or was refused", |status| {
        status.instances().all(|one| one["phase"] == "running" || one["phase"] == "backoff")
    });
    let up = status.running_count();
    assert!((5..45).contains(&up), "{up} run");
    let refused = status.instances().find(|one| one["phase"] == "backoff").unwrap();
    let name = refused["id"].as_str().unwrap().to_owned();
    let cause = "sppm may have 120 open files, and needs the last of them for itself";
    in_order(
        &reason(&rig, &name),
        &["cannot prepare the launch", cause, "`ulimit -n` or LimitNOFILE= of systemd"],
    );
    in_order(&why(&rig, &name), &["launch failed at stage prepare", cause, "next: it is started again at"]);
    // A program less leaves room for one that was refused, as soon as its five descriptors are closed, by several threads.
    let first = status.running().into_keys().next().unwrap();
    let folder = format!("/proc/{}/fd", status.supervisor("pid"));
    let open = || std::fs::read_dir(&folder).unwrap().count();
    let before = open();
    rig.sppm(&["stop", &first]).ok();
    rig.until("its descriptors are closed", |_| open() + 5 <= before);
    start_works(&rig, &name);
    rig.shutdown();
}
