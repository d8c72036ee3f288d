//! Commands as lists, as text that is split into words, and as text for a shell.

use crate::config::decode::{Decoder, Value};
use crate::config::problem::ProblemKind;
use crate::config::tree::{NodeRef, Shape};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A program and its arguments; never empty.
#[derive(Debug, Clone)]
pub(in crate::config) struct Argv(pub(in crate::config) Vec<String>);

const A_COMMAND: &str = "a list of words, or a text that is split into words";

impl Value for Argv {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        words(node, cx, "use `shell:` instead of `command:`").map(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "array", "items": { "type": ["string", "number", "boolean"] }, "minItems": 1 },
            { "type": "string", "minLength": 1 }
        ], "examples": [["python3", "-u", "crawler.py"], "python3 -u crawler.py"] })
    }
}

/// A command beside the program itself: it has no `shell:`.
#[derive(Debug, Clone)]
pub(in crate::config) struct ActionArgv(pub(in crate::config) Vec<String>);

impl Value for ActionArgv {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        words(node, cx, "let a shell run it, `[sh, -c, \"…\"]`").map(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Argv::schema(generator)
    }
}

/// The words of a command, at least one. `by_shell` says how a shell can be had.
fn words(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>, by_shell: &str) -> Option<Vec<String>> {
    let words = match node.shape {
        Shape::Seq(_) => listed(node, cx)?,
        Shape::Null | Shape::Scalar { .. } | Shape::Map(_) => split(node, cx, by_shell)?,
    };
    if words.first().is_none_or(String::is_empty) {
        cx.value(node, "a command may not be empty".to_owned(), None);
        return None;
    }
    Some(words)
}

fn listed(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut whole = cx.visit(node);
    for (index, item) in node.items().enumerate() {
        match cx.within_item(index, |cx| cx.scalar(item, "a word; write '' for an empty one")) {
            Some(word) => words.push(word.text.into_owned()),
            None => whole = false,
        }
    }
    whole.then_some(words)
}

fn split(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>, by_shell: &str) -> Option<Vec<String>> {
    let scalar = cx.scalar(node, A_COMMAND)?;
    if let Some(what) = needs_shell(&scalar.text) {
        // What came from the environment is not shown.
        let what = if scalar.text == scalar.written { what } else { "something in it".to_owned() };
        let message = format!("no shell runs here, so {what} would not do what it says");
        let help = format!("{by_shell}, or use a list of words where it is meant literally");
        cx.value(node, message, Some(help));
        return None;
    }
    if let Some(variable) = bare_variable(scalar.written) {
        let message = format!("no shell runs here: `${variable}` reaches the program as it is written");
        let help = format!(
            "write `${{{variable}}}` for the supervisor's variable, or {by_shell}; `$${variable}` says that it is meant so"
        );
        cx.warning(ProblemKind::Value, node.at, message, Some(help));
    }
    match shell_words::split(&scalar.text) {
        Ok(words) => Some(words),
        Err(_) => {
            cx.value(
                node,
                format!("{} has a quote that is not closed", scalar.shown()),
                Some("a list of words needs no quotes".to_owned()),
            );
            None
        }
    }
}

/// What in a command only a shell would understand.
fn needs_shell(text: &str) -> Option<String> {
    let (mut single, mut double, mut escaped) = (false, false, false);
    let mut previous = ' ';
    for (index, c) in text.char_indices() {
        let literal = escaped || single && c != '\'';
        escaped = !literal && c == '\\';
        if !literal {
            match c {
                '\'' if !double => single = !single,
                '"' => double = !double,
                '`' => return Some("`` ` ``".to_owned()),
                '(' if previous == '$' => return Some("`$(`".to_owned()),
                '|' | '>' | '<' | ';' | '\n' if !double => return Some(format!("`{}`", c.escape_default())),
                '&' if !double && text[index..].starts_with("&&") => return Some("`&&`".to_owned()),
                // A & in the middle of a word is common in URLs, and a shell would be surprised too.
                '&' if !double && ends_word(text, index) => return Some("`&`".to_owned()),
                _ => {}
            }
        }
        previous = if literal { ' ' } else { c };
    }
    let first = text.split_whitespace().next().unwrap_or("");
    let (name, _) = first.split_once('=')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_name.then(|| format!("`{name}=…` (a variable: write it under `environment`)"))
}

fn ends_word(text: &str, index: usize) -> bool {
    text[index + 1..].chars().next().is_none_or(char::is_whitespace)
}

/// The name of a `$NAME` outside of single quotes, that is neither `$$` nor `${`.
fn bare_variable(text: &str) -> Option<&str> {
    let mut single = false;
    let mut skip = false;
    for (index, c) in text.char_indices() {
        if std::mem::take(&mut skip) {
            continue;
        }
        match c {
            '\'' => single = !single,
            '\\' => skip = true,
            '$' if text[index + 1..].starts_with('$') => skip = true,
            '$' if !single => {
                let rest = &text[index + 1..];
                let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                if length > 0 && !rest.as_bytes()[0].is_ascii_digit() {
                    return Some(&rest[..length]);
                }
            }
            _ => {}
        }
    }
    None
}

/// A text for /bin/sh.
#[derive(Debug, Clone)]
pub(in crate::config) struct Script(pub(in crate::config) String);

impl Value for Script {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a text for /bin/sh")?;
        if scalar.text.trim().is_empty() {
            cx.value(node, "a command may not be empty".to_owned(), None);
            return None;
        }
        Some(Self(scalar.text.into_owned()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_shell_is_seen() {
        for text in [
            "a | b",
            "a > b",
            "a && b",
            "a $(b)",
            "X=1 a",
            "a `b`",
            "a; b",
            "a < b",
            "a &",
            "a \"$(b)\"",
            "a\nb",
            "a|b",
        ] {
            assert!(needs_shell(text).is_some(), "{text}");
        }
        for text in [
            "a b",
            "a 'x | y'",
            "a \"x | y\"",
            "a \\| b",
            "a 'x$(y)'",
            "curl http://x/?a=1&b=2",
            "a X=1",
            "a --b=c",
            "./a=b c",
        ] {
            assert!(needs_shell(text).is_none(), "{text}");
        }
    }

    #[test]
    fn bare_variables_are_seen() {
        assert_eq!(bare_variable("a $HOME/x"), Some("HOME"));
        assert_eq!(bare_variable("a \"$HOME\""), Some("HOME"));
        for text in ["a '$HOME'", "a $$HOME", "a ${HOME}", "a \\$HOME", "a $", "a $1"] {
            assert_eq!(bare_variable(text), None, "{text}");
        }
    }
}
