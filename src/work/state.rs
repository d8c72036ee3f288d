//! The working lock's file as it is at one moment: three lines, or what else it may be. Nothing is followed, and nothing
//! that is not a small regular file is opened.

use crate::linux::locks::FileId;
use crate::linux::proc;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is written has some forty bytes; more than this is none of it.
const MOST: u64 = 4096;

/// A complete reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    /// Who wrote it, by the number it knows itself by.
    pub(super) pid: u32,
    /// When, since the Unix epoch, by the writer's account.
    pub(super) written: Duration,
    /// Whether a fraction was given; without one it may have been up to a second later.
    pub(super) exact: bool,
    pub(super) busy: bool,
}

/// By what a change of the file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) file: FileId,
    size: u64,
    /// Of its content, since the Unix epoch.
    pub(super) modified: Duration,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: FileId::of(metadata),
            size: metadata.len(),
            modified: metadata.modified().map_or(Duration::ZERO, since_epoch),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Missing,
    /// An empty file, as it was made.
    Untouched(Stamp),
    /// It is there; what is in it was not asked.
    Present(Stamp),
    Whole(Whole, Stamp),
    /// Empty, or the beginning of a reading (`plausible`), or something else.
    Torn {
        plausible: bool,
        stamp: Stamp,
    },
    /// It is nothing that is read. For people: what it is.
    Refused(String),
    /// We could not look, and it is not the file's fault.
    Failed(String),
}

impl Content {
    /// The regular file that it is.
    pub(super) fn file(&self) -> Option<FileId> {
        match self {
            Self::Untouched(stamp)
            | Self::Present(stamp)
            | Self::Whole(_, stamp)
            | Self::Torn { stamp, .. } => Some(stamp.file),
            Self::Missing | Self::Refused(_) | Self::Failed(_) => None,
        }
    }
}

/// Time since the Unix epoch by the wall clock; zero before it.
pub(super) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// One reading. Without `content` the file is not opened.
pub(super) fn read(path: &Path, content: bool) -> Content {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return of_error(&error),
    };
    if let Some(refusal) = refusal(&metadata) {
        return Content::Refused(refusal);
    }
    let stamp = Stamp::of(&metadata);
    if metadata.len() == 0
        && metadata.created().is_ok_and(|made| metadata.modified().is_ok_and(|at| at == made))
    {
        return Content::Untouched(stamp);
    }
    if !content {
        return Content::Present(stamp);
    }
    match open(path) {
        Ok((file, metadata)) => read_content(file, &metadata),
        // Somebody has a lease on it (fcntl(2)), and was told now to give it up.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Content::Torn { plausible: false, stamp },
        Err(error) => of_error(&error),
    }
}

/// Opens the lock's file for reading. Neither a link nor a FIFO nor a lease that came meanwhile is waited for or followed.
///
/// # Errors
/// As open(2); EINVAL: it is no longer a file that may be read.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    match refusal(&metadata) {
        Some(refusal) => Err(io::Error::new(io::ErrorKind::InvalidInput, refusal)),
        None => Ok((file, metadata)),
    }
}

fn of_error(error: &io::Error) -> Content {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Content::Missing,
        io::ErrorKind::Interrupted => Content::Failed(error.to_string()),
        _ if proc::is_shortage(error) => Content::Failed(error.to_string()),
        _ => Content::Refused(match error.raw_os_error() {
            Some(libc::ELOOP) => "a symbolic link".to_owned(),
            Some(libc::ENXIO) => "a socket or a device".to_owned(),
            Some(_) => format!("not to be read: {error}"),
            None => error.to_string(),
        }),
    }
}

/// A second name may be somebody else's file: who may not read it could have it read, and who may not lock it, locked. No
/// writer needs one: a rename leaves one name (or none, for who has the old file open).
fn refusal(metadata: &Metadata) -> Option<String> {
    let kind = metadata.file_type();
    let special = [
        (kind.is_symlink(), "a symbolic link"),
        (kind.is_dir(), "a folder"),
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
        (metadata.nlink() > 1, "a file with more than one name (a hard link)"),
    ];
    if let Some((_, what)) = special.iter().find(|(is, _)| *is) {
        return Some((*what).to_owned());
    }
    (metadata.len() > MOST).then(|| format!("a file of {} bytes", metadata.len()))
}

fn read_content(file: File, metadata: &Metadata) -> Content {
    let mut bytes = Vec::with_capacity(128);
    if let Err(error) = file.take(MOST + 1).read_to_end(&mut bytes) {
        return of_error(&error);
    }
    let stamp = Stamp::of(metadata);
    match parse(&bytes) {
        Parsed::Whole(whole) => Content::Whole(whole, stamp),
        Parsed::Beginning => Content::Torn { plausible: true, stamp },
        Parsed::Other => Content::Torn { plausible: false, stamp },
    }
}

#[derive(Debug, PartialEq)]
enum Parsed {
    Whole(Whole),
    Beginning,
    Other,
}

