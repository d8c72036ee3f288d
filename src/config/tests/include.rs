//! Several files.

use super::*;
use crate::model::*;

const WEB: &str = "/w/app/conf.d/web.yaml";
const DB: &str = "/w/app/conf.d/db.yaml";

#[test]
fn included_programs_get_both_defaults_and_their_own_folder() {
    let loaded = load_files(&[
        (MAIN, "include: ['conf.d/*.yaml', one.yaml, 'none/*.yaml']\ndefaults: {priority: 1, umask: '077', directory: sub}\nprograms: {a: {command: x}}\n"),
        (WEB, "x-y: 1\ndefaults: {priority: 2}\nprograms: {web: {command: x, logs: w.log}}\n"),
        (DB, "programs: {db: {command: x}}\n"),
        ("/w/app/one.yaml", "programs: {one: {command: x, directory: d, env_files: ../e}}\n"),
        ("/w/e", "E=1\n"),
    ])
    .unwrap();
    let get = |name: &str| one(&loaded.plan, name);
    assert_eq!((get("a").priority, get("web").priority, get("db").priority), (1, 2, 1));
    assert_eq!((get("web").umask, get("web").directory.clone()), (Mode(0o77), "/w/app/sub".into()));
    assert_eq!(get("web").logs.stdout, LogSink::File("/w/app/conf.d/w.log".into()));
    assert_eq!(
        (get("one").directory.clone(), get("one").environment["E"].clone()),
        ("/w/app/d".into(), Some("1".into()))
    );
    assert_eq!(get("web").place.to_string(), "/w/app/conf.d/web.yaml:3");
    let files: Vec<_> = loaded.watched.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(files, ["/w/app/conf.d/db.yaml", WEB, "/w/app/one.yaml", MAIN, "/w/e"]);
    assert_eq!(loaded.watched.folders, [Path::new("/w/app/conf.d"), Path::new("/w/app/none")]);
}

#[track_caller]
fn refused(files: &[(&str, &str)], part: &str) -> Problems {
    let problems = load_files(files).expect_err("refused");
    let text = problems.render(Style::Plain);
    assert!(text.contains(part), "{text}");
    problems
}

#[test]
fn the_rules_of_includes() {
    let main = |include: &str| format!("include: {include}\nprograms: {{a: {{command: x}}}}\n");
    let problems = refused(&[(MAIN, &main("[gone.yaml]"))], "/w/app/gone.yaml: there is no such file");
    assert!(problems.watched.files.contains(&PathBuf::from("/w/app/gone.yaml")), "a mend must be noticed");
    refused(
        &[(MAIN, &main("conf.d/web.yaml")), (WEB, "include: [x.yaml]\n")],
        "an included file may not have `include`",
    );
    refused(
        &[(MAIN, &main("conf.d/web.yaml")), (WEB, "supervisor: {name: x}\n")],
        "an included file may not have `supervisor`",
    );
    let problems = refused(
        &[(MAIN, &main("conf.d/web.yaml")), (WEB, "\nprograms: {a: {command: x}}\n")],
        "defined twice",
    );
    let text = problems.render(Style::Plain);
    assert!(text.contains("conf.d/web.yaml:2:12") && text.contains("sppm.yaml:2:12"), "{text}");
    assert!(load_files(&[(MAIN, &main("'*.yaml'"))]).is_ok(), "the main file does not include itself");
    assert!(
        load_files(&[(MAIN, &main("conf.d/web.yaml")), (WEB, "")]).is_ok(),
        "an included file may be empty"
    );
}

#[test]
fn a_missing_env_file_is_an_error_unless_it_may_be_missing() {
    let text = "programs: {a: {command: x, env_files: [a.env]}}";
    let problems = refused(&[(MAIN, text)], "/w/app/a.env: there is no such file");
    assert!(problems.watched.files.contains(&PathBuf::from("/w/app/a.env")));
    let problems = refused(&[(MAIN, text), ("/w/app/a.env", "A=1\nSECRET='abc\n")], "--> a.env:2:1");
    assert!(!problems.render(Style::Plain).contains("abc"), "lines of env_files may be secret");
}
