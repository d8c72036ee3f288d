//! Threads that run for microseconds at a time, and soon after they are woken, on a busy machine too.

use std::mem::size_of;

/// The nice value of such a thread, where it may have one (root, or RLIMIT_NICE).
const NICE: i32 = -10;

/// Its share of time in one go, in nanoseconds, where that is all that it may have: who wants little at a time is served sooner
/// (from Linux 6.12 on; the least that the kernel takes).
const SLICE: u64 = 100_000;

/// `struct sched_attr` of sched_setattr(2), in its first size.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Makes the calling thread, and those that it starts from now on, such a thread, as far as the kernel and our rights allow;
/// otherwise it stays what it is.
pub fn make_eager() {
    if rustix::process::setpriority_process(None, NICE).is_ok() {
        return;
    }
    let Ok(nice) = rustix::process::getpriority_process(None) else { return };
    let size = u32::try_from(size_of::<Attributes>()).unwrap_or(0);
    let attributes = Attributes { size, nice, runtime: SLICE, ..Attributes::default() };
    // SAFETY: the kernel reads `size` bytes of a structure of that size, which lives until the call is over; thread 0 is the
    // caller. Refused (older kernels ignore the time, others may not know the call), nothing has changed.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_eager_or_as_it_was_and_its_process_is_not() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let nice = std::thread::spawn(|| {
            make_eager();
            rustix::process::getpriority_process(None).unwrap()
        });
        let nice = nice.join().unwrap();
        assert!(nice == NICE || nice == before, "{nice}");
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }
}
