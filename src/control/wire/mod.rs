//! The JSON of the API and of `--json`, as plain data.
//!
//! Fields keep their order and meaning for ever; new ones are added at the end of their object, and readers
//! skip what they do not know. Words (`phase`, `desired`) are texts, so that an older command still shows
//! what a newer supervisor says.
//!
//! Entries of the journal ([`crate::journal::Entry`]) are such a promise themselves and appear as they are.
//!
//! Never add here: a type of the core, or a field that was removed and came back with another meaning.

mod answer;
mod channel;
mod diff;
mod error;
mod log;
mod scale;
mod status;
mod why;
mod written;

pub use answer::{AcceptedDto, SettleDto, SettledDto, SettledWord};
pub use channel::{KvDto, MessageDto, PublishedDto};
pub use diff::{ChangeDto, ChangeKind, DiffDto, KeyChangeDto, is_secret};
pub use error::{ErrorBody, ErrorDto, ErrorKind};
pub use log::LogItem;
pub use scale::{InvalidScale, ScaleTo};
pub use status::{InstanceDto, LastExitDto, ProgramDto, StatusDto, SupervisorDto};
pub use why::{LeftOutDto, WhyDto, WhyInstanceDto};
pub use written::{Detail, WrittenStatus};
