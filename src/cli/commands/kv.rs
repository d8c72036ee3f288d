//! `sppm kv`: the small store.

use super::{DONE, Outcome};
use crate::cli::args::{Kv, KvVerb};
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::control::client;
use crate::control::wire::KvDto;
use std::fmt::Write as _;

pub(super) fn kv(session: &Session<'_>, args: &Kv) -> Outcome {
    let client = session.client()?;
    let shown =
        |text: &str| if session.terminal.on_screen() { render::visible(text) } else { text.to_owned() };
    let (dto, said): (KvDto, String) = match &args.what {
        KvVerb::Get { key } => {
            let found: KvDto = client.get(&client::key(key, None), PATIENCE)?;
            match session.terminal.json {
                true => session.terminal.json(&found)?,
                false => {
                    let data = shown(found.data.as_deref().unwrap_or_default());
                    session.terminal.raw(format!("{data}\n").as_bytes())?;
                }
            }
            return Ok(DONE);
        }
        KvVerb::Set { key, if_version, data } => {
            let body = serde_json::json!({ "data": data.join(" "), "if_version": if_version });
            let set: KvDto = client.put(&client::key(key, None), &body, PATIENCE)?;
            let said = format!("{key} is set, version {}", set.version);
            (set, said)
        }
        KvVerb::Del { key, if_version } => {
            let gone: KvDto = client.delete(&client::key(key, *if_version), PATIENCE)?;
            (gone, format!("{key} is removed"))
        }
        KvVerb::List { prefix } => {
            let all: Vec<KvDto> = client.get(&client::keys(prefix), PATIENCE)?;
            if session.terminal.json {
                session.terminal.json(&all)?;
                return Ok(DONE);
            }
            let mut text = String::new();
            let wide = all.iter().map(|one| one.key.len()).max().unwrap_or(0).min(40);
            for one in &all {
                let data = shown(one.data.as_deref().unwrap_or_default());
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{:<wide$}  {:>4}  {data}", one.key, one.version);
            }
            session.terminal.raw(text.as_bytes())?;
            return Ok(DONE);
        }
    };
    if session.terminal.json {
        session.terminal.json(&dto)?;
    }
    session.terminal.say(&said)?;
    Ok(DONE)
}
