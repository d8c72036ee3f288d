//! What can be typed. In: words. Out: one [`Command`] with its options. Never add here: a verb that does not work.

mod inspect;
mod talk;

pub(super) use inspect::{Completions, Events, Goal, History, Logs, Man, Shell, Status, Wait, Why};
pub(super) use talk::{Busy, Kv, KvVerb, Publish, Subscribe};

use crate::control::wire::ScaleTo;
use crate::model::Signal;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Keep programs running, as sppm.yaml says.
#[derive(Debug, Parser)]
#[command(name = "sppm", version, max_term_width = 100, infer_long_args = false)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command, before or after the verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The configuration; else $SPPM_CONFIG, ./sppm.yaml, ~/.config/sppm/, /etc/sppm/
    #[arg(short, long, global = true, value_name = "FILE", hide_env = true)]
    pub(super) config: Option<PathBuf>,
    /// Print JSON; errors too, on stderr
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Colours: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub(super) color: When,
    /// Print less
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Print more
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// The verbs. `super::help` groups them; a test fails for one that it forgets.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Start(Start),
    Stop(Stop),
    Restart(Restart),
    #[command(aliases = ["apply", "update"])]
    Reload(Reload),
    #[command(alias = "down")]
    Shutdown(Shutdown),
    Scale(Scale),
    Signal(SendSignal),
    Wait(Wait),
    #[command(aliases = ["ps", "ls", "list"])]
    Status(Status),
    Why(Why),
    #[command(alias = "tail")]
    Logs(Logs),
    Events(Events),
    History(History),
    /// Show what a reload would change
    #[command(alias = "reread")]
    Diff,
    Publish(Publish),
    Subscribe(Subscribe),
    Kv(Kv),
    Busy(Busy),
    Init(Init),
    /// Check sppm.yaml without using it
    #[command(aliases = ["config", "validate"])]
    Check,
    /// Print the JSON Schema of sppm.yaml
    Schema,
    Run(Run),
    Completions(Completions),
    Man(Man),
    /// `run`, or with -d `start`
    #[command(hide = true)]
    Up(Up),
    /// `signal` as others spell it
    #[command(hide = true)]
    Kill(Kill),
    /// What the keeper starts; not for people
    #[command(hide = true)]
    Supervise(Supervise),
    /// What `start` starts: makes a session of its own and the keeper in it; not for people
    #[command(hide = true)]
    Detach(Supervise),
}

/// How a command that starts an operation waits for its end.
#[derive(Debug, Clone, Args)]
pub(super) struct Waiting {
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Wait at most so long (30s, 5m); exit code 75 past it
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) timeout: Option<Duration>,
}

/// Start programs, and sppm itself if it does not run yet.
///
/// Without a supervisor: starts one in the background, and with it every program that has `autostart`.
/// Returns when each has lived for a second, has completed, or could not be started (exit code 1).
/// With one running: `sppm start NAME` starts NAME and ends a stop; bare `sppm start` ends every stop and
/// every scale.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(super) struct Start {
    /// Programs to start
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

