//! What happens to instances, as lines of the supervisor's own log and as entries of the journal.

use super::killer::Killer;
use super::wall;
use crate::journal::{Entry, Kind};
use crate::model::{Exit, HookKind, Signal};
use crate::supervisor::{EndCause, Fact, HookFailure, Notice, PhaseKind};
use std::time::SystemTime;

/// How an end that was asked for is told.
pub(super) const AS_ASKED: &str = "as asked";

/// How an end by our KILL is told.
pub(super) const SENT: &str = "which sppm sent";

/// How an end by a stranger's signal is told.
pub(super) const NOT_OURS: &str = "which sppm did not send";
/// The same, where it was not the kernel for want of memory.
pub(super) const NOT_THE_KERNEL: &str =
    "another process, or a limit of CPU time; the kernel has killed nothing for want of memory";

/// Writes one notice down.
pub(super) fn log(notice: &Notice, killer: Killer) {
    let instance = &notice.label;
    match &notice.fact {
        Fact::Started { pid } => tracing::info!(%instance, pid, "started"),
        Fact::LaunchFailed(failure) => {
            tracing::error!(%instance, stage = %failure.stage, errno = failure.errno, "launch failed: {failure}");
        }
        Fact::Exited { pid, exit, cause: cause @ EndCause::Asked } => {
            tracing::info!(%instance, pid, "{}", exit_text(*exit, *cause, killer));
        }
        Fact::Exited { pid, exit, cause } => {
            tracing::warn!(%instance, pid, "{}", exit_text(*exit, *cause, killer));
        }
        Fact::NotReady { how } | Fact::Stuck { how } => tracing::warn!(%instance, "{how}"),
        Fact::Phase { to, reason } => match to {
            PhaseKind::Failed => tracing::error!(%instance, "failed: {reason}"),
            PhaseKind::Backoff => tracing::warn!(%instance, "waits before its restart: {reason}"),
            PhaseKind::Killing
            | PhaseKind::Stopping
            | PhaseKind::Draining
            | PhaseKind::Starting
            | PhaseKind::Waiting
            | PhaseKind::Running
            | PhaseKind::Completed
            | PhaseKind::Stopped => tracing::debug!(%instance, "{to}: {reason}"),
        },
        Fact::Leftovers { processes, kept: true } => {
            tracing::warn!(%instance, processes, "left processes behind, which are kept as orphans: keep says");
        }
        Fact::Leftovers { processes, kept: false } => {
            tracing::warn!(%instance, processes, "left processes behind, which are asked to end");
        }
        Fact::RolloutStopped { reason } => tracing::error!(%instance, "replacing stopped: {reason}"),
        Fact::HookFailed { hook, how } => tracing::warn!(%instance, "{}", hook_text(*hook, *how)),
        Fact::StopCommandFailed { exit: Some(exit) } => tracing::warn!(%instance, "its stop command {exit}"),
        Fact::StopCommandFailed { exit: None } => {
            tracing::warn!(%instance, "its stop command could not be launched");
        }
    }
}

/// One notice as an entry of the journal, of when it came.
pub(super) fn entry(notice: &Notice, at: SystemTime, killer: Killer) -> Entry {
    let new = |kind, text: String| {
        Entry::new(wall::millis(at), kind, text).about(notice.slot.program.as_str(), notice.label.as_str())
    };
    match &notice.fact {
        Fact::Started { pid } => {
            Entry { pid: Some(*pid), ..new(Kind::Started, format!("started, pid {pid}")) }
        }
        Fact::LaunchFailed(failure) => {
            new(Kind::LaunchFailed, format!("launch failed at stage {}: {failure}", failure.stage))
        }
        Fact::Exited { pid, exit, cause } => {
            let (code, signal) = match exit {
                Exit::Code(code) => (Some(*code), None),
                Exit::Signal { signal, .. } => (None, Some(signal.to_string())),
                Exit::Unknown => (None, None),
            };
            let text = exit_text(*exit, *cause, killer);
            Entry { pid: Some(*pid), code, signal, ..new(Kind::Exited, text) }
        }
        Fact::NotReady { how } => new(Kind::NotReady, how.clone()),
        Fact::Stuck { how } => new(Kind::Stuck, how.clone()),
        Fact::Phase { to, reason } => {
            let text = if reason.is_empty() { to.to_string() } else { reason.clone() };
            Entry { phase: Some(to.to_string()), ..new(Kind::Phase, text) }
        }
        Fact::Leftovers { processes, kept } => {
            let fate = if *kept { "left alone (orphans: keep)" } else { "asked to end (orphans: kill)" };
            let noun = if *processes == 1 { "process" } else { "processes" };
            new(Kind::Leftovers, format!("its main process left {processes} {noun} behind, {fate}"))
        }
        Fact::RolloutStopped { reason } => new(Kind::RolloutStopped, reason.clone()),
        Fact::HookFailed { hook, how } => new(Kind::HookFailed, hook_text(*hook, *how)),
        Fact::StopCommandFailed { exit: Some(exit) } => {
            new(Kind::StopCommandFailed, format!("its stop command {exit}"))
        }
        Fact::StopCommandFailed { exit: None } => {
            new(Kind::StopCommandFailed, "its stop command could not be launched".to_owned())
        }
    }
}

