//! Stage and errno of a failed launch, turned into one sentence that names the cause. Looks at the files once more,
//! because execve(2) answers ENOENT for a missing program and for a missing interpreter alike.
//!
//! In: what the keeper reported. Out: a [`LaunchFailure`]. Never add here: what happens next.

use crate::model::{LaunchFailure, LaunchStage};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What was to be launched, as far as it is still known. All empty is fine: the sentence says less then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempt<'a> {
    /// The program as the configuration calls it: `argv[0]` before any search.
    pub program: Option<&'a str>,
    /// The paths that were tried.
    pub candidates: &'a [CString],
    /// The working folder.
    pub directory: Option<&'a CStr>,
    /// The account's name, where it is not the supervisor's own.
    pub user: Option<&'a str>,
}

/// The failure of a launch, with its sentence. `path` is what the keeper says the failing step was about.
pub fn exec_error(
    stage: LaunchStage,
    errno: i32,
    path: Option<&Path>,
    attempt: &Attempt<'_>,
) -> LaunchFailure {
    let message = match stage {
        LaunchStage::Prepare => prepare(errno),
        LaunchStage::User => format!("cannot look up the user: {}", describe(errno)),
        LaunchStage::Fork => fork(errno),
        LaunchStage::Stdin => format!("cannot open {} as standard input: {}", show(path), describe(errno)),
        LaunchStage::Limits => limits(errno),
        LaunchStage::Identity => identity(errno, attempt),
        LaunchStage::Directory => directory(errno, path, attempt),
        LaunchStage::Exec => exec(errno, path, attempt),
    };
    LaunchFailure { stage, errno, message }
}

/// The words of strerror(3), without the number that `io::Error` adds.
fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut text = text[..end].to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

fn show(path: Option<&Path>) -> String {
    path.map_or_else(|| "the file".to_owned(), |path| path.display().to_string().escape_debug().to_string())
}

fn prepare(errno: i32) -> String {
    match errno {
        libc::EMFILE => {
            "cannot prepare the launch: the keeper has as many open files as RLIMIT_NOFILE allows \
                         (ulimit -n; LimitNOFILE= of systemd)"
                .to_owned()
        }
        libc::ENFILE => {
            "cannot prepare the launch: the machine has as many open files as fs.file-max allows".to_owned()
        }
        libc::EBADMSG | libc::EFBIG | libc::E2BIG => {
            "cannot prepare the launch: command line and environment together are too large".to_owned()
        }
        _ => format!("cannot prepare the launch: {}", describe(errno)),
    }
}

fn fork(errno: i32) -> String {
    match errno {
        libc::EAGAIN => "cannot start another process: a limit on processes is reached (RLIMIT_NPROC of the user, pids.max \
                         of the cgroup, or kernel.pid_max)"
            .to_owned(),
        libc::ENOMEM => "cannot start another process: out of memory".to_owned(),
        _ => format!("cannot start another process: {}", describe(errno)),
    }
}

fn limits(errno: i32) -> String {
    match errno {
        libc::EPERM | libc::EACCES => {
            "cannot set the limits: to raise a hard limit, or lower nice or oom_score_adj, takes root"
                .to_owned()
        }
        _ => format!("cannot set the limits: {}", describe(errno)),
    }
}

fn identity(errno: i32, attempt: &Attempt<'_>) -> String {
    let user = attempt.user.map_or_else(|| "its user".to_owned(), |user| format!("user `{user}`"));
    match errno {
        libc::EPERM => format!("cannot become {user}: only root may change the user"),
        libc::EAGAIN => {
            format!("cannot become {user}: that user has as many processes as RLIMIT_NPROC allows")
        }
        _ => format!("cannot become {user}: {}", describe(errno)),
    }
}

/// " as user `x`": whose rights were missing.
fn as_user(attempt: &Attempt<'_>) -> String {
    attempt.user.map_or_else(String::new, |user| format!(" as user `{user}`"))
}

fn directory(errno: i32, path: Option<&Path>, attempt: &Attempt<'_>) -> String {
    let shown = show(path);
    match errno {
        libc::ENOENT => format!("the working folder {shown} does not exist{}", missing_above(path)),
        libc::ENOTDIR => format!("the working folder {shown} is not a folder"),
        libc::EACCES => format!("no permission to enter the working folder {shown}{}", as_user(attempt)),
        _ => format!("cannot enter the working folder {shown}: {}", describe(errno)),
    }
}

fn exec(errno: i32, path: Option<&Path>, attempt: &Attempt<'_>) -> String {
    let full = |candidate: &Path| match attempt.directory {
        Some(directory) => Path::new(OsStr::from_bytes(directory.to_bytes())).join(candidate),
        None => candidate.to_owned(),
    };
    let tried = attempt.candidates.iter().map(|text| full(Path::new(OsStr::from_bytes(text.to_bytes()))));
    let named = path.map(full);
    // Of several candidates the one that exists is the one that people mean.
    let existing = named.iter().cloned().chain(tried).find(|path| path.symlink_metadata().is_ok());
    match (errno, existing) {
        (libc::ENOENT | libc::ENOTDIR, None) => not_found(named.as_deref(), attempt),
        (libc::ENOENT | libc::ENOTDIR, Some(path)) => missing_interpreter(&path),
        (libc::EACCES, Some(path)) => no_access(&path, attempt),
        (libc::ENOEXEC, Some(path)) => wrong_format(&path),
        (libc::ETXTBSY, _) => {
            format!("cannot execute {}: another process has it open for writing", show(named.as_deref()))
        }
        (libc::E2BIG, _) => format!(
            "cannot execute {}: command line and environment together are too large",
            show(named.as_deref())
        ),
        (libc::EAGAIN, _) => format!(
            "cannot execute {}: its user has more processes than RLIMIT_NPROC allows",
            show(named.as_deref())
        ),
        (libc::ELOOP, _) => format!(
            "cannot execute {}: too many symbolic links or interpreters in a row",
            show(named.as_deref())
        ),
        (_, existing) => {
            format!("cannot execute {}: {}", show(existing.or(named).as_deref()), describe(errno))
        }
    }
}

