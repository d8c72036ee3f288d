//! The keeper with real processes. Each test starts a keeper (this same file, in another role) and is its supervisor:
//! the process that the keeper starts as one only passes its end of the line on to the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "keeper_rig/mod.rs"]
mod rig;

#[path = "keeper_cases/mod.rs"]
mod cases;

fn main() {
    if let Some(code) = rig::role() {
        std::process::exit(code);
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let chosen: Vec<cases::Case> = cases::ALL.iter().copied().filter(|(name, _)| wanted(name)).collect();
    if std::env::args().any(|word| word == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let running: Vec<_> = chosen.iter().map(|&(name, case)| (name, std::thread::spawn(case))).collect();
    let failed: Vec<&str> = running
        .into_iter()
        .filter_map(|(name, thread)| {
            let result = thread.join();
            println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
            result.is_err().then_some(name)
        })
        .collect();
    println!("{} keeper tests, {} failed", chosen.len(), failed.len());
    std::process::exit(if failed.is_empty() { 0 } else { 101 });
}
