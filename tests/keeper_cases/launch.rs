//! Launches and their ends.

use crate::rig::{Rig, c, read_all, read_line, root, shell, until, wait_for};
use sppm::keeper::link::{Identity, LaunchOrder, Order, Output, Stage};
use sppm::linux::exec_error::{Attempt, exec_error};
use sppm::linux::{pidfd, proc};
use sppm::model::{Exit, LaunchStage, Rlimit, RlimitKind, Signal};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

pub(super) fn exits_are_told_in_order_and_pinned_until_release() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let order = shell("echo out; echo err >&2; exit 7");
    let (pid, fds) = supervisor.launch(&order);
    assert_eq!(supervisor.exit(order.run), Exit::Code(7));
    assert_eq!(read_all(fds.stdout), "out\nerr\n");
    assert!(proc::stat(pid).unwrap().is_dead(), "a zombie pins the pid");
    supervisor.send(&Order::Release { run: order.run });
    until("released", || proc::stat(pid).is_err());

    let order = LaunchOrder { output: Output::Apart, ..shell("echo out; echo err >&2; kill -9 $$") };
    let (_, fds) = supervisor.launch(&order);
    assert_eq!(supervisor.exit(order.run), Exit::Signal { signal: Signal::KILL, core: false });
    assert_eq!((read_all(fds.stdout).as_str(), read_all(fds.stderr.unwrap()).as_str()), ("out\n", "err\n"));
    supervisor.send(&Order::Release { run: order.run });
    supervisor.send(&Order::Release { run: order.run }); // unknown by now: ignored

    // The same run is never started twice.
    let order = shell("exec sleep 1000");
    supervisor.launch(&order);
    supervisor.send(&Order::Launch(Box::new(order)));
    supervisor.expect_silence();
}

fn failure(order: &LaunchOrder, rig: &Rig) -> (LaunchStage, i32, String) {
    let supervisor = rig.first();
    supervisor.send(&Order::Launch(Box::new(order.clone())));
    let (stage, errno, path) = loop {
        let news = supervisor.news();
        match news.stage {
            Stage::Forked => {}
            Stage::Failed { stage, errno, path } => break (stage, errno, path),
            other => panic!("{other:?}"),
        }
    };
    until("no zombie is left of it", || rig.zombies() == 0);
    supervisor.send(&Order::Release { run: order.run });
    let attempt = Attempt {
        program: None,
        candidates: &order.candidates,
        directory: Some(&order.directory),
        user: None,
    };
    let found = exec_error(stage, errno, path.as_deref(), &attempt);
    (found.stage, found.errno, found.message)
}

pub(super) fn each_failure_has_its_stage_and_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        c(path.to_str().unwrap())
    };
    let of = |candidate: std::ffi::CString| LaunchOrder { candidates: vec![candidate], ..shell("") };
    let folder = c(dir.path().to_str().unwrap());
    let limit = Rlimit { kind: RlimitKind::OpenFiles, value: None };
    use LaunchStage::{Directory, Exec, Limits, Stdin};
    let cases = [
        (of(c("/no/such/program")), Exec, libc::ENOENT, "the program /no/such/program does not exist"),
        (
            of(file("perl6", "#!/no/perl6 -w\n", 0o755)),
            Exec,
            libc::ENOENT,
            "its interpreter /no/perl6 does not exist",
        ),
        (of(file("dos", "#!/bin/sh\r\n", 0o755)), Exec, libc::ENOENT, "its first line ends as on Windows"),
        (of(file("bare", "echo hello\n", 0o755)), Exec, libc::ENOEXEC, "a script with no #! line"),
        (of(file("empty", "", 0o755)), Exec, libc::ENOEXEC, "the file is empty"),
        (of(file("plain", "#!/bin/sh\n", 0o644)), Exec, libc::EACCES, "no execute permission"),
        (of(folder), Exec, libc::EACCES, "it is a folder"),
        (
            LaunchOrder { directory: c("/no/folder"), ..shell("") },
            Directory,
            libc::ENOENT,
            "working folder /no/folder does not exist",
        ),
        (
            LaunchOrder { directory: c("/etc/passwd"), ..shell("") },
            Directory,
            libc::ENOTDIR,
            "is not a folder",
        ),
        (
            LaunchOrder { stdin: Some(c("/no/input")), ..shell("") },
            Stdin,
            libc::ENOENT,
            "cannot open /no/input as standard input",
        ),
        (LaunchOrder { rlimits: vec![limit], ..shell("") }, Limits, libc::EPERM, "cannot set the limits"),
    ];
    for (order, stage, errno, words) in cases {
        let (found, number, message) = failure(&order, &Rig::new());
        assert_eq!((found, number), (stage, errno), "{message}");
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
    if !root() {
        let order = LaunchOrder { identity: Some(Identity { uid: 0, gid: 0, groups: vec![0] }), ..shell("") };
        let (stage, errno, message) = failure(&order, &Rig::new());
        assert_eq!((stage, errno), (LaunchStage::Identity, libc::EPERM), "{message}");
    }
}