fn not_found(path: Option<&Path>, attempt: &Attempt<'_>) -> String {
    match (attempt.program, attempt.candidates.len()) {
        (Some(program), count) if !program.contains('/') && count > 0 => format!(
            "there is no program `{}` in the {count} folder{} of its PATH",
            program.escape_debug(),
            if count == 1 { "" } else { "s" }
        ),
        (Some(_) | None, _) => {
            format!("the program {} does not exist{}", show(path), missing_above(path))
        }
    }
}

/// What is missing already above the path itself, as after a deploy that failed half-way: " (neither does /srv/app)".
fn missing_above(path: Option<&Path>) -> String {
    let Some(path) = path.filter(|path| path.is_absolute()) else { return String::new() };
    let missing = path.ancestors().take_while(|above| above.metadata().is_err()).last();
    match missing.map(|above| (above, fs::read_link(above))) {
        Some((link, Ok(target))) => {
            format!(
                " ({} is a symbolic link to {}, which is not there)",
                show(Some(link)),
                show(Some(&target))
            )
        }
        Some((above, Err(_))) if above != path => format!(" (neither does {})", show(Some(above))),
        Some((_, Err(_))) | None => String::new(),
    }
}

/// The kernel looks at 256 bytes for the `#!` line (BINPRM_BUF_SIZE).
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    // A FIFO in the program's place must not hold us up.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let word =
        line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty() && *word != b"\r")?;
    // `#!/bin/sh\r\n`: the carriage return belongs to the name that the kernel looks for.
    let word = if line.ends_with(b"\r") && word.len() + 1 == line.trim_ascii_start().len() {
        line.trim_ascii_start()
    } else {
        word
    };
    Some(PathBuf::from(OsStr::from_bytes(word)))
}

fn missing_interpreter(path: &Path) -> String {
    if path.metadata().is_err() {
        return format!("cannot execute {}: it is a symbolic link to nowhere", show(Some(path)));
    }
    match interpreter(path) {
        Some(wanted) if wanted.as_os_str().as_bytes().ends_with(b"\r") => format!(
            "cannot execute {}: its first line ends as on Windows, so its interpreter {} is not found; use Unix line ends",
            show(Some(path)),
            show(Some(&wanted))
        ),
        Some(wanted) => format!(
            "cannot execute {}: its interpreter {} does not exist",
            show(Some(path)),
            show(Some(&wanted))
        ),
        None => format!(
            "cannot execute {}: the dynamic loader that it was linked for does not exist",
            show(Some(path))
        ),
    }
}

fn no_access(path: &Path, attempt: &Attempt<'_>) -> String {
    let shown = show(Some(path));
    let Ok(metadata) = fs::metadata(path) else {
        return format!("no permission to reach {shown}{}", as_user(attempt));
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        return format!("cannot execute {shown}: it is a folder");
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return format!("cannot execute {shown}: it is not a regular file");
    }
    if metadata.mode() & 0o111 == 0 {
        return format!("cannot execute {shown}: it has no execute permission (chmod +x)");
    }
    if on_noexec_mount(path) {
        return format!("cannot execute {shown}: its file system is mounted noexec");
    }
    match interpreter(path) {
        Some(wanted) if fs::metadata(&wanted).is_ok_and(|found| found.mode() & 0o111 == 0) => {
            format!(
                "cannot execute {shown}: its interpreter {} has no execute permission",
                show(Some(&wanted))
            )
        }
        Some(_) | None => format!("no permission to execute {shown}{}", as_user(attempt)),
    }
}

fn on_noexec_mount(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_flag.bits() & libc::ST_NOEXEC != 0)
}

fn wrong_format(path: &Path) -> String {
    let shown = show(Some(path));
    let mut head = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    if read == 0 {
        return format!("cannot execute {shown}: the file is empty");
    }
    if head.starts_with(b"\x7fELF") {
        return format!("cannot execute {shown}: it was built for another kind of machine, or is damaged");
    }
    format!(
        "cannot execute {shown}: it is a script with no #! line; add one, or name the interpreter in `command`"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_above_a_path_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let missing = |path: &str| missing_above(Some(&base.join(path)));
        assert_eq!(missing("server"), "");
        assert_eq!(missing("app/bin/server"), format!(" (neither does {}/app)", base.display()));
        std::os::unix::fs::symlink("releases/42", base.join("current")).unwrap();
        let told =
            format!(" ({}/current is a symbolic link to releases/42, which is not there)", base.display());
        assert_eq!(missing("current/bin/server"), told);
        assert_eq!(missing_above(Some(Path::new("bin/server"))), "");
    }
}
