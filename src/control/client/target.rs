//! The paths that the command asks for, percent-encoded.

use std::time::Duration;

/// A path with its query, percent-encoded (RFC 3986, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// A path without a query, taken as it is.
    pub fn path(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(key);
        self.0.push('=');
        self.encode(value);
        self
    }

    fn encode(&mut self, value: &str) {
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.0.push(char::from(byte));
                }
                other => self.0.push_str(&format!("%{other:02X}")),
            }
        }
    }

    fn names(self, names: &[String]) -> Self {
        names.iter().fold(self, |target, name| target.with("name", name))
    }

    /// As it stands in the request's first line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The status of what is named; of all without names.
pub fn status(names: &[String]) -> Target {
    Target::path("/v1/status").names(names)
}

/// The same with what an overview shows alone.
pub fn brief_status(names: &[String]) -> Target {
    status(names).with("brief", "true")
}

/// Waits until what is named has come to rest, at most so long.
pub fn settle(names: &[String], wait: Duration) -> Target {
    Target::path("/v1/settle").names(names).with("wait_ms", &wait.as_millis().to_string())
}

/// Log lines; `lines` = `None` is all that there are.
pub fn logs(names: &[String], lines: Option<u32>, follow: bool) -> Target {
    let lines = lines.map_or_else(|| "all".to_owned(), |number| number.to_string());
    Target::path("/v1/logs").names(names).with("lines", &lines).with("follow", &follow.to_string())
}

/// Events; behind number `after`, else only what comes.
pub fn events(names: &[String], after: Option<u64>) -> Target {
    let target = Target::path("/v1/events").names(names);
    match after {
        Some(number) => target.with("after", &number.to_string()),
        None => target,
    }
}

/// The last entries of the journal; `None` is all that there are.
pub fn history(names: &[String], lines: Option<u32>) -> Target {
    let lines = lines.map_or_else(|| "all".to_owned(), |number| number.to_string());
    Target::path("/v1/history").names(names).with("lines", &lines)
}

/// Why a program is as it is. The name is one segment of the path, whatever is in it.
pub fn why(name: &str) -> Target {
    let mut target = Target::path("/v1/why/");
    target.encode(name);
    target
}

/// Messages of these topics or patterns; none = all.
pub fn messages(topics: &[String]) -> Target {
    topics.iter().fold(Target::path("/v1/messages"), |target, topic| target.with("topic", topic))
}

/// The keys of the store that begin with `prefix`.
pub fn keys(prefix: &str) -> Target {
    Target::path("/v1/kv").with("prefix", prefix)
}

/// A key of the store; where it has this version, if one is given.
pub fn key(key: &str, version: Option<u64>) -> Target {
    let mut target = Target::path("/v1/kv/");
    target.encode(key);
    match version {
        Some(version) => target.with("if_version", &version.to_string()),
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded() {
        let names = ["@a b".to_owned(), "w*&=#é".to_owned()];
        assert_eq!(status(&names).as_str(), "/v1/status?name=%40a%20b&name=w%2A%26%3D%23%C3%A9");
        assert_eq!(why("../a b").as_str(), "/v1/why/..%2Fa%20b");
    }
}
