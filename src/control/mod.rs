//! The control socket: what is said over it, who answers, who asks.
//!
//! - [`wire`]: the JSON, a promise to strangers: only additions.
//! - [`request`]: one request on its way to the supervisor and its answer on the way back.
//! - [`server`]: HTTP/1.1 over the Unix socket, on a thread of its own.
//! - [`client`]: the blocking client of the command.
//!
//! Never add here: a decision (who is stopped, in which order, whether). The daemon decides; this carries.

pub mod client;
mod lines;
pub mod request;
pub mod server;
pub mod wire;
