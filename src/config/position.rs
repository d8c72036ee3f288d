//! Files that were read, and places in them.
//!
//! In: texts. Out: [`At`], a small copyable place, and the [`Spot`] that it stands for. Never add here: reading.

use super::problem::{Excerpt, Spot, shown};
use crate::model::Place;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes `start..end` of a file. A file has at most 8 MiB, so 32 bits suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Index into [`Files`].
    pub(super) file: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl At {
    /// The file as a whole.
    pub(super) const fn whole(file: u32) -> Self {
        Self { file, start: u32::MAX, end: u32::MAX }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// Whether lines of a file may be shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// They may.
    Lines,
    /// They may hold secrets: only the place is shown.
    PlaceOnly,
}

/// One file with its text.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: Arc<PathBuf>,
    pub(super) text: String,
    shown: String,
    lines: Shown,
    /// Offset of each line's first byte.
    starts: Vec<u32>,
}

/// All files of one load; index 0 is the main file.
#[derive(Debug)]
pub(super) struct Files {
    main: PathBuf,
    list: Vec<Arc<SourceFile>>,
}

impl Files {
    pub(super) fn new(main: &Path) -> Self {
        Self { main: main.to_owned(), list: Vec::new() }
    }

    /// Takes a file in; gives its index.
    pub(super) fn add(&mut self, path: &Path, text: String, lines: Shown) -> u32 {
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at as u32 + 1);
        let starts = std::iter::once(0).chain(newlines).collect();
        let shown = shown(path, &self.main);
        let path = Arc::new(path.to_owned());
        self.list.push(Arc::new(SourceFile { path, text, shown, lines, starts }));
        self.list.len() as u32 - 1
    }

    pub(super) fn get(&self, file: u32) -> &Arc<SourceFile> {
        &self.list[file as usize]
    }

    /// The folder that relative paths of this file are relative to.
    pub(super) fn folder(&self, file: u32) -> &Path {
        self.get(file).path.parent().unwrap_or(Path::new("/"))
    }

    /// A place for the model: file and line.
    pub(super) fn place(&self, at: At) -> Place {
        let file = self.get(at.file);
        Place {
            file: Arc::clone(&file.path),
            line: file.line_of(at.start).map_or(1, |index| index as u32 + 1),
        }
    }

    /// A place for people.
    pub(super) fn spot(&self, at: At) -> Spot {
        self.get(at.file).spot(at)
    }
}

impl SourceFile {
    /// Index of the line that holds this byte; `None` for the file as a whole.
    fn line_of(&self, offset: u32) -> Option<usize> {
        if offset == u32::MAX {
            return None;
        }
        Some(self.starts.partition_point(|&start| start <= offset).saturating_sub(1))
    }

    fn spot(&self, at: At) -> Spot {
        let mut spot = Spot {
            file: (*self.path).clone(),
            shown: self.shown.clone(),
            line: None,
            column: 1,
            span: 0..0,
            excerpt: None,
        };
        let Some(index) = self.line_of(at.start) else { return spot };
        let first = self.starts[index] as usize;
        let rest = &self.text[first..];
        let line =
            rest[..memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len())].trim_end_matches('\r');
        let (line, first) = match line.strip_prefix('\u{feff}') {
            Some(line) => (line, first + '\u{feff}'.len_utf8()),
            None => (line, first),
        };
        let inside = |offset: u32| floor(line, (offset as usize).saturating_sub(first).min(line.len()));
        let start = inside(at.start);
        let marked = start..inside(at.end).max(start);
        spot.line = Some(index as u32 + 1);
        spot.column = line[..start].chars().count() as u32 + 1;
        spot.span = at.start as usize..at.end.max(at.start) as usize;
        if self.lines == Shown::Lines && line.len() <= LONGEST_EXCERPT {
            spot.excerpt = Some(harmless(line, marked));
        }
        spot
    }
}

/// A longer line is not kept: many problems on one huge line would cost its length each.
const LONGEST_EXCERPT: usize = 400;

/// The nearest character boundary at or before `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// An excerpt whose C1 control characters (U+0080 to U+009F, which some terminals obey) are replaced; the renderer does
/// the like with those below U+0020. The marked bytes move with their text.
fn harmless(line: &str, marked: Range<usize>) -> Excerpt {
    let replace = |text: &str| -> String {
        text.chars().map(|c| if ('\u{80}'..='\u{9f}').contains(&c) { '\u{fffd}' } else { c }).collect()
    };
    let (before, rest) = line.split_at(marked.start);
    let (inside, after) = rest.split_at(marked.end - marked.start);
    let (before, inside, after) = (replace(before), replace(inside), replace(after));
    let marked = before.len()..before.len() + inside.len();
    Excerpt { line: before + &inside + &after, marked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let mut files = Files::new(Path::new("/w/a.yaml"));
        let file = files.add(Path::new("/w/d/b.yaml"), "\u{feff}ä: 1\r\nb: ö x\n".to_owned(), Shown::Lines);
        let spot = files.spot(At { file, start: 10, end: 11 });
        assert_eq!((spot.line, spot.column, spot.shown.as_str()), (Some(2), 1, "d/b.yaml"));
        let spot = files.spot(At { file, start: 16, end: 17 });
        assert_eq!((spot.line, spot.column), (Some(2), 6));
        let spot = files.spot(At { file, start: 3, end: 5 });
        let excerpt = spot.excerpt.as_ref().map(|e| (e.line.as_str(), e.marked.clone()));
        assert_eq!((spot.line, spot.column, excerpt), (Some(1), 1, Some(("ä: 1", 0..2))));
        let spot = files.spot(At { file, start: 1000, end: 2000 });
        assert_eq!(spot.line, Some(3), "a place after the end is no reason to panic");
        assert_eq!(files.spot(At::whole(file)).line, None);
    }
}
