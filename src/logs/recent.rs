//! The last bytes of what a run wrote: its last words, should it end.
//!
//! In: chunks as they were read. Out: at most [`KEPT`] bytes. Never add here: what the bytes mean.

/// So much is kept of a run: enough for a few lines, and little for a thousand runs.
pub const KEPT: usize = 512;

/// The end of what was written so far. Takes no memory before the first byte.
#[derive(Debug, Default)]
pub(super) struct Recent(Vec<u8>);

impl Recent {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(KEPT);
        self.0.drain(..excess);
        self.0.reserve_exact(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_however_it_comes() {
        let text: Vec<u8> = (0..2000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for size in [1, 7, KEPT - 1, KEPT, KEPT + 1, 2000] {
            let mut recent = Recent::default();
            text.chunks(size).for_each(|chunk| recent.add(chunk));
            assert_eq!(recent.bytes(), &text[2000 - KEPT..], "in chunks of {size}");
        }
        let mut recent = Recent::default();
        recent.add(b"a");
        recent.add(b"b");
        assert_eq!(recent.bytes(), b"ab");
    }
}
