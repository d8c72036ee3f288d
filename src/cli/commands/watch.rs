//! `sppm status --watch`: the table again at every change. Asks when something happened; uptimes go on by themselves.

use super::{DONE, Outcome};
use crate::cli::clock::Clock;
use crate::cli::failure::Failure;
use crate::cli::feed::{self, News};
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::wait::is_away;
use crate::control::client;
use crate::control::wire::StatusDto;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often uptimes go on, on a terminal.
const TICK: Duration = Duration::from_secs(1);
/// So often the status is asked for although no event has come.
const NET: Duration = Duration::from_secs(30);
/// Events that come together make one look.
const TOGETHER: Duration = Duration::from_millis(100);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn watch(session: &Session<'_>, names: &[String]) -> Outcome {
    let client = session.client()?;
    let after = feed::last_number(&client)?;
    let mut status = session.status(&client, names)?;
    // All events: the file and the supervisor concern the head of the table.
    let news = feed::listen(&client, &[], after);
    let mut screen = Screen { session, lines: 0, shown: None };
    let (mut asked, mut cost) = (Instant::now(), Duration::ZERO);
    loop {
        screen.show(&status, asked.elapsed())?;
        match pause(&news, screen.redraws(), asked)? {
            Next::Ended => break,
            Next::Tick => continue,
            Next::Ask => {}
        }
        // A supervisor that needs long for an answer is not to be kept busy with it.
        collect(&news, TOGETHER.max(cost * 9));
        let began = Instant::now();
        match client.get(&client::status(names), PATIENCE) {
            Ok(new) => status = new,
            // The feed says when it is back, or that it is not coming.
            Err(error) if is_away(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        asked = Instant::now();
        cost = began.elapsed();
    }
    session.terminal.note("note: the supervisor has ended");
    Ok(DONE)
}

enum Next {
    Ask,
    Tick,
    Ended,
}

/// Waits until there is something to do.
fn pause(news: &Receiver<News>, redraws: bool, asked: Instant) -> Result<Next, Failure> {
    let step = if redraws { TICK } else { NET };
    match news.recv_timeout(step) {
        Ok(News::Entry(_) | News::Missed(_) | News::Back) => Ok(Next::Ask),
        Ok(News::Ended(Some(failure))) => Err(failure),
        Ok(News::Ended(None)) | Err(RecvTimeoutError::Disconnected) => Ok(Next::Ended),
        Err(RecvTimeoutError::Timeout) if asked.elapsed() >= NET => Ok(Next::Ask),
        Err(RecvTimeoutError::Timeout) => Ok(Next::Tick),
    }
}

/// Lets events pass for a while: they are all in the status that is asked for then.
fn collect(news: &Receiver<News>, time: Duration) {
    let until = Instant::now() + time;
    while news.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
}

/// What is on the screen.
struct Screen<'a> {
    session: &'a Session<'a>,
    /// So many lines of the last table are above the cursor.
    lines: usize,
    /// What was shown last, where it is not drawn over.
    shown: Option<StatusDto>,
}

impl Screen<'_> {
    /// Whether the table is drawn over itself.
    fn redraws(&self) -> bool {
        let terminal = self.session.terminal;
        !terminal.json && terminal.on_screen() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    fn show(&mut self, status: &StatusDto, age: Duration) -> Result<(), Failure> {
        let terminal = self.session.terminal;
        if self.redraws() {
            let (picture, clock) = local(&older(status.clone(), age));
            let table = render::status(&picture, terminal.width(), &clock);
            return terminal.result(&self.over(&table, terminal.height()));
        }
        let still = timeless(status.clone());
        if self.shown.as_ref() == Some(&still) {
            return Ok(());
        }
        let first = self.shown.replace(still).is_none();
        match terminal.json {
            true => terminal.json(status),
            false => {
                let gap = if first { "" } else { "\n" };
                let (picture, clock) = local(status);
                terminal.result(&format!("{gap}{}", render::status(&picture, None, &clock)))
            }
        }
    }

    /// The table over the last one: up, and clear to the end. No line may wrap, and none may leave the screen at the
    /// top: both would leave rests.
    fn over(&mut self, table: &str, height: Option<usize>) -> String {
        let all = table.lines().count();
        let room = height.map_or(all, |height| height.saturating_sub(1).max(2));
        let mut text = match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        text.push_str("\r\x1b[J\x1b[?7l");
        let kept = if all > room { room - 1 } else { all };
        for line in table.lines().take(kept) {
            text.push_str(line);
            text.push('\n');
        }
        if all > room {
            text.push_str(&format!("… and {} more lines\n", all - kept));
        }
        text.push_str("\x1b[?7h");
        self.lines = all.min(room);
        text
    }
}

/// The same picture for people.
fn local(status: &StatusDto) -> (StatusDto, Clock) {
    let clock = Clock::here();
    (render::localised(status.clone(), &clock), clock)
}

/// The same picture so much later.
fn older(mut status: StatusDto, age: Duration) -> StatusDto {
    for instance in status.programs.iter_mut().flat_map(|program| &mut program.instances) {
        instance.uptime_s = instance.uptime_s.map(|uptime| uptime + age.as_secs_f64());
    }
    status
}

/// The same picture without what changes by itself.
fn timeless(mut status: StatusDto) -> StatusDto {
    for instance in status.programs.iter_mut().flat_map(|program| &mut program.instances) {
        instance.uptime_s = instance.uptime_s.map(|_| 0.0);
        instance.since.clear();
    }
    status
}
