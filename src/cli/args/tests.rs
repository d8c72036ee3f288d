//! What can be typed, and what cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::cli::tests::parse;
use std::path::Path;

#[test]
fn the_file_may_be_named_before_and_after_the_verb() {
    for line in
        ["-c a.yaml status web", "status -c a.yaml web", "status web --config a.yaml", "--config=a.yaml ps"]
    {
        assert_eq!(parse(line).unwrap().global.config.as_deref(), Some(Path::new("a.yaml")), "{line}");
    }
    let cli = parse("logs -f -n all -c x --json --color never -q -v web").unwrap();
    assert!(cli.global.json && cli.global.quiet && cli.global.verbose);
    assert!(matches!(cli.command, Command::Logs(logs) if logs.follow && logs.lines == Lines(None)));
}

#[test]
fn words_of_others_are_understood_and_unbuilt_verbs_are_not() {
    assert!(matches!(parse("down").unwrap().command, Command::Shutdown(_)));
    assert!(matches!(parse("apply").unwrap().command, Command::Reload(_)));
    assert!(matches!(parse("config").unwrap().command, Command::Check));
    assert!(matches!(parse("tail -f web").unwrap().command, Command::Logs(logs) if logs.follow));
    assert!(matches!(parse("up -d").unwrap().command, Command::Up(up) if up.detach));
    assert!(matches!(parse("ls").unwrap().command, Command::Status(_)));
    assert!(
        matches!(parse("kill -s HUP web").unwrap().command, Command::Kill(kill) if kill.signal == Signal::HUP)
    );
    assert!(matches!(parse("run -- sh -c x").unwrap().command, Command::Run(run) if run.command.len() == 3));
    for line in [
        "upgrade",
        "why",
        "wait",
        "wait web --for bliss",
        "man x --all y",
        "completions ksh",
        "top",
        "import",
        "frob",
        "",
        "status --all",
        "logs -n x",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert!(matches!(parse("reread").unwrap().command, Command::Diff));
    assert!(matches!(parse("update").unwrap().command, Command::Reload(_)));
    assert!(matches!(parse("status -w").unwrap().command, Command::Status(status) if status.watch));
    assert!(matches!(parse("wait web").unwrap().command, Command::Wait(wait) if wait.goal == Goal::Ready));
    assert!(parse("stop web --timeout 1m30s --force --runtime --no-wait").is_ok());
}

#[test]
fn scale_and_signal_take_both_orders() {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let three = vec![("web".to_owned(), ScaleTo::Exactly(3))];
    assert_eq!(scales(&words("web=3")), Ok(three.clone()));
    assert_eq!(scales(&words("web 3")), Ok(three));
    let both = vec![("web".to_owned(), ScaleTo::Down(1)), ("api".to_owned(), ScaleTo::Up(2))];
    assert_eq!(scales(&words("web -1 api=+2")), Ok(both));
    for bad in ["web", "web=", "web=x", "web=1 web=2"] {
        assert!(scales(&words(bad)).is_err(), "{bad}");
    }
    assert!(
        matches!(parse("scale web -1").unwrap().command, Command::Scale(scale) if scale.words == words("web -1"))
    );
    let hup = Ok((words("web api"), Signal::HUP));
    assert_eq!(signal(&words("web api HUP")), hup);
    assert_eq!(signal(&words("SIGHUP web api")), hup);
    assert_eq!(signal(&words("web 10")).map(|(_, signal)| signal.number()), Ok(10));
    assert!(signal(&words("web HUPP")).is_err_and(|message| message.contains("HUPP")));
}
