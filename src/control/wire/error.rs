//! The one form of all errors, and which exit code and HTTP status go with each kind.

use serde::{Deserialize, Serialize};

/// Every answer that is not a success: `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDto {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, in the one form of all errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub kind: ErrorKind,
    /// For people: a lower-case fragment.
    pub message: String,
    /// The mend, if one is known.
    pub help: Option<String>,
    /// What the command exits with.
    pub exit_code: u8,
    /// Where, a place a line: a file, a socket, `/srv/sppm.yaml (12 programs)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Problems of a configuration, rendered without colour; shown instead of message and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
    /// The same problems as data, one object each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<serde_json::Value>,
}

/// The kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The supervisor or the command met something that it has no word for.
    Failed,
    /// The request makes no sense.
    Usage,
    /// No program or instance of that name.
    UnknownName,
    /// No supervisor runs for the file.
    NoSupervisor,
    /// It did not happen in time; it may still happen.
    TimedOut,
    /// The caller may not do this.
    NotPermitted,
    /// The configuration is invalid; nothing was changed.
    ConfigInvalid,
    /// Too much at once; ask again.
    Busy,
    /// It is not as the caller expected any more: somebody else was faster.
    Changed,
    /// What is bounded has no room left.
    Full,
    /// The supervisor is ending and takes no requests.
    ShuttingDown,
    /// A kind of a newer version.
    #[serde(other)]
    Other,
}

impl ErrorKind {
    /// What the command exits with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::ShuttingDown | Self::Changed | Self::Full | Self::Other => 1,
            Self::Usage => 2,
            Self::UnknownName => 4,
            Self::NoSupervisor => 69,
            Self::TimedOut | Self::Busy => 75,
            Self::NotPermitted => 77,
            Self::ConfigInvalid => 78,
        }
    }

    /// The HTTP status that goes with it (RFC 9110, section 15; 507 is RFC 4918's).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Failed | Self::NoSupervisor | Self::Other => 500,
            Self::Usage => 400,
            Self::UnknownName => 404,
            Self::TimedOut => 408,
            Self::NotPermitted => 403,
            Self::ConfigInvalid => 422,
            Self::Changed => 409,
            Self::Full => 507,
            Self::Busy | Self::ShuttingDown => 503,
        }
    }
}

impl ErrorDto {
    /// An error with the exit code of its kind, without help.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let error = ErrorBody {
            kind,
            message: message.into(),
            help: None,
            exit_code: kind.exit_code(),
            place: None,
            rendered: None,
            problems: Vec::new(),
        };
        Self { error }
    }

    /// The same with a mend.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.error.help = Some(help.into());
        self
    }

    /// The same with a place.
    #[must_use]
    pub fn with_place(mut self, place: impl Into<String>) -> Self {
        self.error.place = Some(place.into());
        self
    }

    /// An invalid configuration: `rendered` is what people see, `message` a summary in one line.
    pub fn config_invalid(message: impl Into<String>, rendered: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::ConfigInvalid, message);
        error.error.rendered = Some(rendered.into());
        error
    }

    /// The same with the problems of a configuration as data.
    #[must_use]
    pub fn with_problems(mut self, problems: &impl Serialize) -> Self {
        if let Ok(serde_json::Value::Array(list)) = serde_json::to_value(problems) {
            self.error.problems = list;
        }
        self
    }

    /// There is no program or instance of that name; `known` are the names that there are.
    pub fn unknown_name<'a>(name: &str, config: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let programs = if known.len() == 1 { "program" } else { "programs" };
        let error =
            Self::new(ErrorKind::UnknownName, format!("there is no program `{}`", name.escape_debug()))
                .with_place(format!("{config} ({} {programs})", known.len()));
        match nearest(name, &known) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => {
                error.with_help("`sppm status` lists all programs, and `sppm why` knows those that are gone")
            }
        }
    }
}

/// The known name that `name` is most probably meant to be: a third of its letters may be wrong.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    // A name has at most 63 letters; what is far longer is compared with nothing.
    // One of that very name is on its way out, and cannot be meant.
    let others = known.iter().copied().filter(|&candidate| candidate != name && lower.len() < 256);
    let near = others.map(|candidate| (distance(candidate), candidate));
    near.filter(|&(far, _)| far <= (lower.chars().count() / 3).max(1)).min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_its_nearest_neighbour() {
        let error = ErrorDto::unknown_name("wbe", "/s/sppm.yaml", ["api", "web"]).error;
        assert_eq!(error.help.as_deref(), Some("did you mean `web`?"));
        assert_eq!((error.exit_code, error.place.as_deref()), (4, Some("/s/sppm.yaml (2 programs)")));
        let error = ErrorDto::unknown_name("web", "/s/sppm.yaml", ["api", "web", "web2"]).error;
        assert_eq!(error.help.as_deref(), Some("did you mean `web2`?"), "`web` itself is being removed");
        let error = ErrorDto::unknown_name("zzz", "/s/sppm.yaml", ["web"]).error;
        assert_eq!(
            error.help.as_deref(),
            Some("`sppm status` lists all programs, and `sppm why` knows those that are gone")
        );
    }

    #[test]
    fn the_json_of_an_error_is_what_the_specification_says() {
        let error = ErrorDto::new(ErrorKind::NoSupervisor, "m").with_help("h");
        let json = r#"{"error":{"kind":"no_supervisor","message":"m","help":"h","exit_code":69}}"#;
        assert_eq!(serde_json::to_string(&error).ok().as_deref(), Some(json));
        let newer = r#"{"error":{"kind":"moon_phase","message":"m","help":null,"exit_code":9,"x":1}}"#;
        let read: Option<ErrorDto> = serde_json::from_str(newer).ok();
        assert_eq!(read.map(|read| read.error.kind), Some(ErrorKind::Other));
    }
}
