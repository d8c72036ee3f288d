//! Why a command ends early, and how that looks: `error: …`, `--> place`, `help: …`.

use crate::control::client::ClientError;
use crate::control::wire::{ErrorDto, ErrorKind};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::io;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something to say, and the exit code that goes with it.
    Error(Box<ErrorDto>),
    /// Nobody reads our output any more: end without a word.
    Unread,
}

/// Exit code for a reader that left: what the shell shows for a program that SIGPIPE ended.
const UNREAD: u8 = 141;

impl Failure {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ErrorDto::new(kind, message).into()
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Error(error) => error.error.exit_code,
            Self::Unread => UNREAD,
        }
    }
}

impl From<ErrorDto> for Failure {
    fn from(error: ErrorDto) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    /// Only for output: everything else says more than the error alone.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _other => Self::new(ErrorKind::Failed, format!("cannot write the output: {error}")),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Refused(error) => Self::Error(error),
            ClientError::NoServer(socket) => ErrorDto::new(ErrorKind::NoSupervisor, "the supervisor is gone")
                .with_place(socket.display().to_string())
                .with_help("sppm start")
                .into(),
            ClientError::NotPermitted(_) => {
                let help = "root, the user it runs as and members of supervisor.api.group may";
                ErrorDto::new(ErrorKind::NotPermitted, message).with_help(help).into()
            }
            ClientError::TimedOut => Self::new(ErrorKind::TimedOut, message),
            ClientError::Lost(_) => Self::new(ErrorKind::Failed, message),
            ClientError::Protocol(_) => ErrorDto::new(ErrorKind::Failed, message)
                .with_help("is the supervisor of another version? `sppm status` says; a restart of it helps")
                .into(),
        }
    }
}

/// The error for people: `error: …`, `--> place`, `help: …`; ends with a newline.
pub(super) fn render(error: &ErrorDto) -> String {
    let body = &error.error;
    if let Some(rendered) = &body.rendered {
        return rendered.clone();
    }
    let red = AnsiColor::Red.on_default().bold();
    let mut text = format!("{red}error{red:#}: {}\n", body.message);
    let bold = Style::new().bold();
    // Writing to a String cannot fail.
    for place in body.place.iter().flat_map(|places| places.lines()) {
        let _ = writeln!(text, "  {bold}-->{bold:#} {place}");
    }
    if let Some(help) = &body.help {
        let _ = writeln!(text, "  {bold}help{bold:#}: {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_one_form() {
        let error =
            ErrorDto::new(ErrorKind::NoSupervisor, "no supervisor runs").with_place("/x").with_help("do");
        let text = anstream::adapter::strip_str(&render(&error)).to_string();
        assert_eq!(text, "error: no supervisor runs\n  --> /x\n  help: do\n");
    }
}
