//! Durations, sizes and modes: numbers whose unit must be said.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::NodeRef;
use crate::model::{ByteSize, Mode};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

const A_DURATION: &str = "a duration such as 30s, 1m 30s or 500ms";

/// Units up to weeks. Months and years have no fixed length, and `M` is too easily meant as minutes.
const UNITS: &[&str] = &[
    "nanos", "nsec", "ns", "usec", "us", "µs", "millis", "msec", "ms", "seconds", "second", "sec", "secs",
    "s", "minutes", "minute", "min", "mins", "m", "hours", "hour", "hr", "hrs", "h", "days", "day", "d",
    "weeks", "week", "wk", "wks", "w",
];

impl Value for Duration {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, A_DURATION)?;
        match duration(&scalar.text) {
            Ok(duration) => Some(duration),
            Err(help) => {
                // A value of the environment is never shown, so neither is help that repeats it.
                let help = help.filter(|_| scalar.text == scalar.written);
                cx.value(node, format!("{} is not {A_DURATION}", scalar.shown()), help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^(0|([0-9]+([.][0-9]+)? *(ns|us|ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hr|hrs|hours?|d|days?|w|weeks?|nsec|usec|msec) *)+)$" },
            { "type": "integer", "enum": [0] }
        ] })
    }
}

fn duration(text: &str) -> Result<Duration, Option<String>> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(Some(format!("say the unit: `{text}s` are seconds, `{text}ms` are milliseconds")));
    }
    let units = text.split(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.');
    if let Some(unit) = units.into_iter().find(|unit| !unit.is_empty() && !UNITS.contains(unit)) {
        let help = match unit {
            "M" => "`m` are minutes, `ms` are milliseconds",
            _ => "the units are ms, s, m, h, d and w",
        };
        return Err(Some(help.to_owned()));
    }
    humantime::parse_duration(text).map_err(|_| None)
}

const A_SIZE: &str = "a size such as 512KiB, 20MiB or 1GiB";

const SIZE_UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

impl Value for ByteSize {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, A_SIZE)?;
        match size(&scalar.text) {
            Ok(size) => Some(Self(size)),
            Err(help) => {
                let help = help.filter(|_| scalar.text == scalar.written);
                cx.value(node, format!("{} is not {A_SIZE}", scalar.shown()), help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *([KMGT]i)?B$" })
    }
}

fn size(text: &str) -> Result<u64, Option<String>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let Ok(value) = number.parse::<u64>() else { return Err(None) };
    if let Some((_, shift)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        return value.checked_mul(1 << shift).ok_or(None);
    }
    let letter = unit.chars().next().map(|c| c.to_ascii_uppercase());
    Err(match (letter, unit.len()) {
        (None, _) => Some(format!("say the unit: `{number}MiB`, or `{number}B` for bytes")),
        (Some(letter @ ('K' | 'M' | 'G' | 'T')), 1..=3) => {
            let power = "KMGT".find(letter).map_or(1, |index| index as u32 + 1);
            let reading = |base: u64| match value.checked_mul(base.pow(power)) {
                Some(bytes) => format!("{bytes} bytes"),
                None => "too many bytes".to_owned(),
            };
            Some(format!(
                "`{text}` is read in two ways: write `{number}{letter}iB` for {}, or `{}B` for {}",
                reading(1024),
                value.saturating_mul(1000_u64.pow(power)),
                reading(1000)
            ))
        }
        (Some('B'), 1) => Some(format!("did you mean `{number}B`, bytes?")),
        _ => Some("the units are B, KiB, MiB, GiB and TiB".to_owned()),
    })
}

const A_MODE: &str = "an octal mode in quotes such as \"0660\" or \"022\"";

impl Value for Mode {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, A_MODE)?;
        let text = scalar.text.strip_prefix("0o").unwrap_or(&scalar.text);
        // Without quotes `22` is a decimal number to YAML; a leading zero says octal to everybody.
        let unclear = scalar.typed && scalar.text == scalar.written && !scalar.text.starts_with('0');
        let octal = (1..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let value = u32::from_str_radix(text, 8).ok().filter(|value| octal && *value <= 0o7777);
        match value {
            Some(value) if !unclear => Some(Self(value)),
            _ => {
                let help = match value {
                    Some(value) => Some(format!("write it in quotes: \"{value:03o}\"")),
                    None => symbolic(&scalar.text),
                };
                cx.value(node, format!("{} is not {A_MODE}", scalar.shown()), help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(0o)?[0-7]{1,5}$" })
    }
}

fn symbolic(text: &str) -> Option<String> {
    text.contains(['r', 'w', 'x']).then(|| "letters are not taken: `rw-rw----` is \"0660\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000),
            ("1m 30s", 90_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("2 weeks", 1_209_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "90",
            "1.5",
            "",
            "s",
            "-1s",
            "1M",
            "1month",
            "1y",
            "1 fortnight",
            "1s2",
            "99999999999999999999s",
            "1_000s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        let help = duration("90").err().flatten().unwrap_or_default();
        assert!(help.contains("`90s`") && help.contains("`90ms`"), "{help}");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("10MiB", 10 << 20), ("1B", 1), ("0B", 0), ("2 KiB", 2048), ("1TiB", 1 << 40)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "10M",
            "10MB",
            "10",
            "10mib",
            "",
            "MiB",
            "-1B",
            "1.5GiB",
            "99999999999TiB",
            "1e3B",
            "99999999999999T",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["10M", "10MB"] {
            let help = size(text).err().flatten().unwrap_or_default();
            assert!(help.contains("`10MiB` for 10485760 bytes") && help.contains("`10000000B`"), "{help}");
        }
    }
}
