//! Text of others, harmless on a terminal.

use std::fmt::Write as _;

/// Text of others with everything that a terminal would obey made visible: `^[` for escape, `<U+202E>` for
/// characters that turn the writing direction. Tabs stay.
pub(in crate::cli) fn visible(text: &str) -> String {
    // Most texts are harmless as they are.
    if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push('\t'),
            '\u{0}'..='\u{1f}' => {
                out.push('^');
                out.push(char::from(c as u8 + 0x40));
            }
            '\u{7f}' => out.push_str("^?"),
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}

/// The first `width` characters; a cut is marked.
pub(in crate::cli) fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(visible("a\x1b[31mb\r\0\x7f\tc"), "a^[[31mb^M^@^?\tc");
        assert_eq!(visible("\u{9b}31m \u{202e}x é ✓"), "<U+009B>31m <U+202E>x é ✓");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
