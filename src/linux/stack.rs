//! A stack for a child that shares our memory until its exec.
//!
//! Never add here: what runs on it.

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// A child between fork and exec needs about one kilobyte.
const SIZE: usize = 16 * 1024;

/// A stack, below which there is a page that nobody may touch. Never unmapped: a child could still stand on it.
#[derive(Debug)]
pub(super) struct Stack(NonNull<c_void>);

// SAFETY: nothing here depends on the thread; the address is only handed to the kernel.
unsafe impl Send for Stack {}

impl Stack {
    /// `None`: no memory is to be had.
    pub(super) fn new() -> Option<Self> {
        let guard = rustix::param::page_size();
        let length = NonZeroUsize::new(guard + SIZE)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap_anonymous(None, length, access, flags) }.ok()?;
        // SAFETY: the lowest page of the mapping, which nobody else knows of.
        unsafe { mprotect(base, guard, ProtFlags::PROT_NONE) }.ok()?;
        // SAFETY: within the mapping.
        Some(Self(unsafe { base.byte_add(guard) }))
    }

    /// Lets go of its pages. Only when nobody stands on it.
    pub(super) fn forget(&self) {
        // SAFETY: the mapping is ours, and what is in it means nothing any more.
        let _only_advice = unsafe { madvise(self.0, SIZE, MmapAdvise::MADV_DONTNEED) };
    }

    /// Its lowest address that can be used, and its size in bytes.
    pub(super) fn bounds(&self) -> (u64, u64) {
        (self.0.as_ptr() as u64, SIZE as u64)
    }
}
