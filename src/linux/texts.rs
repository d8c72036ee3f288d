//! Texts for execve(2), one behind the other in one piece of memory: an environment has dozens, and goes from thread to thread
//! and from process to process as it is.
//!
//! Never add here: what the texts mean.

use std::ffi::CStr;

/// Texts without NUL bytes, each with its NUL behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(Vec<u8>);

impl Texts {
    /// None, and room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What [`Texts::bytes`] gave. `None`: it is not such a thing.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        bytes.last().is_none_or(|last| *last == 0).then_some(Self(bytes))
    }

    /// All in one.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a text that is put together from these. Returns `false`, and adds nothing, where one has a NUL byte.
    pub fn push(&mut self, parts: &[&[u8]]) -> bool {
        if parts.iter().any(|part| memchr::memchr(0, part).is_some()) {
            return false;
        }
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        self.0.push(0);
        true
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[text.count_bytes() + 1..];
            Some(text)
        })
    }
}

impl<'a> Extend<&'a CStr> for Texts {
    fn extend<T: IntoIterator<Item = &'a CStr>>(&mut self, texts: T) {
        texts.into_iter().for_each(|text| self.0.extend_from_slice(text.to_bytes_with_nul()));
    }
}

impl<'a> FromIterator<&'a CStr> for Texts {
    fn from_iter<T: IntoIterator<Item = &'a CStr>>(texts: T) -> Self {
        let mut all = Self::default();
        all.extend(texts);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let mut texts = Texts::with_capacity(10);
        assert!(texts.push(&[b"A", b"=", b"1"]) && texts.push(&[]) && !texts.push(&[b"B=", b"\0"]));
        texts.extend([c"C=\xff"]);
        assert_eq!(texts.iter().collect::<Vec<_>>(), [c"A=1", c"", c"C=\xff"]);
        assert_eq!(texts.iter().collect::<Texts>(), texts);
        assert_eq!(Texts::from_bytes(texts.bytes().to_vec()), Some(texts));
        assert_eq!(Texts::from_bytes(Vec::new()), Some(Texts::default()));
        assert_eq!(Texts::from_bytes(b"A=1".to_vec()), None);
    }
}
