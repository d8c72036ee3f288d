//! The Debian package: what is in it, and its life in a fresh Debian from the installation to the purge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::rig::is_root;
use common::{Answer, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/package_cases");

/// Debian's newest release but one: what is built for it runs on later ones too.
const SUITE: &str = "bookworm";

/// Fetching a Debian may take long; all else is quick.
const LONG: Duration = Duration::from_secs(300);

/// A folder of this test on the disk where the build is: roots are large, and /tmp may be memory.
fn workplace() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("package-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn tool(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).env("PATH", tools::PATH).env("LC_ALL", "C").current_dir(PROJECT);
    command
}

/// Builds the package of `binary` in `out`; `None` where the tools for it are missing.
fn build(binary: &Path, out: &Path, args: &[(&str, &str)]) -> Option<PathBuf> {
    for name in ["dpkg-deb", "strip", "objdump", "gzip"] {
        tools::find_or_skip(&[name])?;
    }
    let mut command = tool(&format!("{PROJECT}/packaging/deb"), &["--binary"]);
    command.arg(binary).arg("--out").arg(out).envs(args.iter().copied());
    // Most of the time goes into packing a binary that is thrown away: pack it badly.
    command.env("DPKG_DEB_COMPRESSOR_LEVEL", "0");
    let answer = finish(command, LONG).ok();
    Some(PathBuf::from(answer.stdout.trim()))
}

fn sppm() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sppm"))
}

/// Whether this version of the command has a verb.
fn has_verb(verb: &str) -> bool {
    let mut command = Command::new(sppm());
    command.args([verb, "--help"]);
    finish(command, LONG).code == Some(0)
}

/// A Debian without anything but the minimum, as an archive; fetched once and kept with what is built.
fn debian(work: &Path) -> Option<PathBuf> {
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{SUITE}-minbase.tar"));
    if archive.exists() {
        return Some(archive);
    }
    tools::find_or_skip(&["debootstrap"])?;
    let root = work.join("fetched");
    let start = Instant::now();
    let mut fetch = tool("debootstrap", &["--variant=minbase", SUITE]);
    let answer = finish_or_word(fetch.arg(&root), "no Debian to install it in (no network?)")?;
    eprintln!("fetched {SUITE} in {:?}, {} lines", start.elapsed(), answer.stdout.lines().count());
    let draft = work.join("draft.tar");
    finish(tool("tar", &["-C", text(&root), "-cf", text(&draft), "."]), LONG).ok();
    fs::rename(&draft, &archive).expect("its place");
    Some(archive)
}

/// The answer of a command that this machine may be unable to run; else a word to people.
fn finish_or_word(command: &mut Command, word: &str) -> Option<Answer> {
    let taken = std::mem::replace(command, Command::new("false"));
    let answer = finish(taken, LONG);
    if answer.code == Some(0) {
        return Some(answer);
    }
    tools::cannot(&format!("{word}: `{}`\n{}", answer.line, answer.all()));
    None
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

#[test]
fn it_installs_runs_survives_an_upgrade_and_leaves_nothing() {
    if !is_root() {
        tools::cannot("not root: no Debian can be made to install the package in");
        return;
    }
    let work = workplace();
    let Some(package) = build(sppm(), work.path(), &[]) else { return };
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "true"];
    if finish_or_word(&mut tool("unshare", &namespaces), "no namespaces here").is_none() {
        return;
    }
    let Some(archive) = debian(work.path()) else { return };
    let root = work.path().join("root");
    fs::create_dir_all(root.join("test")).unwrap();
    finish(tool("tar", &["-C", text(&root), "-xf", text(&archive)]), LONG).ok();
    fs::copy(&package, root.join("test/sppm.deb")).unwrap();
    fs::copy(format!("{CASES}/in-root"), root.join("test/in-root")).unwrap();

    let start = Instant::now();
    let proc = format!("--mount-proc={}/proc", root.display());
    let mut life = tool("unshare", &namespaces[..4]);
    life.args([&proc, "chroot", text(&root), "/bin/sh", "/test/in-root"]);
    let answer = finish(life, LONG).ok().expect_text("== done");
    eprintln!("{}\nits life took {:?}", answer.stdout, start.elapsed());
}

#[test]
fn it_has_what_belongs_in_it() {
    let work = workplace();
    let Some(package) = build(sppm(), work.path(), &[]) else { return };
    let root = work.path().join("root");
    finish(tool("dpkg-deb", &["-x", text(&package), text(&root)]), LONG).ok();
    let mut wanted = vec![
        "usr/bin/sppm",
        "lib/systemd/system/sppm.service",
        "etc/sppm/sppm.yaml",
        "etc/sppm/conf.d",
        "usr/share/sppm/sppm.schema.json",
        "usr/share/doc/sppm/copyright",
        "usr/share/doc/sppm/changelog.gz",
        "usr/share/doc/sppm/changelog.Debian.gz",
        "usr/share/doc/sppm/docs/configuration.md",
    ];
    if has_verb("man") {
        wanted.push("usr/share/man/man1/sppm.1.gz");
    }
    if has_verb("completions") {
        wanted.push("usr/share/bash-completion/completions/sppm");
        wanted.push("usr/share/zsh/vendor-completions/_sppm");
        wanted.push("usr/share/fish/vendor_completions.d/sppm.fish");
    }
    let missing: Vec<&&str> = wanted.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "not in the package: {missing:?}");

    let fields = finish(tool("dpkg-deb", &["-f", text(&package)]), LONG).ok().stdout;
    let version = format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"));
    for field in ["Package: sppm\n", "Depends: libc6 (>= 2.", &version] {
        assert!(fields.contains(field), "no {field:?} in\n{fields}");
    }
    unit_is_valid(&root);
}

/// What the unit must say, and systemd's own check of it.
fn unit_is_valid(root: &Path) {
    let Some(analyze) = tools::find(&["systemd-analyze"]) else {
        return tools::cannot("no systemd-analyze here to check the unit with");
    };
    let text = fs::read_to_string(root.join("lib/systemd/system/sppm.service")).unwrap();
    // The keeper, which is the main process, says when sppm works (tests/above.rs). Without it no start would ever succeed.
    for line in ["Type=notify", "NotifyAccess=main", "KillMode=process"] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    // It looks for the program where it will be, which here is another place.
    let here = text.replace("=/usr/bin/sppm", &format!("={}/usr/bin/sppm", root.display()));
    let unit = root.join("sppm.service");
    fs::write(&unit, here).unwrap();
    let answer =
        finish(tool(analyze.to_str().unwrap(), &["verify", "--man=no", unit.to_str().unwrap()]), LONG);
    let complaints: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("sppm.service")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_same_binary_gives_the_same_package() {
    let work = workplace();
    // Any program will do, a small one is quick.
    let program = Path::new("/bin/false");
    let epoch = ("SOURCE_DATE_EPOCH", "1700000000");
    let Some(one) = build(program, &work.path().join("one"), &[epoch]) else { return };
    let other = build(program, &work.path().join("two"), &[epoch, ("TZ", "Asia/Tokyo")]).unwrap();
    assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
}

#[test]
fn a_library_of_an_unknown_package_is_refused() {
    let Some(program) = tools::find(&["curl"]) else { return };
    let work = workplace();
    let mut command = tool(&format!("{PROJECT}/packaging/deb"), &["--binary"]);
    command.arg(program).arg("--out").arg(work.path());
    finish(command, LONG).expect_code(1).expect_text("which package has libcurl");
}
