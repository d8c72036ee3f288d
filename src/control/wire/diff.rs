//! What a reload changes, program by program and key by key; secrets are hidden here, by name, once for all.

use serde::{Deserialize, Serialize};

/// `GET /v1/diff` (what a reload would do) and `POST /v1/reload` (what it does).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffDto {
    /// One entry for each program that changes, by name.
    pub changes: Vec<ChangeDto>,
    /// Keys of `supervisor:` that differ and take effect at once.
    #[serde(default)]
    pub supervisor: Vec<String>,
    /// Keys of `supervisor:` that differ and need a restart of sppm itself.
    pub needs_restart_of_sppm: Vec<String>,
    /// The plan that runs (diff), or the one that was just accepted (reload).
    pub generation: u64,
    /// Warnings of the check, a line each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What happens to one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeDto {
    /// Its name.
    pub program: String,
    /// The strongest thing that happens to it.
    pub change: ChangeKind,
    /// The keys that differ, by path; empty for start and stop.
    pub keys: Vec<KeyChangeDto>,
}

/// What a change costs the program, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Nothing is interrupted.
    Live,
    /// Some instances come or go; the others stay.
    Scale,
    /// It is new.
    Start,
    /// It is stopped and started.
    Restart,
    /// It is no longer in the file.
    Stop,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChangeDto {
    /// Path below the program: `stop.timeout`, `environment.LANG`.
    pub key: String,
    /// As it was; null where it was not set. `***` for a secret.
    pub old: Option<String>,
    /// As it will be; null where it is removed. `***` for a secret.
    pub new: Option<String>,
}

impl ChangeKind {
    /// As written in JSON and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Scale => "scale",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Stop => "stop",
        }
    }
}

impl KeyChangeDto {
    /// Takes a key and its two values, and hides the values if the key's last part names a secret.
    pub fn new(key: impl Into<String>, old: Option<String>, new: Option<String>) -> Self {
        let key = key.into();
        let hide = |value: Option<String>, secret: bool| match secret {
            true => value.map(|_| "***".to_owned()),
            false => value,
        };
        let secret = is_secret(key.rsplit('.').next().unwrap_or(&key));
        Self { old: hide(old, secret), new: hide(new, secret), key }
    }
}

/// Whether a variable of that name is expected to hold a secret: `*KEY*`, `*TOKEN*`, `*SECRET*`, `*PASSWORD*`
/// in any case.
pub fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_by_name() {
        let value = |text: &str| Some(text.to_owned());
        let hidden = KeyChangeDto::new("environment.API_key", value("a"), None);
        assert_eq!((hidden.old.as_deref(), hidden.new.as_deref()), (Some("***"), None));
        let shown = KeyChangeDto::new("environment.LANG", value("C"), value("de"));
        assert_eq!((shown.old.as_deref(), shown.new.as_deref()), (Some("C"), Some("de")));
    }
}
