//! Texts with placeholders that are filled at launch.

use super::{InstanceLabel, Slot};
use std::fmt;

/// A text in which `{instance}` and `{index}` stand for what is known only at launch.
///
/// Specs are compared as templates, before anything is filled in: that `web` becomes `web.1` is no change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(String);

impl Template {
    /// Takes a text with or without placeholders.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written, placeholders unfilled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two instances get two different texts.
    pub fn differs_by_instance(&self) -> bool {
        self.0.contains("{instance}") || self.0.contains("{index}")
    }

    /// The text for one instance. Any other brace stays as it is.
    pub fn fill(&self, slot: &Slot, label: &InstanceLabel) -> String {
        if !self.differs_by_instance() {
            return self.0.clone();
        }
        self.0.replace("{instance}", label.as_str()).replace("{index}", &slot.index.to_string())
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
