//! The small store that all programs of a supervisor share. Without a supervisor: this process's own memory.

use super::wire::{self, Answer, ChannelError};
use super::{Channel, locked};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A value and the number of its change: 1, 2, … for each key, never used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Which change of the key it is.
    pub version: u64,
    /// The value: one line of text. A Python program stores JSON.
    pub data: String,
}

/// The store of a program without a supervisor, with the same answers.
#[derive(Debug, Default)]
pub(super) struct Local {
    inner: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    values: BTreeMap<String, Versioned>,
    versions: BTreeMap<String, u64>,
}

impl Local {
    fn get(&self, key: &str) -> Option<Versioned> {
        locked(&self.inner).values.get(key).cloned()
    }

    /// `None`: another version than `expected` is there.
    fn put(&self, key: &str, data: &str, expected: Option<u64>) -> Option<u64> {
        let mut keys = locked(&self.inner);
        let now = keys.values.get(key).map_or(0, |found| found.version);
        if expected.is_some_and(|expected| expected != now) {
            return None;
        }
        let version = keys.versions.entry(key.to_owned()).or_default();
        *version += 1;
        let version = *version;
        keys.values.insert(key.to_owned(), Versioned { version, data: data.to_owned() });
        Some(version)
    }

    fn delete(&self, key: &str) -> bool {
        locked(&self.inner).values.remove(key).is_some()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        locked(&self.inner).values.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

/// The shared store: a few small values (1,024 keys, 1 MiB in all) in the supervisor's memory, that do not outlive its
/// shutdown. Each look asks the supervisor. Without one the store is this channel's own.
///
/// ```
/// # fn main() -> Result<(), sppm::client::ChannelError> {
/// let channel = sppm::client::Channel::open();
/// channel.set("pages/next", "7")?;
/// let next = channel.change("pages/next", |old| (old.map_or(0, |n| n.parse().unwrap_or(0)) + 1).to_string())?;
/// assert_eq!(next, "8");
/// assert_eq!(channel.keys("pages/")?, ["pages/next"]);
/// # Ok(())
/// # }
/// ```
impl Channel {
    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// Where it is no key, or the supervisor does not answer.
    pub fn get(&self, key: &str) -> Result<Option<Versioned>, ChannelError> {
        let key = wire::name(key)?;
        let Some(connection) = self.connection() else { return Ok(self.local().get(key)) };
        match connection.ask(&format!("get {key}"), "value", true, self.timeout())? {
            Answer::Good(text) => {
                let (version, data) = text.split_once(' ').unwrap_or((&text, ""));
                Ok(Some(Versioned { version: wire::number(version)?, data: data.to_owned() }))
            }
            Answer::Nothing | Answer::Changed => Ok(None),
        }
    }

    /// Sets a key and answers its new version.
    ///
    /// # Errors
    /// Where it is no key, the data is too large or has a line break, the store is full, or nobody answers.
    pub fn set(&self, key: &str, data: &str) -> Result<u64, ChannelError> {
        let (key, data) = (wire::name(key)?, wire::data(data)?);
        let Some(connection) = self.connection() else {
            return Ok(self.local().put(key, data, None).unwrap_or_default());
        };
        good(connection.ask(&format!("set {key} {data}"), "ok", true, self.timeout())?)
    }

    /// Sets a key where its version is still `version` (0: there is none); its new version, or `None`: it has changed.
    ///
    /// # Errors
    /// As [`set`](Self::set). Where the connection breaks before the answer, it may have been set or not.
    pub fn compare_and_set(&self, key: &str, version: u64, data: &str) -> Result<Option<u64>, ChannelError> {
        let (key, data) = (wire::name(key)?, wire::data(data)?);
        let Some(connection) = self.connection() else {
            return Ok(self.local().put(key, data, Some(version)));
        };
        match connection.ask(&format!("cas {key} {version} {data}"), "ok", false, self.timeout())? {
            Answer::Changed => Ok(None),
            answer => good(answer).map(Some),
        }
    }

    /// Sets a key to what `function` makes of its value, again as long as another was faster; answers what it set.
    ///
    /// # Errors
    /// As [`compare_and_set`](Self::compare_and_set).
    pub fn change(
        &self,
        key: &str,
        mut function: impl FnMut(Option<&str>) -> String,
    ) -> Result<String, ChannelError> {
        loop {
            let found = self.get(key)?;
            let data = function(found.as_ref().map(|found| found.data.as_str()));
            let version = found.map_or(0, |found| found.version);
            if self.compare_and_set(key, version, &data)?.is_some() {
                return Ok(data);
            }
        }
    }

    /// Removes a key; false: there was none.
    ///
    /// # Errors
    /// Where it is no key, or the supervisor does not answer.
    pub fn delete(&self, key: &str) -> Result<bool, ChannelError> {
        let key = wire::name(key)?;
        let Some(connection) = self.connection() else { return Ok(self.local().delete(key)) };
        let answer = connection.ask(&format!("del {key}"), "ok", true, self.timeout())?;
        Ok(matches!(answer, Answer::Good(_)))
    }

    /// The keys that begin with `prefix`, which may be empty, sorted.
    ///
    /// # Errors
    /// Where no key can begin so, or the supervisor does not answer.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>, ChannelError> {
        let prefix = if prefix.is_empty() { prefix } else { wire::name(prefix)? };
        let Some(connection) = self.connection() else { return Ok(self.local().keys(prefix)) };
        match connection.ask(format!("keys {prefix}").trim_end(), "keys", true, self.timeout())? {
            Answer::Good(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
            Answer::Nothing | Answer::Changed => Ok(Vec::new()),
        }
    }
}

/// The version in a good answer.
fn good(answer: Answer) -> Result<u64, ChannelError> {
    match answer {
        Answer::Good(text) => wire::number(&text),
        Answer::Nothing | Answer::Changed => {
            Err(ChannelError::Usage("the supervisor has not set it".to_owned()))
        }
    }
}
