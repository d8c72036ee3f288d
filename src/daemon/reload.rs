//! When the configuration is read, and whether what was read is believed.

use super::inbox::{LoadOutcome, Purpose};
use super::loader::Loader;
use super::wall;
use crate::config::{Problems, Style, Watched};
use crate::files::Watcher;
use crate::model::{FollowFile, Moment, Plan};
use std::path::PathBuf;
use std::time::Duration;

/// After a reading that looks half written the file must be quiet for so long before it is read again.
const DOUBT: Duration = Duration::from_secs(2);
/// However busily a file is written, it is read after so many debounce times.
const PATIENCE: u32 = 20;

/// The state of the configuration file.
pub(super) struct Reload {
    pub(super) loader: Loader,
    watcher: Watcher,
    follow: FollowFile,
    /// What the last reading depended on.
    depends_on: Vec<PathBuf>,
    /// When the next reading is due, and what for.
    due: Option<(Moment, Doubt)>,
    first_hint: Option<Moment>,
    /// What is wrong with the file as it was last read.
    invalid: Option<Invalid>,
}

/// A file that is not valid.
struct Invalid {
    /// Everything, as compilers show it.
    text: String,
    /// The first of it.
    first_line: String,
    /// Since when, for people.
    since: String,
}

/// Whether a reading that is due is the second look at something strange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    SecondLook,
}

/// What to do with a reading.
pub(super) enum Verdict {
    /// Believe it.
    Believe,
    /// It is read again after a quiet time.
    LookAgain,
}

impl Reload {
    pub(super) fn new(loader: Loader, watcher: Watcher, follow: FollowFile) -> Self {
        Self { loader, watcher, follow, depends_on: Vec::new(), due: None, first_hint: None, invalid: None }
    }

    /// The file may have changed. It is read when it has been quiet for the debounce time.
    pub(super) fn hint(&mut self, now: Moment) {
        if !self.follow.enabled {
            return;
        }
        let first = *self.first_hint.get_or_insert(now);
        let (quiet, doubt) = match self.due {
            Some((_, Doubt::SecondLook)) => (DOUBT, Doubt::SecondLook),
            Some((_, Doubt::None)) | None => (self.follow.debounce, Doubt::None),
        };
        let latest = first + self.follow.debounce * PATIENCE + DOUBT;
        self.due = Some(((now + quiet).min(latest), doubt));
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.due.map(|(at, _)| at)
    }

    pub(super) fn tick(&mut self, now: Moment) {
        let Some((at, doubt)) = self.due else { return };
        if at > now {
            return;
        }
        self.due = None;
        self.first_hint = None;
        self.loader.load(match doubt {
            Doubt::None => Purpose::Watch,
            Doubt::SecondLook => Purpose::WatchAgain,
        });
    }

    /// Decides about a reading. Only the watch is doubted: whoever asks by hand means what the file says.
    pub(super) fn judge(&mut self, now: Moment, outcome: &LoadOutcome, current: &Plan) -> Verdict {
        let strange = match &outcome.result {
            Ok(loaded) => has_shrunk(current, &loaded.plan),
            Err(problems) => problems.perhaps_half_written(),
        };
        if strange && matches!(outcome.purpose, Purpose::Watch) {
            self.due = Some((now + DOUBT, Doubt::SecondLook));
            self.first_hint = Some(now);
            return Verdict::LookAgain;
        }
        Verdict::Believe
    }

    /// Watches what the last reading depended on.
    pub(super) fn watch(&mut self, watched: &Watched) {
        self.depends_on = watched.files.iter().chain(&watched.folders).cloned().collect();
        self.arm();
    }

    /// An edit that nobody follows is nothing to wake up for.
    fn arm(&self) {
        self.watcher.watch(if self.follow.enabled { &self.depends_on } else { &[] });
    }

    pub(super) fn follow(&mut self, follow: FollowFile) {
        let switched = self.follow.enabled != follow.enabled;
        self.follow = follow;
        if switched {
            self.arm();
        }
        if !follow.enabled {
            self.due = None;
        }
    }

    /// What people must know of the watch.
    pub(super) fn note(&self) -> Option<String> {
        match self.follow.enabled {
            true => Some(self.watcher.method()).filter(|method| method != "inotify"),
            false => Some("edits apply by `sppm reload` only: supervisor.follow_file is off".to_owned()),
        }
    }

    /// All that is wrong with the file.
    pub(super) fn error(&self) -> Option<&String> {
        self.invalid.as_ref().map(|invalid| &invalid.text)
    }

    /// The same in a sentence, with what can be done.
    pub(super) fn trouble(&self) -> Option<String> {
        self.invalid.as_ref().map(|Invalid { first_line, since, .. }| {
            format!(
                "the file has not been valid since {since}, and no edit is in force: {first_line}; mend it there, \
                 `sppm check` shows everything that is wrong"
            )
        })
    }

    /// Whether this is news.
    pub(super) fn invalid(&mut self, problems: &Problems) -> bool {
        let text = problems.render(Style::Plain);
        let news = self.error() != Some(&text);
        if news {
            tracing::error!(
                "the configuration is not valid, and nothing was changed: {}",
                problems.first_line()
            );
        }
        let since = self.invalid.take().map_or_else(wall::now, |before| before.since);
        self.invalid = Some(Invalid { text, first_line: problems.first_line(), since });
        news
    }

    /// Whether this is news.
    pub(super) fn valid(&mut self) -> bool {
        let news = self.invalid.take().is_some();
        if news {
            tracing::info!("the configuration is valid again");
        }
        news
    }
}

/// It lost all programs, or more than half of at least two: as a file does that is being written.
fn has_shrunk(current: &Plan, next: &Plan) -> bool {
    let had = current.programs.len();
    let kept = current.programs.keys().filter(|name| next.programs.contains_key(*name)).count();
    had > 0 && (next.programs.is_empty() || (had >= 2 && kept * 2 < had))
}