/// How a hook failed, and what follows.
fn hook_text(hook: HookKind, how: HookFailure) -> String {
    let key = hook.key();
    match how {
        HookFailure::NotLaunched => format!("{key} could not be launched; the stop goes on"),
        HookFailure::Ended(exit) => format!("{key} {exit}; the stop goes on"),
        HookFailure::TimedOut => format!("{key} did not end in time and was killed; the stop goes on"),
    }
}

/// How a main process ended, and what that means.
fn exit_text(exit: Exit, cause: EndCause, killer: Killer) -> String {
    match (exit, cause) {
        (exit, EndCause::Asked) => format!("{exit}, {AS_ASKED}"),
        (exit, EndCause::Killed) => format!("{exit}, {SENT}"),
        (exit, EndCause::Signalled) => format!("{exit}, which `sppm signal` sent"),
        (Exit::Code(code), EndCause::Own) => match code_meaning(code) {
            Some(meaning) => format!("exited with code {code}: {meaning}"),
            None => format!("exited with code {code}"),
        },
        (Exit::Signal { .. }, EndCause::Own) => stranger_text(exit, killer),
        (Exit::Unknown, EndCause::Own) => Exit::Unknown.to_string(),
    }
}

/// How a process ended by a signal that sppm has no part in, ours included.
pub(super) fn stranger_text(exit: Exit, killer: Killer) -> String {
    match exit {
        Exit::Signal { signal, .. } => match signal_meaning(signal, killer) {
            Some(meaning) => format!("{exit}, {NOT_OURS}: {meaning}"),
            None => format!("{exit}, {NOT_OURS}"),
        },
        Exit::Code(_) | Exit::Unknown => exit.to_string(),
    }
}

/// What exit codes mean by convention (sysexits.h, and the shell's own: POSIX 2.8.2).
fn code_meaning(code: u8) -> Option<&'static str> {
    Some(match code {
        64 => "wrong usage of its command line",
        69 => "a service that it needs is missing",
        77 => "something was not permitted",
        78 => "its configuration is wrong",
        126 => "a shell found the command but could not execute it",
        127 => "a shell did not find the command",
        129..=192 => "more than 128: mostly a shell whose command a signal ended",
        _ => return None,
    })
}

fn signal_meaning(signal: Signal, killer: Killer) -> Option<&'static str> {
    Some(match signal.number() {
        libc::SIGKILL => match killer {
            Killer::Unknown => "the kernel, out of memory (see dmesg), or another process",
            Killer::Kernel => "most probably the kernel, which killed for want of memory (see dmesg)",
            Killer::Process => NOT_THE_KERNEL,
        },
        libc::SIGSEGV | libc::SIGBUS => "it touched memory that is not its own",
        libc::SIGABRT => "it gave itself up (assertion, abort)",
        libc::SIGILL | libc::SIGFPE => "it did what a processor cannot do",
        libc::SIGPIPE => "it wrote to a pipe that nobody reads",
        libc::SIGSYS => "a system call that is forbidden to it",
        libc::SIGXCPU | libc::SIGXFSZ => "it went over a resource limit",
        libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => "another process, or a terminal",
        _ => return None,
    })
}
