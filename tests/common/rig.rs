//! A folder, a user and a supervisor of its own for each test, and the guard that cleans up after it.

use super::command::{Answer, Background, finish};
use super::processes::{self, Proc};
use super::status::Status;
use super::wait::{LIMIT, pause, wait_for};
use super::{Yaml, tools};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Whose rights the supervisor of a test has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Those of the tests.
    Own,
    /// The ordinary user with this uid and gid; the tests are root.
    Other(u32),
}

impl Who {
    /// An ordinary user, where the tests are root and can be one; else `Own` has run as one already.
    pub fn ordinary() -> Option<Self> {
        if !is_root() {
            tools::cannot("not root: the tests run as an ordinary user anyway");
            return None;
        }
        tools::find_or_skip(&["setpriv"]).map(|_| Self::Other(65534))
    }
}

/// Whether the tests are root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// One test's world. Dropping it ends everything in it and fails the test if something survived a shutdown.
pub struct Rig {
    folder: PathBuf,
    who: Who,
    binary: PathBuf,
    file: PathBuf,
    environment: Vec<(String, String)>,
    _temp: tempfile::TempDir,
}

impl Rig {
    /// As the user of the tests.
    pub fn new() -> Self {
        Self::of(Who::Own)
    }

    /// As this user.
    pub fn of(who: Who) -> Self {
        // Short, and not below $TMPDIR: a socket's path has 107 bytes.
        let temp = tempfile::Builder::new().prefix("sppm-").tempdir_in("/tmp").expect("a folder in /tmp");
        let folder = temp.path().canonicalize().expect("its real path");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        let built = PathBuf::from(env!("CARGO_BIN_EXE_sppm"));
        let binary = match who {
            Who::Own => built,
            Who::Other(uid) => {
                // The folder that it was built in may be closed to others.
                let copy = folder.join("sppm");
                fs::copy(&built, &copy).expect("a copy of the binary");
                std::os::unix::fs::chown(&folder, Some(uid), Some(uid)).expect("the folder's owner");
                copy
            }
        };
        let file = folder.join("sppm.yaml");
        let rig = Self { folder, who, binary, file, environment: Vec::new(), _temp: temp };
        for name in ["home", "s", "x", "c"] {
            rig.folder_named(name);
        }
        rig
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn who(&self) -> Who {
        self.who
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The configuration.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Uses another configuration file from now on.
    pub fn use_file(&mut self, path: PathBuf) {
        self.file = path;
    }

    /// Adds a variable to the environment of everything that is run from now on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Gives a file or folder to the user of this rig.
    pub fn own(&self, path: &Path) {
        if let Who::Other(uid) = self.who {
            std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("its owner");
        }
    }

    /// Makes a folder.
    pub fn folder_named(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a folder");
        self.own(&path);
        path
    }

    /// Writes a file in place: truncated, then written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        self.own(&path);
    }

    /// Sets a file's mode.
    pub fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("its mode");
    }

    /// A file's text; empty where there is none.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Saves the configuration the way `mv` does: whole, at once.
    pub fn save(&self, yaml: &Yaml) {
        self.save_text(&yaml.text());
    }

    /// The same with any text.
    pub fn save_text(&self, text: &str) {
        let draft = self.folder.join("sppm.yaml.new");
        fs::write(&draft, text).expect("a draft");
        self.own(&draft);
        fs::rename(&draft, &self.file).expect("a rename");
    }

    /// An instance's log with the folders of [`Yaml::new`].
    pub fn log(&self, instance: &str) -> String {
        self.read(&format!("log/{instance}.log"))
    }

    /// The supervisor's own log, likewise.
    pub fn own_log(&self) -> String {
        self.log("sppm")
    }

