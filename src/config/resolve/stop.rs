//! `stop:`, in one of its three ways.

use super::needed;
use super::program::Scene;
use crate::config::decode::Decoder;
use crate::config::document;
use crate::config::position::At;
use crate::config::problem::ProblemKind;
use crate::model::{StopBy, StopPolicy, StopScope, StopStep};

/// The most steps of one stop.
const MAX_STEPS: usize = 16;

/// `stop:` in full. Who gets the signal depends on what runs: a shell does not pass signals on.
pub(super) fn stop(
    section: &document::Stop,
    shell: bool,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) -> Option<StopPolicy> {
    let document::Stop { signal, steps, timeout, scope, command } = section;
    let default_scope = if shell { StopScope::Group } else { StopScope::Main };
    let scope = match scope.is_broken() {
        true => return None,
        false => scope.get().copied().unwrap_or(default_scope),
    };
    let by = if let Some(listed) = steps.get() {
        let at = steps.at().unwrap_or(At::whole(0));
        StopBy::Signals(cx.within("steps", |cx| all_steps(&listed.0, at, cx))?)
    } else if let Some(command) = command.get() {
        let argv = command.0.iter().map(|word| scene.template(word)).collect();
        StopBy::Command { argv, timeout: needed(timeout)? }
    } else {
        StopBy::Signals(vec![StopStep { signal: needed(signal)?, wait: needed(timeout)? }])
    };
    Some(StopPolicy { by, scope })
}

fn all_steps(listed: &[document::StopStep], at: At, cx: &mut Decoder<'_>) -> Option<Vec<StopStep>> {
    if listed.is_empty() || listed.len() > MAX_STEPS {
        cx.error(ProblemKind::Value, at, format!("there must be 1 to {MAX_STEPS} steps"), None);
        return None;
    }
    let mut steps = Vec::with_capacity(listed.len());
    for (index, step) in listed.iter().enumerate() {
        let place = step.signal.at().or(step.wait.at()).unwrap_or(at);
        let missing = match (&step.signal, &step.wait) {
            (signal, _) if !signal.is_given() && !signal.is_broken() => Some("signal"),
            (_, wait) if !wait.is_given() && !wait.is_broken() => Some("wait"),
            _ => None,
        };
        if let Some(key) = missing {
            let help = Some("a step is `{signal: INT, wait: 5s}`".to_owned());
            cx.within_item(index, |cx| {
                cx.error(ProblemKind::Missing, place, format!("the step has no `{key}`"), help);
            });
        }
        if let (Some(&signal), Some(&wait)) = (step.signal.get(), step.wait.get()) {
            steps.push(StopStep { signal, wait });
        }
    }
    (steps.len() == listed.len()).then_some(steps)
}
