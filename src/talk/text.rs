//! Texts that programs send: made harmless in length.

/// How much of something unknown is kept, in bytes.
const BEGINNING: usize = 64;

/// The longest name of a topic, in bytes.
const MAX_TOPIC: usize = 128;

/// The beginning of what was not understood.
pub(super) fn beginning(bytes: &[u8]) -> String {
    let cut = bytes.get(..BEGINNING).unwrap_or(bytes);
    String::from_utf8_lossy(cut).trim_end_matches('\u{fffd}').to_owned()
}

/// A topic's name, if it is one: `[A-Za-z0-9][A-Za-z0-9._/-]{0,127}`.
pub(super) fn topic(name: &str) -> Option<String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    let good = name.len() <= MAX_TOPIC
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(inner);
    good.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_follow_their_pattern_and_beginnings_are_short() {
        for good in ["a", "0/b-c_d.e", &"x".repeat(128)] {
            assert_eq!(topic(good).as_deref(), Some(good));
        }
        for bad in ["", "/a", "a b", "a*", "ä", &"x".repeat(129)] {
            assert_eq!(topic(bad), None, "{bad}");
        }
        assert_eq!(beginning(b"abc"), "abc");
        assert_eq!(beginning("ü".repeat(100).as_bytes()), "ü".repeat(32));
        assert_eq!(beginning(format!("x{}", "ü".repeat(100)).as_bytes()).len(), 63);
    }
}
