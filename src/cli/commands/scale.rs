//! `sppm scale`.

use super::{DONE, Outcome, follow_through, order, show};
use crate::cli::args::{self, Scale};
use crate::cli::failure::Failure;
use crate::cli::render::visible;
use crate::cli::session::Session;
use crate::control::wire::{ErrorKind, ScaleTo};

pub(super) fn scale(session: &Session<'_>, args: &Scale) -> Outcome {
    let wishes = args::scales(&args.words).map_err(|message| Failure::new(ErrorKind::Usage, message))?;
    let client = session.client()?;
    let mut code = DONE;
    for (name, to) in wishes {
        let body = serde_json::json!({ "name": name, "to": to.to_string() });
        // Not to be given twice: `+1` is another wish the second time.
        let accepted = order(&client, "/v1/scale", &body, false)?;
        let report = follow_through(session, &client, "scale", accepted, &args.waiting)?;
        let name = visible(&name);
        let by = match to {
            ScaleTo::Exactly(_) => "to",
            ScaleTo::Up(_) | ScaleTo::Down(_) => "by",
        };
        let sentence = format!(
            "{name} is scaled {by} {to}, until `instances` changes in the file or a bare `sppm start`"
        );
        code = code.max(show(session, &report, "scale", &sentence)?);
    }
    Ok(code)
}
