//! The marks of runs in a memory file that the keeper holds too: what a successor of this supervisor finds. A run that said
//! `busy` before a crash is in the middle of its task after it.
//!
//! Never add here: disks. Each run has a slot of its own, and a change is one write within a page: it is there or it is not.

use super::board::{Busy, Mark};
use crate::model::{Moment, RunId};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// A run (16 bytes), its marks (1), since when (8, nanoseconds), the length of the text (1), the text.
const SLOT: usize = 256;
const TEXT_AT: usize = 26;

/// So many runs are remembered at most.
const MOST: u64 = 65_536;

const LINE: u8 = 1;
const NOTIFY: u8 = 2;
const CONNECTION: u8 = 4;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    slots: BTreeMap<RunId, u64>,
    free: Vec<u64>,
    end: u64,
}

/// What a run had said when the supervisor before died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Without the connections' numbers: those have ended with their server.
    pub(super) marks: Vec<Mark>,
    /// A connection was busy: it may come back.
    pub(super) connected: bool,
    pub(super) busy: Busy,
}

impl Kept {
    /// A new one, and what is in the one before.
    pub(super) fn open(left: Option<OwnedFd>) -> io::Result<(Self, BTreeMap<RunId, Said>)> {
        let said = left.map(read).transpose()?.unwrap_or_default();
        let file = File::from(memfd_create("sppm-marks", MemfdFlags::CLOEXEC)?);
        let mut kept = Self { file, slots: BTreeMap::new(), free: Vec::new(), end: 0 };
        for (run, said) in &said {
            kept.put(*run, said)?;
        }
        Ok((kept, said))
    }

    /// For whoever outlives us.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    /// A run's marks are these now.
    pub(super) fn note(&mut self, run: RunId, marks: &BTreeMap<Mark, Busy>) -> io::Result<()> {
        let Some(since) = marks.values().map(|busy| busy.since).min() else {
            self.forget(run);
            return Ok(());
        };
        let what = marks.values().filter(|busy| busy.what.is_some()).max_by_key(|busy| busy.since);
        let (connections, ways) = marks.keys().partition::<Vec<Mark>, _>(|mark| is_connection(**mark));
        let busy = Busy { since, what: what.and_then(|busy| busy.what.clone()) };
        self.put(run, &Said { marks: ways, connected: !connections.is_empty(), busy })
    }

    /// Nothing is to be remembered of a run.
    pub(super) fn forget(&mut self, run: RunId) {
        if let Some(slot) = self.slots.remove(&run) {
            // Memory that we have already: there is nothing that could fail.
            let _ = self.file.write_all_at(&[0; SLOT], slot * SLOT as u64);
            self.free.push(slot);
        }
    }

    fn put(&mut self, run: RunId, said: &Said) -> io::Result<()> {
        let slot = match self.slots.get(&run) {
            Some(slot) => *slot,
            None => self.free.pop().unwrap_or(self.end),
        };
        if slot >= MOST {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.file.write_all_at(&encode(run, said), slot * SLOT as u64)?;
        self.end = self.end.max(slot + 1);
        self.slots.insert(run, slot);
        Ok(())
    }
}

fn is_connection(mark: Mark) -> bool {
    matches!(mark, Mark::Connection(_))
}

fn encode(run: RunId, said: &Said) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..16].copy_from_slice(&run.bits().to_le_bytes());
    let ways = said.marks.iter().fold(0, |ways, mark| match mark {
        Mark::Line => ways | LINE,
        Mark::Notify => ways | NOTIFY,
        Mark::Connection(_) => ways | CONNECTION,
    });
    bytes[16] = ways | if said.connected { CONNECTION } else { 0 };
    bytes[17..25].copy_from_slice(&said.busy.since.as_nanos().to_le_bytes());
    let text = said.busy.what.as_deref().unwrap_or_default();
    let room = text.len().min(SLOT - TEXT_AT);
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    bytes[25] = u8::try_from(end).unwrap_or(0);
    bytes[TEXT_AT..TEXT_AT + end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

fn read(file: OwnedFd) -> io::Result<BTreeMap<RunId, Said>> {
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MOST * SLOT as u64).read_to_end(&mut bytes)?;
    Ok(bytes.chunks_exact(SLOT).filter_map(decode).collect())
}

fn decode(slot: &[u8]) -> Option<(RunId, Said)> {
    let run = RunId::from_bits(u128::from_le_bytes(slot.get(..16)?.try_into().ok()?));
    let ways = *slot.get(16)?;
    let since = Moment::from_nanos(u64::from_le_bytes(slot.get(17..25)?.try_into().ok()?));
    let length = usize::from(*slot.get(25)?);
    let text = String::from_utf8_lossy(slot.get(TEXT_AT..TEXT_AT + length)?).into_owned();
    let marks = [(LINE, Mark::Line), (NOTIFY, Mark::Notify)];
    let marks = marks.into_iter().filter(|(way, _)| ways & way != 0).map(|(_, mark)| mark).collect();
    let busy = Busy { since, what: (!text.is_empty()).then_some(text) };
    (ways != 0).then_some((run, Said { marks, connected: ways & CONNECTION != 0, busy }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn run(bits: u128) -> RunId {
        RunId::from_bits(bits)
    }

    fn busy(nanos: u64, what: Option<&str>) -> Busy {
        Busy { since: Moment::from_nanos(nanos), what: what.map(str::to_owned) }
    }

    #[test]
    fn a_successor_finds_the_marks_that_hold_and_no_others() {
        let (mut kept, said) = Kept::open(None).unwrap();
        assert!(said.is_empty());
        let long = "ä".repeat(200);
        kept.note(run(1), &BTreeMap::from([(Mark::Line, busy(7, Some("page 1")))])).unwrap();
        kept.note(run(2), &BTreeMap::from([(Mark::Notify, busy(8, Some(&long)))])).unwrap();
        kept.note(run(2), &BTreeMap::new()).unwrap();
        let both =
            BTreeMap::from([(Mark::Connection(3), busy(9, Some(&long))), (Mark::Notify, busy(5, None))]);
        kept.note(run(3), &both).unwrap();
        kept.note(run(4), &both).unwrap();
        kept.forget(run(4));
        assert_eq!(kept.end, 3, "slots are used again");

        let (kept, said) = Kept::open(Some(kept.duplicate().unwrap())).unwrap();
        let one = Said { marks: vec![Mark::Line], connected: false, busy: busy(7, Some("page 1")) };
        let three = Said { marks: vec![Mark::Notify], connected: true, busy: busy(5, Some(&long[..230])) };
        assert_eq!(said, BTreeMap::from([(run(1), one), (run(3), three)]));
        assert_eq!(Kept::open(Some(kept.duplicate().unwrap())).unwrap().1, said);
    }
}
