//! Texts that want to hurt: refused soon, and never a panic.

use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Generous for a debug build on a busy machine; without limits these take minutes.
const SOON: Duration = Duration::from_secs(20);

#[track_caller]
fn refused_soon(text: &str) -> Problems {
    let begin = Instant::now();
    let problems = bad(text);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert!(problems.render(Style::Plain).len() < 100_000);
    problems
}

#[test]
fn brackets_braces_and_dashes_without_end() {
    for text in [
        "[".repeat(200_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "&a [".repeat(50_000),
        "a: ".repeat(9),
    ] {
        refused_soon(&text);
    }
}

#[test]
fn alias_bombs() {
    for bottom in ["[x, x]", "{k: x}"] {
        let mut text = format!("a0: &a0 {bottom}\n");
        for level in 1..30 {
            let _ = writeln!(
                text,
                "x-{level}: &a{level} [{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]",
                format!("*a{}", level - 1)
            );
        }
        text.push_str("programs: {a: {command: *a29}}\n");
        refused_soon(&text);
    }
    // Merge keys: each map takes all of many others.
    let mut text = String::from("x-k: &k {");
    (0..2_000).for_each(|key| write!(text, "k{key}: 1, ").unwrap());
    text.push_str("}\nprograms:\n");
    (0..2_000).for_each(|name| writeln!(text, "  p{name}: {{<<: *k, command: x}}").unwrap());
    assert!(refused_soon(&text).iter().any(|problem| problem.kind == ProblemKind::TooLarge));
    // One large map that many programs share is read for each of them.
    let mut text = String::from("x-e: &e {");
    (0..20_000).for_each(|key| write!(text, "K{key}: 1, ").unwrap());
    text.push_str("}\nprograms:\n");
    (0..2_000).for_each(|name| writeln!(text, "  p{name}: {{environment: *e, command: x}}").unwrap());
    assert!(refused_soon(&text).iter().any(|problem| problem.kind == ProblemKind::TooLarge));
}

#[test]
fn a_long_text_that_many_use() {
    let long = "x".repeat(100_000);
    let aliases = vec!["*a"; 1_000].join(", ");
    let command = format!("x-a: &a {long}\nprograms: {{a: {{command: [{aliases}]}}}}\n");
    let mut defaults = format!("defaults: {{environment: {{A: {long}}}}}\nprograms:\n");
    (0..1_000).for_each(|name| writeln!(defaults, "  p{name}: {{command: x}}").unwrap());
    for text in [command, defaults] {
        let problems = refused_soon(&text);
        assert_eq!(problems.errors(), 1);
        assert!(problems.iter().any(|problem| problem.kind == ProblemKind::TooLarge));
    }
}

#[test]
fn too_large_texts() {
    let text = format!("programs: {{}}\n#{}", "x".repeat(9 << 20));
    assert_eq!(refused_soon(&text).iter().next().unwrap().kind, ProblemKind::TooLarge);
    refused_soon(&format!("programs: {}", "x".repeat(3 << 20)));
    refused_soon(&format!("programs: {{a: {{{}: x}}}}", "x".repeat(3 << 20)));
}

#[test]
fn thousands_of_mistakes_are_counted_not_shown() {
    let mut text = String::from("programs:\n");
    (0..5_000).for_each(|name| writeln!(text, "  p{name}: {{comand: x}}").unwrap());
    let problems = refused_soon(&text);
    assert_eq!(problems.errors(), 5_000);
    assert!(problems.render(Style::Plain).contains("and 4950 more"));
}

#[test]
fn ten_thousand_programs_are_no_problem() {
    let mut text = String::from("defaults: {restart: {delay: 1s}}\nprograms:\n");
    for name in 0..10_000 {
        let _ = writeln!(
            text,
            "  p{name}:\n    command: [sleep, {name}]\n    environment: {{A: 1, B: x}}\n    restart: on-failure\n    \
             stop: {{signal: INT, timeout: 9s}}\n    logs: {{max_size: 1MiB}}\n    tags: [x, y]"
        );
    }
    let begin = Instant::now();
    assert_eq!(good(&text).programs.len(), 10_000);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

const SEEDS: &[&str] = &[include_str!("bad.yaml"), include_str!("../../../examples/full/sppm.yaml")];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,300}") {
        if let Err(problems) = load_text(&text) {
            problems.render(Style::Plain);
        }
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(parts in prop::collection::vec(
        prop::sample::select(vec![
            "programs", "defaults", "a", "command", "restart", "stop", "steps", "then", "retry", "<<", ": ", "\n", "\n  ", "\n    ",
            "- ", "[", "]", "{", "}", ", ", "&x ", "*x", "null", "~", "5s", "'", "\"", "|\n", "${N}", "${", "#", "!!str ", "?", "\t", "é", "environment",
        ]), 0..60)) {
        if let Err(problems) = load_text(&parts.concat()) {
            problems.render(Style::Colour);
        }
    }

    #[test]
    fn no_damaged_file_makes_it_panic(seed in 0..SEEDS.len(), at in 0usize..6000, cut in 0usize..40, put in "(?s).{0,6}") {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        let at = at % text.len();
        let end = (at + cut).min(text.len());
        text.splice(at..end, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(problems) = load_text(&text) {
            problems.render(Style::Plain);
        }
    }
}
