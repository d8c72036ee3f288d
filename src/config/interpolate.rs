//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in one scalar.
//!
//! In: the text as written and the environment. Out: the text as meant. It works on a scalar after the YAML is
//! parsed, so a value can never bring structure with it. Never add here: placeholders, commands, nesting.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a text cannot be resolved: message and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unresolved {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Whether the text has anything to resolve.
pub(super) fn is_needed(text: &str) -> bool {
    text.contains("${") || text.contains("$$")
}

/// Resolves a text. A `$` that begins nothing stays as it is.
pub(super) fn interpolate<'t>(
    text: &'t str,
    environment: &BTreeMap<String, String>,
) -> Result<Cow<'t, str>, Unresolved> {
    if !is_needed(text) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = after.strip_prefix('{') {
            rest = expression(tail, environment, &mut out)?;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Resolves what follows a `${`; gives what follows its `}`.
fn expression<'t>(
    tail: &'t str,
    environment: &BTreeMap<String, String>,
    out: &mut String,
) -> Result<&'t str, Unresolved> {
    let end = tail.find('}').ok_or_else(|| malformed(tail, "it is never closed"))?;
    let (inside, rest) = (&tail[..end], &tail[end + 1..]);
    if inside.contains("${") {
        return Err(malformed(inside, "one inside of another is not taken"));
    }
    let name_len = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, operator) = inside.split_at(name_len);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(malformed(inside, "a variable's name must follow"));
    }
    let value = environment.get(name);
    let filled = value.filter(|value| !value.is_empty());
    if operator.is_empty() {
        let value = value.ok_or_else(|| Unresolved {
            message: format!("the variable `{name}` is not set"),
            help: Some(format!("set it, or write `${{{name}:-}}` for an empty text, `${{{name}:-default}}` for a default, `$${{{name}}}` for the text itself")),
        })?;
        out.push_str(value);
    } else if let Some(default) = operator.strip_prefix(":-") {
        out.push_str(filled.map_or(default, String::as_str));
    } else if let Some(message) = operator.strip_prefix(":?") {
        let message = if message.is_empty() { "it is not set, or empty" } else { message };
        let value = filled.ok_or_else(|| Unresolved {
            message: format!("the variable `{name}` is required: {message}"),
            help: None,
        })?;
        out.push_str(value);
    } else {
        return Err(malformed(inside, "only `${VAR}`, `${VAR:-default}` and `${VAR:?message}` are taken"));
    }
    Ok(rest)
}

fn malformed(inside: &str, why: &str) -> Unresolved {
    let shown: String = inside.chars().take(20).collect();
    Unresolved {
        message: format!("`${{{shown}` cannot be resolved: {why}"),
        help: Some("write `$${` where the program or its shell shall see `${`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn run(text: &str) -> Result<String, String> {
        let environment = [("A", "1"), ("EMPTY", ""), ("BAD", "${A}")];
        let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        interpolate(text, &environment).map(Cow::into_owned).map_err(|error| error.message)
    }

    #[test]
    fn every_form_resolves() {
        for (text, meant) in [
            ("x", "x"),
            ("${A}", "1"),
            ("a${A}b${A}", "a1b1"),
            ("${A:-2}", "1"),
            ("${U:-2}", "2"),
            ("${U:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-2}", "2"),
            ("${U:-a:b-c d}", "a:b-c d"),
            ("${A:?no}", "1"),
            ("$A $ $1 $(x)", "$A $ $1 $(x)"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$${A}", "$1"),
            ("${BAD}", "${A}"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn every_other_brace_is_refused() {
        for text in [
            "${",
            "${}",
            "${U}",
            "${A",
            "${A-1}",
            "${A:+1}",
            "${1}",
            "${A:-${U:-x}}",
            "${ A }",
            "${EMPTY:?m}",
            "${A#x}",
        ] {
            assert!(run(text).is_err(), "{text}");
        }
        assert!(run("${U:?say it}").unwrap_err().contains("say it"));
    }
}
