//! What an operator looks at.

use crate::common::Rig;
use serde_json::Value;

/// A restart policy that leaves a failure time to be looked at.
pub(crate) const SLOWLY: &str = "restart: { delay: 10m, max_delay: 10m, limit: 0 }";

/// `sppm status`, whatever its exit code.
pub(crate) fn status(rig: &Rig) -> String {
    rig.sppm(&["status"]).stdout
}

/// What stands in the REASON column of an instance's row.
#[track_caller]
pub(crate) fn reason(rig: &Rig, instance: &str) -> String {
    let table = status(rig);
    let column = table.lines().find_map(|line| line.find("REASON")).expect("a table");
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(instance));
    let row = row.unwrap_or_else(|| panic!("no row of {instance} in\n{table}"));
    row.chars().skip(column).collect()
}

pub(crate) fn why(rig: &Rig, name: &str) -> String {
    rig.sppm(&["why", name]).ok().stdout
}

pub(crate) fn why_json(rig: &Rig, name: &str) -> Value {
    serde_json::from_str(&rig.sppm(&["why", name, "--json"]).ok().stdout).unwrap()
}

/// Each of `texts` is there, one behind the other.
#[track_caller]
pub(crate) fn in_order(text: &str, texts: &[&str]) {
    let mut rest = text;
    for wanted in texts {
        let at = rest.find(wanted).unwrap_or_else(|| panic!("no {wanted:?} (in this place) in\n{text}"));
        rest = &rest[at + wanted.len()..];
    }
}

/// The next step is one command, and it works.
#[track_caller]
pub(crate) fn start_works(rig: &Rig, name: &str) {
    rig.sppm(&["start", name]).ok();
    assert_eq!(rig.status().phase(name), "running", "{}", status(rig));
}
