//! Fetches pages, each of which is a task; is told of a stop before any signal comes, and says goodbye.
//!
//! In a project of its own: `sppm = { version = "0.1", default-features = false }`.

#![allow(clippy::print_stdout, reason = "this is what it does")]

use sppm::client;
use std::time::Duration;

fn main() {
    let page = std::env::var("PAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    client::ready();
    let mut n = 0;
    // From the first question on the supervisor tells it.
    while client::stop_wanted().is_none() {
        n += 1;
        let task = client::task(&format!("page {n}"));
        println!("begin {n}");
        std::thread::sleep(Duration::from_secs_f64(page));
        println!("end {n}");
        // Still within the task: after its end the signal may come at any moment.
        if let Some(stop) = client::stop_wanted() {
            println!("goodbye: {}", stop.why);
        }
        drop(task);
        client::wait_stop(Duration::from_millis(100));
    }
}
