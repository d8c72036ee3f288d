//! `sppm stop`: and what that means from now on.

use super::{Outcome, follow_through, order, show, subject};
use crate::cli::args::Stop;
use crate::cli::render::visible;
use crate::cli::session::Session;

pub(super) fn stop(session: &Session<'_>, args: &Stop) -> Outcome {
    let client = session.client()?;
    let body = serde_json::json!({ "names": args.names, "force": args.force, "runtime": args.runtime });
    let accepted = order(&client, "/v1/stop", &body, true)?;
    let sentence = meaning(&accepted.targets, args);
    let report = follow_through(session, &client, "stop", accepted, &args.waiting)?;
    show(session, &report, "stop", &sentence)
}

/// What a stop means from now on.
fn meaning(targets: &[String], args: &Stop) -> String {
    let who = match args.names.is_empty() {
        true => "all programs".to_owned(),
        false => subject(targets),
    };
    let stays = if targets.len() == 1 && !args.names.is_empty() { "stays" } else { "stay" };
    let names: Vec<String> = args.names.iter().map(|name| format!(" {}", visible(name))).collect();
    let start = format!("`sppm start{}`", names.concat());
    match args.runtime {
        true => format!("{who} {stays} stopped until {start}, or until sppm itself is started again"),
        false => format!("{who} {stays} stopped, also after a reboot, until {start}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Waiting;

    #[test]
    fn a_stop_says_how_long_it_lasts() {
        let text = |names: &[&str], targets: &[&str], runtime| {
            let names = names.iter().map(ToString::to_string).collect();
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let waiting = Waiting { no_wait: false, timeout: None };
            meaning(&targets, &Stop { names, force: false, runtime, waiting })
        };
        let web = "web stays stopped, also after a reboot, until `sppm start web`";
        assert_eq!(text(&["web"], &["web"], false), web);
        let all = "all programs stay stopped, also after a reboot, until `sppm start`";
        assert_eq!(text(&[], &["web", "api"], false), all);
        let two = "web and api stay stopped until `sppm start @x`, or until sppm itself is started again";
        assert_eq!(text(&["@x"], &["web", "api"], true), two);
    }
}
