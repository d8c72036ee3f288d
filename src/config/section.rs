//! Maps with known keys: one declaration gives the type, its reading, its merging and its schema.
//!
//! In: a `section!` table. Out: a struct of settings. A new key is one line of such a table. Never add here:
//! knowledge of single keys.

use super::decode::{Decoder, Value};
use super::position::At;
use super::problem::{ProblemKind, quoted};
use super::tree::{NodeRef, Shape};
use super::words;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, json};
use std::borrow::Cow;

/// A map with known keys.
pub(super) trait Section: Value + Default {
    /// What it is called in tables of neighbours' words.
    const NAME: &'static str;
    /// The keys of this version.
    const KEYS: &'static [&'static str];
    /// Keys that are planned, but not built yet.
    const LATER: &'static [&'static str];
    /// What may stand there instead of a map.
    const SHORT: Short;
    /// Whether keys beginning `x-` are let through.
    const OPEN: bool;

    /// Reads one key; `false` if there is no such key.
    fn set(&mut self, key: &str, node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> bool;

    /// Which keys of each group of alternatives were given.
    fn alternatives(&self) -> Vec<Vec<(&'static str, At)>>;
}

/// What may stand for a section instead of a map.
#[derive(Debug, Clone, Copy)]
pub(super) enum Short {
    /// Nothing.
    No,
    /// A single value: that of this key.
    Scalar(&'static str),
    /// A single value or a list: that of this key.
    ScalarOrList(&'static str),
    /// The name of this key, which says `true` to it.
    Word(&'static str),
}

/// Reads a map with known keys, or the short form of it.
pub(super) fn decode<S: Section>(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<S> {
    let mut section = S::default();
    if !cx.visit(node) {
        return None;
    }
    match (node.shape, S::SHORT) {
        (Shape::Map(_), _) => {}
        (Shape::Scalar { .. }, Short::Scalar(short) | Short::ScalarOrList(short))
        | (Shape::Seq(_), Short::ScalarOrList(short)) => {
            section.set(short, node, cx);
            return Some(section);
        }
        (Shape::Scalar { .. }, Short::Word(word)) => return by_word(word, section, node, cx),
        (Shape::Null | Shape::Scalar { .. } | Shape::Seq(_), _) => {
            cx.wrong_shape(node, &accepts::<S>());
            return None;
        }
    }
    for (key, key_at, value) in node.entries() {
        cx.within(key, |cx| {
            if !section.set(key, value, cx) {
                unknown::<S>(key, key_at, cx);
            }
        });
    }
    for group in section.alternatives() {
        if let [first, second, ..] = group[..] {
            let message = format!("`{}` and `{}` cannot stand together", first.0, second.0);
            let help = Some("keep one of the two");
            cx.within(second.0, |cx| {
                cx.clash(ProblemKind::Conflict, second.1, message, help, (first.1, "the other one"));
            });
        }
    }
    Some(section)
}

/// What may stand there, for a sentence.
fn accepts<S: Section>() -> String {
    let map = format!("a map with the keys {}", words::list(S::KEYS));
    match S::SHORT {
        Short::No => map,
        Short::Scalar(short) | Short::ScalarOrList(short) => format!("a value for `{short}`, or {map}"),
        Short::Word(word) => format!("`{word}`, or {map}"),
    }
}

/// Reads a key's name that stands for the key with `true`.
fn by_word<S: Section>(
    word: &'static str,
    mut section: S,
    node: NodeRef<'_, '_>,
    cx: &mut Decoder<'_>,
) -> Option<S> {
    let scalar = cx.scalar(node, &accepts::<S>())?;
    if scalar.text == word {
        // YAML's own `true`, at the place of the word.
        let (tree, _) = super::parse::parse(0, "true");
        let mut yes = tree.document()?;
        yes.at = node.at;
        section.set(word, yes, cx);
        return Some(section);
    }
    // `http://…` is a short form of `http`, once there is one.
    let name = scalar.text.split(':').next().unwrap_or_default();
    if let Some(later) = S::LATER.iter().find(|later| **later == name) {
        let message = format!("`{later}` is not in this version of sppm; accepted is {}", accepts::<S>());
        cx.error(ProblemKind::NotInThisVersion, node.at, message, None);
        return None;
    }
    // Whatever else it is, there is no other word to write here.
    let help = words::suggest(S::NAME, &[word], &scalar.text)
        .filter(|help| help.contains(word) && scalar.text == scalar.written);
    cx.value(node, format!("{} is not accepted here; accepted is {}", scalar.shown(), accepts::<S>()), help);
    None
}

fn unknown<S: Section>(key: &str, at: At, cx: &mut Decoder<'_>) {
    if S::OPEN && key.starts_with("x-") {
        return;
    }
    if S::LATER.contains(&key) {
        let message = format!("{} is not in this version of sppm", quoted(key));
        let help = Some("remove it for now".to_owned());
        cx.error(ProblemKind::NotInThisVersion, at, message, help);
        return;
    }
    let meant = words::suggest(S::NAME, S::KEYS, key);
    meant.iter().for_each(|help| cx.hint(help));
    let help = meant.unwrap_or_else(|| format!("accepted are {}", words::list(S::KEYS)));
    cx.error(ProblemKind::UnknownKey, at, format!("there is no key {}", quoted(key)), Some(help));
}

/// One key as its schema needs it.
pub(super) struct KeySchema {
    pub(super) key: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) default: Option<serde_json::Value>,
    pub(super) examples: Option<serde_json::Value>,
    pub(super) schema: Schema,
}

/// The schema of a section.
pub(super) fn schema<S: Section>(
    doc: &[&str],
    keys: Vec<KeySchema>,
    generator: &mut SchemaGenerator,
) -> Schema {
    let variable = generator.subschema_for::<Variable>();
    let mut properties = Map::new();
    let mut short = None;
    for key in keys {
        match S::SHORT {
            Short::Scalar(name) | Short::ScalarOrList(name) if name == key.key => {
                short = Some(key.schema.clone());
            }
            Short::Word(name) if name == key.key => {
                short = Some(json_schema!({ "type": "string", "const": name }));
            }
            Short::No | Short::Scalar(_) | Short::ScalarOrList(_) | Short::Word(_) => {}
        }
        properties.insert(key.key.to_owned(), property(key, &variable));
    }
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if S::OPEN {
        object["patternProperties"] = json!({ "^x-": {} });
    }
    let mut whole = match short {
        Some(short) => json!({ "anyOf": [object, short] }),
        None => object,
    };
    whole["description"] = json!(text(doc));
    Schema::try_from(whole).unwrap_or_default()
}

/// A key's schema with what its line in the table says; `null` is accepted everywhere.
fn property(key: KeySchema, variable: &Schema) -> serde_json::Value {
    let typed = is_typed(&key.schema);
    let mut value = json!({ "anyOf": [key.schema, { "type": "null" }] });
    if typed && let Some(list) = value["anyOf"].as_array_mut() {
        list.push(json!(variable));
    }
    if let Some(single) = value["anyOf"][0]["type"].as_str().map(str::to_owned)
        && !typed
    {
        value = value["anyOf"][0].take();
        value["type"] = json!([single, "null"]);
    }
    // What the key says comes before what its type says.
    value["description"] = json!(text(key.doc));
    if let Some(default) = key.default {
        value["default"] = default;
    }
    if let Some(examples) = key.examples {
        value["examples"] = examples;
    }
    value
}

/// Whether a `${…}` would not fit a schema by itself, because it is no number and not one of a few words.
fn is_typed(schema: &Schema) -> bool {
    let text = serde_json::to_string(schema).unwrap_or_default();
    let mixed = schema.get("type").is_some_and(|kind| kind.is_array() || kind == "object");
    !mixed
        && !text.contains("$ref")
        && ["integer", "\"boolean\"", "\"number\"", "pattern", "const"].iter().any(|word| text.contains(word))
}

/// A `${…}` where something else than a text is wanted.
struct Variable;

impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Variable")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "[$][{]",
            "description": "A value with `${VAR}`: it is checked when the file is read."
        })
    }
}

/// Doc comment lines as one text: lines of a paragraph are joined.
fn text(doc: &[&str]) -> String {
    let mut out = String::new();
    for line in doc {
        let line = line.trim();
        if line.is_empty() {
            out.push_str("\n\n");
        } else {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push(' ');
            }
            out.push_str(line);
        }
    }
    out
}

