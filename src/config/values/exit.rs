//! Exit codes and signals that an exit is compared with.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::NodeRef;
use crate::config::values::OneOrMany;
use crate::model::{ExitMatch, Signal};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Exit codes and signals.
pub(in crate::config) type Codes = OneOrMany<ExitMatch>;

impl Value for ExitMatch {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "an exit code or a signal")?;
        if let Ok(code) = scalar.text.parse() {
            return Some(Self::Code(code));
        }
        let number = scalar.text.parse::<i128>().is_ok();
        if let (false, Ok(signal)) = (number, scalar.text.parse::<Signal>()) {
            return Some(Self::Signal(signal));
        }
        let message =
            format!("{} is neither an exit code from 0 to 255 nor a signal such as SIGTERM", scalar.shown());
        cx.value(node, message, None);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 255 },
            { "type": "string" }
        ] })
    }
}
