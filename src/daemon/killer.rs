//! Who sent a SIGKILL that nobody here sent: the kernel for want of memory, or another process.

use crate::linux::{clock, oom};
use crate::model::{Exit, Moment, Signal};
use crate::supervisor::{EndCause, Fact};
use std::time::Duration;

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killer {
    /// Nothing: the kernel does not count, or nobody looked at the count before.
    Unknown,
    /// The kernel has killed something for want of memory since the last look.
    Kernel,
    /// It has not.
    Process,
}

/// The kernel kills several at once: a kill so soon after the count rose is one of them.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The kernel's count as it was at the last look.
#[derive(Debug, Default)]
pub(super) struct Killers {
    count: Option<u64>,
    rose_at: Option<Moment>,
}

impl Killers {
    /// Looks at the count now. After a take-over nobody knows what it was when a program died meanwhile.
    pub(super) fn begin(took_over: bool) -> Self {
        Self { count: if took_over { None } else { oom::kills() }, rose_at: None }
    }

    /// Who killed, where this fact is such a kill.
    pub(super) fn judge(&mut self, fact: &Fact) -> Killer {
        match fact {
            Fact::Exited {
                exit: Exit::Signal { signal: Signal::KILL, .. }, cause: EndCause::Own, ..
            } => {
                let before = std::mem::replace(&mut self.count, oom::kills());
                self.verdict(before, clock::now())
            }
            _other => Killer::Unknown,
        }
    }

    fn verdict(&mut self, before: Option<u64>, at: Moment) -> Killer {
        match (before, self.count) {
            (Some(before), Some(count)) if count > before => {
                self.rose_at = Some(at);
                Killer::Kernel
            }
            (Some(_), Some(_)) if self.rose_at.is_some_and(|rose| at.since(rose) < AT_ONCE) => {
                Killer::Unknown
            }
            (Some(_), Some(_)) => Killer::Process,
            (None, _) | (_, None) => Killer::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_count_that_rose_accuses_the_kernel() {
        let at = |seconds| Moment::default() + Duration::from_secs(seconds);
        let mut killers = Killers { count: Some(3), rose_at: None };
        assert_eq!(killers.verdict(Some(3), at(1)), Killer::Process);
        assert_eq!(killers.verdict(None, at(1)), Killer::Unknown);
        assert_eq!(killers.verdict(Some(2), at(1)), Killer::Kernel);
        // The second of two that died at once.
        assert_eq!(killers.verdict(Some(3), at(2)), Killer::Unknown);
        assert_eq!(killers.verdict(Some(3), at(7)), Killer::Process);
        killers.count = None;
        assert_eq!(killers.verdict(Some(3), at(8)), Killer::Unknown);
    }
}