/// Declares a section: `key: Type = default examples [...];` per line, doc comments become descriptions.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $name:ident $(short $short:ident)? $(short_or_list $listed:ident)? $(word $word:ident)? $(open $open:tt)? {
            $(
                $(#[doc = $key_doc:literal])*
                $key:ident : $type:ty $(= $default:tt)? $(, examples $examples:tt)? ;
            )*
        }
        later [$($later:literal),* $(,)?]
        $(one_of [$($alternative:ident),*])*
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub(in crate::config) struct $name {
            $($(#[doc = $key_doc])* pub(in crate::config) $key: $crate::config::decode::Setting<$type>,)*
        }

        impl $crate::config::section::Section for $name {
            const NAME: &'static str = stringify!($name);
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            const LATER: &'static [&'static str] = &[$($later),*];
            const SHORT: $crate::config::section::Short = section!(@first
                $($crate::config::section::Short::Scalar(stringify!($short)),)?
                $($crate::config::section::Short::ScalarOrList(stringify!($listed)),)?
                $($crate::config::section::Short::Word(stringify!($word)),)?
                $crate::config::section::Short::No);
            const OPEN: bool = section!(@first $($open,)? false);

            fn set(
                &mut self,
                key: &str,
                node: $crate::config::tree::NodeRef<'_, '_>,
                cx: &mut $crate::config::decode::Decoder<'_>,
            ) -> bool {
                match key {
                    $(stringify!($key) => self.$key = $crate::config::decode::Setting::decode(node, cx),)*
                    _ => return false,
                }
                true
            }

            fn alternatives(&self) -> Vec<Vec<(&'static str, $crate::config::position::At)>> {
                vec![$(
                    [$((stringify!($alternative), self.$alternative.at())),*]
                        .into_iter()
                        .filter_map(|(key, at)| at.map(|at| (key, at)))
                        .collect()
                ),*]
            }
        }

        impl $crate::config::decode::Value for $name {
            fn decode(
                node: $crate::config::tree::NodeRef<'_, '_>,
                cx: &mut $crate::config::decode::Decoder<'_>,
            ) -> Option<Self> {
                $crate::config::section::decode(node, cx)
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }

            section!(@layer over $name [$($key),*] $([$($alternative),*])*);
            section!(@layer complete $name [$($key),*] $([$($alternative),*])*);

            fn built_in(cx: &mut $crate::config::decode::Decoder<'_>) -> Option<Self> {
                Some(Self {
                    $($key: $crate::config::decode::Setting::built_in(
                        section!(@first $(Some(serde_json::json!($default)),)? None), cx),)*
                })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let keys = vec![$($crate::config::section::KeySchema {
                    key: stringify!($key),
                    doc: &[$($key_doc),*],
                    default: section!(@first $(Some(serde_json::json!($default)),)? None),
                    examples: section!(@first $(Some(serde_json::json!($examples)),)? None),
                    schema: <$type as $crate::config::decode::Value>::schema(generator),
                }),*];
                $crate::config::section::schema::<Self>(&[$($doc),*], keys, generator)
            }
        }
    };
    // Of alternatives, the nearest layer that says one of them says it for all.
    (@layer $layer:ident $name:ident [$($key:ident),*] $([$($alternative:ident),*])*) => {
        fn $layer(self, base: &Self) -> Self {
            let given: &[bool] = &[$($(self.$alternative.is_given(),)*)*];
            let claimed: &[bool] = &[$(false $(|| self.$alternative.is_given())*,)*];
            let (mut given, mut claimed) = (given.iter(), claimed.iter());
            let mut merged = Self { $($key: self.$key.$layer(&base.$key)),* };
            $(
                let claim = claimed.next() == Some(&true);
                $(if given.next() == Some(&false) && claim {
                    merged.$alternative = $crate::config::decode::Setting::Absent;
                })*
            )*
            // A section without alternatives leaves these untouched.
            let _ = (&mut merged, given.next(), claimed.next());
            merged
        }
    };
    (@first $first:expr $(, $rest:expr)*) => { $first };
}
pub(super) use section;
