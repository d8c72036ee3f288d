//! What a person can do about an instance: the next steps that `why` names. Pure.

use super::findings::Finding;
use super::notices::{NOT_OURS, NOT_THE_KERNEL};
use crate::journal::{Entry, Kind};
use crate::supervisor::PhaseKind;

/// What advice depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    /// The program's name.
    pub(super) program: &'a str,
    pub(super) phase: PhaseKind,
    /// Where its entry is.
    pub(super) place: &'a str,
    /// How its last run or launch ended.
    pub(super) last_end: Option<&'a Entry>,
    /// What sppm ended it for last, where nothing else has ended it since.
    pub(super) last_trouble: Option<&'a Entry>,
    /// It had to be killed since it did not heed its stop policy.
    pub(super) overdue: bool,
    /// Its exit code is one that is never started again.
    pub(super) forbidden: bool,
}

/// The next steps, the likeliest first.
pub(super) fn steps(case: &Case<'_>, findings: &[Finding]) -> Vec<String> {
    let mut steps: Vec<String> = findings.iter().filter_map(|finding| mend(case, finding)).collect();
    if case.overdue {
        steps.push(format!(
            "give it longer by stop.timeout, or another signal by stop.signal ({}): an edit of these restarts nothing",
            case.place
        ));
    }
    steps.extend(case.last_trouble.and_then(|trouble| silence(case, trouble)));
    steps.extend(case.last_end.and_then(|end| after(case, end, steps.is_empty())));
    steps
}

fn tries(case: &Case<'_>) -> String {
    format!("`sppm start {}` tries at once", case.program)
}

/// Whether it waits for somebody to mend it.
fn is_down(case: &Case<'_>) -> bool {
    matches!(case.phase, PhaseKind::Backoff | PhaseKind::Failed)
}

/// What follows from a finding.
fn mend(case: &Case<'_>, finding: &Finding) -> Option<String> {
    let Case { program, place, .. } = case;
    Some(match finding {
        Finding::Port { holder, .. } => match holder.instance.as_deref() {
            Some(other) => {
                format!(
                    "give `{other}` or `{program}` another port, or `sppm stop {other}`; then {}",
                    tries(case)
                )
            }
            None => {
                let pid = holder.pid;
                format!(
                    "`kill {pid}` if that should not be there, or give {program} another port; then {}",
                    tries(case)
                )
            }
        },
        Finding::SomePort => {
            format!("`ss -ltnp` as root shows who listens where; when the port is free, {}", tries(case))
        }
        Finding::OpenFiles { open, .. } => {
            let pid = open.map_or_else(|| "PID".to_owned(), |(pid, _)| pid.to_string());
            format!(
                "raise limits.open_files of {program} ({place}), which restarts it; if it fills up again it leaks \
                 them: `ls -l /proc/{pid}/fd`"
            )
        }
        Finding::OpenFilesOfMachine => {
            "`sysctl fs.file-nr` shows how many there are; `sysctl -w fs.file-max=N` raises the limit"
                .to_owned()
        }
        Finding::Ignores { .. } => return None,
    })
}

/// What follows from what it did not say.
fn silence(case: &Case<'_>, trouble: &Entry) -> Option<String> {
    let Case { program, place, .. } = case;
    match (trouble.kind, case.phase) {
        (
            Kind::NotReady,
            PhaseKind::Backoff | PhaseKind::Failed | PhaseKind::Waiting | PhaseKind::Starting,
        ) => Some(format!(
            "`sppm logs {program}` shows how far it got; it must say READY=1 (sd_notify(3)), or \
                 `echo ready > \"$SPPM_NOTIFY\"`; if it only needs longer, raise ready.timeout ({place}): an edit of that \
                 restarts nothing"
        )),
        (Kind::Stuck, PhaseKind::Stopped | PhaseKind::Completed) => None,
        (Kind::Stuck, _) => Some(format!(
            "`sppm logs {program}` shows what it did last; if it was not stuck, let it beat more often (WATCHDOG=1, or \
             `echo beat > \"$SPPM_NOTIFY\"`), or raise `watchdog` ({place})"
        )),
        (_, _) => None,
    }
}

