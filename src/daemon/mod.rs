//! The one place where core and world meet: the supervisor process.
//!
//! One decision thread (`run`) takes messages from one `inbox`, feeds the core and carries out what it wants
//! (`world`). Whatever may block has a thread of its own that ends in the inbox: looking up users
//! (`launcher`), reading configurations (`loader`), looking through /proc (`trees`), logs, the API.
//!
//! Never add here: policy arithmetic, or anything that could be tested without a kernel.

mod above;
mod adopt;
mod advice;
mod aftermath;
mod answers;
mod background;
mod begin;
mod budget;
mod catalogue;
mod causes;
mod changes;
mod channel;
mod dialogue;
mod environment;
mod findings;
mod follow;
mod hearing;
mod inbox;
mod inheritance;
mod keeping;
mod killer;
mod launcher;
mod listen;
mod loader;
mod looks;
mod notices;
mod options;
mod own_log;
mod past;
mod places;
mod processes;
mod records;
mod reload;
mod run;
mod said;
mod settle;
mod sources;
mod startup;
mod status;
mod tag;
mod trees;
mod voice;
mod wall;
mod words;
mod world;

pub use background::{detach, run_foreground, start_background};
pub use options::{Mode, Options, StartError};
pub use run::supervise;
pub use sources::DiskSources;
