//! The socket's path: taken away, replaced, left over, too long; and a supervisor without descriptors.

use crate::common::{Rig, Who, Yaml, http, pause, processes, wait_until};
use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// A rig with one program that runs.
fn small(who: Who) -> Rig {
    let rig = Rig::of(who);
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    rig
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[test]
fn a_path_that_was_taken_away_leads_to_the_supervisor_again() {
    let rig = small(Who::Own);
    let socket = rig.path("r/sppm.sock");
    let before = rig.status();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    let take: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&socket).unwrap(),
        &|| fs::rename(&socket, rig.path("elsewhere")).unwrap(),
        &|| {
            fs::write(rig.path("file"), "no socket").unwrap();
            fs::rename(rig.path("file"), &socket).unwrap();
        },
        &|| {
            let other = rig.path("other");
            let _nobody_listens_any_more = UnixListener::bind(&other).unwrap();
            fs::rename(&other, &socket).unwrap();
        },
    ];
    for take in take {
        let was = fs::symlink_metadata(&socket).unwrap();
        take();
        wait_until("a new socket is there and answers", || {
            let another = fs::symlink_metadata(&socket).is_ok_and(|now| now.ctime_nsec() != was.ctime_nsec());
            another && is_socket(&socket) && http::get_unix(&socket, "/healthz").is_some()
        });
        let status = rig.status();
        assert_eq!(status.supervisor_proc(), before.supervisor_proc());
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode(), mode);
    }
    assert_eq!(rig.status().running(), before.running());
    assert!(rig.own_log().contains("took the control socket"), "nobody is told");
    rig.shutdown();
    assert!(!socket.exists());
}

/// Connections that are there when the path is taken away go on.
#[test]
fn who_is_connected_stays_connected() {
    let rig = small(Who::Own);
    let mut follower =
        crate::common::Background::start(rig.command(&["logs", "-f", "web"]), &rig.path("follower"));
    follower.wait_for_text("web runs");
    fs::remove_file(rig.path("r/sppm.sock")).unwrap();
    rig.until("it answers again", |_| true);
    rig.sppm(&["restart", "web"]).ok();
    wait_until("the follower has seen both runs", || follower.stdout().matches("web runs").count() == 2);
    rig.shutdown();
}

/// The keeper holds the socket: a successor has the same one, or another where its path was taken away meanwhile.
#[test]
fn a_successor_listens_where_clients_look() {
    let rig = small(Who::Own);
    let socket = rig.path("r/sppm.sock");
    let first = fs::metadata(&socket).unwrap().ino();
    let kill = |meanwhile: &dyn Fn()| {
        let victim = rig.status().supervisor_proc();
        // Stopped, it sees nothing.
        victim.signal(Signal::SIGSTOP);
        meanwhile();
        victim.signal(Signal::SIGKILL);
        rig.until("a successor", |status| status.supervisor_proc() != victim);
    };
    kill(&|| {});
    assert_eq!(fs::metadata(&socket).unwrap().ino(), first, "the keeper's socket was not used");
    kill(&|| {
        fs::remove_file(&socket).unwrap();
        fs::write(&socket, "no socket").unwrap();
    });
    assert!(is_socket(&socket));
    kill(&|| {});
    rig.shutdown();
}

/// Both killed: what they left at the path is no obstacle.
#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let rig = small(Who::Own);
    let socket = rig.path("r/sppm.sock");
    let status = rig.status();
    let (keeper, supervisor) = (status.keeper_proc(), status.supervisor_proc());
    supervisor.signal(Signal::SIGSTOP);
    keeper.signal(Signal::SIGKILL);
    supervisor.signal(Signal::SIGKILL);
    wait_until("both are gone", || !keeper.alive() && !supervisor.alive());
    wait_until("it is stale", || UnixStream::connect(&socket).is_err());
    assert!(is_socket(&socket));
    rig.start();
    assert!(rig.status().all_running());
    rig.shutdown();
}

#[test]
fn a_path_that_is_too_long_is_an_error_of_the_check() {
    let rig = Rig::new();
    let long = "d".repeat(100);
    rig.save(&Yaml::default().supervisor(&format!("runtime_dir: /tmp/{long}")));
    rig.sppm(&["check"]).expect_code(78).expect_text("at most 107");
}

/// EMFILE: connections wait, nothing spins, programs run on, and all is well when there are descriptors again.
#[test]
fn without_descriptors_it_waits_and_does_not_spin() {
    let rig = small(Who::Own);
    let status = rig.status();
    let supervisor = status.supervisor_proc();
    let pid = Pid::from_raw(i32::try_from(supervisor.pid).unwrap());
    let numbers = || {
        let open = fs::read_dir(format!("/proc/{}/fd", supervisor.pid)).unwrap().flatten();
        let names = open.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        names.collect::<std::collections::BTreeSet<u64>>()
    };
    wait_until("the last request is over", || {
        let first = numbers();
        pause(Duration::from_millis(300));
        first == numbers()
    });
    let open = numbers();
    let lowest_free = (0..).find(|number| !open.contains(number)).unwrap();
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = |most| Rlimit { current: most, maximum: hard };
    prlimit(pid, Resource::Nofile, limit(Some(lowest_free))).unwrap();
    let waiting: Vec<_> = (0..20).map(|_| UnixStream::connect(rig.path("r/sppm.sock")).unwrap()).collect();
    let before = processes::cpu_ticks(supervisor.pid).unwrap();
    pause(Duration::from_secs(2));
    let used = processes::cpu_ticks(supervisor.pid).unwrap() - before;
    assert!(used <= 50, "{used} hundredths of a second in two seconds without descriptors");
    let said = rig.own_log().matches("cannot accept").count();
    assert!((1..=3).contains(&said), "it is said {said} times");
    assert!(status.process_of("web").alive());
    prlimit(pid, Resource::Nofile, limit(hard)).unwrap();
    drop(waiting);
    assert_eq!(rig.status().supervisor_proc(), supervisor);
    rig.shutdown();
}
