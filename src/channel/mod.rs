//! How programs talk with each other and with sppm over `SPPM_SOCKET`.
//!
//! - [`Hub`]: topics with their subscribers, and the small store. In memory, bounded, for any thread.
//! - [`Server`]: the socket, whose language is in `clients/python/PROTOCOL.md`, on one thread.
//!
//! In: connections, runs that may connect, what operators publish. Out: messages, and what programs say of themselves
//! ([`crate::model::Saying`]). Never add here: what follows from a saying (the core decides), HTTP, or anything that
//! lets one program hold up another.

mod hub;
mod keepsake;
mod names;
mod protocol;
mod server;
mod store;

pub use hub::{Delivery, Hub, Message, Refusal, Subscription};
pub use keepsake::Hold;
pub use names::{Pattern, is_name};
pub use server::{Closed, Said, Server, seats};
pub use store::Value;

/// The longest data of a message or a key, in bytes.
pub const LONGEST_DATA: usize = 60_000;
