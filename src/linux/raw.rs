//! System calls that touch nothing but their arguments: not even errno(3), which a child that shares its parent's memory
//! shares with it, too.
//!
//! Never add here: meaning. Each call says at its place why it is sound.

use std::ffi::{c_long, c_void};

/// Whether a child can be started on a stack of its own here ([`clone_onto`]).
pub(super) const HAS_CLONE_ONTO: bool = cfg!(target_arch = "x86_64");

/// Makes a system call. What is not needed of the arguments is zero.
///
/// # Errors
/// The errno(3).
///
/// # Safety
/// As the call itself: numbers must be the caller's, addresses valid for what the kernel does with them.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn call(number: c_long, arguments: [usize; 4]) -> Result<usize, i32> {
    let [first, second, third, fourth] = arguments;
    let result: isize;
    // SAFETY: the caller's promise. syscall(2) names the registers; the kernel changes `rcx`, `r11` and the result only.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    value(result)
}

/// Elsewhere by way of libc: its errno(3) is only shared where [`HAS_CLONE_ONTO`].
///
/// # Errors
/// The errno(3).
///
/// # Safety
/// As the call itself: numbers must be the caller's, addresses valid for what the kernel does with them.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn call(number: c_long, arguments: [usize; 4]) -> Result<usize, i32> {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the caller's promise; then a location that is this thread's own and always valid.
    unsafe {
        match libc::syscall(number, first, second, third, fourth) {
            -1 => Err(*libc::__errno_location()),
            result => Ok(result as usize),
        }
    }
}

/// clone3(2) with `arguments` (so many bytes) that name a stack: the child begins there with `entry(given)`, the parent gets
/// its pid.
///
/// # Errors
/// The errno(3); `ENOSYS` where there is no [`HAS_CLONE_ONTO`].
///
/// # Safety
/// As clone3(2): the stack is the child's alone, and it and `given` stay until the child is through with them. `entry` must
/// keep to what such a child may do.
pub(super) unsafe fn clone_onto(
    arguments: *const c_void,
    length: usize,
    entry: unsafe extern "C" fn(*const c_void) -> !,
    given: *const c_void,
) -> Result<usize, i32> {
    #[cfg(target_arch = "x86_64")]
    {
        let result: isize;
        // SAFETY: the caller's promise. The kernel leaves `r8` and `r9` alone in both processes. The child has a stack whose
        // top is aligned as before a call (System V ABI), no frame above it, and never comes to label 2.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r9",
                "call r8",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 as isize => result,
                in("rdi") arguments,
                in("rsi") length,
                in("r8") entry,
                in("r9") given,
                lateout("rcx") _,
                lateout("r11") _,
            );
        }
        value(result)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (arguments, length, entry, given);
        Err(libc::ENOSYS)
    }
}

/// The kernel's way to tell an error: the highest 4095 numbers.
#[cfg(target_arch = "x86_64")]
fn value(result: isize) -> Result<usize, i32> {
    if (-4095..0).contains(&result) { Err(-result as i32) } else { Ok(result as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_tells_its_value_or_its_error() {
        // SAFETY: numbers only: nobody has a descriptor of this number.
        let closed = unsafe { call(libc::SYS_close, [usize::MAX >> 1, 0, 0, 0]) };
        assert_eq!(closed, Err(libc::EBADF));
        // SAFETY: takes nothing.
        let pid = unsafe { call(libc::SYS_getpid, [0; 4]) };
        assert_eq!(pid, Ok(std::process::id() as usize));
    }
}
