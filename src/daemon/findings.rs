//! What /proc tells of a trouble that a program's last lines or its state point at.

use crate::linux::{ports, proc};
use crate::model::{RlimitKind, Signal};

/// Words that programs use when a port is taken (EADDRINUSE in its many dresses).
const TAKEN: [&str; 4] = ["address already in use", "address in use", "eaddrinuse", "port is already"];
/// The same for EMFILE, and for the machine's own limit, ENFILE.
const STARVED: [&str; 2] = ["too many open files", "emfile"];
const STARVED_MACHINE: [&str; 2] = ["too many open files in system", "enfile"];
/// At this share of its limit a program is at its limit, in percent.
const FULL: u64 = 90;

/// What is known of an instance before anybody looks at a disk or at /proc.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    /// Its name: `web.2`.
    pub(super) instance: String,
    /// Its command line.
    pub(super) command: String,
    /// Its main process, while it lives.
    pub(super) pid: Option<u32>,
    /// `limits.open_files` of its entry.
    pub(super) open_files: Option<u64>,
    /// What it has been asked to stop with, while it has not.
    pub(super) asked_with: Option<Signal>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// This port is taken, by this process as far as that may be seen.
    Port { number: u16, holder: Holder },
    /// A port is taken, and nothing says which.
    SomePort,
    /// It has no descriptors left. Which process has how many, where it lives and that may be seen.
    OpenFiles { limit: Option<Limit>, open: Option<(u32, u64)> },
    /// The whole machine has none left.
    OpenFilesOfMachine,
    /// Its main process ignores this signal.
    Ignores { pid: u32, signal: Signal },
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Which instance of a supervisor it belongs to.
    pub(super) instance: Option<String>,
}

/// How many files it may have open, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// `limits.open_files`.
    File(u64),
    /// It was inherited from sppm.
    Inherited(u64),
}

/// All of them.
pub(super) fn of(subject: &Subject, lines: &[String]) -> Vec<Finding> {
    [port(subject, lines), open_files(subject, lines), ignored(subject)].into_iter().flatten().collect()
}

impl Finding {
    /// One sentence for people.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Port { number, holder: Holder { pid, name, instance: Some(instance) } } => {
                format!("port {number} is held by pid {pid} ({name}), which sppm runs as `{instance}`")
            }
            Self::Port { number, holder: Holder { pid, name, instance: None } } => {
                format!("port {number} is held by pid {pid} ({name})")
            }
            Self::SomePort => {
                "a port or address that it wants is taken; who holds it cannot be seen".to_owned()
            }
            Self::OpenFiles { limit, open } => open_files_text(*limit, *open),
            Self::OpenFilesOfMachine => "the machine has as many open files as fs.file-max allows".to_owned(),
            Self::Ignores { pid, signal } => format!("its main process, pid {pid}, ignores {signal}"),
        }
    }
}

fn open_files_text(limit: Option<Limit>, open: Option<(u32, u64)>) -> String {
    let most = match limit {
        Some(Limit::File(most)) => format!("{most} open files, its limits.open_files"),
        Some(Limit::Inherited(most)) => {
            format!("{most} open files, which it inherits: its entry has no limits.open_files")
        }
        None => "so many open files; its entry has no limits.open_files".to_owned(),
    };
    match open {
        Some((_, open)) => format!("it may have {most}, and has {open} now"),
        None => format!("it ran into its limit: it may have {most}"),
    }
}

