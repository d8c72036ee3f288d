//! System calls and nothing else: each file is one subject of the kernel, made safe and typed.
//!
//! In: descriptors, pids, paths. Out: values, `io::Error`s with the kernel's errno. `unsafe` lives in [`child_setup`] and in
//! single-call wrappers where neither nix nor rustix has the call.
//!
//! Never add here: decisions (who is killed, what is retried), configuration, logging.

pub mod cgroup;
pub mod child_setup;
pub mod clock;
pub mod datagram;
pub mod eager;
pub mod exec_error;
pub mod fds;
pub mod flock;
mod fork;
pub mod freeze;
pub mod held_file;
pub mod inotify;
mod launch;
pub mod limits;
pub mod locks;
pub mod low;
pub mod memfd;
pub mod memory;
pub mod oom;
pub mod packet;
pub mod peer;
pub mod pidfd;
pub mod ports;
mod prepared;
pub mod proc;
mod pseudo;
mod raw;
pub mod signals;
mod stack;
pub mod texts;
pub mod tree;
pub mod users;