/// Stop programs and keep them stopped.
///
/// They stay stopped, also after a reboot, until `sppm start`. Without NAME: all of them; sppm itself goes on
/// (`sppm shutdown` ends it).
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(super) struct Stop {
    /// Programs to stop
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Kill at once: no waiting for a task's end, no grace
    #[arg(long)]
    pub(super) force: bool,
    /// Stopped only until sppm is started again
    #[arg(long)]
    pub(super) runtime: bool,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

/// Stop and start programs, one instance at a time.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(super) struct Restart {
    /// Programs to restart
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Kill at once: no waiting for a task's end, no grace
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

/// Apply what changed in sppm.yaml; touch nothing else.
///
/// Prints what changes, and changes just that: every other program keeps running. An invalid file changes
/// nothing (exit code 78).
#[derive(Debug, Args)]
pub(super) struct Reload {
    /// (A program's own reload action is not in this version)
    #[arg(hide = true)]
    pub(super) names: Vec<String>,
}

/// Stop all programs, then sppm itself.
#[derive(Debug, Args)]
pub(super) struct Shutdown {
    /// Kill at once: no waiting for a task's end, no grace
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

/// Change how many instances run: web=3, web=+1.
///
/// It lasts until `instances` changes in the file, or until a bare `sppm start`.
#[derive(Debug, Args)]
pub(super) struct Scale {
    /// NAME=N, NAME=+N, NAME=-N; or NAME N
    #[arg(required = true, allow_negative_numbers = true, value_name = "NAME=N")]
    pub(super) words: Vec<String>,
    #[command(flatten)]
    pub(super) waiting: Waiting,
}

/// Send a signal: signal web HUP.
///
/// The main process of each instance gets it, and no other process.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(super) struct SendSignal {
    /// Names and the signal: HUP, SIGHUP, RTMIN+1, 10
    #[arg(required = true, num_args = 2.., value_name = "NAME SIGNAL")]
    pub(super) words: Vec<String>,
}

/// `kill -s SIG NAME`.
#[derive(Debug, Args)]
pub(super) struct Kill {
    /// The signal
    #[arg(short, long, default_value = "TERM")]
    pub(super) signal: Signal,
    /// Programs
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,
}

/// The operand of `logs -n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines(pub(super) Option<u32>);

impl std::str::FromStr for Lines {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self(None)),
            number => number.parse().map(|n| Self(Some(n))).map_err(|_| "a number of lines, or `all`"),
        }
    }
}

/// Write a first sppm.yaml.
///
/// Never over one that is there. With `-- CMD…`: for that program.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// A program and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<String>,
}

/// Run sppm in the foreground (containers, systemd).
///
/// With `-- CMD…`: runs CMD without a file, its output on ours; after more than 5
/// failed starts sppm ends with exit code 1.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A program and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub(super) command: Vec<String>,
    /// Set by `sppm start`: nobody sits in front of it
    #[arg(long, hide = true)]
    pub(super) background: bool,
}

/// `up` and `up -d`.
#[derive(Debug, Args)]
pub(super) struct Up {
    /// In the background
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(super) detach: bool,
}

/// What the keeper says to the supervisor.
#[derive(Debug, Args)]
pub(super) struct Supervise {
    /// Set by `sppm start`: nobody sits in front of it
    #[arg(long)]
    pub(super) background: bool,
}

/// What NAME may be.
const NAMES: &str = "NAME is a program (web), an instance (web.2), a glob ('w*'), a tag (@batch) or `all`.";

/// Takes `scale`'s words apart: `web=3`, or `web 3`.
pub(super) fn scales(words: &[String]) -> Result<Vec<(String, ScaleTo)>, String> {
    let mut result = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (name, number) = match word.split_once('=') {
            Some((name, number)) => (name, number),
            None => {
                let number = rest.next().ok_or_else(|| format!("how many instances of `{word}`?"))?;
                (word.as_str(), number.as_str())
            }
        };
        let to: ScaleTo = number.parse().map_err(|error| format!("{error}"))?;
        if result.iter().any(|(known, _)| known == name) {
            return Err(format!("`{name}` is named twice"));
        }
        result.push((name.to_owned(), to));
    }
    Ok(result)
}

/// Finds the signal among `signal`'s words: the last one, else the first.
pub(super) fn signal(words: &[String]) -> Result<(Vec<String>, Signal), String> {
    if let [names @ .., last] = words
        && let Ok(signal) = last.parse()
    {
        return Ok((names.to_vec(), signal));
    }
    match words {
        [first, names @ ..] if first.parse::<Signal>().is_ok() => {
            let signal = first.parse().map_err(|error| format!("{error}"))?;
            Ok((names.to_vec(), signal))
        }
        [.., last] => Err(last.parse::<Signal>().err().map(|error| error.to_string()).unwrap_or_default()),
        [] => Err("which signal, to which program?".to_owned()),
    }
}

#[cfg(test)]
mod tests;
