//! No byte is lost, files end at line ends, numbers are kept.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// Writes of odd sizes, so that they never match lines or files.
fn write_odd(pipe: &mut File, text: &[u8]) {
    let mut rest = text;
    for size in (1..).map(|turn| turn * 7919 % 5003 + 1) {
        let (now, later) = rest.split_at(rest.len().min(size));
        pipe.write_all(now).unwrap();
        rest = later;
        if rest.is_empty() {
            return;
        }
    }
}

#[test]
fn all_files_together_are_what_was_written() {
    let world = World::new();
    let log = world.path("deep/er/x.log");
    let text: Vec<u8> =
        (0..40_000).flat_map(|n| format!("line {n} {}\n", "x".repeat(n % 90)).into_bytes()).collect();
    let mut pipe = world.attach(1, "x", sizes(&log, 100_000, 900));
    write_odd(&mut pipe, &text);
    world.drain(1);
    let files = files(&log);
    assert!(files.len() > 20, "{} files", files.len());
    assert!(files.iter().all(|file| file.len() <= 100_000 && file.ends_with(b"\n")));
    assert!(files[..files.len() - 1].iter().all(|file| file.len() > 99_000), "no file is left half empty");
    assert_eq!(files.concat(), text);
    let mode = std::fs::metadata(&log).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
}

#[test]
fn so_many_files_are_kept_and_no_more() {
    let world = World::new();
    let (log, alone) = (world.path("x.log"), world.path("alone.log"));
    let mut pipe = world.attach(1, "x", sizes(&log, 1000, 3));
    let mut other = world.attach(2, "alone", sizes(&alone, 1000, 1));
    for n in 0..1000 {
        writeln!(pipe, "line {n}").unwrap();
        writeln!(other, "line {n}").unwrap();
    }
    world.drain(1);
    world.drain(2);
    let kept = files(&log);
    assert_eq!(kept.len(), 3);
    assert!(kept.concat().ends_with(b"line 998\nline 999\n"));
    let one = files(&alone);
    assert!(one.len() == 1 && one[0].len() <= 1000 && one[0].ends_with(b"line 999\n"), "{one:?}");
    world.logger.respec(RunId::from_bits(1), LogStream::Stdout, sizes(&log, 1000, 2));
    world.drain(1);
    assert_eq!(files(&log).len(), 2, "a lowered number holds at once");
}

#[test]
fn a_line_without_end_is_written_at_once_and_cut_in_the_end() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 10_000, 50));
    pipe.write_all(b"no newline").unwrap();
    world.drain(1);
    assert_eq!(std::fs::read(&log).unwrap(), b"no newline");
    pipe.write_all(&vec![b'x'; 300_000]).unwrap();
    world.drain(1);
    let files = files(&log);
    assert_eq!(files.concat().len(), 300_010);
    assert!(files.len() >= 4 && files.iter().all(|file| file.len() <= 10_000 + 65_536));
}

#[test]
fn a_log_goes_on_where_it_was() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::write(&log, "old\n".repeat(300)).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 1000, 5));
    writeln!(pipe, "new").unwrap();
    world.drain(1);
    assert_eq!(std::fs::read(&log).unwrap(), b"new\n");
    assert_eq!(std::fs::read(rotate::numbered(&log, 1)).unwrap().len(), 1200);
}

#[test]
fn two_runs_share_a_file_however_they_spell_it() {
    let world = World::new();
    let (log, same) = (world.path("x.log"), world.path(".//x.log"));
    let (mut one, mut two) =
        (world.attach(1, "a", sizes(&log, 500, 900)), world.attach(2, "b", sizes(&same, 500, 900)));
    for n in 0..500 {
        // One write(2) a line: pieces of lines from two pipes stand in the file as they came.
        one.write_all(format!("one {n}\n").as_bytes()).unwrap();
        two.write_all(format!("two {n}\n").as_bytes()).unwrap();
    }
    world.drain(1);
    world.logger.detach(RunId::from_bits(1));
    world.drain(2);
    writeln!(two, "still there").unwrap();
    world.drain(2);
    let text = String::from_utf8(files(&log).concat()).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("one ")).count(), 500);
    assert_eq!(text.lines().filter(|line| line.starts_with("two ")).count(), 500);
    assert!(text.ends_with("still there\n"));
}

#[test]
fn files_moved_or_removed_by_others_are_made_again() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    writeln!(pipe, "one").unwrap();
    world.drain(1);
    std::fs::rename(&log, world.path("moved")).unwrap();
    world.logger.reopen();
    // Orders are taken in order; output that comes beside them may be read first.
    world.drain(1);
    writeln!(pipe, "two").unwrap();
    world.drain(1);
    assert_eq!(std::fs::read(&log).unwrap(), b"two\n");
    std::fs::remove_file(&log).unwrap();
    let end = std::time::Instant::now() + SOON;
    while !log.exists() {
        assert!(std::time::Instant::now() < end, "never made again");
        writeln!(pipe, "three").unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(std::fs::read(world.path("moved")).unwrap(), b"one\n");
}
