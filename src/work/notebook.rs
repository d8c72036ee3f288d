//! What a successor finds of the board: who had said by words that it is busy. One page of a memory file for each run that ever
//! did, written whole at each change; the keeper holds the file too.
//!
//! In: pages. Out: the same, read back. A page is one write into memory, which a kill does not cut in half.

use crate::model::{Moment, RunId};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// The size of a page: run, three moments, a length, a text.
const PAGE: usize = 256;
const HEAD: usize = 16 + 3 * 8 + 1;
/// More pages than runs that there can be are not read back.
const MOST_PAGES: u64 = 200_000;

/// Since when a run is busy, by each way; and by which task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Page {
    pub(super) line: Option<Moment>,
    pub(super) notify: Option<Moment>,
    /// By any connection.
    pub(super) connection: Option<Moment>,
    pub(super) what: Option<String>,
}

/// The file, and where in it whose page is.
pub(super) struct Notebook {
    file: File,
    places: BTreeMap<RunId, u64>,
    free: Vec<u64>,
    next: u64,
}

impl fmt::Debug for Notebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notebook").field("pages", &self.places.len()).finish_non_exhaustive()
    }
}

impl Notebook {
    /// An empty one, and its file for whoever outlives us.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let file = File::from(memfd_create("sppm-marks", MemfdFlags::CLOEXEC)?);
        let held = file.try_clone()?.into();
        Ok((Self { file, places: BTreeMap::new(), free: Vec::new(), next: 0 }, held))
    }

    /// What a predecessor left.
    pub(super) fn read(left: OwnedFd) -> io::Result<(Self, BTreeMap<RunId, Page>)> {
        let file = File::from(left);
        let pages = (file.metadata()?.len() / PAGE as u64).min(MOST_PAGES);
        let mut book = Self { file, places: BTreeMap::new(), free: Vec::new(), next: pages };
        let mut found = BTreeMap::new();
        let mut bytes = [0; PAGE];
        for number in 0..pages {
            book.file.read_exact_at(&mut bytes, number * PAGE as u64)?;
            match decode(&bytes) {
                Some((run, page)) => {
                    book.places.insert(run, number);
                    found.insert(run, page);
                }
                None => book.free.push(number),
            }
        }
        Ok((book, found))
    }

    /// Writes a run's page. One that says nothing is not begun.
    pub(super) fn write(&mut self, run: RunId, page: &Page) -> io::Result<()> {
        let number = match self.places.get(&run) {
            Some(number) => *number,
            None if *page == Page::default() => return Ok(()),
            None => {
                let number = self.free.pop().unwrap_or(self.next);
                self.next = self.next.max(number + 1);
                self.places.insert(run, number);
                number
            }
        };
        self.file.write_all_at(&encode(run, page), number * PAGE as u64)
    }

    /// Takes a run's page out.
    pub(super) fn clear(&mut self, run: RunId) -> io::Result<()> {
        let Some(number) = self.places.remove(&run) else { return Ok(()) };
        self.free.push(number);
        self.file.write_all_at(&[0; PAGE], number * PAGE as u64)
    }
}

fn encode(run: RunId, page: &Page) -> [u8; PAGE] {
    let mut bytes = [0; PAGE];
    bytes[..16].copy_from_slice(&run.bits().to_le_bytes());
    for (index, moment) in [page.line, page.notify, page.connection].into_iter().enumerate() {
        // Nothing was said in the first nanosecond after the boot.
        let nanos = moment.map_or(0, |moment| moment.as_nanos().max(1));
        bytes[16 + index * 8..24 + index * 8].copy_from_slice(&nanos.to_le_bytes());
    }
    let what = page.what.as_deref().unwrap_or_default();
    let fits = (0..=what.len().min(PAGE - HEAD)).rev().find(|at| what.is_char_boundary(*at)).unwrap_or(0);
    bytes[HEAD - 1] = u8::try_from(fits).unwrap_or(0);
    bytes[HEAD..HEAD + fits].copy_from_slice(&what.as_bytes()[..fits]);
    bytes
}

/// `None`: an empty page.
fn decode(bytes: &[u8; PAGE]) -> Option<(RunId, Page)> {
    let (run, rest) = bytes.split_first_chunk::<16>()?;
    let run = Some(u128::from_le_bytes(*run)).filter(|bits| *bits != 0).map(RunId::from_bits)?;
    let moment = |index: usize| -> Option<Moment> {
        let nanos = u64::from_le_bytes(*rest.get(index * 8..)?.first_chunk::<8>()?);
        (nanos != 0).then(|| Moment::from_nanos(nanos))
    };
    let length = usize::from(bytes[HEAD - 1]);
    let what = bytes.get(HEAD..HEAD + length).and_then(|text| std::str::from_utf8(text).ok());
    let what = what.filter(|text| !text.is_empty()).map(str::to_owned);
    Some((run, Page { line: moment(0), notify: moment(1), connection: moment(2), what }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_what_was_said_and_not_what_is_over() {
        let run = RunId::from_bits;
        let at = |nanos| Some(Moment::from_nanos(nanos));
        let (mut book, held) = Notebook::new().unwrap();
        let long = Page { line: at(7), what: Some("ä".repeat(300)), ..Page::default() };
        let other = Page { notify: at(1), connection: at(u64::MAX), ..Page::default() };
        book.write(run(1), &long).unwrap();
        book.write(run(2), &other).unwrap();
        book.write(run(3), &Page::default()).unwrap();
        book.write(run(4), &long).unwrap();
        book.clear(run(1)).unwrap();
        book.write(run(5), &other).unwrap();
        book.write(run(4), &Page::default()).unwrap();
        let (mut second, found) = Notebook::read(held.try_clone().unwrap()).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [run(2), run(4), run(5)]);
        assert_eq!((&found[&run(2)], &found[&run(4)]), (&other, &Page::default()));
        second.write(run(4), &long).unwrap();
        let (_, found) = Notebook::read(held).unwrap();
        let what = found[&run(4)].what.clone().unwrap();
        assert!(what.len() > 200 && what.chars().all(|letter| letter == 'ä'), "{what}");
    }
}
