//! The entries of the journal that explain a program. Pure: in come entries, out go those that are told.

use super::notices::AS_ASKED;
use crate::control::wire::LeftOutDto;
use crate::journal::{Entry, Kind};

/// So many of its own last entries are told.
const LAST: usize = 12;

/// What is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) causes: Vec<Entry>,
    pub(super) left_out: Option<LeftOutDto>,
}

/// The last entries about a program, with those of the supervisor and the configuration around them. Where they are
/// all ends and starts, as in a crash loop, what somebody did before and the first failure after it come first.
pub(super) fn told(entries: &[Entry], program: &str) -> Told {
    let own: Vec<&Entry> = entries.iter().filter(|entry| entry.program.as_deref() == Some(program)).collect();
    let from = own.len().saturating_sub(LAST);
    let Some(first) = own.get(from) else { return Told::default() };
    let last = entries
        .iter()
        .filter(|entry| entry.seq >= first.seq && (is_general(entry) || entry.program == first.program));
    let head = match own[from..].iter().any(|entry| is_act(entry)) {
        true => Vec::new(),
        false => origin(&own[..from]),
    };
    let left_out = head.last().and_then(|known| {
        let gap = own[..from].iter().filter(|entry| entry.seq > known.seq);
        let (mut count, mut failures) = (0, 0);
        for entry in gap {
            count += 1;
            failures += u64::from(is_failure(entry));
        }
        (count > 0).then_some(LeftOutDto { after: known.seq, entries: count, failures })
    });
    Told { causes: head.into_iter().chain(last).cloned().collect(), left_out }
}

/// What somebody did last, and the first failure after it.
fn origin<'a>(before: &[&'a Entry]) -> Vec<&'a Entry> {
    let act = before.iter().rposition(|entry| is_act(entry));
    let after = &before[act.map_or(0, |at| at + 1)..];
    let failure = after.iter().find(|entry| is_failure(entry));
    act.map(|at| before[at]).into_iter().chain(failure.copied()).collect()
}

/// Somebody did something.
fn is_act(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Request | Kind::ConfigChanged)
}

fn is_failure(entry: &Entry) -> bool {
    match entry.kind {
        Kind::Exited => !entry.text.ends_with(AS_ASKED),
        kind => matches!(kind, Kind::LaunchFailed | Kind::NotReady | Kind::Stuck),
    }
}

fn is_general(entry: &Entry) -> bool {
    match entry.kind {
        Kind::SupervisorStarted
        | Kind::SupervisorTookOver
        | Kind::SupervisorEnded
        | Kind::ConfigInvalid
        | Kind::Request
        | Kind::LogTrouble => entry.program.is_none(),
        Kind::ConfigChanged
        | Kind::ConfigValid
        | Kind::Started
        | Kind::LaunchFailed
        | Kind::NotReady
        | Kind::Stuck
        | Kind::Exited
        | Kind::Phase
        | Kind::Leftovers
        | Kind::RolloutStopped
        | Kind::HookFailed
        | Kind::StopCommandFailed
        | Kind::LogRecovered
        | Kind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(kinds: impl IntoIterator<Item = (Kind, Option<&'static str>)>) -> Vec<Entry> {
        let entry = |(seq, (kind, program)): (u64, (Kind, Option<&str>))| Entry {
            seq,
            program: program.map(str::to_owned),
            ..Entry::new(String::new(), kind, "")
        };
        (1..).zip(kinds).map(entry).collect()
    }

    fn numbers(told: &Told) -> Vec<u64> {
        told.causes.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn a_short_past_is_told_whole_and_another_programs_not_at_all() {
        let web = Some("web");
        let past = entries([
            (Kind::SupervisorStarted, None),
            (Kind::Started, web),
            (Kind::Exited, Some("api")),
            (Kind::ConfigInvalid, None),
            (Kind::Exited, web),
        ]);
        let told = told(&past, "web");
        assert_eq!(numbers(&told), [2, 4, 5]);
        assert_eq!(told.left_out, None);
        assert_eq!(super::told(&past, "nobody"), Told::default());
    }

    #[test]
    fn a_crash_loop_begins_with_what_was_done_before_it() {
        let web = Some("web");
        let cycle = [(Kind::Started, web), (Kind::Exited, web), (Kind::Phase, web)];
        let begin = [(Kind::Exited, web), (Kind::ConfigChanged, web)];
        let past = entries(begin.into_iter().chain((0..20).flat_map(|_| cycle)));
        let told = told(&past, "web");
        // 62 entries: the edit, the first end after it, and the last twelve.
        assert_eq!(numbers(&told)[..2], [2, 4]);
        assert_eq!(numbers(&told)[2..], (51..=62).collect::<Vec<u64>>());
        assert_eq!(told.left_out, Some(LeftOutDto { after: 4, entries: 46, failures: 15 }));
        // A restart by hand in the last entries is cause enough.
        let asked =
            entries(begin.into_iter().chain((0..20).flat_map(|_| cycle)).chain([(Kind::Request, web)]));
        assert_eq!(super::told(&asked, "web").causes.len(), LAST);
    }
}
