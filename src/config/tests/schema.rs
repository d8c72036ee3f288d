//! The schema: fresh, and true.

use super::*;
use crate::config::decode::{Decoder, Value as _};
use crate::config::document;
use serde_json::Value;

#[test]
fn the_published_schema_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/sppm.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, crate::config::schema()).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == crate::config::schema(),
        "stale: run `UPDATE=1 cargo test --lib config::` to write it again"
    );
}

#[test]
fn every_built_in_default_can_be_read() {
    let environment = BTreeMap::new();
    let mut cx = Decoder::new(&environment);
    let program = document::Program::built_in(&mut cx).unwrap();
    let root = document::Root::built_in(&mut cx).unwrap();
    assert!(!cx.failed());
    let text = format!("{program:?}{root:?}");
    assert!(!text.contains("Broken"), "{text}");
}

#[test]
fn every_key_is_described_and_every_default_and_example_is_taken() {
    let schema: Value = serde_json::from_str(&crate::config::schema()).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(schema["patternProperties"]["^x-"].is_object());
    let program = object(&schema["definitions"]["Program"]);
    assert!(program.len() >= 25);
    for (key, value) in program {
        assert!(value["description"].as_str().is_some_and(|text| text.len() > 10), "{key}");
        let given =
            value.get("default").into_iter().chain(value["examples"].as_array().into_iter().flatten());
        for given in given {
            let keys = if matches!(key.as_str(), "command" | "shell") { "" } else { "command: x, " };
            let files = [
                (MAIN, format!("programs: {{a: {{{keys}{key}: {given}}}}}")),
                ("/w/app/.env", String::new()),
            ];
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
            assert!(load_files(&files).is_ok(), "{key}: {given}: {}", load_files(&files).unwrap_err());
        }
    }
    for (section, key) in [
        ("Restart", "restart"),
        ("Stop", "stop"),
        ("WorkingLock", "working_lock"),
        ("Ready", "ready"),
        ("Hooks", "hooks"),
        ("Logs", "logs"),
        ("Limits", "limits"),
    ] {
        for (inner, value) in object(&schema["definitions"][section]) {
            assert!(value["description"].is_string(), "{section}.{inner}");
            let given =
                value.get("default").into_iter().chain(value["examples"].as_array().into_iter().flatten());
            for given in given {
                program_with(&format!("command: x, {key}: {{{inner}: {given}}}"));
            }
        }
    }
}

#[test]
fn what_the_schema_says_of_hooks_is_taken() {
    let schema: Value = serde_json::from_str(&crate::config::schema()).unwrap();
    for (inner, value) in object(&schema["definitions"]["Hook"]) {
        assert!(value["description"].is_string(), "{inner}");
        let given =
            value.get("default").into_iter().chain(value["examples"].as_array().into_iter().flatten());
        for given in given {
            let command = if inner == "command" { "" } else { "command: y, " };
            program_with(&format!("command: x, hooks: {{before_stop: {{{command}{inner}: {given}}}}}"));
        }
    }
    let short = &schema["definitions"]["Ready"]["anyOf"][1];
    assert_eq!(short, &serde_json::json!({ "type": "string", "const": "notify" }));
    program_with(&format!("command: x, ready: {}", short["const"]));
}

#[track_caller]
fn program_with(keys: &str) {
    super::program(keys);
}

fn object(section: &Value) -> &serde_json::Map<String, Value> {
    let map = section.get("properties").or_else(|| section["anyOf"][0].get("properties"));
    map.and_then(Value::as_object).expect("a map with keys")
}
