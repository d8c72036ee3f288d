//! Who sent a SIGKILL that nobody here sent: the kernel for want of memory, or another process.

use crate::linux::oom;
use crate::model::{Exit, Signal};
use crate::supervisor::{EndCause, Fact};

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

/// The kernel's count as it was at the last look.
#[derive(Debug, Default)]
pub(super) struct Killers(Option<u64>);

impl Killers {
    /// Looks at the count now. After a take-over nobody knows what it was when a program died meanwhile.
    pub(super) fn begin(took_over: bool) -> Self {
        Self(if took_over { None } else { oom::kills() })
    }

    /// Who killed, where this fact is such a kill.
    pub(super) fn judge(&mut self, fact: &Fact) -> Killer {
        match fact {
            Fact::Exited {
                exit: Exit::Signal { signal: Signal::KILL, .. }, cause: EndCause::Own, ..
            } => {
                let (before, now) = (self.0, oom::kills());
                self.0 = now;
                verdict(before, now)
            }
            _other => Killer::Unknown,
        }
    }
}

fn verdict(before: Option<u64>, now: Option<u64>) -> Killer {
    match (before, now) {
        (Some(before), Some(now)) if now > before => Killer::Kernel,
        (Some(_), Some(_)) => Killer::Process,
        (None, _) | (_, None) => Killer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_count_that_rose_accuses_the_kernel() {
        assert_eq!(verdict(Some(3), Some(4)), Killer::Kernel);
        assert_eq!(verdict(Some(3), Some(3)), Killer::Process);
        assert_eq!(verdict(None, Some(3)), Killer::Unknown);
        assert_eq!(verdict(Some(3), None), Killer::Unknown);
    }
}
