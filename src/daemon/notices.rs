//! What happens to instances, as lines of the supervisor's own log.

use crate::supervisor::{Fact, Notice, PhaseKind};

/// Writes one notice down.
pub(super) fn log(notice: &Notice) {
    let instance = &notice.label;
    match &notice.fact {
        Fact::Started { pid } => tracing::info!(%instance, pid, "started"),
        Fact::LaunchFailed(failure) => {
            tracing::error!(%instance, stage = %failure.stage, errno = failure.errno, "launch failed: {failure}");
        }
        Fact::Exited { pid, exit, asked: true } => tracing::info!(%instance, pid, "{exit}, as asked"),
        Fact::Exited { pid, exit, asked: false } => tracing::warn!(%instance, pid, "{exit}"),
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
        Fact::StopCommandFailed { exit: Some(exit) } => tracing::warn!(%instance, "its stop command {exit}"),
        Fact::StopCommandFailed { exit: None } => {
            tracing::warn!(%instance, "its stop command could not be launched");
        }
    }
}
