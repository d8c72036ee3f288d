//! Arguments of the verbs that ask and show: what is, what was, what will be; and of those that set a shell up.

use super::{Lines, NAMES};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Show what runs and why.
///
/// One NAME: in detail, with its last lines. Exit code 3: something is not as wanted.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct Status {
    /// Programs to show
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Go on and show every change, until Ctrl-C; with --json a line for each
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
}

/// Tell why a program is as it is.
///
/// Its present state, what led there in time order, its last lines, and what happens next. Also of programs that are no
/// longer in the file.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct Why {
    /// Programs to explain
    #[arg(required = true, value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
}

/// Show what programs print.
///
/// Without NAME: all of them, each line with its program's name.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct Logs {
    /// Programs to show
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Go on with new lines, over rotations and restarts
    #[arg(short, long)]
    pub(in crate::cli) follow: bool,
    /// How many of the last lines, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "100")]
    pub(in crate::cli) lines: Lines,
}

/// Show what happens to programs.
///
/// The last events; with -f also all that follow, also over a crash of the supervisor: none is lost, none comes
/// twice. A reader that is too slow is told how many it missed.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct Events {
    /// Programs to show; without NAME sppm's own events too
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(in crate::cli) follow: bool,
    /// How many of the last events, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "20")]
    pub(in crate::cli) lines: Lines,
}

/// Show what happened to programs.
///
/// Every start, exit, request and change of the file, with its time and its author, also from before a reboot, also of
/// programs that are no longer in the file.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct History {
    /// Programs to show; without NAME sppm's own history too
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// How many of the last events, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "100")]
    pub(in crate::cli) lines: Lines,
}

/// Wait until programs are ready, stopped or completed.
///
/// Exit code 0: they are. 1: one has failed, or can no longer get there. 75: not within --timeout.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(in crate::cli) struct Wait {
    /// Programs to wait for
    #[arg(required = true, value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_name = "STATE", default_value = "ready")]
    pub(in crate::cli) goal: Goal,
    /// Wait at most so long (30s, 5m); exit code 75 past it
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(in crate::cli) timeout: Option<Duration>,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Goal {
    /// Every instance runs and is ready
    Ready,
    /// Nothing of it runs, and nothing will by itself
    Stopped,
    /// Every instance has done its work and ended well
    Completed,
}

/// Print a completion script for a shell.
///
/// It completes verbs, options, and the names of programs, instances and tags, which it asks the supervisor for.
#[derive(Debug, Args)]
pub(in crate::cli) struct Completions {
    /// Which shell
    pub(in crate::cli) shell: Shell,
}

/// Shells that can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print a manual page, as roff.
#[derive(Debug, Args)]
pub(in crate::cli) struct Man {
    /// The page of this verb; else the one of sppm
    pub(in crate::cli) verb: Option<String>,
    /// Write every page into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    pub(in crate::cli) all: Option<PathBuf>,
}
