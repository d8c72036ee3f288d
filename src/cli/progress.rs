//! What a command that waits shows meanwhile: a line that is drawn over itself on a terminal, one each ten seconds elsewhere.

use super::render::{cut, visible};
use super::terminal::Terminal;
use std::time::{Duration, Instant};

/// How often progress is drawn on a terminal.
const DRAWN: Duration = Duration::from_secs(1);
/// How often it is told elsewhere.
const TOLD: Duration = Duration::from_secs(10);

/// The progress of one wait. Dropped, it leaves a clean line.
pub(super) struct Progress {
    terminal: Terminal,
    began: Instant,
    told: Instant,
    drawn: bool,
}

impl Progress {
    /// Begins now.
    pub(super) fn new(terminal: Terminal) -> Self {
        let began = Instant::now();
        Self { terminal, began, told: began, drawn: false }
    }

    /// How long it has been.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// After how long there is something to show again.
    pub(super) fn period(&self) -> Duration {
        if self.terminal.draws() { DRAWN } else { TOLD }
    }

    /// Draws or tells what is waited for: names with their phases.
    pub(super) fn show<'a>(&mut self, moving: impl Iterator<Item = (&'a str, &'a str)>) {
        if self.terminal.draws() {
            let text = waited_for(moving, self.took());
            let width = self.terminal.width_of_errors().unwrap_or(80).saturating_sub(1);
            self.terminal.draw(&cut(&text, width));
            self.drawn = true;
        } else if self.told.elapsed() >= TOLD {
            self.told = Instant::now();
            self.terminal.note(&waited_for(moving, self.took()));
        }
    }

    /// Takes the drawn line away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.terminal.draw("");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// "waiting for web.1 (draining), web.2 (stopping) and 3 more, 12s".
fn waited_for<'a>(moving: impl Iterator<Item = (&'a str, &'a str)>, took: Duration) -> String {
    const NAMED: usize = 3;
    let moving: Vec<(&str, &str)> = moving.collect();
    let named: Vec<String> = moving
        .iter()
        .take(NAMED)
        .map(|(id, phase)| format!("{} ({})", visible(id), visible(phase)))
        .collect();
    let more = match moving.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match named.is_empty() {
        true => format!("waiting, {}s", took.as_secs()),
        false => format!("waiting for {}{more}, {}s", named.join(", "), took.as_secs()),
    }
}

/// "0.8s", "42s".
pub(super) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1}s", took.as_secs_f64()),
        whole => humantime::format_duration(Duration::from_secs(whole)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_what_moves() {
        let moving = ["b", "c", "d", "e"].map(|id| (id, "draining"));
        let text = waited_for(moving.into_iter(), Duration::from_secs(12));
        assert_eq!(text, "waiting for b (draining), c (draining), d (draining) and 1 more, 12s");
        assert_eq!(waited_for([].into_iter(), Duration::ZERO), "waiting, 0s");
        assert_eq!(seconds(Duration::from_millis(840)), "0.8s");
        assert_eq!(seconds(Duration::from_secs(72)), "1m 12s");
    }
}
