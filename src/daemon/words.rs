//! The one line of a program's last output that says most, for a sentence.

use crate::logs::KEPT;

/// So long a line may get in a sentence, in characters.
const LONGEST: usize = 120;

/// Words of lines that name a cause: the system's own first, then what programs call their failures.
const TELLING: [&[&str]; 2] = [
    &[
        "address already in use",
        "eaddrinuse",
        "too many open files",
        "emfile",
        "no space left on device",
        "enospc",
        "cannot allocate memory",
        "out of memory",
        "permission denied",
        "no such file or directory",
        "connection refused",
    ],
    &["error", "fatal", "exception", "panic:"],
];

/// What comes after the cause and says nothing of it.
const SILENT: [&str; 3] = ["note: run with `rust_backtrace", "node.js v", "exit status "];

/// The line, without colours, as far as there is one.
pub(super) fn telling_line(last: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(last);
    let mut lines: Vec<String> =
        text.lines().map(plain).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    // What is cut off in front is no line.
    if last.len() >= KEPT && lines.len() > 1 {
        lines.remove(0);
    }
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    let has = |words: &[&str]| lower.iter().rposition(|line| words.iter().any(|word| line.contains(word)));
    let speaks = || lower.iter().rposition(|line| !SILENT.iter().any(|start| line.starts_with(start)));
    let at = TELLING.iter().find_map(|words| has(words)).or_else(speaks)?;
    lines.get(at).map(|line| shortened(line))
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Without escape sequences (ECMA-48: CSI, and two-byte ones) and other control characters.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    // Up to the final byte.
                    chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        telling_line(text.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn the_line_that_names_the_cause_is_found_in_the_output_of_many_languages() {
        for (output, line) in [
            ("Traceback (most recent call last):\n  File \"x.py\"\nKeyError: 'DB'\n", "KeyError: 'DB'"),
            (
                "Error: listen EADDRINUSE: address already in use :::80\n    at Server.setup\n  code: 1\n}\n\nNode.js v18.0.0\n",
                "Error: listen EADDRINUSE: address already in use :::80",
            ),
            (
                "thread 'main' panicked at src/main.rs:2:5:\nboom\nnote: run with `RUST_BACKTRACE=1` environment\n",
                "boom",
            ),
            (
                "panic: runtime index\n\ngoroutine 1 [running]:\nmain.go:7 +0x1d\nexit status 2\n",
                "panic: runtime index",
            ),
            ("reading\n\u{1b}[31mdone \u{1b}[0mfor good\u{7}\n\n", "done for good"),
        ] {
            assert_eq!(said(output), line);
        }
        assert_eq!(telling_line(b""), None);
        assert_eq!(telling_line(b" \n\n"), None);
    }

    #[test]
    fn a_long_line_is_cut_and_the_rest_of_one_is_none() {
        assert_eq!(said(&"é".repeat(300)).chars().count(), LONGEST + 1);
        let long = format!("{}\nlast", "x".repeat(KEPT));
        let tail = &long.as_bytes()[long.len() - KEPT..];
        assert_eq!(telling_line(tail).as_deref(), Some("last"));
    }
}
