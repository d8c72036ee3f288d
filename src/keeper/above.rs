//! The service manager above, which has started this service and is told how it does: sd_notify(3).

use super::say;
use crate::linux::datagram::Recipient;

/// The variable that names its socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// It, if there is one.
#[derive(Debug)]
pub(super) struct Above {
    /// `None`: nobody wants to be told anything.
    recipient: Option<Recipient>,
    /// That it cannot be told was said already.
    complained: bool,
}

impl Above {
    /// The one that the environment names. The variable stays there for the supervisor, which keeps it from the programs.
    pub(super) fn named_by_environment() -> Self {
        let mut above = Self { recipient: None, complained: false };
        match std::env::var_os(VARIABLE).map(|name| Recipient::named(&name)) {
            None => {}
            Some(Ok(recipient)) => above.recipient = Some(recipient),
            Some(Err(error)) => above.complain(&error),
        }
        above
    }

    /// Tells it something, once.
    pub(super) fn tell(&mut self, text: &str) {
        if let Some(Err(error)) = self.recipient.as_ref().map(|recipient| recipient.send(text.as_bytes())) {
            self.complain(&error);
        }
    }

    /// Nobody can do anything about the second one either.
    fn complain(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            say::say(&format!("{VARIABLE}: the service manager cannot be told anything: {error}"));
        }
    }
}
