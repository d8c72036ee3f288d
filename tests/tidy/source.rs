//! Looks at Rust source without parsing it: blanks comments and literals, cuts test modules, finds functions.
//!
//! Lines and columns stay where they are, so that complaints can name them.

/// `text` with comments, strings and characters replaced by blanks. Newlines stay.
pub(crate) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("only whole literals were blanked")
}

/// Where the comment or literal that begins at `at` ends; `at` itself where none begins.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return block_comment_end(bytes, at);
    }
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if !after_word {
        let skip = rest.iter().take_while(|&&b| matches!(b, b'b' | b'c' | b'r')).count();
        let hashes = rest[skip..].iter().take_while(|&&b| b == b'#').count();
        if rest[..skip].contains(&b'r') && rest.get(skip + hashes) == Some(&b'"') {
            return raw_string_end(bytes, at + skip + hashes + 1, hashes);
        }
    }
    match rest[0] {
        b'"' => quoted_end(bytes, at, b'"'),
        // A lifetime has no closing quote after one character.
        b'\'' if rest.get(1) == Some(&b'\\') => quoted_end(bytes, at, b'\''),
        b'\'' => {
            let width = rest[1..].iter().take(5).position(|&b| b == b'\'');
            let one_character = width.is_some_and(|w| {
                w > 0 && std::str::from_utf8(&rest[1..=w]).is_ok_and(|t| t.chars().count() == 1)
            });
            if one_character { at + width.unwrap_or(0) + 2 } else { at }
        }
        _ => at,
    }
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = at;
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if bytes[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], from: usize, hashes: usize) -> usize {
    let mut end = vec![b'"'];
    end.extend(std::iter::repeat_n(b'#', hashes));
    (from..bytes.len()).find(|&i| bytes[i..].starts_with(&end)).map_or(bytes.len(), |i| i + end.len())
}

fn quoted_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b if b == quote => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// Blanked code with every `#[cfg(test)]` item blanked too.
pub(crate) fn shipped(text: &str) -> String {
    let mut code = code(text);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = item_end(&code, start + "#[cfg(test)]".len());
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    code
}

/// The end of the item that begins at `from`: its `;`, or the brace that closes it.
fn item_end(code: &str, from: usize) -> usize {
    let rest = &code[from..];
    match rest.find(['{', ';']) {
        Some(i) if rest.as_bytes()[i] == b'{' => closing(code, from + i),
        Some(i) => from + i + 1,
        None => code.len(),
    }
}

/// Just after the brace that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The number of the line that byte `at` is on, from 1.
pub(crate) fn line(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1
}

/// Where `word` stands by itself in `text`.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = text.as_bytes();
        !part(at.checked_sub(1).and_then(|i| bytes.get(i))) && !part(bytes.get(at + word.len()))
    })
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    let text = "let a = \"unsafe \\\" {\"; // unsafe\n/* { /* } */ */ let b: &'a u8 = '{'; r#\"}\"# 'x' '\\'' br\"}\" end";
    let code = code(text);
    assert_eq!(code.len(), text.len());
    assert!(!code.contains("unsafe") && !code.contains('{') && !code.contains('}'), "{code}");
    assert!(code.contains("let b: &'a u8 =") && code.ends_with("end"), "{code}");
}

#[test]
fn test_items_are_cut_with_their_braces() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { } }\nfn c() {}\n#[cfg(test)]\nmod other;\nfn d() {}";
    let code = shipped(text);
    assert!(code.contains("fn a") && code.contains("fn c") && code.contains("fn d"), "{code}");
    assert!(!code.contains("fn b") && !code.contains("other"), "{code}");
}
