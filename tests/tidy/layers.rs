//! Who may use whom inside the crate. Input: the `use crate::…` and `crate::…` paths of each file.

use super::files::{self, File};
use super::{none, source};
use std::collections::{BTreeMap, BTreeSet};

/// Each top-level module, and the ones it may use. `main.rs` and `lib.rs` stand for themselves.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("supervisor", &["model"]),
    ("linux", &["model"]),
    ("logs", &["model", "linux"]),
    ("files", &["model", "linux"]),
    ("journal", &["model", "linux"]),
    ("talk", &["model", "linux"]),
    ("work", &["model", "linux"]),
    ("channel", &["model", "linux"]),
    // The journal's entries are a promise to strangers, like the rest of what goes over the socket.
    ("control", &["model", "linux", "journal"]),
    ("keeper", &["model", "linux"]),
    (
        "daemon",
        &[
            "model",
            "config",
            "supervisor",
            "linux",
            "logs",
            "files",
            "journal",
            "talk",
            "work",
            "channel",
            "control",
            "keeper",
        ],
    ),
    // For other programs: it stands alone, and is compiled without all the rest too.
    ("client", &[]),
    ("cli", &["model", "config", "control", "journal", "daemon"]),
    ("main", &["cli", "daemon", "keeper"]),
    ("lib", &[]),
];

/// The top-level module that a file of `src/` belongs to.
fn module_of(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// Every top-level module that `text` names, with the line.
fn used(text: &str) -> Vec<(String, usize)> {
    let code = source::shipped(text);
    let mut found = Vec::new();
    for root in ["crate", "sppm"] {
        for at in source::words(&code, root) {
            let rest = code[at + root.len()..].trim_start();
            let Some(path) = rest.strip_prefix("::") else { continue };
            let line = source::line(&code, at);
            found.extend(first_names(path).into_iter().map(|name| (name, line)));
        }
    }
    found.extend(climbed(&code));
    found
}

/// The first names of a path or of each path in a braced group.
fn first_names(path: &str) -> Vec<String> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        return vec![identifier(path)];
    };
    let inside = &group[..source::closing(path, 0).saturating_sub(2).min(group.len())];
    let mut depth = 0_i32;
    let parts = inside.split(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts.map(|part| identifier(part.trim_start())).filter(|name| !name.is_empty()).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// `super::super::…::name` where the name is a top-level module: a way around the rule.
fn climbed(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("super::super::") {
        let mut rest = &code[at..];
        while let Some(shorter) = rest.strip_prefix("super::") {
            rest = shorter;
        }
        let name = identifier(rest);
        if LAYERS.iter().any(|(module, _)| *module == name) {
            found.push((name, source::line(code, at)));
        }
    }
    found
}

/// Uses that the table above does not allow, and modules that it does not know.
fn violations(files: &[File]) -> Vec<String> {
    let mut complaints = BTreeSet::new();
    for file in files {
        let module = module_of(&file.path);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            complaints.insert(format!("{}: module `{module}` has no layer yet", file.path));
            continue;
        };
        for (name, line) in used(&file.text) {
            let known = LAYERS.iter().any(|(layer, _)| *layer == name);
            if known && name != module && !allowed.contains(&name.as_str()) {
                complaints.insert(format!("{}:{line}: `{module}` must not use `{name}`", file.path));
            }
        }
    }
    complaints.into_iter().collect()
}

/// Modules that use each other in a circle.
fn cycles(files: &[File]) -> Vec<String> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let module = module_of(&file.path).to_owned();
        let names = used(&file.text).into_iter().map(|(name, _)| name);
        let others = names.filter(|name| *name != module).collect::<Vec<_>>();
        uses.entry(module).or_default().extend(others);
    }
    let reaches = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = uses.get(from).into_iter().flatten().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(uses.get(next).into_iter().flatten());
            }
        }
        seen.contains(from)
    };
    uses.keys().filter(|module| reaches(module)).map(|module| format!("`{module}` is in a circle")).collect()
}

#[test]
fn every_module_uses_only_the_layers_below_it() {
    none(&violations(&files::rust("src/")));
}

#[test]
fn no_two_modules_use_each_other() {
    none(&cycles(&files::rust("src/")));
}

#[test]
fn a_wrong_use_is_found_in_every_spelling() {
    let spellings = [
        "use crate::daemon::run;",
        "use crate::{model, daemon::{self, run}};",
        "fn f() { crate::daemon::run(); }",
        "use crate::{\n    model::{A, B},\n    daemon,\n};",
        "use super::super::daemon::run;",
    ];
    for text in spellings {
        let file = File { path: "src/config/x.rs".into(), text: text.into() };
        let complaints = violations(&[file]);
        assert_eq!(complaints.len(), 1, "{text}: {complaints:?}");
        assert!(complaints[0].contains("`config` must not use `daemon`"), "{complaints:?}");
    }
    let fine = File {
        path: "src/config/x.rs".into(),
        text: "use crate::{model::{A, daemon}, config};\n// crate::daemon\n#[cfg(test)] mod t { use crate::cli; }".into(),
    };
    none(&violations(&[fine]));
    let unknown = File { path: "src/misc.rs".into(), text: String::new() };
    assert!(violations(&[unknown])[0].contains("has no layer yet"));
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let files = [
        file("src/a.rs", "use crate::b::X;"),
        file("src/b/mod.rs", "use crate::c;"),
        file("src/c.rs", "use crate::a;"),
        file("src/d.rs", "use crate::a;"),
    ];
    assert_eq!(cycles(&files), ["`a` is in a circle", "`b` is in a circle", "`c` is in a circle"]);
}
