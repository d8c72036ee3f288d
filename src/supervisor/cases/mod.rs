//! Named stories, told as transcripts: what happens, and (after `=>`) what the core wants done about it.
//!
//! [`tell`] reads the lines without `=>`, plays them, and gives the whole transcript back, so that a story is its
//! own expectation. Runs are called `web.1#2`: the second run of that slot.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod edits;
mod flights;
mod gate;
mod killing;
mod pulse;
mod requests;
mod restarts;
mod rollouts;
mod signs;
mod stage;
mod stops;
mod takeovers;

use stage::Stage;

/// Plays a story and compares it with itself.
#[track_caller]
fn tell(story: &str) {
    let lines: Vec<&str> = story.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut stage = Stage::new();
    let mut told: Vec<String> = Vec::new();
    for line in lines.iter().filter(|line| !line.starts_with("=>")) {
        told.push((*line).to_owned());
        told.extend(stage.play(line).into_iter().map(|action| format!("=> {action}")));
    }
    assert!(told == lines, "\n--- told\n{}\n--- expected\n{}\n", told.join("\n"), lines.join("\n"));
}
