//! The small store: keys with values and versions, bounded. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// So many keys at most.
pub(super) const KEYS: usize = 1024;
/// So many bytes of keys and values at most.
pub(super) const BYTES: usize = 1024 * 1024;

/// A value and the number of its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Counts the changes of a key from 1, and is never used twice for it, also after a deletion.
    pub version: u64,
    /// One line of text.
    pub data: Arc<str>,
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotDone {
    /// It has this version now, 0 for none.
    Changed(u64),
    /// There is no room.
    Full,
}

/// One change, as it is written down: its text is a line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change<'a> {
    Set {
        key: &'a str,
        version: u64,
        data: &'a str,
    },
    Deleted {
        key: &'a str,
        version: u64,
    },
    /// Keys whose deletion is forgotten had no version above this one.
    Floor(u64),
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { key, version, data } => write!(f, "set {key} {version} {data}"),
            Self::Deleted { key, version } => write!(f, "deleted {key} {version}"),
            Self::Floor(version) => write!(f, "floor {version}"),
        }
    }
}

impl<'a> Change<'a> {
    /// `None`: it is none.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "set" => {
                let mut parts = rest.splitn(3, ' ');
                let (key, version, data) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
                Some(Self::Set { key, version, data })
            }
            "deleted" => {
                let (key, version) = rest.split_once(' ')?;
                Some(Self::Deleted { key, version: version.parse().ok()? })
            }
            "floor" => Some(Self::Floor(rest.parse().ok()?)),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    values: BTreeMap<Box<str>, Value>,
    bytes: usize,
    /// The last versions of keys that were deleted, of as many as there may be keys.
    deleted: BTreeMap<Box<str>, u64>,
    /// No key that is in neither had a version above this one.
    floor: u64,
}

impl Store {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Those that begin with `prefix`, sorted.
    pub(super) fn list<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let from =
            self.values.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(key, value)| (&**key, value)).take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn check(&self, key: &str, expected: Option<u64>) -> Result<(), NotDone> {
        let now = self.get(key).map_or(0, |value| value.version);
        match expected {
            Some(expected) if expected != now => Err(NotDone::Changed(now)),
            Some(_) | None => Ok(()),
        }
    }

    /// Sets it, where it has the expected version (0: where there is none), and gives its new one.
    pub(super) fn set(&mut self, key: &str, data: &str, expected: Option<u64>) -> Result<u64, NotDone> {
        self.check(key, expected)?;
        let old = self.values.get(key);
        let freed = old.map_or(0, |old| key.len() + old.data.len());
        let bytes = self.bytes - freed + key.len() + data.len();
        if bytes > BYTES || (old.is_none() && self.values.len() >= KEYS) {
            return Err(NotDone::Full);
        }
        let last = old.map(|old| old.version).or_else(|| self.deleted.get(key).copied());
        let version = last.unwrap_or(self.floor) + 1;
        self.apply(&Change::Set { key, version, data });
        Ok(version)
    }

    /// Everything that there is, as changes that lead to it.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let values = self.values.iter();
        let values =
            values.map(|(key, value)| Change::Set { key, version: value.version, data: &value.data });
        let deleted = self.deleted.iter().map(|(key, version)| Change::Deleted { key, version: *version });
        std::iter::once(Change::Floor(self.floor)).chain(values).chain(deleted)
    }

    /// Makes a change that was made before.
    pub(super) fn apply(&mut self, change: &Change<'_>) {
        match *change {
            Change::Set { key, version, data } => {
                self.take_out(key);
                self.deleted.remove(key);
                self.bytes += key.len() + data.len();
                self.values.insert(key.into(), Value { version, data: data.into() });
            }
            Change::Deleted { key, version } => {
                self.take_out(key);
                self.forget(key.into(), version);
            }
            Change::Floor(version) => self.floor = self.floor.max(version),
        }
    }

    fn take_out(&mut self, key: &str) -> Option<(Box<str>, u64)> {
        let (key, value) = self.values.remove_entry(key)?;
        self.bytes -= key.len() + value.data.len();
        Some((key, value.version))
    }

    /// Which of those that are gone had how many changes is forgotten in the end; that none had more than the most is not.
    fn forget(&mut self, key: Box<str>, version: u64) {
        self.deleted.insert(key, version);
        if self.deleted.len() > KEYS {
            let most = std::mem::take(&mut self.deleted).into_values().max().unwrap_or(0);
            self.floor = self.floor.max(most);
        }
    }

    /// Removes it, where it has the expected version, and gives that. 0: there was none.
    pub(super) fn delete(&mut self, key: &str, expected: Option<u64>) -> Result<u64, NotDone> {
        self.check(key, expected)?;
        let Some((key, version)) = self.take_out(key) else { return Ok(0) };
        self.forget(key, version);
        Ok(version)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_and_are_never_used_twice() {
        let mut store = Store::default();
        assert_eq!(store.set("a", "x", None), Ok(1));
        assert_eq!(store.set("a", "y", Some(1)), Ok(2));
        assert_eq!(store.set("a", "z", Some(1)), Err(NotDone::Changed(2)));
        assert_eq!(store.set("a", "z", Some(0)), Err(NotDone::Changed(2)));
        assert_eq!(store.delete("a", Some(1)), Err(NotDone::Changed(2)));
        assert_eq!(store.delete("a", Some(2)), Ok(2));
        assert_eq!(store.delete("a", None), Ok(0));
        assert_eq!(store.set("a", "x", Some(0)), Ok(3), "not 1 again");
        store.delete("a", None).unwrap();
        for number in 0..=KEYS {
            store.set("other", "x", None).unwrap();
            let key = format!("k{number}");
            store.set(&key, "x", None).unwrap();
            store.delete(&key, None).unwrap();
        }
        assert!(store.deleted.len() <= KEYS);
        assert!(store.set("a", "x", Some(0)).unwrap() > 3, "not after its deletion was forgotten either");
        assert!(store.set("k7", "x", None).unwrap() > 1);
    }

    #[test]
    fn it_is_bounded_in_keys_and_bytes() {
        let mut store = Store::default();
        for number in 0..KEYS {
            store.set(&number.to_string(), "", None).unwrap();
        }
        assert_eq!(store.set("one-more", "", None), Err(NotDone::Full));
        assert_eq!(store.set("7", "again", None), Ok(2));
        store.delete("8", None).unwrap();
        assert_eq!(store.set("one-more", "", None), Ok(1));
        let mut store = Store::default();
        let long = "x".repeat(60_000);
        let stored =
            (0..KEYS).take_while(|number| store.set(&format!("k{number:04}"), &long, None).is_ok()).count();
        assert_eq!(stored, BYTES / 60_005);
        assert!(store.set("k0000", "short", None).is_ok() && store.set("new", &long, None).is_ok());
        for number in 0..stored {
            store.delete(&format!("k{number:04}"), None).unwrap();
        }
        store.delete("new", None).unwrap();
        assert_eq!(store.bytes, 0);
    }

    #[test]
    fn a_prefix_lists_what_begins_with_it() {
        let mut store = Store::default();
        for key in ["a", "jobs/2", "jobs/1", "jobs", "k"] {
            store.set(key, "x", None).unwrap();
        }
        let keys = |prefix: &str| store.list(prefix).map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
        assert_eq!(keys("jobs"), ["jobs", "jobs/1", "jobs/2"]);
        assert_eq!(keys("").len(), 5);
        assert_eq!(keys("z"), [""; 0]);
    }
}
