//! The house rules that no compiler checks: layers, forbidden words, sizes, heads of files, what must be in the package.
//!
//! Each rule is a function from text to complaints, and has a test that shows that it can fail. A new module of the
//! crate must be given its layer in `tidy/layers.rs` before anything else passes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/package.rs"]
mod package;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

/// Fails with all complaints at once.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