pub(super) fn a_program_being_written_is_tried_again() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let path = rig.dir.path().join("program");
    fs::copy("/bin/sh", &path).unwrap();
    let busy = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let order = LaunchOrder { candidates: vec![c(path.to_str().unwrap())], ..shell("exit 4") };
    supervisor.send(&Order::Launch(Box::new(order.clone())));
    assert_eq!(supervisor.news().stage, Stage::Forked);
    // The keeper is not held up meanwhile.
    let other = shell("exit 5");
    supervisor.launch(&other);
    assert_eq!(supervisor.exit(other.run), Exit::Code(5));
    supervisor.expect_silence();
    drop(busy);
    assert_eq!(supervisor.news().stage, Stage::Execed);
    assert_eq!(supervisor.exit(order.run), Exit::Code(4));

    let _busy = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let order = LaunchOrder { candidates: vec![c(path.to_str().unwrap())], ..shell("") };
    supervisor.send(&Order::Launch(Box::new(order)));
    assert_eq!(supervisor.news().stage, Stage::Forked);
    let Stage::Failed { stage, errno, .. } = supervisor.news().stage else { panic!("it ran") };
    assert_eq!((stage, errno), (LaunchStage::Exec, libc::ETXTBSY));
}

pub(super) fn two_hundred_at_once_leave_no_descriptor() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let before = rig.descriptors();
    let orders: Vec<LaunchOrder> = (0..200).map(|n| shell(&format!("echo {n}; exit {}", n % 100))).collect();
    for order in &orders {
        supervisor.send(&Order::Launch(Box::new(order.clone())));
    }
    let mut stages: BTreeMap<_, Vec<Stage>> = BTreeMap::new();
    let mut pipes = BTreeMap::new();
    while stages.values().filter(|all| all.len() == 3).count() < 200 {
        let news = supervisor.news();
        stages.entry(news.run).or_default().push(news.stage);
        pipes.extend(news.fds.map(|fds| (news.run, fds.stdout)));
    }
    for (n, order) in orders.iter().enumerate() {
        let exit = Exit::Code(u8::try_from(n % 100).unwrap());
        assert_eq!(stages[&order.run], [Stage::Forked, Stage::Execed, Stage::Exited(exit)]);
        assert_eq!(read_all(pipes.remove(&order.run).unwrap()), format!("{n}\n"));
    }
    assert!(rig.descriptors() <= before + 400, "at most pidfd and pipe for each");
    for order in &orders {
        supervisor.send(&Order::Release { run: order.run });
    }
    until("all descriptors are closed", || rig.descriptors() == before);
    assert_eq!(rig.zombies(), 0);
}

