//! The JSON Schema of `sppm.yaml`, from the same tables that read it.
//!
//! In: nothing. Out: a text. Never add here: knowledge of keys.

use super::document::Root;
use schemars::generate::SchemaSettings;

/// Draft-07, which is what the editors' YAML server knows; pretty, with a final newline.
pub(super) fn schema() -> String {
    let mut root = SchemaSettings::draft07().into_generator().into_root_schema_for::<Root>();
    root.insert("title".to_owned(), "sppm.yaml".into());
    // Values that are JSON by birth: writing them as text cannot fail.
    let mut text = serde_json::to_string_pretty(&root).unwrap_or_default();
    text.push('\n');
    text
}
