//! Verbs about what programs say to each other, and to sppm.

use clap::{Args, Subcommand};

/// Publish a message to programs that listen.
///
/// It goes to every program, and every `sppm subscribe`, that listens to the topic now; nothing is kept for later.
#[derive(Debug, Args)]
pub(in crate::cli) struct Publish {
    /// Letters, digits and . _ / -
    pub(in crate::cli) topic: String,
    /// One line of text, mostly JSON; several words are put together with spaces
    #[arg(required = true, allow_negative_numbers = true)]
    pub(in crate::cli) data: Vec<String>,
}

/// Print messages as programs publish them.
///
/// A line each: topic, who published it, data. Goes on over a restart of sppm; what is published meanwhile is lost.
#[derive(Debug, Args)]
pub(in crate::cli) struct Subscribe {
    /// Topics, or patterns with * for any run of characters; default: all
    #[arg(value_name = "PATTERN")]
    pub(in crate::cli) patterns: Vec<String>,
    /// End after so many
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) count: Option<u64>,
}

/// Look into the small store that programs share, and change it.
///
/// It lives in the memory of sppm and ends with it: at most 1,024 keys and 1 MiB. Every change of a key has a
/// number, its version.
#[derive(Debug, Args)]
pub(in crate::cli) struct Kv {
    #[command(subcommand)]
    pub(in crate::cli) what: KvVerb,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KvVerb {
    /// Print the value of a key
    Get {
        /// Which
        key: String,
    },
    /// Set a key
    Set {
        /// Which
        key: String,
        /// Only if it has this version; 0: only if there is none. Else exit code 1
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
        /// One line of text, mostly JSON; several words are put together with spaces
        #[arg(required = true, allow_negative_numbers = true)]
        data: Vec<String>,
    },
    /// Remove a key
    #[command(alias = "delete")]
    Del {
        /// Which
        key: String,
        /// Only if it has this version. Else exit code 1
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Print all keys with their versions and values
    #[command(alias = "ls")]
    List {
        /// Only those that begin with it
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
    },
}

/// Run CMD, and have the program around it busy meanwhile.
///
/// For use inside of a program that sppm runs, mostly a script: sppm does not stop or restart it before CMD has ended,
/// however often sppm itself is replaced. Elsewhere it runs CMD all the same, after a warning. TERM, INT, HUP,
/// QUIT, USR1 and USR2 are passed on to CMD; but not INT and QUIT in the foreground of a terminal, whose keys reach CMD by
/// themselves.
/// Exit code: that of CMD, 128+N where signal N ended it, 127 where there is no such command, 126 where it cannot run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Busy {
    /// What it is busy with, for `sppm status`
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) what: Option<String>,
    /// A command and its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = clap::ValueHint::CommandWithArguments)]
    pub(in crate::cli) command: Vec<std::ffi::OsString>,
}