pub(super) fn the_child_is_set_up_as_ordered() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let input = rig.dir.path().join("input");
    fs::write(&input, "from the file").unwrap();
    let script = "cat; echo; umask; ulimit -n; pwd; nice; ls /proc/self/fd | wc -l; echo ${PATH}-${HOME}; \
                  grep -E 'Sig(Blk|Ign)' /proc/self/status; cat /proc/self/oom_score_adj";
    let order = LaunchOrder {
        argv: ["renamed", "-c", script].map(c).to_vec(),
        stdin: Some(c(input.to_str().unwrap())),
        umask: 0o027,
        rlimits: vec![
            Rlimit { kind: RlimitKind::OpenFiles, value: Some(77) },
            Rlimit { kind: RlimitKind::Core, value: Some(0) },
        ],
        nice: Some(5),
        oom_score_adj: Some(300),
        directory: c("/usr"),
        ..shell("")
    };
    let (_, fds) = supervisor.launch(&order);
    let text = read_all(fds.stdout);
    let lines: Vec<&str> = text.lines().collect();
    // 0, 1, 2, and the one with which `ls` reads the folder.
    assert_eq!(lines[..7], ["from the file", "0027", "77", "/usr", "5", "4", "/usr/bin:/bin-"], "{text}");
    assert_eq!(lines[7..9], ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]);
    assert_eq!(lines[9], "300");
    assert_eq!(supervisor.exit(order.run), Exit::Code(0));

    // Without a limit of its own it gets the soft limit that the keeper was started with, not the raised one.
    let ours = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
    let order = shell("ulimit -Sn; ps -o sid= -p $$ | tr -d ' '; echo $$");
    let (pid, fds) = supervisor.launch(&order);
    let text = read_all(fds.stdout);
    assert_eq!(text.lines().next(), Some(ours.to_string().as_str()), "{text}");
    assert_eq!(supervisor.exit(order.run), Exit::Code(0));
    assert_eq!(proc::stat(pid).unwrap().session, pid, "a session of its own");
}

pub(super) fn rights_are_given_up() {
    if !root() {
        return;
    }
    let rig = Rig::new();
    let supervisor = rig.first();
    let identity = Identity { uid: 65_534, gid: 65_533, groups: vec![65_533, 4242] };
    let script = "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff)' /proc/self/status | sort -u | wc -l; echo seen > /dev/stdout; \
                  cat /etc/shadow 2>/dev/null || echo refused";
    let order = LaunchOrder { identity: Some(identity.clone()), ..shell(script) };
    let (_, fds) = supervisor.launch(&order);
    assert_eq!(read_all(fds.stdout), "65534\n65533\n65533 4242\n2\nseen\nrefused\n");
    assert_eq!(supervisor.exit(order.run), Exit::Code(0));

    // Working folder and input are reached with the program's rights, not with root's.
    let secret = rig.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o700)).unwrap();
    let directory = c(secret.to_str().unwrap());
    for (order, wanted) in [
        (LaunchOrder { directory, ..shell("") }, LaunchStage::Directory),
        (LaunchOrder { stdin: Some(c("/etc/shadow")), ..shell("") }, LaunchStage::Stdin),
    ] {
        let order = LaunchOrder { identity: Some(identity.clone()), ..order };
        supervisor.send(&Order::Launch(Box::new(order)));
        assert_eq!(supervisor.news().stage, Stage::Forked);
        let Stage::Failed { stage, errno, .. } = supervisor.news().stage else { panic!("it ran") };
        assert_eq!((stage, errno), (wanted, libc::EACCES));
    }
}

pub(super) fn the_path_is_searched_as_execvp_does() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let closed = rig.dir.path().join("closed");
    fs::write(&closed, "x").unwrap();
    let closed = c(closed.to_str().unwrap());
    let order = LaunchOrder {
        candidates: vec![c("/no/where/sh"), closed.clone(), c("/bin/sh")],
        ..shell("exec sleep 1000")
    };
    let (_, fds) = supervisor.launch(&order);
    pidfd::send_signal(&fds.pidfd, Signal::TERM).unwrap();
    wait_for(&fds.pidfd, "its end");
    supervisor.exit(order.run);
    // What exists and may not be executed is named, not the last one that was missing.
    let order = LaunchOrder { candidates: vec![closed.clone(), c("/no/sh")], ..shell("") };
    supervisor.send(&Order::Launch(Box::new(order)));
    assert_eq!(supervisor.news().stage, Stage::Forked);
    let Stage::Failed { errno, path, .. } = supervisor.news().stage else { panic!("it ran") };
    assert_eq!((errno, path.unwrap().to_str()), (libc::EACCES, closed.to_str().ok()));
    let order = LaunchOrder { output: Output::Merged, ..shell("echo ready; exec sleep 1000") };
    assert_eq!(read_line(&supervisor.launch(&order).1.stdout), "ready");
}

