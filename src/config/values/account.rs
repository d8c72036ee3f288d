//! `user` and `group`: names and numbers, whose existence is looked up at launch only.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::NodeRef;
use crate::model::Account;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Whether a text can be a user's or group's name or number (useradd(8) is stricter; directories are not).
pub(super) fn is_name(text: &str) -> bool {
    let numeric = text.bytes().all(|b| b.is_ascii_digit());
    // 2^32-1 means "no change" to the kernel, chown(2) and setresuid(2).
    let fits = !numeric || text.parse::<u32>().is_ok_and(|id| id != u32::MAX);
    let plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != ':' && c != '/');
    !text.is_empty() && fits && plain && !text.starts_with('-')
}

impl Value for Account {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a user, or `user:group`")?;
        let (user, group) = match scalar.text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (&*scalar.text, None),
        };
        if !is_name(user) || !group.is_none_or(is_name) {
            let message = format!(
                "{} is not a user; accepted are `user`, `user:group` and their numbers",
                scalar.shown()
            );
            cx.value(node, message, None);
            return None;
        }
        Some(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}
