//! What an edit of one key does, found by doing it: two plans that differ in that key, and the real comparison.

use super::load::load_text;
use serde_json::{Value, json};
use sppm::config::Style;
use sppm::model::Plan;
use sppm::supervisor::{Diff, Fate, diff};

/// In a few words, for the reference.
pub(crate) fn outcome(section: &str, key: &str, schema: &Value) -> &'static str {
    match (section, key) {
        ("Root", "version") => return "nothing",
        ("Root", _) => return "as the keys in it",
        // What holds further keys is as they are.
        ("Program", "restart" | "stop" | "working_lock" | "ready" | "hooks" | "logs" | "limits")
        | ("Supervisor", "follow_file" | "api") => return "as its keys",
        ("Program", "enabled") => return "stops or starts it",
        _ => {}
    }
    let (old, new) = (file(section, None), file(section, Some((key, other_value(section, key, schema)))));
    let found = words(&diff(&plan(&old), &plan(&new)));
    assert!(!found.is_empty(), "{section}.{key}: no difference between\n{old}\n{new}");
    match (section, key) {
        // The process goes on, and what it was started with holds for it until it is started again.
        ("Program", "watchdog") | ("Ready", _) if found == "applied at once" => "from the next start on",
        _ => found,
    }
}

fn plan(text: &str) -> Plan {
    match load_text(text) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{text}\n{}", problems.render(Style::Plain)),
    }
}

/// A configuration with nothing but this key of this section, or without it.
fn file(section: &str, key: Option<(&str, Value)>) -> String {
    let mut map = json!({});
    if section == "StopStep" {
        map = json!({ "signal": "TERM", "wait": "9s" });
    }
    if let Some((key, value)) = key {
        map[key] = value;
    }
    let whole = match section {
        "Supervisor" => json!({ "supervisor": map, "programs": {} }),
        "FollowFile" => json!({ "supervisor": { "follow_file": map }, "programs": {} }),
        "Api" => json!({ "supervisor": { "api": map }, "programs": {} }),
        "Program" if map.get("shell").is_some() => json!({ "programs": { "a": map } }),
        "Program" => {
            let command = map.get("command").cloned().unwrap_or_else(|| json!("x"));
            map["command"] = command;
            json!({ "programs": { "a": map } })
        }
        "StopStep" => json!({ "programs": { "a": { "command": "x", "stop": { "steps": [map] } } } }),
        "WorkingLock" => json!({ "programs": { "a": { "command": "x", "working_lock": map } } }),
        "Hook" => {
            let command = map.get("command").cloned().unwrap_or_else(|| json!("x"));
            map["command"] = command;
            json!({ "programs": { "a": { "command": "x", "hooks": { "before_stop": map } } } })
        }
        nested => json!({ "programs": { "a": { "command": "x", nested.to_lowercase(): map } } }),
    };
    whole.to_string()
}

/// A value that is neither the default nor absent.
fn other_value(section: &str, key: &str, schema: &Value) -> Value {
    if (section, key) == ("Program", "stdin") {
        return json!("/dev/zero");
    }
    let default = schema.get("default");
    let examples = schema["examples"].as_array().into_iter().flatten();
    if let Some(example) = examples.clone().find(|example| Some(*example) != default) {
        return example.clone();
    }
    let words: Vec<&Value> = choices(schema);
    if let Some(word) = words.into_iter().rev().find(|word| Some(*word) != default) {
        return word.clone();
    }
    let text = schema.to_string();
    match default {
        Some(Value::Bool(flag)) => json!(!flag),
        Some(Value::Number(number)) => json!(number.as_i64().expect("a whole number") + 1),
        _ if text.contains("secs") => json!("50s"),
        _ if text.contains("KMGT") => json!("77MiB"),
        _ if text.contains("[0-7]") => json!("0640"),
        _ if text.contains("%") => json!("7%"),
        _ if text.contains("[Ss][Ii][Gg]") => json!("INT"),
        _ => json!("/srv/elsewhere"),
    }
}

/// The words that a schema accepts.
fn choices(schema: &Value) -> Vec<&Value> {
    let inner = ["anyOf", "oneOf"].iter().filter_map(|several| schema[*several].as_array()).flatten();
    schema.get("const").into_iter().chain(inner.flat_map(choices)).collect()
}

fn words(diff: &Diff) -> &'static str {
    if !diff.needs_restart_of_sppm.is_empty() {
        return "needs a restart of sppm";
    }
    match diff.programs.first() {
        Some((_, Fate::Changed(change))) if !change.restart.is_empty() => return "restarts the program",
        Some((_, Fate::Changed(change))) if change.scale => return "adds or removes instances",
        Some((_, Fate::Changed(_))) => return "applied at once",
        Some((_, Fate::Added | Fate::Removed)) => return "stops or starts it",
        None => {}
    }
    if diff.supervisor.is_empty() { "" } else { "applied at once" }
}
