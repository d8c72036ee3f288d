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
    let stop = loop {
        n += 1;
        let task = client::task(&format!("page {n}"));
        println!("begin {n}");
        std::thread::sleep(Duration::from_secs_f64(page));
        println!("end {n}");
        drop(task);
        if let Some(stop) = client::wait_stop(Duration::from_millis(100)) {
            break stop;
        }
    };
    println!("goodbye: {}", stop.why);
}
