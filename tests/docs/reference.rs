//! Writes the reference of all keys in docs/configuration.md from the types, and fails when it is stale.
//!
//! Description, type, default and examples come from the schema, which comes from the tables that read the file; the order
//! from those tables; what an edit does from the real comparison of two plans that differ in that key.

use super::outcome::outcome;
use super::pages;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

const BEGIN: &str = "<!-- generated from the types: UPDATE=1 cargo test --test docs -->\n";
const END: &str = "<!-- end of what is generated -->\n";

/// Each section of the schema and where it stands in the file, in the order of the page.
const SECTIONS: &[(&str, &str)] = &[
    ("Root", "The top of the file"),
    ("Program", "programs.NAME"),
    ("Restart", "programs.NAME.restart"),
    ("Stop", "programs.NAME.stop"),
    ("StopStep", "programs.NAME.stop.steps"),
    ("WorkingLock", "programs.NAME.working_lock"),
    ("Ready", "programs.NAME.ready"),
    ("Hooks", "programs.NAME.hooks"),
    ("Hook", "programs.NAME.hooks.HOOK"),
    ("Logs", "programs.NAME.logs"),
    ("Limits", "programs.NAME.limits"),
    ("Supervisor", "supervisor"),
    ("FollowFile", "supervisor.follow_file"),
    ("Api", "supervisor.api"),
];

/// The keys of a section, with their schemas, in the order in which the code declares them.
fn keys<'a>(section: &str, schema: &'a Value, source: &str) -> Vec<(&'a str, &'a Value)> {
    let map = schema.get("properties").or_else(|| schema["anyOf"][0].get("properties"));
    let map = map.and_then(Value::as_object).expect("a map with keys");
    let start = source.find(&format!("\n    {section} ")).expect("the table of the section");
    let position =
        |key: &str| source[start..].find(&format!("\n        {key}: ")).expect("the key's line in the table");
    let mut keys: Vec<(&str, &Value)> = map.iter().map(|(key, schema)| (key.as_str(), schema)).collect();
    keys.sort_by_key(|(key, _)| position(key));
    keys
}

/// A schema in words.
fn kind(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap();
        return SECTIONS
            .iter()
            .find(|(section, _)| *section == name)
            .map_or_else(String::new, |(_, place)| {
                format!("[map](#{})", place.to_lowercase().replace('.', ""))
            });
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[several].as_array() {
            let mut words: Vec<String> = parts.iter().map(kind).filter(|word| !word.is_empty()).collect();
            words.dedup();
            return words.join(" or ");
        }
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    match &schema["type"] {
        Value::String(name) => single(name, schema),
        Value::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            if names == ["string", "number", "boolean"] {
                "text".to_owned()
            } else {
                single(names[0], schema)
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn single(name: &str, schema: &Value) -> String {
    let pattern = schema["pattern"].as_str().unwrap_or("");
    let range = |what: &str| match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        (Some(low), Some(high)) if high < 4_000_000_000 => format!("{what}, {low} to {high}"),
        (_, _) => what.to_owned(),
    };
    match name {
        "string" if pattern.contains("secs") => "duration".to_owned(),
        "string" if pattern.contains("iB") || pattern.contains("KMGT") => "size".to_owned(),
        "string" if pattern.contains("[0-7]") => "octal".to_owned(),
        "string" if pattern.contains('%') => "percentage".to_owned(),
        "string" if pattern.contains("[Ss][Ii][Gg]") => "signal".to_owned(),
        "string" => "text".to_owned(),
        // Beside a duration or a size, 0 is one of them.
        "integer" if schema["enum"] == json!([0]) => String::new(),
        "integer" if schema["enum"].is_array() => code(&schema["enum"][0]),
        "integer" if schema["maximum"] == 64 => String::new(),
        "integer" => range("whole number"),
        "number" => range("number"),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => format!("list of {}", kind(&schema["items"]).replace(" or ", " / ")),
        "object" => match schema["properties"].as_object() {
            Some(map) => {
                map.iter().map(|(key, inner)| format!("`{key}:` {}", kind(inner))).collect::<String>()
            }
            None => "map".to_owned(),
        },
        _ => String::new(),
    }
}

fn code(value: &Value) -> String {
    let is_plain = |text: &&str| !text.bytes().all(|byte| byte.is_ascii_digit());
    let text = value.as_str().filter(is_plain).map_or_else(|| yaml(value), str::to_owned);
    format!("`{}`", text.replace('|', "\\|"))
}

/// A value as people write it in a file.
fn yaml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", yaml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::String(text) if text.starts_with(['-', '*', '.', '0', '{']) || text.contains('*') => {
            format!("\"{text}\"")
        }
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn words(text: &Value) -> String {
    text.as_str().unwrap_or("").replace("\n\n", "<br>").replace('|', "\\|")
}

fn row(section: &str, key: &str, schema: &Value) -> String {
    let default = schema.get("default").map(code).unwrap_or_default();
    let examples: Vec<String> = schema["examples"].as_array().into_iter().flatten().map(code).collect();
    let kind = kind(schema);
    assert!(!kind.is_empty(), "{section}.{key} has no type in words: {schema}");
    format!(
        "| `{key}` | {} | {kind} | {default} | {} | {} |\n",
        words(&schema["description"]),
        examples.join("<br>"),
        outcome(section, key, schema)
    )
}

fn reference() -> String {
    let schema: Value = serde_json::from_str(&sppm::config::schema()).unwrap();
    let folder = pages::root().join("src/config/document");
    let names = ["root", "program", "restart", "stop", "gate", "supervisor"];
    let source: String =
        names.map(|name| fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap()).concat();
    let mut out = String::new();
    for (section, place) in SECTIONS {
        let part = if *section == "Root" { &schema } else { &schema["definitions"][*section] };
        let about = part["description"].as_str().unwrap_or("");
        write!(out, "\n### {place}\n\n{about}\n\n").unwrap();
        out.push_str(
            "| key | what | type | default | examples | an edit |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for (key, schema) in keys(section, part, &source) {
            out.push_str(&row(section, key, schema));
        }
    }
    out.push('\n');
    out
}

#[test]
fn the_reference_of_all_keys_is_fresh() {
    let path = pages::root().join("docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the mark of the generated part");
    let (old, tail) = rest.split_once(END).expect("the mark of its end");
    let new = reference();
    if old != new && std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{new}{END}{tail}")).unwrap();
        return;
    }
    assert!(old == new, "docs/configuration.md is stale: UPDATE=1 cargo test --test docs");
}

#[test]
fn every_section_of_the_schema_is_in_the_reference() {
    let schema: Value = serde_json::from_str(&sppm::config::schema()).unwrap();
    let defined = schema["definitions"].as_object().unwrap().keys();
    let missing: Vec<&String> = defined
        .filter(|name| *name != "Variable" && !SECTIONS.iter().any(|(section, _)| section == name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
