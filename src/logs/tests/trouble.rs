//! Sinks that do not work: said, counted, tried again; programs never notice.

use super::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::os::unix::fs::symlink;

/// Writes a line now and then until the sink works again; how many bytes it said were dropped.
fn until_it_works(world: &World, pipe: &mut File) -> u64 {
    loop {
        writeln!(pipe, "again").unwrap();
        if let Ok(LogEvent::Recovered { dropped, .. }) = world.events.recv_timeout(Duration::from_millis(100))
        {
            return dropped;
        }
    }
}

/// Bytes that the program wrote and that are in the file, and the sum of the gaps that the file tells.
fn account(text: &str) -> (u64, u64) {
    let (mut written, mut dropped) = (0, 0);
    for line in text.lines() {
        match line.strip_prefix("[sppm: ") {
            Some(note) => dropped += note.split(' ').next().unwrap().parse::<u64>().unwrap(),
            None => written += line.len() as u64 + 1,
        }
    }
    (written, dropped)
}

#[test]
fn a_folder_in_its_place_is_said_and_the_gap_told_when_it_is_gone() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::create_dir(&log).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    assert_eq!(world.trouble(), format!("cannot open {}: it is a folder", log.display()));
    writeln!(pipe, "lost").unwrap();
    world.drain(1);
    std::fs::remove_dir(&log).unwrap();
    let dropped = until_it_works(&world, &mut pipe);
    world.drain(1);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.starts_with(&format!("[sppm: {dropped} bytes dropped: cannot open ")), "{text}");
    assert!(dropped >= 5 && text.ends_with("again\n"));
}

#[test]
fn trouble_ends_with_the_last_writer() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::create_dir(&log).unwrap();
    let _pipe = world.attach(1, "x", sizes(&log, 0, 5));
    world.trouble();
    let elsewhere = sizes(&world.path("y.log"), 0, 5);
    world.logger.respec(RunId::from_bits(1), LogStream::Stdout, elsewhere);
    let abandoned = LogEvent::Abandoned { target: SinkTarget::File(log) };
    world.until(|event| *event == abandoned);
}

#[test]
fn a_link_at_the_path_is_refused() {
    let world = World::new();
    let (log, victim) = (world.path("x.log"), world.path("victim"));
    std::fs::write(&victim, "mine").unwrap();
    symlink(&victim, &log).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    assert!(world.trouble().contains("symbolic link"));
    writeln!(pipe, "lost").unwrap();
    world.drain(1);
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
}

#[test]
fn a_full_device_drops_counts_and_blocks_nobody() {
    let world = World::new();
    let mut pipe = world.attach(1, "x", sizes(Path::new("/dev/full"), 0, 5));
    let mut well = world.attach(2, "y", sizes(&world.path("y.log"), 0, 5));
    pipe.write_all(&vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(world.trouble(), "cannot write /dev/full: No space left on device");
    writeln!(well, "fine").unwrap();
    world.drain(1);
    world.drain(2);
    assert_eq!(std::fs::read(world.path("y.log")).unwrap(), b"fine\n");
    world.logger.respec(RunId::from_bits(1), LogStream::Stdout, sizes(&world.path("x.log"), 0, 5));
    writeln!(pipe, "elsewhere").unwrap();
    world.drain(1);
    assert_eq!(std::fs::read(world.path("x.log")).unwrap(), b"elsewhere\n");
}

#[test]
fn a_fifo_whose_reader_sleeps_blocks_nobody() {
    let world = World::new();
    let fifo = world.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&fifo, 0, 5));
    assert!(world.trouble().contains("FIFO that nobody reads"));
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || File::open(fifo).unwrap()
    });
    until_it_works(&world, &mut pipe);
    let mut reader = reader.join().unwrap();
    pipe.write_all(&vec![b'x'; 4 << 20]).unwrap();
    assert!(world.trouble().contains("its reader is too slow"));
    world.drain(1);
    drop(pipe);
    world.logger.stop();
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut seen).unwrap();
    assert!(seen.len() >= 32 * 1024, "what the FIFO held is there: {}", seen.len());
}

#[test]
fn a_burst_through_a_fifo_waits_for_its_reader() {
    let world = World::new();
    let fifo = world.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let open = std::thread::spawn({
        let fifo = fifo.clone();
        move || File::open(fifo).unwrap()
    });
    // The open above waits for a writer: this one, or the pump.
    let keep = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let mut reader = open.join().unwrap();
    let mut pipe = world.attach(1, "x", sizes(&fifo, 0, 5));
    pipe.write_all(&vec![b'x'; 600_000]).unwrap();
    world.drain(1);
    drop(pipe);
    drop(keep);
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut seen).unwrap();
    assert_eq!(seen.len(), 600_000, "all of it, and the sink is closed when it is out");
}

