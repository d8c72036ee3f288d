//! The memory of this process: fewer arenas (mallopt(3)), what a burst has freed goes back (malloc_trim(3)), and code that only the
//! burst needed is mapped no longer (madvise(2)).
//!
//! Only the GNU C library has the first two calls and the habits that they are against; elsewhere they do nothing.
//! Never add here: caches, counts of what anybody uses.

use crate::model::Moment;
use std::time::Duration;

/// So much work is a burst: before it there is little to give back.
const BURST: usize = 64;

/// A burst is over when it has been quiet for so long.
const QUIET: Duration = Duration::from_secs(1);

/// One arena for all threads, and large blocks on their own. By default each thread gets an arena, and a block that one
/// thread frees for another leaves a hole there; a thousand launches through five threads leave megabytes of them.
/// To be called before there are threads.
pub fn be_frugal() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, 128 * 1024)] {
        // SAFETY: mallopt(3) takes two integers and only changes the allocator's own settings.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free pages in the middle of the heap back to the kernel. Takes about a millisecond for ten megabytes.
pub fn give_back() {
    // SAFETY: malloc_trim(3) takes an integer, locks the allocator itself, and moves nothing that is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Lets go of the pages of our own code and constants: reading arguments and YAML, say, needs a megabyte of them once. The next
/// use of a page maps it again from the page cache, with its neighbours, within a microsecond.
pub fn forget_code() {
    // SAFETY: dl_iterate_phdr(3) calls `forget_segments` before it returns, and gives it no more than it has.
    unsafe { libc::dl_iterate_phdr(Some(forget_segments), std::ptr::null_mut()) };
}

/// For dl_iterate_phdr(3): the program itself comes first, and the answer 1 ends the walk after it.
///
/// # Safety
/// `object` must describe an object that is loaded, as dl_iterate_phdr(3) promises.
unsafe extern "C" fn forget_segments(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller's promise: `object` and its table of headers are readable during this call.
    let (base, headers) = unsafe {
        let object = &*object;
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
    };
    for header in headers {
        // What the loader could write to while it relocated is not what the file says any more: that stays.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let page = rustix::param::page_size() as u64;
        let begin = (base + header.p_vaddr) / page * page;
        let length = base + header.p_vaddr + header.p_memsz - begin;
        // SAFETY: a segment of this program that was never writable holds what the file holds: whoever runs or reads there
        // next gets the same bytes from the file.
        let _only_advice =
            unsafe { libc::madvise(begin as *mut libc::c_void, length as usize, libc::MADV_DONTNEED) };
    }
    1
}

/// Knows when a burst is over and its memory can be given back.
#[derive(Debug, Default)]
pub struct Thrift {
    work: usize,
    due: Option<Moment>,
}

impl Thrift {
    /// For a process that has just begun: the start is a burst, too.
    pub fn begun(now: Moment) -> Self {
        Self { work: 0, due: Some(now + QUIET) }
    }

    /// So much was done.
    pub fn worked(&mut self, now: Moment, amount: usize) {
        self.work = self.work.saturating_add(amount);
        if amount > 0 && self.work >= BURST {
            self.due = Some(now + QUIET);
        }
    }

    /// When [`Thrift::tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        self.due
    }

    /// Gives memory back if a burst is over. Returns whether it did.
    pub fn tick(&mut self, now: Moment) -> bool {
        let over = self.due.is_some_and(|due| due <= now);
        if over {
            *self = Self::default();
            give_back();
            forget_code();
        }
        over
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_and_only_after_a_burst() {
        let at = |seconds| Moment::default() + Duration::from_secs(seconds);
        let mut thrift = Thrift::begun(at(0));
        assert!(thrift.tick(at(0) + QUIET));
        thrift.worked(at(0), BURST - 1);
        assert_eq!(thrift.deadline(), None);
        thrift.worked(at(1), 1);
        thrift.worked(at(2), 1);
        assert_eq!(thrift.deadline(), Some(at(2) + QUIET));
        assert!(!thrift.tick(at(2)));
        thrift.worked(at(3), 0);
        assert!(thrift.tick(at(3)));
        assert!(!thrift.tick(at(100)));
        assert_eq!(thrift.deadline(), None);
    }
}