fn has(line: &str, words: &[&str]) -> bool {
    let lower = line.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// Who holds the port that one of the lines names, or else its command.
fn port(subject: &Subject, lines: &[String]) -> Option<Finding> {
    let at = lines.iter().rposition(|line| has(line, &TAKEN))?;
    // The line itself mostly names the port; else one of the lines just before it does.
    let near = lines[..=at].iter().rev().take(3).map(String::as_str);
    let named = near.chain([subject.command.as_str()]).flat_map(numbers);
    let found = named.into_iter().find_map(|port| Some((port, ports::listener(port)?)));
    let Some((number, listener)) = found else {
        // Once it runs, those are old words.
        return subject.pid.is_none().then_some(Finding::SomePort);
    };
    let instance = proc::variable(listener.pid, "SPPM_INSTANCE");
    let own = subject.pid.is_some() && instance.as_ref() == Some(&subject.instance);
    let holder = Holder { pid: listener.pid, name: listener.name, instance };
    (!own).then_some(Finding::Port { number, holder })
}

/// Whether it ran into its limit of descriptors, or is about to.
fn open_files(subject: &Subject, lines: &[String]) -> Option<Finding> {
    let used = subject.pid.and_then(proc::open_files);
    let full = used.filter(|used| used.open * 100 >= used.limit * FULL);
    let line = lines.iter().rfind(|line| has(line, &STARVED) || has(line, &STARVED_MACHINE));
    if full.is_none() && line.is_some_and(|line| has(line, &STARVED_MACHINE)) {
        return Some(Finding::OpenFilesOfMachine);
    }
    if full.is_none() && line.is_none() {
        return None;
    }
    let limit = match (subject.open_files, used) {
        (Some(most), _) => Some(Limit::File(most)),
        (None, Some(used)) => Some(Limit::Inherited(used.limit)),
        (None, None) => None,
    };
    Some(Finding::OpenFiles { limit, open: subject.pid.zip(used.map(|used| used.open)) })
}

fn ignored(subject: &Subject) -> Option<Finding> {
    let (pid, signal) = (subject.pid?, subject.asked_with?);
    proc::ignores(pid, signal.number())?.then_some(Finding::Ignores { pid, signal })
}

/// `limits.open_files` of an entry.
pub(super) fn open_files_of(limits: &crate::model::Limits) -> Option<u64> {
    limits.rlimits.iter().find(|limit| limit.kind == RlimitKind::OpenFiles).and_then(|limit| limit.value)
}

/// Numbers of a line that can be ports, those after a colon first.
fn numbers(line: &str) -> Vec<u16> {
    let mut found: Vec<(bool, u16)> = Vec::new();
    let mut before = ' ';
    let mut digits = String::new();
    let mut after_colon = false;
    for c in line.chars().chain([' ']) {
        if c.is_ascii_digit() {
            if digits.is_empty() {
                after_colon = before == ':';
            }
            digits.push(c);
        } else if !digits.is_empty() {
            if let Ok(port @ 1..) = digits.parse::<u16>() {
                found.push((!after_colon, port));
            }
            digits.clear();
        }
        before = c;
    }
    found.sort_by_key(|(later, _)| *later);
    found.into_iter().map(|(_, port)| port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn ports_are_found_in_the_words_of_many_programs() {
        for line in [
            "OSError: [Errno 98] Address already in use: ('127.0.0.1', 8080)",
            "nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)",
            "Error: listen EADDRINUSE: address already in use :::8080",
            "# Warning: Could not create server TCP listening socket *:8080: bind: Address already in use",
        ] {
            assert!(has(line, &TAKEN), "{line}");
            assert!(numbers(line).contains(&8080), "{line}: {:?}", numbers(line));
        }
        assert_eq!(numbers("0.0.0.0:8080 98")[0], 8080);
        assert!(of(&Subject::default(), &lines("all is well on :8080")).is_empty());
    }

    #[test]
    fn a_port_that_only_the_command_names_is_found_too() -> std::io::Result<()> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        let number = socket.local_addr()?.port();
        let command = format!("python3 -m http.server {number}");
        let subject = Subject { command, ..Subject::default() };
        let found = of(&subject, &lines("OSError: [Errno 98] Address already in use"));
        assert!(
            matches!(&found[..], [Finding::Port { number: port, holder }]
                if *port == number && holder.pid == std::process::id()),
            "{found:?}"
        );
        Ok(())
    }

    #[test]
    fn a_shortage_of_descriptors_is_the_programs_or_the_machines() {
        let subject = Subject { open_files: Some(32), ..Subject::default() };
        let of = |text| super::of(&subject, &lines(text)).iter().map(Finding::sentence).collect::<Vec<_>>();
        assert_eq!(
            of("OSError: [Errno 24] Too many open files"),
            ["it ran into its limit: it may have 32 open files, its limits.open_files"]
        );
        assert_eq!(
            of("accept: Too many open files in system"),
            ["the machine has as many open files as fs.file-max allows"]
        );
        assert!(of("opened 24 files").is_empty());
    }
}