#[test]
fn a_rotation_that_fails_goes_on_in_the_same_file() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::create_dir_all(world.path("x.log.1/full")).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 100, 2));
    for n in 0..100 {
        writeln!(pipe, "line {n}").unwrap();
    }
    assert!(world.trouble().contains("cannot rotate"));
    world.drain(1);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 100);
    std::fs::remove_dir_all(world.path("x.log.1")).unwrap();
    assert_eq!(until_it_works(&world, &mut pipe), 0);
    world.drain(1);
    assert!(std::fs::read_to_string(rotate::numbered(&log, 1)).unwrap().starts_with("line 0\n"));
}

#[test]
fn after_a_full_disk_every_byte_is_written_or_counted() {
    if rustix::process::geteuid().is_root() {
        let mount = "d=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs $d && SPPM_TEST_DIR=$d \"$@\"; r=$?; \
                     umount $d; rmdir $d; exit $r";
        let shell = format!("exec unshare -m --propagation private sh -c '{mount}' sh \"$@\"");
        let may = std::process::Command::new("unshare").args(["-m", "true"]).output();
        if may.is_ok_and(|done| done.status.success()) {
            alone(module_path!(), "alone_on_a_small_disk", &shell);
        }
    }
}

#[test]
#[ignore = "started by after_a_full_disk_every_byte_is_written_or_counted"]
fn alone_on_a_small_disk() {
    let folder = PathBuf::from(std::env::var_os("SPPM_TEST_DIR").unwrap());
    let (world, log, filler) = (World::new(), folder.join("x.log"), folder.join("filler"));
    std::fs::write(&filler, vec![0; 40_000]).unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    let lines = "0123456789abcde\n".repeat(10_000);
    pipe.write_all(lines.as_bytes()).unwrap();
    assert_eq!(world.trouble(), format!("cannot write {}: No space left on device", log.display()));
    world.drain(1);
    std::fs::remove_file(&filler).unwrap();
    let dropped = until_it_works(&world, &mut pipe);
    world.drain(1);
    let text = std::fs::read_to_string(&log).unwrap();
    let (written, told) = account(&text);
    assert_eq!(told, dropped);
    assert!(text.contains(&format!("[sppm: {dropped} bytes dropped: No space left on device]\n")));
    let again = (written + dropped - lines.len() as u64) as i64;
    assert!(again > 0 && again % 6 <= 1, "the rest are lines of `until_it_works`: {again}");
}

#[test]
fn a_size_limit_of_the_process_is_survived() {
    alone(module_path!(), "alone_with_a_size_limit", "trap '' XFSZ; ulimit -f 16; exec \"$@\"");
}

#[test]
#[ignore = "started by a_size_limit_of_the_process_is_survived"]
fn alone_with_a_size_limit() {
    let world = World::new();
    let mut pipe = world.attach(1, "x", sizes(&world.path("x.log"), 0, 5));
    pipe.write_all(&vec![b'x'; 100_000]).unwrap();
    assert!(world.trouble().ends_with("File too large"));
    world.drain(1);
}

#[test]
fn inherited_output_reaches_ours_and_is_not_lost_in_a_burst() {
    let said = alone(module_path!(), "alone_with_our_output", "exec \"$@\"");
    assert_eq!(said.matches("inherited line\n").count(), 30_000);
}

#[test]
#[ignore = "started by inherited_output_reaches_ours_and_is_not_lost_in_a_burst"]
fn alone_with_our_output() {
    let world = World::new();
    let mut pipe = world.attach(1, "x", SinkSettings::plain(SinkTarget::Inherit));
    pipe.write_all("inherited line\n".repeat(30_000).as_bytes()).unwrap();
    world.drain(1);
    world.logger.stop();
}

#[test]
fn the_end_of_all_output_is_told_unasked_with_the_last_words() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    pipe.write_all(b"farewell\n").unwrap();
    drop(pipe);
    let closed = world.until(|event| matches!(event, LogEvent::Closed { .. }));
    let (run, last) = (RunId::from_bits(1), b"farewell\n".to_vec());
    assert_eq!(closed, LogEvent::Closed { run, last: last.clone() });
    assert_eq!(files(&log), [b"farewell\n"]);
    world.logger.drain(run);
    assert_eq!(
        world.until(|event| matches!(event, LogEvent::Drained { .. })),
        LogEvent::Drained { run, last }
    );
}
