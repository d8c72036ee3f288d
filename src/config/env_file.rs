//! Files with variables, in a dialect of our own that is a plain subset of what others read.
//!
//! One `NAME=value` per line. `export ` before it is skipped. Lines that are empty or begin with `#` do not
//! count, nor does ` #` and what follows it behind a value without quotes. Single quotes: taken as it is.
//! Double quotes: `\n`, `\t`, `\r`, `\"`, `\\`, `\$` stand for what they do in shells. No value spans lines,
//! and nothing is replaced in it: `$X` is `$X`.
//!
//! In: text. Out: names and values, or which bytes are wrong. Never add here: a message that shows a value.

use std::ops::Range;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) span: Range<usize>,
    pub(super) message: &'static str,
}

/// Reads a file: the variables in its order, and what is wrong.
pub(super) fn parse(text: &str) -> (Vec<(String, String)>, Vec<BadLine>) {
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let start = offset;
        offset += raw.len();
        let line = raw.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match variable(line) {
            Ok(variable) => variables.push(variable),
            Err(message) => bad.push(BadLine { span: start..start + raw.trim_end().len(), message }),
        }
    }
    (variables, bad)
}

fn variable(line: &str) -> Result<(String, String), &'static str> {
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => line,
    };
    let (name, value) = line.split_once('=').ok_or("a line must be NAME=value")?;
    let name = name.trim_end();
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        return Err("a name has letters, digits and `_`, and does not begin with a digit");
    }
    let value = value.trim();
    let value = match value.chars().next() {
        Some('\'') => single(&value[1..])?,
        Some('"') => double(&value[1..])?,
        Some('#') => String::new(),
        _ => value
            .find(" #")
            .or_else(|| value.find("\t#"))
            .map_or(value, |at| &value[..at])
            .trim_end()
            .to_owned(),
    };
    match value.contains('\0') {
        true => Err("a value may not hold a NUL character"),
        false => Ok((name.to_owned(), value)),
    }
}

fn single(rest: &str) -> Result<String, &'static str> {
    let (value, after) = rest.split_once('\'').ok_or(UNCLOSED)?;
    end(after)?;
    Ok(value.to_owned())
}

fn double(rest: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => {
                end(&rest[index + 1..])?;
                return Ok(value);
            }
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(c @ ('"' | '\\' | '$')) => value.push(c),
                Some(_) => return Err("after a backslash in double quotes stands one of n t r \" \\ $"),
                None => return Err(UNCLOSED),
            },
            c => value.push(c),
        }
    }
    Err(UNCLOSED)
}

const UNCLOSED: &str = "the quote is not closed on its line";

fn end(after: &str) -> Result<(), &'static str> {
    let after = after.trim_start();
    match after.is_empty() || after.starts_with('#') {
        true => Ok(()),
        false => Err("nothing but a comment may follow the closing quote"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_reads_what_it_says() {
        for (line, name, value) in [
            ("A=1", "A", "1"),
            ("export A=1", "A", "1"),
            ("A = 1 # no", "A", "1"),
            ("A=a#b", "A", "a#b"),
            ("A=", "A", ""),
            ("A= # no", "A", ""),
            ("A='$x \"y\" # z'", "A", "$x \"y\" # z"),
            (r#"A="a\n\"b\" \$c" # d"#, "A", "a\n\"b\" $c"),
            ("A=${B}", "A", "${B}"),
            ("export=1", "export", "1"),
            ("A=b=c", "A", "b=c"),
            ("\u{feff}A=1\r", "A", "1"),
        ] {
            assert_eq!(parse(line), (vec![(name.to_owned(), value.to_owned())], vec![]), "{line}");
        }
        for line in ["A", "1A=x", "A-B=x", "A='x", "A=\"x", "A='x'y", "A=\"\\q\"", "=x", "A=\0"] {
            let (variables, bad) = parse(line);
            assert!(variables.is_empty() && bad.len() == 1, "{line}");
        }
        let (variables, bad) = parse("# c\n\nA=1\nbad\nB=2");
        assert_eq!((variables.len(), bad[0].span.clone()), (2, 9..12));
    }
}
