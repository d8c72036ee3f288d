//! One of a few words, signals, and what follows a reached limit.

use crate::config::decode::{Decoder, Value};
use crate::config::problem::{ProblemKind, quoted};
use crate::config::tree::{NodeRef, Shape};
use crate::config::words;
use crate::model::{GiveUp, LockKind, OnStop, Orphans, PastMaxBusy, RestartWhen, Signal, StopScope};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;
use std::time::Duration;

/// One of a few words, with what each means.
type Words<T> = [(&'static str, T, &'static str)];

/// Reads one of a few words.
fn decode<T: Copy>(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>, words: &Words<T>) -> Option<T> {
    let accepted: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let scalar = cx.scalar(node, &words::either(&accepted))?;
    if let Some((_, value, _)) = words.iter().find(|(word, ..)| *word == scalar.text) {
        return Some(*value);
    }
    let near = words::nearest(&scalar.text.replace('_', "-"), accepted.iter().copied());
    let help =
        near.map(|word| format!("did you mean `{word}`?")).or_else(|| neighbour(&scalar.text, &accepted));
    cx.value(
        node,
        format!("{} is not accepted here; accepted is {}", scalar.shown(), words::either(&accepted)),
        help,
    );
    None
}

/// The words of other supervisors for ours.
fn neighbour(text: &str, accepted: &[&str]) -> Option<String> {
    let mend = match text.to_ascii_lowercase().as_str() {
        "true" | "unless-stopped" | "yes" | "any" => "always",
        "unexpected" | "on-abnormal" | "failure" | "on_error" | "on-error" => "on-failure",
        "false" | "no" | "none" | "off" => "never",
        "process" | "mixed" => "main",
        "control-group" | "cgroup" | "all" => "tree",
        "both" => "auto",
        "file" | "text" => "state",
        "fcntl" | "lockf" => "flock",
        "drain" | "idle" => "wait",
        "at-once" | "now" | "immediately" => "signal",
        "sigkill" | "force" => "kill",
        "sigterm" | "term" | "stop" => "signal",
        "cancel" | "abort" | "give-up" => "keep",
        _ => return None,
    };
    accepted.contains(&mend).then(|| format!("here that is `{mend}`"))
}

fn schema<T>(words: &Words<T>) -> Schema {
    let one_of: Vec<_> = words
        .iter()
        .map(|(word, _, doc)| json!({ "type": "string", "const": word, "description": doc }))
        .collect();
    json_schema!({ "oneOf": one_of })
}

macro_rules! choice {
    ($type:ty { $($word:literal => $value:expr, $doc:literal;)* }) => {
        impl Value for $type {
            fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
                decode(node, cx, &[$(($word, $value, $doc)),*])
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                schema::<$type>(&[$(($word, $value, $doc)),*])
            }
        }
    };
}

choice!(RestartWhen {
    "always" => RestartWhen::Always, "However it ended.";
    "on-failure" => RestartWhen::OnFailure, "Unless it ended as `success_codes` says.";
    "on-success" => RestartWhen::OnSuccess, "Only if it ended as `success_codes` says.";
    "never" => RestartWhen::Never, "Not at all.";
});

choice!(StopScope {
    "main" => StopScope::Main, "The process that was launched.";
    "group" => StopScope::Group, "Its process group.";
    "tree" => StopScope::Tree, "It and all its descendants.";
});

choice!(Orphans {
    "kill" => Orphans::Kill, "TERM and CONT, then KILL.";
    "keep" => Orphans::Keep, "They are left alone.";
});

choice!(LockKind {
    "auto" => LockKind::Auto, "Both: what is written in it, and a lock on it.";
    "state" => LockKind::State, "What is written in it: three lines, pid, Unix time, and 1 for busy or 0 for idle.";
    "flock" => LockKind::Flock, "An exclusive flock(2) on it, held while a task runs.";
});

choice!(OnStop {
    "wait" => OnStop::Wait, "When it is idle.";
    "signal" => OnStop::Signal, "At once; only the KILL waits until it is idle.";
});

choice!(PastMaxBusy {
    "kill" => PastMaxBusy::Kill, "KILL.";
    "signal" => PastMaxBusy::Signal, "The stop signal, and KILL after `stop.timeout`.";
    "keep" => PastMaxBusy::Keep, "The stop is given up: it runs on, and sppm says so.";
});

impl Value for GiveUp {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let accepts = "`stay`, `shutdown` or a pause such as `{retry: 15m}`";
        if let Shape::Map(1) = node.shape
            && let Some(("retry", _, value)) = node.entries().next()
        {
            let pause = cx.within("retry", |cx| Duration::decode(value, cx))?;
            if pause.is_zero() {
                cx.value(
                    value,
                    "a pause of 0 would try again without any pause".to_owned(),
                    Some("write at least 1s".to_owned()),
                );
                return None;
            }
            return Some(Self::Retry(pause));
        }
        if let Shape::Map(_) = node.shape {
            for (key, at, _) in node.entries().filter(|(key, ..)| *key != "retry") {
                let message = format!("there is no key {}; accepted is {accepts}", quoted(key));
                cx.within(key, |cx| cx.error(ProblemKind::UnknownKey, at, message, None));
            }
            if node.entries().next().is_none() {
                cx.wrong_shape(node, accepts);
            }
            return None;
        }
        let scalar = cx.scalar(node, accepts)?;
        match &*scalar.text {
            "stay" => Some(Self::Stay),
            "shutdown" => Some(Self::Shutdown),
            _ => {
                let near = words::nearest(&scalar.text, ["stay", "shutdown"].into_iter());
                let help = match &*scalar.text {
                    "retry" => Some("say how long the pause is: `then: {retry: 15m}`".to_owned()),
                    _ => near.map(|word| format!("did you mean `{word}`?")),
                };
                cx.value(
                    node,
                    format!("{} is not accepted here; accepted is {accepts}", scalar.shown()),
                    help,
                );
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let pause = Duration::schema(generator);
        json_schema!({ "oneOf": [
            { "type": "string", "const": "stay", "description": "It stays failed until somebody acts." },
            { "type": "string", "const": "shutdown", "description": "The supervisor ends with exit code 1." },
            { "type": "object", "properties": { "retry": pause }, "required": ["retry"], "additionalProperties": false,
              "description": "Another try after each such pause, for ever." }
        ] })
    }
}

impl Value for Signal {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a signal such as TERM")?;
        if let Ok(signal) = scalar.text.parse() {
            return Some(signal);
        }
        let upper = scalar.text.to_ascii_uppercase();
        let near = words::nearest(upper.strip_prefix("SIG").unwrap_or(&upper), Signal::names());
        let message = format!(
            "{} is not a signal; accepted are names such as TERM, SIGTERM and RTMIN+1, and numbers from 1 to 64",
            scalar.shown()
        );
        cx.value(node, message, near.map(|word| format!("did you mean `{word}`?")));
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^([Ss][Ii][Gg])?([A-Za-z]+[0-9]?|[Rr][Tt]M(IN|in)[+][0-9]+|[Rr][Tt]M(AX|ax)-[0-9]+|[0-9]+)$" },
            { "type": "integer", "minimum": 1, "maximum": 64 }
        ], "examples": ["TERM", "SIGINT", 15] })
    }
}
