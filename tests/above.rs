//! The service manager above: what it is told, by whom, and when. The test is the service manager.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Background, Proc, Rig, Yaml, pause, wait_for};
use nix::sys::signal::Signal;
use sppm::linux::datagram::{self, Datagram};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The socket at `NOTIFY_SOCKET`, as systemd has one.
struct Manager {
    socket: OwnedFd,
}

impl Manager {
    /// From now on everything in this rig is told of it.
    fn of(rig: &mut Rig) -> Self {
        let path = rig.path("above.sock");
        let socket = datagram::bind(&path).unwrap();
        rig.env("NOTIFY_SOCKET", path.to_str().unwrap());
        Self { socket }
    }

    /// What has come and was not looked at yet.
    fn next(&self) -> Option<Datagram> {
        datagram::receive(&self.socket, &mut [0; 4096]).unwrap()
    }

    /// The next message that contains `text`; earlier ones are dropped.
    #[track_caller]
    fn until(&self, text: &str) -> Told {
        wait_for(&format!("the service manager is told {text:?}"), || {
            std::iter::from_fn(|| self.next()).map(Told::new).find(|told| told.text.contains(text))
        })
    }
}

#[derive(Debug)]
struct Told {
    text: String,
    by: u32,
}

impl Told {
    fn new(datagram: Datagram) -> Self {
        assert!(!datagram.cut && datagram.fds.is_empty());
        Self { text: String::from_utf8(datagram.bytes).unwrap(), by: datagram.sender.pid }
    }

    fn has(&self, field: &str) -> bool {
        self.text.lines().any(|line| line == field)
    }

    fn status(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("STATUS=")).unwrap_or_default()
    }
}

const EXTENSION: &str = "EXTEND_TIMEOUT_USEC=30000000";

/// Ends this many seconds after TERM.
fn slow(rig: &Rig, seconds: &str) -> String {
    let body = format!(
        "trap 'sleep {seconds}; exit 0' TERM\necho \"env: $(env | grep NOTIFY_SOCKET)\"\necho up\nwhile :; do sleep 0.05; done"
    );
    rig.actor("slow", &body)
}

fn shut_down(rig: &Rig) -> Background {
    Background::start(rig.command(&["shutdown"]), &rig.path("shutdown"))
}

#[test]
fn it_is_told_of_start_edit_take_over_and_end_by_the_main_process() {
    let mut rig = Rig::new();
    let manager = Manager::of(&mut rig);
    let yaml = Yaml::new(&rig)
        .program("slow", &[slow(&rig, "1"), "stop: { timeout: 60s }".into()])
        .program("other", &[rig.steady()]);
    rig.save(&yaml);
    let mut keeper = rig.run();
    let ready = manager.until("");
    assert!(ready.has("READY=1"), "{ready:?}");
    assert_eq!(ready.status(), format!("2 programs of {}", rig.file().display()));
    assert_eq!(ready.by, keeper.child.id(), "NotifyAccess=main believes nobody else");
    rig.until("both run", common::Status::all_running);
    common::rig::file_says(&rig.path("log/slow.log"), "up");
    assert!(rig.log("slow").contains("env: \n"), "a program sees the socket\n{}", rig.log("slow"));

    rig.save(&yaml.clone().program("third", &[rig.steady()]));
    let reloading = manager.until("");
    assert!(reloading.has("RELOADING=1") && reloading.text.contains("\nMONOTONIC_USEC="), "{reloading:?}");
    let reloaded = manager.until("");
    assert!(reloaded.has("READY=1") && reloaded.status().starts_with("3 programs of "), "{reloaded:?}");

    let first = rig.status().supervisor("pid").as_u64().unwrap();
    Proc::of(u32::try_from(first).unwrap()).unwrap().signal(Signal::SIGKILL);
    assert!(manager.until("").has("READY=1"));

    rig.until("all run", |status| status.names().len() == 3 && status.all_running());
    assert!(manager.next().is_none(), "something was told although nothing happens");
    let mut shutdown = shut_down(&rig);
    let stopping = manager.until("");
    assert!(stopping.has("STOPPING=1") && stopping.has(EXTENSION), "{stopping:?}");
    assert!(stopping.status().starts_with("waits for the end of "), "{stopping:?}");
    assert_eq!(keeper.end().code, Some(0));
    shutdown.end().ok();
    assert!(std::iter::from_fn(|| manager.next()).all(|late| !Told::new(late).text.contains("READY")));
}

