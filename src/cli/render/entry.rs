//! An entry of the journal as one line.

use super::visible;
use crate::cli::clock::Clock;
use crate::journal::{Entry, Kind};
use anstyle::{AnsiColor, Style};

/// Tells dates: one line where the day changes, and one at first unless that is today.
#[derive(Default)]
pub(in crate::cli) struct Days(Option<String>);

impl Days {
    /// The date of `stamp`, if people have not been told yet.
    pub(in crate::cli) fn turn(&mut self, clock: &Clock, stamp: &str) -> Option<String> {
        let date = clock.local(stamp).date;
        let known = self.0.take().unwrap_or_else(|| clock.today());
        let new = (date != known && !date.is_empty()).then(|| date.clone());
        self.0 = Some(if date.is_empty() { known } else { date });
        new
    }
}

/// "08:53:18  web.1  exited with code 1", without a line end. `name`: who it is about, as wide as this.
pub(in crate::cli) fn entry(entry: &Entry, clock: &Clock, name: Option<usize>) -> String {
    let time = clock.local(&entry.at).time;
    let name = name.map(|wide| {
        let whom = entry.instance.as_deref().or(entry.program.as_deref()).unwrap_or("sppm");
        format!("{:<wide$}  ", visible(whom))
    });
    let style = style(entry.kind);
    let dim = Style::new().dimmed();
    format!("{dim}{time}{dim:#}  {}{style}{}{style:#}", name.unwrap_or_default(), said(entry, clock))
}

/// What happened, and who wanted it.
fn said(entry: &Entry, clock: &Clock) -> String {
    let text = visible(&clock.sentence(&entry.text));
    let by = entry.by.as_deref().map(visible);
    match (entry.kind, by) {
        (Kind::Request, Some(by)) => format!("{by} asked: {text}"),
        // The author mostly stands in the sentence already.
        (_, Some(by)) if !text.contains(&by) => format!("{text} (by {by})"),
        (Kind::Phase, _) => match entry.phase.as_deref().map(visible) {
            Some(phase) if phase != text => format!("{phase}: {text}"),
            Some(_) | None => text,
        },
        (_, _) => text,
    }
}

fn style(kind: Kind) -> Style {
    match kind {
        Kind::LaunchFailed
        | Kind::NotReady
        | Kind::Stuck
        | Kind::ConfigInvalid
        | Kind::HookFailed
        | Kind::RolloutStopped
        | Kind::StopCommandFailed => AnsiColor::Red.on_default(),
        Kind::Exited | Kind::Leftovers | Kind::LogTrouble => AnsiColor::Yellow.on_default(),
        Kind::Request | Kind::ConfigChanged | Kind::ConfigValid => AnsiColor::Cyan.on_default(),
        Kind::SupervisorStarted
        | Kind::SupervisorTookOver
        | Kind::SupervisorEnded
        | Kind::Started
        | Kind::Phase
        | Kind::LogRecovered
        | Kind::Other => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_when_whom_what_and_who() {
        let clock = Clock::fixed("2026-11-21T12:00:00Z");
        let new = |kind, text: &str| Entry::new("2026-11-21T08:00:00.000Z".to_owned(), kind, text);
        let plain = |one: &Entry, wide| anstream::adapter::strip_str(&entry(one, &clock, wide)).to_string();
        let asked = new(Kind::Request, "stop web\u{1b}[31m").by("ann");
        assert_eq!(plain(&asked, Some(6)), "08:00:00  sppm    ann asked: stop web^[[31m");
        let phase = Entry { phase: Some("backoff".to_owned()), ..new(Kind::Phase, "exited with code 1") };
        assert_eq!(
            plain(&phase.about("web", "web.2"), Some(6)),
            "08:00:00  web.2   backoff: exited with code 1"
        );
        assert_eq!(plain(&new(Kind::Exited, "exited"), None), "08:00:00  exited");
        let changed = new(Kind::ConfigChanged, "sppm.yaml has changed").by("reload");
        assert_eq!(plain(&changed, None), "08:00:00  sppm.yaml has changed (by reload)");
    }

    #[test]
    fn a_date_is_told_once_and_today_not_at_all() {
        let clock = Clock::fixed("2026-11-21T12:00:00Z");
        let mut days = Days::default();
        let stamps = ["2026-11-19T01:00:00Z", "2026-11-19T02:00:00Z", "2026-11-21T01:00:00Z", "x"];
        let told: Vec<_> = stamps.iter().map(|stamp| days.turn(&clock, stamp)).collect();
        assert_eq!(told, [Some("2026-11-19".to_owned()), None, Some("2026-11-21".to_owned()), None]);
        assert_eq!(Days::default().turn(&clock, stamps[2]), None);
    }
}
