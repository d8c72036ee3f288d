//! The memory of this process: fewer arenas (mallopt(3)), what a burst has freed goes back (malloc_trim(3)), and code and stack
//! that only the burst needed are mapped no longer (madvise(2)).
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

/// What Rust programs are linked to where libc is the GNU one: libc, the unwinder, the loader.
const LIBRARIES: [&[u8]; 3] = [b"libc.so.", b"libgcc_s.so.", b"ld-linux"];

/// Lets go of the pages of code and constants, ours and our libraries': reading arguments and YAML, say, needs a megabyte of them
/// once. The next use of a page maps it again from the page cache, with its neighbours, within a microsecond.
pub fn forget_code() {
    // SAFETY: dl_iterate_phdr(3) calls `forget_segments` before it returns, and gives it what it has.
    unsafe { libc::dl_iterate_phdr(Some(forget_segments), std::ptr::null_mut()) };
}

/// Whether this object is the program itself, which has no name here, or one of the libraries that it is linked to. Nothing is known
/// of others (LD_PRELOAD): they may change their own code.
fn is_known(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    name.is_empty() || LIBRARIES.iter().any(|library| name.starts_with(library))
}

/// For dl_iterate_phdr(3); the answer 0 goes on with the next object.
///
/// # Safety
/// `object` must describe an object that is loaded, as dl_iterate_phdr(3) promises.
unsafe extern "C" fn forget_segments(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller's promise: `object` and its table of headers are readable during this call.
    let (base, name, headers) = unsafe {
        let object = &*object;
        let headers = std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum));
        (object.dlpi_addr, std::ffi::CStr::from_ptr(object.dlpi_name), headers)
    };
    if !is_known(name.to_bytes()) {
        return 0;
    }
    for header in headers {
        // What the loader could write to while it relocated is not what the file says any more: that stays.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let page = rustix::param::page_size() as u64;
        let begin = (base + header.p_vaddr) / page * page;
        let length = base + header.p_vaddr + header.p_memsz - begin;
        // SAFETY: a segment of a file that was never writable holds what the file holds: whoever runs or reads there
        // next gets the same bytes from the file.
        let _only_advice =
            unsafe { libc::madvise(begin as *mut libc::c_void, length as usize, libc::MADV_DONTNEED) };
    }
    0
}

/// So much below the frame that asks is left alone: what it calls itself, and the red zone.
const STACK_KEPT: usize = 16 * 1024;
/// Deeper calls than this are not thought of. The kernel keeps 128 MiB free for the stack of a main thread (mmap_base in
/// arch/x86/mm/mmap.c and its siblings): nobody else's memory lies there.
const STACK_FORGOTTEN: usize = 512 * 1024;

/// Lets go of the pages of the main thread's stack that only deeper calls needed. Does nothing on other threads.
pub fn forget_stack() {
    if rustix::thread::gettid() == rustix::process::getpid() {
        forget_deeper();
    }
}

/// Only where so much of the stack can be had as [`STACK_FORGOTTEN`] says: else it is somebody else's memory.
fn forget_deeper() {
    let here = 0_u8;
    let page = rustix::param::page_size();
    let end = (&raw const here as usize).saturating_sub(STACK_KEPT) / page * page;
    let begin = end.saturating_sub(STACK_FORGOTTEN);
    // SAFETY: what lies below the frame of a function that is running, and of what it calls, belongs to nobody. Where nothing is
    // mapped there, nothing happens.
    let _only_advice = unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_DONTNEED) };
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
            forget_stack();
        }
        over
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_forgotten() {
        for (path, known) in [
            ("", true),
            ("/lib/x86_64-linux-gnu/libc.so.6", true),
            ("/lib64/ld-linux-x86-64.so.2", true),
            ("linux-vdso.so.1", false),
            ("/opt/libhook.so", false),
        ] {
            assert_eq!(is_known(path.as_bytes()), known, "{path}");
        }
        // And all goes on.
        forget_code();
        assert_eq!("12".parse(), Ok(12));
    }

    /// Needs about four kilobytes for each level.
    fn deep(level: u64) -> u64 {
        let page = [level; 512];
        let below = if level == 0 { 0 } else { deep(level - 1) };
        below + std::hint::black_box(&page).iter().sum::<u64>() / 512
    }

    /// `Rss` of the mapping that holds this address, in kilobytes.
    fn resident(address: usize) -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut found = false;
        for line in smaps.lines() {
            let first = line.split(' ').next().unwrap();
            if let Some((begin, end)) = first.split_once('-') {
                let number = |text| usize::from_str_radix(text, 16);
                found = number(begin).is_ok_and(|begin| begin <= address)
                    && number(end).is_ok_and(|end| address < end);
            } else if found && first == "Rss:" {
                return line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
            }
        }
        panic!("no mapping has {address:x}");
    }

    #[test]
    fn a_stack_goes_on_after_its_deeper_pages_are_forgotten() {
        let thread = std::thread::Builder::new().stack_size(4 * STACK_FORGOTTEN).spawn(|| {
            let above = std::hint::black_box([7_u8; 4096]);
            let here = above.as_ptr() as usize;
            let expected = deep(100);
            let before = resident(here);
            forget_stack();
            assert!(resident(here) + 100 > before, "only the main thread's");
            forget_deeper();
            let after = resident(here);
            assert!(after + 200 < before, "{before} kB before, {after} kB after");
            assert_eq!(deep(100), expected);
            assert_eq!(above, [7; 4096]);
        });
        thread.unwrap().join().unwrap();
    }

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
