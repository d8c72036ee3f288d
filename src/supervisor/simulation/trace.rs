//! Events and actions in one line each, for the story of a seed that failed.

use crate::supervisor::{Action, Event};

pub(super) fn brief(event: &Event) -> String {
    match event {
        Event::PlanAccepted { generation, plan } => {
            let names: Vec<String> = plan.programs.values().map(|spec| brief_program(spec)).collect();
            format!("plan {generation}\n        {}", names.join("\n        "))
        }
        other => format!("{other:?}"),
    }
}

fn brief_program(spec: &crate::model::Program) -> String {
    let policy = &spec.restart;
    format!(
        "{} {:?} auto {} {:?} work {:?} restart {:?} uptime {:?} limit {}/{:?} then {:?} delay {:?} stop {:?} {:?}",
        spec.name,
        spec.command,
        spec.autostart,
        spec.instances,
        spec.work,
        policy.when,
        policy.min_uptime,
        policy.limit,
        policy.window,
        policy.then,
        policy.delay,
        spec.stop.by,
        spec.orphans
    )
}

pub(super) fn brief_action(action: &Action) -> String {
    match action {
        Action::Record { slot, record } => match record {
            Some(record) => format!(
                "record {}.{} {} run {:?} replace {:?} trial {:?} hurry {} ({})",
                slot.program,
                slot.index,
                record.kind(),
                record.run().map(|run| run.id),
                record.replace,
                record.trial,
                record.hurry,
                record.why
            ),
            None => format!("record {}.{} gone", slot.program, slot.index),
        },
        Action::Launch(launch) => {
            format!("LAUNCH {}.{} {}", launch.slot.program, launch.slot.index, launch.run)
        }
        Action::Respec { run, generation, .. } => format!("respec {run} {generation}"),
        other => format!("{other:?}"),
    }
}