#[test]
fn more_time_is_asked_for_as_long_as_something_is_being_stopped() {
    let mut rig = Rig::new();
    let manager = Manager::of(&mut rig);
    rig.save(&Yaml::new(&rig).program("slow", &[slow(&rig, "11"), "stop: { timeout: 60s }".into()]));
    let mut keeper = rig.run();
    assert!(manager.until("").has("READY=1"));
    common::rig::file_says(&rig.path("log/slow.log"), "up");
    keeper.signal(Signal::SIGTERM);
    assert!(manager.until("").has("STOPPING=1"));
    let start = Instant::now();
    let again = manager.until("");
    assert!(again.has(EXTENSION) && !again.text.contains("STOPPING"), "{again:?}");
    assert_eq!(again.status(), "waits for the end of slow");
    assert!(start.elapsed() > Duration::from_secs(9), "too soon: {:?}", start.elapsed());
    assert_eq!(keeper.end().code, Some(0));
}

/// A successor in the middle of a shutdown goes on with it, and never says that all is well.
#[test]
fn a_take_over_in_a_shutdown_goes_on_telling() {
    let mut rig = Rig::new();
    let manager = Manager::of(&mut rig);
    rig.save(&Yaml::new(&rig).program("slow", &[slow(&rig, "4"), "stop: { timeout: 60s }".into()]));
    let mut keeper = rig.run();
    assert!(manager.until("").has("READY=1"));
    common::rig::file_says(&rig.path("log/slow.log"), "up");
    let first = rig.status().supervisor("pid").as_u64().unwrap();
    keeper.signal(Signal::SIGTERM);
    assert!(manager.until("").has("STOPPING=1"));
    Proc::of(u32::try_from(first).unwrap()).unwrap().signal(Signal::SIGKILL);
    let again = manager.until("");
    assert!(again.has("STOPPING=1") && again.has(EXTENSION), "{again:?}");
    assert_eq!(keeper.end().code, Some(0));
}

/// What nobody can be told costs one line, and nothing else.
#[test]
fn a_manager_that_is_not_there_is_no_trouble() {
    for wrong in ["/no/such/socket", "@", "vsock:2:1"] {
        let mut rig = Rig::new();
        rig.env("NOTIFY_SOCKET", wrong);
        rig.save(&Yaml::new(&rig).program("steady", &[rig.steady()]));
        let mut keeper = rig.run();
        rig.until("it runs", common::Status::all_running);
        rig.shutdown();
        let said = keeper.end().expect_code(0).stderr;
        assert_eq!(said.matches("the service manager cannot be told anything").count(), 1, "{said}");
    }
}

/// A supervisor in the background is no part of the service whose command has started it.
#[test]
fn one_in_the_background_says_nothing() {
    let mut rig = Rig::new();
    let manager = Manager::of(&mut rig);
    rig.start_with(&Yaml::new(&rig).program("steady", &[rig.steady()]));
    rig.shutdown();
    pause(Duration::from_millis(100));
    assert!(manager.next().is_none());
}

/// Two that are in the middle of a task: both are named or counted, and the end of each is told.
#[test]
fn tasks_that_a_shutdown_waits_for_are_named() {
    let mut rig = Rig::new();
    let manager = Manager::of(&mut rig);
    let crawl = rig.actor(
        "crawl",
        "trap 'echo asked; exit 0' TERM\necho 'busy crawl example.org' > \"$SPPM_NOTIFY\"\necho up\n\
         while [ ! -e \"$RIG/enough.$SPPM_INSTANCE\" ]; do sleep 0.05; done\necho idle > \"$SPPM_NOTIFY\"\n\
         while :; do sleep 0.05; done",
    );
    let yaml = Yaml::new(&rig)
        .program("web", &[crawl, "instances: 2".into(), "stop: { timeout: 60s }".into()])
        .program("other", &[rig.steady()]);
    rig.save(&yaml);
    let mut keeper = rig.run();
    assert!(manager.until("").has("READY=1"));
    for instance in ["web.1", "web.2"] {
        common::rig::file_says(&rig.path(&format!("log/{instance}.log")), "up");
    }
    keeper.signal(Signal::SIGTERM);
    assert!(manager.until("").has("STOPPING=1"));
    let both = manager.until("; 1 more");
    let status = both.status();
    let task = status.strip_prefix("waits for the end of a task: web.").unwrap_or_default();
    assert!(
        task.get(1..).is_some_and(|rest| rest.starts_with(" (crawl example.org), busy for ")),
        "{both:?}"
    );
    assert!(both.has(EXTENSION), "{both:?}");
    rig.write("enough.web.1", "");
    let one = manager.until("STATUS=waits for the end of a task: web.2 (crawl example.org), busy for ");
    assert!(!one.text.contains("more"), "{one:?}");
    common::rig::file_says(&rig.path("log/web.1.log"), "asked");
    assert!(!rig.log("web.2").contains("asked"), "it was not left in peace");
    rig.write("enough.web.2", "");
    assert_eq!(keeper.end().code, Some(0));
    assert!(rig.log("web.2").contains("asked"), "{}", rig.log("web.2"));
}