    /// Any program, in this rig's folder, environment and user.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = match self.who {
            Who::Own => Command::new(program),
            Who::Other(uid) => {
                let mut command = Command::new(tools::find(&["setpriv"]).expect("setpriv"));
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
                command.arg(program);
                command
            }
        };
        command.current_dir(&self.folder).env_clear();
        command.env("PATH", tools::PATH).env("LANG", "C.UTF-8").env("RIG", &self.folder);
        command.env("HOME", self.path("home")).env("XDG_STATE_HOME", self.path("s"));
        command.env("XDG_RUNTIME_DIR", self.path("x")).env("XDG_CONFIG_HOME", self.path("c"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command with these arguments; `-c FILE` is added.
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = self.program(&self.binary);
        command.arg("-c").arg(&self.file).args(args.iter().map(AsRef::as_ref));
        command
    }

    /// Runs the command to its end without `-c`: it finds the file by itself.
    #[track_caller]
    pub fn bare<S: AsRef<str>>(&self, args: &[S]) -> Answer {
        let mut command = self.program(&self.binary);
        command.args(args.iter().map(AsRef::as_ref));
        finish(command, LIMIT)
    }

    /// Runs the command to its end.
    #[track_caller]
    pub fn sppm<S: AsRef<str>>(&self, args: &[S]) -> Answer {
        finish(self.command(args), LIMIT)
    }

    /// Starts the supervisor in the background and waits until `start` says that all is well.
    #[track_caller]
    pub fn start(&self) {
        let answer = self.sppm(&["start"]);
        if answer.code != Some(0) {
            panic!("`{}` ended otherwise\n{}\n{}", answer.line, answer.all(), self.own_log());
        }
    }

    /// Saves a configuration and starts the supervisor with it.
    #[track_caller]
    pub fn start_with(&self, yaml: &Yaml) {
        self.save(yaml);
        self.start();
    }

    /// Starts the supervisor in the foreground.
    pub fn run(&self) -> Background {
        Background::start(self.command(&["run"]), &self.path("run"))
    }

    /// `status --json`, whatever its exit code; `None` where nobody answers.
    pub fn try_status(&self) -> Option<Status> {
        let answer = self.sppm(&["status", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&answer.stdout).ok()?;
        value["supervisor"].is_object().then(|| Status::new(value))
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self) -> Status {
        let answer = self.sppm(&["status", "--json"]);
        match serde_json::from_str(&answer.stdout) {
            Ok(value) => Status::new(value),
            Err(error) => panic!("`{}` is no JSON: {error}\n{}", answer.line, answer.all()),
        }
    }

    /// Waits until the status is as wanted, and answers it.
    #[track_caller]
    pub fn until(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Status {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < LIMIT {
            last = self.try_status();
            if let Some(status) = last.as_ref().filter(|status| condition(status)) {
                return status.clone();
            }
            pause(Duration::from_millis(60));
        }
        let last = last.map_or_else(|| "no answer".to_owned(), |status| format!("{:#}", status.0));
        panic!("waited {LIMIT:?} in vain: {what}\nlast status: {last}\n{}", self.own_log());
    }

    /// Waits until an instance or program is in this phase.
    #[track_caller]
    pub fn until_phase(&self, id: &str, phase: &str) -> Status {
        self.until(&format!("{id} is {phase}"), |status| status.phase(id) == phase)
    }

    /// Every living process of this test.
    pub fn processes(&self) -> Vec<Proc> {
        processes::belonging_to(&self.folder)
    }

    /// Waits until no process of this test is left.
    #[track_caller]
    pub fn until_nothing_runs(&self) {
        let start = Instant::now();
        while !self.processes().is_empty() {
            let left: Vec<String> = self.processes().iter().map(Proc::describe).collect();
            assert!(start.elapsed() < LIMIT, "still there:\n{}\n{}", left.join("\n"), self.own_log());
            pause(Duration::from_millis(50));
        }
    }

    /// Whether a command's request for a shutdown comes back done, with nothing left.
    #[track_caller]
    pub fn shutdown(&self) {
        self.sppm(&["shutdown"]).ok();
        self.until_nothing_runs();
    }

    /// Removes root's entries by which the command finds this test's supervisor; answers those that were still there.
    fn clear_ways_in(&self) -> Vec<String> {
        if !is_root() || self.who != Who::Own {
            return Vec::new();
        }
        let entries = fs::read_dir("/run/sppm/by-path").into_iter().flatten().flatten();
        let ours = |path: &PathBuf| fs::read_link(path).is_ok_and(|target| target.starts_with(&self.folder));
        let left: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(ours).collect();
        for path in &left {
            // Somebody may have been quicker; then it is gone as well.
            let _gone = fs::remove_file(path);
        }
        left.iter().map(|path| path.display().to_string()).collect()
    }

    /// Ends what is left by force; answers what was still there after a regular forced shutdown.
    fn clear(&self) -> Vec<String> {
        if self.processes().is_empty() {
            return Vec::new();
        }
        let mut shutdown = self.command(&["shutdown", "--force"]);
        shutdown.stdin(std::process::Stdio::null());
        shutdown.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        if let Ok(mut child) = shutdown.spawn() {
            super::command::wait(&mut child, Duration::from_secs(20));
        }
        let start = Instant::now();
        while !self.processes().is_empty() && start.elapsed() < Duration::from_secs(10) {
            pause(Duration::from_millis(50));
        }
        let left: Vec<String> = self.processes().iter().map(Proc::describe).collect();
        // The one that would start others again goes first, then all, until nothing comes back.
        let mut quiet = 0;
        while quiet < 3 {
            let now = self.processes();
            now.iter().for_each(|process| process.signal(Signal::SIGSTOP));
            now.iter().for_each(|process| process.signal(Signal::SIGKILL));
            quiet = if now.is_empty() { quiet + 1 } else { 0 };
            pause(Duration::from_millis(20));
        }
        left
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let mut left = self.clear();
        left.extend(self.clear_ways_in());
        if std::thread::panicking() {
            eprintln!("--- the supervisor's log\n{}", self.own_log());
            if !left.is_empty() {
                eprintln!("--- and these survived a forced shutdown:\n{}", left.join("\n"));
            }
        } else {
            assert!(left.is_empty(), "these survived a forced shutdown:\n{}", left.join("\n"));
        }
    }
}

/// Waits until a file contains `text`, and answers the whole of it.
#[track_caller]
pub fn file_says(path: &Path, text: &str) -> String {
    wait_for(&format!("{} says {text:?}", path.display()), || {
        let found = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
        found.contains(text).then_some(found)
    })
}

/// Removes root's default folders, which lie outside the test's own: those whose supervisor's log names `mark`.
pub fn remove_default_folders_of(mark: &str) {
    for entry in fs::read_dir("/var/log/sppm").into_iter().flatten().flatten() {
        let log = fs::read_to_string(entry.path().join("sppm.log")).unwrap_or_default();
        if is_root() && log.contains(mark) {
            for base in ["/run/sppm", "/var/lib/sppm", "/var/log/sppm"] {
                // What was never made cannot be removed.
                let _missing = fs::remove_dir_all(Path::new(base).join(entry.file_name()));
            }
        }
    }
}
