//! Whole numbers, ratios and limits.

use crate::config::decode::{Decoder, Scalar, Value};
use crate::config::tree::NodeRef;
use crate::model::{ByteSize, PerMille};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Whole<const MIN: i64, const MAX: i64>(pub(in crate::config) i64);

/// A number of something that cannot be negative.
pub(in crate::config) type Count = Whole<0, { u32::MAX as i64 }>;

impl<const MIN: i64, const MAX: i64> Value for Whole<MIN, MAX> {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = format!("a whole number from {MIN} to {MAX}");
        let scalar = cx.scalar(node, &accepts)?;
        whole(node, cx, &scalar, MIN, MAX, &accepts).map(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

fn whole(
    node: NodeRef<'_, '_>,
    cx: &mut Decoder<'_>,
    scalar: &Scalar<'_>,
    min: i64,
    max: i64,
    accepts: &str,
) -> Option<i64> {
    let number = scalar.text.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
    match number {
        Some(number) if scalar.typed => Some(number),
        _ => {
            let help = number.map(|_| "write it without quotes".to_owned());
            cx.value(node, format!("{} is not {accepts}", scalar.shown()), help);
            None
        }
    }
}

/// `instances`: a number, or one per CPU.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum CpuCount {
    /// As many as the machine has CPUs.
    Auto,
    /// So many.
    Count(u32),
}

/// The most instances of one program.
const MAX_INSTANCES: i64 = 10_000;

impl Value for CpuCount {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = format!("a whole number from 0 to {MAX_INSTANCES}, or `auto` for one per CPU");
        let scalar = cx.scalar(node, &accepts)?;
        if scalar.text == "auto" {
            return Some(Self::Auto);
        }
        let count = whole(node, cx, &scalar, 0, MAX_INSTANCES, &accepts)?;
        u32::try_from(count).ok().map(Self::Count)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": MAX_INSTANCES },
            { "type": "string", "const": "auto" }
        ] })
    }
}

/// A ratio of 0 to 100 percent.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Percent(pub(in crate::config) PerMille);

impl Value for Percent {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = "a percentage from 0% to 100%";
        let scalar = cx.scalar(node, accepts)?;
        let number = scalar.text.strip_suffix('%').map(str::trim_end);
        let value = number.and_then(|number| thousandths(number, 1)).filter(|value| *value <= 1000);
        if value.is_none() {
            let help = thousandths(&scalar.text, 1)
                .filter(|value| *value <= 1000)
                .map(|_| format!("did you mean `{}%`?", scalar.written));
            cx.value(node, format!("{} is not {accepts}", scalar.shown()), help);
        }
        value.map(|value| Self(PerMille(value)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+([.][0-9])? *%$" })
    }
}

/// A factor from 1 to 1000.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Factor(pub(in crate::config) PerMille);

impl Value for Factor {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = "a number from 1 to 1000 with at most three decimals";
        let scalar = cx.scalar(node, accepts)?;
        let value =
            thousandths(&scalar.text, 3).filter(|value| scalar.typed && (1000..=1_000_000).contains(value));
        if value.is_none() {
            cx.value(node, format!("{} is not {accepts}", scalar.shown()), None);
        }
        value.map(|value| Self(PerMille(value)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 1, "maximum": 1000 })
    }
}

/// `1.25` with 3 decimals is 1250; with 1 decimal, as percents have, `12.5` is 125.
fn thousandths(text: &str, decimals: usize) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || fraction.len() > decimals || !digits(whole) || !digits(fraction)
    {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

/// A limit in numbers; `unlimited` for none.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct CountLimit(pub(in crate::config) Option<u64>);

impl Value for CountLimit {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = "a whole number, or `unlimited`";
        let scalar = cx.scalar(node, accepts)?;
        if matches!(&*scalar.text, "unlimited" | "infinity") {
            return Some(Self(None));
        }
        let number = whole(node, cx, &scalar, 0, i64::MAX, accepts)?;
        u64::try_from(number).ok().map(|number| Self(Some(number)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "const": "unlimited" }] })
    }
}

/// A limit in bytes; `unlimited` for none, 0 without a unit.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct SizeLimit(pub(in crate::config) Option<u64>);

impl Value for SizeLimit {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a size such as 10MiB, or `unlimited`")?;
        match &*scalar.text {
            "unlimited" | "infinity" => Some(Self(None)),
            "0" => Some(Self(Some(0))),
            _ => ByteSize::decode(node, cx).map(|size| Self(Some(size.0))),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let size = ByteSize::schema(generator);
        json_schema!({ "anyOf": [size, { "type": "string", "const": "unlimited" }, { "type": "integer", "enum": [0] }] })
    }
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn decimals_are_exact() {
        for (text, decimals, value) in [
            ("2", 3, Some(2000)),
            ("1.5", 3, Some(1500)),
            ("1.125", 3, Some(1125)),
            ("1.1255", 3, None),
            ("10", 1, Some(100)),
            ("12.5", 1, Some(125)),
            ("-1", 3, None),
            ("+1", 3, None),
            ("", 3, None),
            (".5", 3, None),
            ("1e3", 3, None),
            ("9999999", 3, None),
        ] {
            assert_eq!(thousandths(text, decimals), value, "{text}");
        }
    }
}