pub(super) fn good_and_bad_ones_at_once_each_get_what_is_theirs() {
    let rig = Rig::new();
    let supervisor = rig.first();
    // Long enough that memory which is given to the next one too early is written over.
    let long = "x".repeat(2000);
    let orders: Vec<LaunchOrder> = (0..240_u8)
        .map(|number| {
            let path = c(&format!("/no/{number}/{}", &long[..100]));
            let environment =
                [&*c(&format!("NUMBER={number}")), &*c(&format!("LONG={long}"))].into_iter().collect();
            let order = LaunchOrder { environment, ..shell("test ${#LONG} = 2000 && exit $NUMBER") };
            match number % 4 {
                0 => LaunchOrder { candidates: vec![path], ..order },
                1 => LaunchOrder { directory: path, ..order },
                2 => LaunchOrder { stdin: Some(path), ..order },
                _ => order,
            }
        })
        .collect();
    for order in &orders {
        supervisor.send(&Order::Launch(Box::new(order.clone())));
    }
    let mut ends = BTreeMap::new();
    while ends.len() < orders.len() {
        let news = supervisor.news();
        match news.stage {
            Stage::Forked | Stage::Execed => {}
            Stage::Failed { stage, errno, path } => {
                ends.insert(news.run, Err((stage, errno, path)));
            }
            Stage::Exited(exit) => {
                ends.insert(news.run, Ok(exit));
            }
        }
    }
    for (number, order) in (0..).zip(&orders) {
        let failed = |stage, path: &CString| {
            Err((stage, libc::ENOENT, Some(PathBuf::from(OsStr::from_bytes(path.as_bytes())))))
        };
        let wanted = match number % 4 {
            0 => failed(LaunchStage::Exec, &order.candidates[0]),
            1 => failed(LaunchStage::Directory, &order.directory),
            2 => failed(LaunchStage::Stdin, order.stdin.as_ref().unwrap()),
            _ => Ok(Exit::Code(number)),
        };
        assert_eq!(ends[&order.run], wanted, "{number}");
    }
}

pub(super) fn shortages_are_failures_that_pass() {
    use rustix::process::{Pid, Resource, prlimit};
    let rig = Rig::new();
    let supervisor = rig.first();
    let keeper = Pid::from_raw(rig.keeper_pid().cast_signed());
    let limit = |resource, current| {
        let maximum = prlimit(keeper, resource, rustix::process::getrlimit(resource)).unwrap().maximum;
        prlimit(keeper, resource, rustix::process::Rlimit { current, maximum }).unwrap();
    };
    let used = rig.descriptors() as u64;
    let failed = |wanted: LaunchStage, number: i32, words: &str| {
        let order = shell("exit 0");
        supervisor.send(&Order::Launch(Box::new(order)));
        let news = supervisor.news();
        let Stage::Failed { stage, errno, .. } = news.stage else { panic!("{news:?}, {used} used") };
        assert_eq!((stage, errno), (wanted, number));
        let sentence = exec_error(stage, errno, None, &Attempt::default()).message;
        assert!(sentence.contains(words), "{sentence}");
    };
    // At each number of free descriptors something else does not fit any more; nothing leaks, nothing breaks.
    for free in 0..6 {
        limit(Resource::Nofile, Some(used + free));
        failed(LaunchStage::Prepare, libc::EMFILE, "RLIMIT_NOFILE");
        assert_eq!(rig.descriptors() as u64, used);
    }
    limit(Resource::Nofile, Some(used + 100));
    if !root() {
        limit(Resource::Nproc, Some(1));
        failed(LaunchStage::Fork, libc::EAGAIN, "RLIMIT_NPROC");
    }
    limit(Resource::Nproc, rustix::process::getrlimit(Resource::Nproc).current);
    let order = shell("exit 2");
    supervisor.launch(&order);
    assert_eq!(supervisor.exit(order.run), Exit::Code(2));
}