/// `PID\nSECONDS[.FRACTION]\n0|1[\n]`.
fn parse(bytes: &[u8]) -> Parsed {
    let Ok(text) = std::str::from_utf8(bytes) else { return Parsed::Other };
    let (pid, rest) = cut(text);
    if pid.len() > 10 || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return Parsed::Other;
    }
    let Some(rest) = rest else { return Parsed::Beginning };
    let (time, rest) = cut(rest);
    let allowed = time.len() <= 40
        && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && time.bytes().filter(|byte| *byte == b'.').count() <= 1;
    if !allowed {
        return Parsed::Other;
    }
    let Some(rest) = rest else { return Parsed::Beginning };
    let busy = match rest {
        "" => return Parsed::Beginning,
        "0" | "0\n" => false,
        "1" | "1\n" => true,
        _ => return Parsed::Other,
    };
    let pid = pid.parse::<u32>().ok().filter(|pid| *pid > 0);
    let written = time.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match (pid, written) {
        (Some(pid), Some(written)) => Parsed::Whole(Whole { pid, written, exact: time.contains('.'), busy }),
        _ => Parsed::Other,
    }
}

/// The first line, and what follows its end.
fn cut(text: &str) -> (&str, Option<&str>) {
    text.split_once('\n').map_or((text, None), |(line, rest)| (line, Some(rest)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_known_writers_write_is_read_and_every_beginning_of_it_is_torn() {
        let text = "4711\n1700000000.123456\n1\n";
        let whole = |busy| Whole {
            pid: 4711,
            written: Duration::from_secs_f64(1_700_000_000.123_456),
            exact: true,
            busy,
        };
        assert_eq!(parse(text.as_bytes()), Parsed::Whole(whole(true)));
        for end in 0..text.len() - 2 {
            assert_eq!(parse(&text.as_bytes()[..end]), Parsed::Beginning, "{end}");
        }
        assert_eq!(parse(b"4711\n1700000000.123456\n0"), Parsed::Whole(whole(false)));
        let Parsed::Whole(whole) = parse(b"1\n1700000000\n1") else { panic!("not whole") };
        assert!(!whole.exact && whole.written == Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn anything_else_is_neither() {
        let bad = [
            "hello",
            "-1\n1\n1\n",
            "1\nx",
            "1\n1.2.3",
            "1\n1\n2",
            "1\n1\n1\n\n",
            "1\n1\n10",
            "0\n1\n1\n",
            "99999999999",
            "4294967296\n1\n1\n",
            "1\n.\n1\n",
            "1\n\n1\n",
            "\n1\n1\n",
            "1 \n1\n1\n",
            "1\r\n1\r\n1\r\n",
            "\0\0",
        ];
        for text in bad {
            assert_eq!(parse(text.as_bytes()), Parsed::Other, "{text:?}");
        }
        assert_eq!(parse(&[0xff]), Parsed::Other);
    }

    #[test]
    fn every_hostile_kind_is_named_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), "1\n1\n1\n").unwrap();
        std::os::unix::fs::symlink(path("good"), path("symlink")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        File::create(path("huge")).unwrap().set_len(1 << 40).unwrap();
        std::fs::write(path("twice"), "1\n1\n1\n").unwrap();
        std::fs::hard_link(path("twice"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("symlink loop"), path("symlink loop")).unwrap();
        let kinds = [
            ("symlink", "symbolic link"),
            ("symlink loop", "symbolic link"),
            ("folder", "folder"),
            ("fifo", "FIFO"),
            ("socket", "socket"),
            ("huge", "1099511627776 bytes"),
            ("twice", "more than one name"),
        ];
        for (name, what) in kinds {
            let content = read(&path(name), true);
            let Content::Refused(text) = &content else { panic!("{name}: {content:?}") };
            assert!(text.contains(what), "{name}: {text}");
            assert_eq!(content.file(), None);
            assert!(open(&path(name)).is_err(), "{name}");
        }
        assert!(matches!(read(Path::new("/dev/null"), true), Content::Refused(what) if what == "a device"));
        assert!(matches!(read(&path("good"), true), Content::Whole(..)));
        for missing in ["none", "good/below"] {
            assert_eq!(read(&path(missing), true), Content::Missing);
        }
        let long = path(&"x".repeat(300));
        assert!(matches!(read(&long, true), Content::Refused(_)));
    }

    #[test]
    fn a_file_as_it_was_made_is_told_from_one_that_was_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(matches!(read(&path, true), Content::Untouched(_)));
        // The kernel's time of files is as coarse as its tick.
        std::thread::sleep(Duration::from_millis(20));
        file.set_len(0).unwrap();
        drop(File::create(&path).unwrap());
        assert!(matches!(read(&path, true), Content::Torn { plausible: true, .. }));
        assert!(matches!(read(&path, false), Content::Present(_)));
    }

    #[test]
    fn a_lease_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "1\n1\n1\n").unwrap();
        let script = "import fcntl,os,signal,sys\n\
            signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
            f = open(sys.argv[1], 'r+')\n\
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
            os.write(1, b'x')\nsys.stdin.read()\n";
        let mut holder = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let begun = std::time::Instant::now();
        assert!(matches!(read(&path, true), Content::Torn { plausible: false, .. }));
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(matches!(read(&path, true), Content::Whole(..)));
    }
}