/// What follows from how it ended. `alone`: nothing better is known.
fn after(case: &Case<'_>, end: &Entry, alone: bool) -> Option<String> {
    let Case { program, place, .. } = case;
    if end.kind == Kind::LaunchFailed {
        return is_down(case).then(|| {
            format!("put right what the reason names, or its entry ({place}); then {}", tries(case))
        });
    }
    if end.text.contains(NOT_OURS)
        && let Some(signal) = &end.signal
    {
        return whodunit(signal, &end.text).map(str::to_owned);
    }
    match end.code {
        Some(code) if case.forbidden && is_down(case) => Some(format!(
            "put right what its last lines name; then `sppm start {program}`: after code {code} nothing else starts it \
             (restart.never_codes, {place})"
        )),
        Some(78) if is_down(case) => Some(format!(
            "put right what its last lines name; then {}; `never_codes: [78]` below restart would spare tries in vain",
            tries(case)
        )),
        Some(_) | None if is_down(case) && alone => Some(format!(
            "`sppm logs {program}` has more of what it said; when it is mended, {}",
            tries(case)
        )),
        Some(_) | None => None,
    }
}

/// Where to look for whoever sent a signal.
fn whodunit(signal: &str, text: &str) -> Option<&'static str> {
    match signal {
        "SIGKILL" if !text.contains(NOT_THE_KERNEL) => Some(
            "`dmesg | grep -i 'killed process'` as root shows what the kernel killed, and how large it was",
        ),
        "SIGKILL" | "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" => Some(
            "the kernel does not tell who sent it: `last` shows who was logged in then, `journalctl` what systemd-oomd \
             or earlyoom did",
        ),
        "SIGSEGV" | "SIGBUS" | "SIGABRT" | "SIGILL" | "SIGFPE" => {
            Some("a core dump shows where it happened: limits.core allows one, `coredumpctl` lists them")
        }
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Holder;
    use super::*;

    fn end(kind: Kind, code: Option<u8>, signal: Option<&str>, text: &str) -> Entry {
        Entry { code, signal: signal.map(str::to_owned), ..Entry::new(String::new(), kind, text) }
    }

    fn advice(phase: PhaseKind, end: &Entry, findings: &[Finding]) -> String {
        let case = Case {
            program: "web",
            phase,
            place: "/s/sppm.yaml:3",
            last_end: Some(end),
            last_trouble: Some(end),
            overdue: false,
            forbidden: false,
        };
        steps(&case, findings).join("\n")
    }

    #[test]
    fn each_cause_has_its_own_next_step() {
        let crash = end(Kind::Exited, Some(1), None, "exited with code 1");
        let (down, up) = (PhaseKind::Backoff, PhaseKind::Running);
        assert!(advice(down, &crash, &[]).contains("`sppm logs web`"));
        assert_eq!(advice(up, &crash, &[]), "");
        let holder = |instance: Option<&str>| Finding::Port {
            number: 80,
            holder: Holder { pid: 12, name: "x".to_owned(), instance: instance.map(str::to_owned) },
        };
        let port = advice(down, &crash, &[holder(None)]);
        assert!(port.starts_with("`kill 12`") && !port.contains("sppm logs"), "{port}");
        assert!(advice(down, &crash, &[holder(Some("api"))]).contains("`sppm stop api`"));
        let launch = end(Kind::LaunchFailed, None, None, "launch failed");
        assert!(advice(down, &launch, &[]).contains("/s/sppm.yaml:3"));
        let late = end(Kind::NotReady, None, None, "it did not say that it is ready within 2.0s");
        assert!(advice(down, &late, &[]).contains("READY=1"));
        assert_eq!(advice(up, &late, &[]), "");
        let stuck = end(Kind::Stuck, None, None, "it gave no sign of life for 2.0s");
        assert!(advice(up, &stuck, &[]).contains("`watchdog` (/s/sppm.yaml:3)"));
        let config = end(Kind::Exited, Some(78), None, "exited with code 78");
        assert!(advice(down, &config, &[]).contains("never_codes: [78]"));
        let killed = end(Kind::Exited, None, Some("SIGKILL"), &format!("was ended by SIGKILL, {NOT_OURS}"));
        assert!(advice(up, &killed, &[]).contains("dmesg"));
        let stranger = end(Kind::Exited, None, Some("SIGKILL"), &format!("{NOT_OURS}: {NOT_THE_KERNEL}"));
        assert!(advice(up, &stranger, &[]).contains("`last`"));
    }
}
