//! How many descriptors the plan needs, held against what we may have. Said before it hurts: at the limit a launch
//! fails, and programs that run are not touched.

use crate::model::{LaunchFailure, LaunchStage, Plan, Program, StderrSink};

/// What the supervisor needs for itself: sockets, threads' queues, the watch, the ledger, API connections.
const OWN: u64 = 64 + 64;

/// What people must know, if the plan needs more than `limit` descriptors (RLIMIT_NOFILE; `None` = no limit).
pub(super) fn warning(plan: &Plan, limit: Option<u64>) -> Option<String> {
    let limit = limit?;
    let need = need(plan);
    (need > limit).then(|| {
        format!(
            "the programs need about {need} open files and the limit is {limit}: the last ones will fail to start; \
             raise it with `ulimit -n` or LimitNOFILE= before sppm starts"
        )
    })
}

/// Of the descriptors so many are the supervisor's own, however few there are: requests, logs that are opened anew, a
/// file that is read.
const RESERVE: u64 = 32;
/// A pidfd, two pipes and two files: what one run needs at most.
pub(super) const MOST_OF_ONE: u64 = 5;

/// Whether launches would take what the supervisor needs to be spoken to. `lowest_free`: the number that the next
/// descriptor gets; `None` where there is none. `wanted`: by this launch and by all whose descriptors have not come yet.
pub(super) fn is_exhausted(limit: Option<u64>, lowest_free: Option<u64>, wanted: u64) -> bool {
    let Some(limit) = limit else { return false };
    let room = limit.saturating_sub(RESERVE.min(limit / 4));
    lowest_free.is_none_or(|lowest| lowest.saturating_add(wanted) > room)
}

/// The cause of a launch that is refused for that.
pub(super) fn exhausted(limit: Option<u64>) -> LaunchFailure {
    let limit = limit.map_or_else(String::new, |limit| format!(" {limit}"));
    LaunchFailure {
        stage: LaunchStage::Prepare,
        errno: libc::EMFILE,
        message: format!(
            "cannot prepare the launch: sppm may have{limit} open files, and needs the last of them for itself; raise that \
             with `ulimit -n` or LimitNOFILE= of systemd, and start sppm again"
        ),
    }
}

/// A pidfd, a pipe for each stream, and a file for each (shared files are counted as if they were not).
pub(super) fn of_one(program: &Program) -> u64 {
    match program.logs.stderr {
        StderrSink::WithStdout => 3,
        StderrSink::Apart(_) => MOST_OF_ONE,
    }
}

fn need(plan: &Plan) -> u64 {
    let of_all = |program: &Program| of_one(program) * u64::from(program.instances.count());
    OWN + plan.programs.values().map(|program| of_all(program)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    #[test]
    fn launches_end_before_the_descriptors_do() {
        let is_exhausted = |free, wanted| super::is_exhausted(Some(1024), Some(free), wanted);
        // 992 are to be given away.
        assert!(!is_exhausted(989, 3) && is_exhausted(990, 3));
        assert!(!is_exhausted(40, 952) && is_exhausted(40, 953));
        assert!(super::is_exhausted(Some(1024), None, 0));
        assert!(!super::is_exhausted(None, Some(1_000_000), 3));
        assert!(!super::is_exhausted(Some(60), Some(40), 5), "a quarter is kept at most");
    }
}
