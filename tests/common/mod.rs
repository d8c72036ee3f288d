//! The harness of the tests that run the real binary: a folder of its own per test, actors, waiting, and a guard that
//! leaves nothing behind.
//!
//! A test makes a [`Rig`], writes a configuration with [`Yaml`], drives the command and looks at processes. Nothing
//! here knows how sppm works inside; only what it promises: commands, exit codes, JSON, files.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests; each test file uses its own part of the harness"
)]

pub mod actors;
pub mod command;
pub mod examples;
pub mod http;
pub mod processes;
pub mod pypi;
pub mod rig;
pub mod status;
pub mod tools;
pub mod wait;
pub mod yaml;

pub use command::{Answer, Background};
pub use processes::Proc;
pub use rig::{Rig, Who};
pub use status::Status;
pub use wait::{pause, wait_for, wait_until};
pub use yaml::Yaml;

/// Makes one test of `body` as the user who runs the tests, and one as an ordinary user where that is another.
#[macro_export]
macro_rules! as_everyone {
    ($(#[$meta:meta])* $name:ident) => {
        mod $name {
            #[test]
            fn as_self() {
                super::$name($crate::common::Who::Own);
            }
            #[test]
            fn as_ordinary_user() {
                if let Some(who) = $crate::common::Who::ordinary() {
                    super::$name(who);
                }
            }
        }
    };
}
