//! `sppm restart`.

use super::{Outcome, follow_through, order, show, subject};
use crate::cli::args::Restart;
use crate::cli::session::Session;
use crate::cli::wait::seconds;

pub(super) fn restart(session: &Session<'_>, args: &Restart) -> Outcome {
    let client = session.client()?;
    let body = serde_json::json!({ "names": args.names, "force": args.force });
    let accepted = order(&client, "/v1/restart", &body, true)?;
    let what = subject(&accepted.targets);
    let report = follow_through(session, &client, "restart", accepted, &args.waiting)?;
    let sentence = match &report.picture {
        Some(_) => format!("restarted {what} in {}", seconds(report.took)),
        None => format!("{what}: restart accepted"),
    };
    show(session, &report, "restart", &sentence)
}
