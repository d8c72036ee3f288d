//! Lists, and maps that are read one entry at a time.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::{NodeId, NodeRef, Shape};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::marker::PhantomData;

/// A list, or a single value that stands for a list of one.
#[derive(Debug, Clone)]
pub(in crate::config) struct OneOrMany<T>(pub(in crate::config) Vec<T>);

impl<T: Value> Value for OneOrMany<T> {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let Shape::Seq(len) = node.shape else {
            return Some(Self(vec![T::decode(node, cx)?]));
        };
        if !cx.visit(node) {
            return None;
        }
        let mut values = Vec::with_capacity(len as usize);
        for (index, item) in node.items().enumerate() {
            values.extend(cx.within_item(index, |cx| T::decode(item, cx)));
        }
        (values.len() == len as usize).then_some(Self(values))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let item = T::schema(generator);
        json_schema!({ "anyOf": [{ "type": "array", "items": item }, item] })
    }
}

/// A map of names to values of one sort that is read later, one value at a time: 50,000 programs would not
/// fit in memory together with all that each leaves unsaid.
#[derive(Debug, Clone)]
pub(in crate::config) struct Deferred<T> {
    pub(in crate::config) map: NodeId,
    what: PhantomData<T>,
}

impl<T: Value> Value for Deferred<T> {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        match node.shape {
            Shape::Map(_) => Some(Self { map: node.id, what: PhantomData }),
            Shape::Null | Shape::Scalar { .. } | Shape::Seq(_) => {
                cx.wrong_shape(node, "a map of names, each with its keys");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let item = T::schema(generator);
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", "not": { "const": "all" } },
            "additionalProperties": item
        })
    }
}
