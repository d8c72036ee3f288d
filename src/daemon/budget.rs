//! How many descriptors the plan needs, held against what we may have. Said before it hurts: at the limit a launch
//! fails, and programs that run are not touched.

use crate::control::server::connections;
use crate::model::{Plan, StderrSink};

/// What the supervisor needs for itself: sockets, threads' queues, the watch, the ledger. API connections come on top.
const OWN: u64 = 64;

/// What people must know, if the plan needs more than `limit` descriptors (RLIMIT_NOFILE; `None` = no limit).
pub(super) fn warning(plan: &Plan, limit: Option<u64>) -> Option<String> {
    let limit = limit?;
    let need = OWN + connections(Some(limit)) as u64 + need(plan);
    (need > limit).then(|| {
        format!(
            "the programs need about {need} open files and the limit is {limit}: the last ones will fail to start; \
             raise it with `ulimit -n` or LimitNOFILE= before sppm starts"
        )
    })
}

/// Per instance a pidfd, a pipe for each stream, and a file for each (shared files are counted as if they were not).
fn need(plan: &Plan) -> u64 {
    let of_program = |streams: u64, count: u32| (1 + 2 * streams) * u64::from(count);
    let programs = plan.programs.values().map(|program| {
        let streams = match program.logs.stderr {
            StderrSink::WithStdout => 1,
            StderrSink::Apart(_) => 2,
        };
        of_program(streams, program.instances.count())
    });
    programs.sum()
}
