//! Names of topics and keys, and patterns of topics. Pure.

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// Whether this can be the name of a topic or a key: `[A-Za-z0-9][A-Za-z0-9._/-]{0,127}`.
pub fn is_name(text: &str) -> bool {
    has_form(text, |byte| byte.is_ascii_alphanumeric(), |byte| byte.is_ascii_alphanumeric() || inner(byte))
}

fn inner(byte: u8) -> bool {
    matches!(byte, b'.' | b'_' | b'/' | b'-')
}

fn has_form(text: &str, first: impl Fn(u8) -> bool, rest: impl Fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [head, tail @ ..] => text.len() <= LONGEST && first(*head) && tail.iter().all(|byte| rest(*byte)),
        [] => false,
    }
}

/// A topic, or one with `*` for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Takes a pattern. `None`: it is none, it could match no topic that there can be.
    pub fn new(text: &str) -> Option<Self> {
        let free = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'*';
        has_form(text, free, |byte| free(byte) || inner(byte)).then(|| Self(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches a topic. What stands between two stars is looked for from left to right and never again, so that no
    /// pattern takes long.
    pub fn matches(&self, topic: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else { return *self.0 == *topic };
        let Some(mut rest) = topic.strip_prefix(head) else { return false };
        let mut parts = tail.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_protocol_says() {
        for good in ["a", "7", "jobs/new", "a.b_c-d/", &"x".repeat(128)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".a", "/a", "-", "a b", "a*", "ä", "a\n", &"x".repeat(129)] {
            assert!(!is_name(bad), "{bad}");
            assert!(bad == "a*" || Pattern::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, topic, wanted) in [
            ("*", "jobs/new", true),
            ("jobs/*", "jobs/new", true),
            ("jobs/*", "jobs/", true),
            ("jobs/*", "jobs", false),
            ("*/new", "jobs/a/new", true),
            ("*new", "news", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbXbYc", true),
            ("a*b*c", "acb", false),
            ("a**", "a", true),
            ("a*a", "a", false),
            ("jobs", "jobs", true),
            ("jobs", "jobs2", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(topic), wanted, "{pattern} {topic}");
        }
    }
}
