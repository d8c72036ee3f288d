//! Status as people and as programs see it.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn sample() -> StatusDto {
    serde_json::from_str(
        r#"{"supervisor": {"version": "0.1.0", "pid": 124, "keeper_pid": 123, "config": "/srv/sppm.yaml",
            "config_ok": true, "config_error": null, "generation": 3, "started_at": "2026-01-01T00:00:00Z"},
         "programs": [
          {"name": "web", "desired": "running", "phase": "running", "ready": 1, "wanted": 2, "flag": "scaled",
           "as_wanted": true, "description": "serves", "instances": [
            {"id": "web.1", "phase": "running", "pid": 130, "since": "2026-01-01T00:00:00Z", "uptime_s": 12.5,
             "ready": true, "healthy": null, "busy": false, "busy_since": null, "busy_what": null, "restarts": 0,
             "last_exit": {"code": 1, "signal": null, "at": "2026-01-01T00:00:00Z"}, "next_start_at": null,
             "adopted": false, "reason": "ready"},
            {"id": "web.2", "phase": "backoff", "pid": null, "since": "2026-01-01T00:00:00Z", "uptime_s": null,
             "ready": false, "healthy": null, "busy": null, "busy_since": null, "busy_what": null, "restarts": 12,
             "last_exit": {"code": null, "signal": "SIGKILL", "at": "2026-01-01T00:00:00Z"},
             "next_start_at": "2026-01-01T00:01:00Z", "adopted": true, "reason": "was ended by \u001b[31mSIGKILL"}]},
          {"name": "old", "desired": "stopped", "phase": "stopped", "ready": 0, "wanted": 0, "flag": null,
           "as_wanted": true, "instances": []}]}"#,
    )
    .unwrap()
}

fn noon() -> Clock {
    Clock::fixed("2026-01-01T12:00:00Z")
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn the_overview_is_aligned() {
    insta::assert_snapshot!(plain(&status(&sample(), None, &noon())));
}

#[test]
fn a_narrow_screen_cuts_only_the_reason() {
    let text = plain(&status(&sample(), Some(60), &noon()));
    assert!(text.lines().skip(1).all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.contains('…'), "{text}");
}

#[test]
fn an_invalid_file_is_shown_above_all() {
    let mut sample = sample();
    sample.supervisor.config_ok = false;
    sample.supervisor.config_error = Some("error: x\n --> sppm.yaml:3:1\n".to_owned());
    let text = plain(&status(&sample, None, &noon()));
    assert_eq!(text.lines().nth(1), Some("the file is not valid; the last good one stays in force:"));
    assert_eq!(text.lines().nth(3), Some("   --> sppm.yaml:3:1"));
}

#[test]
fn one_program_is_shown_in_detail() {
    let sample = sample();
    insta::assert_snapshot!(plain(&detail(&sample.supervisor, &sample.programs[0], &noon())));
}

#[test]
fn the_json_is_the_promise_field_by_field() {
    let json = serde_json::to_string(&sample()).unwrap();
    let order = [
        "supervisor",
        "version",
        "pid",
        "keeper_pid",
        "config",
        "config_ok",
        "config_error",
        "generation",
        "started_at",
        "programs",
        "name",
        "desired",
        "phase",
        "ready",
        "wanted",
        "flag",
        "instances",
        "id",
        "phase",
        "pid",
        "since",
        "uptime_s",
        "ready",
        "healthy",
        "busy",
        "busy_since",
        "busy_what",
        "restarts",
        "last_exit",
        "code",
        "signal",
        "at",
        "next_start_at",
        "adopted",
        "reason",
        "says",
        "complaint",
    ];
    let mut at = 0;
    for key in order {
        let found = json[at..].find(&format!("\"{key}\":"));
        at += found.unwrap_or_else(|| panic!("{key} is missing or misplaced in {json}"));
    }
    assert_eq!(serde_json::from_str::<StatusDto>(&json).unwrap(), sample());
}

#[test]
fn spans_have_two_units() {
    for (seconds, text) in
        [(0.4, "0s"), (59.9, "59s"), (185.0, "3m 5s"), (15_120.0, "4h 12m"), (183_600.0, "2d 3h")]
    {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn one_in_the_middle_of_a_task_says_so_first() {
    let mut sample = sample();
    let web = &mut sample.programs[0].instances[0];
    web.busy = Some(true);
    web.busy_since = Some("2026-01-01T11:57:57.200Z".to_owned());
    web.busy_what = Some("page 1\u{1b}".to_owned());
    web.says = Some("crawls".to_owned());
    web.complaint = Some("1 line that nobody understands: x".to_owned());
    let text = plain(&status(&sample, None, &noon()));
    assert!(text.contains("  busy for 2m 2s (page 1^[); ready (scaled)\n"), "{text}");
    let text = plain(&detail(&sample.supervisor, &sample.programs[0], &noon()));
    for line in [
        "  busy       page 1^[, since 2026-01-01T11:57:57.200Z (2m 2s)\n",
        "  says       crawls\n",
        "  complaint  1 line that nobody understands: x\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // What is to stop says it in its reason.
    sample.programs[0].instances[0].phase = "draining".to_owned();
    assert!(!plain(&status(&sample, None, &noon())).contains("busy for"));
}
