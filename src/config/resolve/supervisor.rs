//! `supervisor:`, and the folders that everything else stands in.

use super::needed;
use crate::config::Context;
use crate::config::decode::{Decoder, Setting, Value};
use crate::config::document;
use crate::config::find::absolute;
use crate::config::folders::{self, SOCKET, SOCKET_PATH_MAX};
use crate::config::placeholders::{Fill, has_any, is_per_instance};
use crate::config::position::{At, Files};
use crate::config::problem::ProblemKind;
use crate::config::values::PathText;
use crate::model::{ApiSettings, Folders, FollowFile, StartConcurrency, SupervisorSettings};
use std::path::{Path, PathBuf};

/// `supervisor:` in full, and the folders even where something is wrong with it.
pub(in crate::config) fn supervisor(
    given: &Setting<document::Supervisor>,
    context: &Context<'_>,
    files: &Files,
    cx: &mut Decoder<'_>,
) -> (Folders, Option<SupervisorSettings>) {
    let section = given.get().cloned().unwrap_or_default();
    let built_in = document::Supervisor::built_in(cx).unwrap_or_default();
    let section = section.complete(&built_in);
    cx.within("supervisor", |cx| {
        let folders = all_folders(&section, context, files, cx);
        let settings = settings(&section, context, files, &folders, cx);
        (folders, settings.filter(|_| !given.is_broken()))
    })
}

fn all_folders(
    section: &document::Supervisor,
    context: &Context<'_>,
    files: &Files,
    cx: &mut Decoder<'_>,
) -> Folders {
    let defaults = folders::defaults(context.path, context.root, context.environment);
    let mut folder = |key: &str, setting: &Setting<PathText>, default: PathBuf| match setting.get() {
        None => default,
        Some(path) => cx.within(key, |cx| folder(path, files, cx)),
    };
    let folders = Folders {
        runtime_dir: folder("runtime_dir", &section.runtime_dir, defaults.runtime_dir),
        state_dir: folder("state_dir", &section.state_dir, defaults.state_dir),
        log_dir: folder("log_dir", &section.log_dir, defaults.log_dir),
    };
    let socket = folders.runtime_dir.join(SOCKET);
    let length = socket.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let at = section.runtime_dir.at().unwrap_or(At::whole(0));
        let message = format!(
            "the control socket would be {} with {length} bytes, and a socket's path has at most {SOCKET_PATH_MAX}",
            socket.display()
        );
        let help = Some("give a shorter `supervisor.runtime_dir`".to_owned());
        cx.within("runtime_dir", |cx| cx.error(ProblemKind::Value, at, message, help));
    }
    folders
}

/// One of the three folders: they are what placeholders stand for, so they have none.
fn folder(path: &PathText, files: &Files, cx: &mut Decoder<'_>) -> PathBuf {
    if has_any(&path.text) {
        let message = "placeholders cannot stand in the folders that they stand for";
        cx.error(ProblemKind::Value, path.at, message, None);
    }
    absolute(files.folder(path.at.file), Path::new(&path.text))
}

fn settings(
    section: &document::Supervisor,
    context: &Context<'_>,
    files: &Files,
    folders: &Folders,
    cx: &mut Decoder<'_>,
) -> Option<SupervisorSettings> {
    let document::Supervisor {
        name,
        runtime_dir: _,
        state_dir: _,
        log_dir: _,
        pid_file,
        follow_file,
        start_concurrency,
        shutdown_timeout,
        api,
    } = section;
    let pid_file = needed(pid_file)?;
    if is_per_instance(&pid_file.text) || pid_file.text.contains("{name}") {
        let message = "`{name}`, `{instance}` and `{index}` stand for programs: they mean nothing here";
        cx.within("pid_file", |cx| cx.error(ProblemKind::Value, pid_file.at, message, None));
    }
    let text = Fill { name: None, folders }.fill(&pid_file.text);
    let default_name = || {
        let folder = context.path.parent().and_then(Path::file_name);
        folder.map_or_else(|| "sppm".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    let follow = needed(follow_file)?;
    let api = needed(api)?;
    Some(SupervisorSettings {
        name: name.get().map_or_else(default_name, |name| name.0.clone()),
        folders: folders.clone(),
        pid_file: absolute(files.folder(pid_file.at.file), Path::new(&text)),
        follow_file: FollowFile { enabled: needed(&follow.enabled)?, debounce: needed(&follow.debounce)? },
        start_concurrency: u32::try_from(needed(start_concurrency)?.0)
            .ok()
            .and_then(StartConcurrency::new)?,
        shutdown_timeout: needed(shutdown_timeout)?,
        api: ApiSettings { mode: needed(&api.mode)?, group: api.group.get().map(|group| group.0.clone()) },
    })
}
