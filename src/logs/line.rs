//! Cutting a stream of bytes into lines, for followers.
//!
//! In: chunks as they were read. Out: lines without their newline, in pieces of at most 64 KiB. Files never pass
//! through here: they get the bytes as they are. Never add here: decoding, escaping, time stamps.

use memchr::{memchr, memrchr};

/// The longest piece of a line that is handed on, in bytes.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// An emptied buffer larger than this is given back: thousands of quiet programs must not hold one each.
const KEEP_CAPACITY: usize = 4 * 1024;

/// What one stream has written since its last newline.
#[derive(Default)]
pub(super) struct Framer {
    partial: Vec<u8>,
}

impl Framer {
    /// The unfinished line, less the pieces already handed on.
    pub(super) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Takes a chunk and emits each line (`true`) or full piece of one (`false`).
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8], bool)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.partial.is_empty() {
                emit_pieces(line, emit);
            } else {
                self.extend(line, emit);
                emit(&self.partial, true);
                self.clear();
            }
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.extend(bytes, emit);
        }
    }

    /// The same without anybody who listens: only the unfinished line is kept.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        let tail = match memrchr(b'\n', bytes) {
            Some(end) => {
                self.clear();
                &bytes[end + 1..]
            }
            None => bytes,
        };
        if !tail.is_empty() {
            self.extend(tail, &mut |_, _| {});
        }
    }

    /// The stream has ended: what is left is its last line.
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8], bool)) {
        if !self.partial.is_empty() {
            emit(&self.partial, false);
            self.partial = Vec::new();
        }
    }

    fn extend(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8], bool)) {
        while self.partial.len() + bytes.len() > MAX_LINE {
            let (now, later) = bytes.split_at(MAX_LINE - self.partial.len());
            self.partial.extend_from_slice(now);
            emit(&self.partial, false);
            self.partial.clear();
            bytes = later;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.partial.clear();
        if self.partial.capacity() > KEEP_CAPACITY {
            self.partial = Vec::new();
        }
    }
}

/// Emits a complete line in pieces that are short enough; only the last is marked complete.
pub(super) fn emit_pieces(mut line: &[u8], emit: &mut dyn FnMut(&[u8], bool)) {
    while line.len() > MAX_LINE {
        let (now, later) = line.split_at(MAX_LINE);
        emit(now, false);
        line = later;
    }
    emit(line, true);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn feed_all(chunks: &[&[u8]]) -> (Vec<(Vec<u8>, bool)>, Framer) {
        let (mut framer, mut lines) = (Framer::default(), Vec::new());
        for chunk in chunks {
            framer.feed(chunk, &mut |text, complete| lines.push((text.to_vec(), complete)));
        }
        (lines, framer)
    }

    #[test]
    fn lines_come_whole_wherever_the_chunks_are_cut() {
        let text = b"one\n\ntwo\nthree";
        for cut in 0..text.len() {
            let (lines, framer) = feed_all(&[&text[..cut], &text[cut..]]);
            let expected = [(b"one".to_vec(), true), (Vec::new(), true), (b"two".to_vec(), true)];
            assert_eq!(lines, expected, "cut at {cut}");
            assert_eq!(framer.partial(), b"three");
        }
    }

    #[test]
    fn skipping_leaves_the_same_partial_as_feeding() {
        let long = vec![b'x'; MAX_LINE + 10];
        for chunks in [&[&b"a\nb"[..], b"c"][..], &[b"abc", b"\n"], &[&long, b"y"], &[b"k", &long]] {
            let (_, fed) = feed_all(chunks);
            let mut skipped = Framer::default();
            chunks.iter().for_each(|chunk| skipped.skip(chunk));
            assert_eq!(fed.partial(), skipped.partial());
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_and_loses_nothing() {
        let mut line = vec![b'x'; 3 * MAX_LINE + 5];
        line.push(b'\n');
        for size in [1000, MAX_LINE, line.len()] {
            let chunks: Vec<&[u8]> = line.chunks(size).collect();
            let (lines, framer) = feed_all(&chunks);
            assert!(framer.partial().is_empty());
            assert!(lines.iter().all(|(text, _)| text.len() <= MAX_LINE));
            assert_eq!(lines.iter().map(|(text, _)| text.len()).sum::<usize>(), line.len() - 1);
            assert_eq!(lines.iter().filter(|(_, complete)| *complete).count(), 1);
            assert!(lines.last().unwrap().1);
        }
    }
}
