//! One program: what it says, made absolute and complete.
//!
//! In: its section over all defaults. Out: the model's program. Never add here: a default of a key.

use super::gate;
use super::needed;
use super::restart::restart;
use super::stop::stop;
use crate::config::Context;
use crate::config::decode::{Decoder, Setting};
use crate::config::document;
use crate::config::placeholders::Fill;
use crate::config::position::{At, Files};
use crate::config::problem::ProblemKind;
use crate::config::values::{CpuCount, LogTarget, PathText, StderrTarget};
use crate::model::{
    ByteSize, Command, Hooks, Inherit, Instances, Limits, LogSink, Logs, Place, Program, ProgramName,
    Readiness, RestartPolicy, Rlimit, RlimitKind, StderrSink, StopPolicy, Template, WorkGate,
};
use std::collections::BTreeMap;
use std::path::Path;

/// What a program is resolved in.
pub(in crate::config) struct Scene<'a> {
    pub(in crate::config) context: &'a Context<'a>,
    pub(in crate::config) files: &'a Files,
    pub(in crate::config) fill: Fill<'a>,
}

impl Scene<'_> {
    /// A text with all placeholders filled but those of instances.
    pub(super) fn template(&self, text: &str) -> Template {
        Template::new(self.fill.fill(text))
    }

    /// A path, absolute: relative ones are relative to the file that has them.
    pub(in crate::config) fn path(&self, path: &PathText) -> String {
        let text = self.fill.fill(&path.text);
        match Path::new(&text).is_absolute() {
            true => text,
            false => {
                let text = text.strip_prefix("./").unwrap_or(&text);
                self.files.folder(path.at.file).join(text).display().to_string()
            }
        }
    }
}

/// One program in full. `key_at` is where its name stands, `variables` those of its env_files.
pub(in crate::config) fn program(
    name: &ProgramName,
    key_at: At,
    section: &document::Program,
    variables: BTreeMap<String, String>,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) -> Option<Program> {
    let document::Program {
        command: _,
        shell: _,
        argv0,
        directory,
        user,
        umask,
        environment: _,
        env_files: _,
        inherit_environment,
        stdin,
        description,
        tags,
        autostart,
        enabled: _,
        priority,
        instances,
        restart: _,
        stop: _,
        working_lock: _,
        ready: _,
        watchdog,
        hooks: _,
        orphans,
        logs: _,
        limits: _,
    } = section;
    let place = scene.files.place(key_at);
    let instances = count(instances, scene.context);
    let parts = parts(section, instances, scene, cx);
    who(section, scene.context, cx);
    let watchdog = gate::watchdog(watchdog, cx);
    gate::notify_socket(section, name, instances, scene, cx);
    Some(Program {
        name: name.clone(),
        command: parts.command?,
        argv0: argv0.get().map(|text| scene.template(text)),
        directory: folder(directory, &place, scene),
        user: user.get().cloned(),
        umask: needed(umask)?,
        environment: environment(section, variables, scene),
        inherit_environment: inherit_environment.get().map_or(Inherit::All, |setting| setting.0.clone()),
        stdin: stdin.get().map(|path| Template::new(scene.path(path))),
        description: description.get().map(|line| line.0.clone()),
        tags: tags.get().map(labels).unwrap_or_default(),
        autostart: needed(autostart)?,
        priority: i32::try_from(needed(priority)?.0).unwrap_or(i32::MAX),
        instances,
        restart: parts.restart?,
        stop: parts.stop?,
        orphans: needed(orphans)?,
        logs: parts.logs?,
        limits: parts.limits?,
        work: parts.work?,
        ready: parts.ready?,
        watchdog,
        hooks: parts.hooks?,
        place,
    })
}

/// What is made of the sections within a program.
struct Parts {
    command: Option<Command>,
    restart: Option<RestartPolicy>,
    stop: Option<StopPolicy>,
    logs: Option<Logs>,
    limits: Option<Limits>,
    work: Option<WorkGate>,
    ready: Option<Readiness>,
    hooks: Option<Hooks>,
}

/// All of them: one mistake does not hide another.
fn parts(
    section: &document::Program,
    instances: Instances,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) -> Parts {
    let command = command(section, scene);
    let shell = matches!(command, Some(Command::Shell(_)));
    Parts {
        command,
        restart: cx.within("restart", |cx| restart(&needed(&section.restart)?, cx)),
        stop: cx.within("stop", |cx| stop(&needed(&section.stop)?, shell, scene, cx)),
        logs: cx.within("logs", |cx| logs_of(&needed(&section.logs)?, scene, cx)),
        limits: cx.within("limits", |cx| Some(limits(&needed(&section.limits)?, scene.context, cx))),
        work: cx
            .within("working_lock", |cx| gate::work(&needed(&section.working_lock)?, instances, scene, cx)),
        ready: cx.within("ready", |cx| gate::ready(&needed(&section.ready)?, cx)),
        hooks: cx.within("hooks", |cx| gate::hooks(&needed(&section.hooks)?, scene, cx)),
    }
}

fn command(section: &document::Program, scene: &Scene<'_>) -> Option<Command> {
    if let Some(argv) = section.command.get() {
        return Some(Command::Exec(argv.0.iter().map(|word| scene.template(word)).collect()));
    }
    section.shell.get().map(|script| Command::Shell(scene.template(&script.0)))
}

fn folder(directory: &Setting<PathText>, place: &Place, scene: &Scene<'_>) -> Template {
    match directory.get() {
        Some(path) => Template::new(scene.path(path)),
        None => Template::new(place.file.parent().unwrap_or(Path::new("/")).display().to_string()),
    }
}

/// Variables of env_files, and over them those of `environment`.
fn environment(
    section: &document::Program,
    variables: BTreeMap<String, String>,
    scene: &Scene<'_>,
) -> BTreeMap<String, Option<Template>> {
    let mut all: BTreeMap<String, Option<Template>> =
        variables.into_iter().map(|(name, value)| (name, Some(scene.template(&value)))).collect();
    for (name, value) in section.environment.get().into_iter().flat_map(|environment| &environment.0) {
        all.insert(name.clone(), value.as_deref().map(|value| scene.template(value)));
    }
    all
}

/// Tags in order, each once: their order in the file means nothing.
fn labels(tags: &crate::config::values::OneOrMany<crate::config::values::Label>) -> Vec<String> {
    let mut labels: Vec<String> = tags.0.iter().map(|label| label.0.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

fn count(instances: &Setting<CpuCount>, context: &Context<'_>) -> Instances {
    match instances.get() {
        None => Instances::Single,
        Some(CpuCount::Auto) => Instances::Numbered(context.cpus.max(1)),
        Some(CpuCount::Count(count)) => Instances::Numbered(*count),
    }
}

fn logs_of(section: &document::Logs, scene: &Scene<'_>, cx: &mut Decoder<'_>) -> Option<Logs> {
    let document::Logs { stdout, stderr, max_size, max_files } = section;
    let sink = |target: &LogTarget| match target {
        LogTarget::File(path) => LogSink::File(Template::new(scene.path(path))),
        LogTarget::Inherit => LogSink::Inherit,
        LogTarget::Discard => LogSink::Discard,
    };
    if let Setting::Given(ByteSize(0), at) = max_size {
        let message = "files of 0 bytes can hold nothing";
        let help = Some("write `stdout: discard` for no logs at all".to_owned());
        cx.within("max_size", |cx| cx.error(ProblemKind::Value, *at, message, help));
    }
    Some(Logs {
        stdout: sink(stdout.get()?),
        stderr: match stderr.get()? {
            StderrTarget::Stdout => StderrSink::WithStdout,
            StderrTarget::Apart(target) => StderrSink::Apart(sink(target)),
        },
        max_size: needed(max_size)?,
        max_files: u32::try_from(needed(max_files)?.0).unwrap_or(u32::MAX),
    })
}

fn limits(section: &document::Limits, context: &Context<'_>, cx: &mut Decoder<'_>) -> Limits {
    let document::Limits { open_files, processes, core, nice, oom_score_adj } = section;
    let rlimit = |kind: RlimitKind, value: Option<Option<u64>>| value.map(|value| Rlimit { kind, value });
    let number = |setting: Option<i64>| setting.and_then(|value| i32::try_from(value).ok());
    for (key, value, at) in [
        ("nice", nice.get().map(|value| value.0), nice.at()),
        ("oom_score_adj", oom_score_adj.get().map(|value| value.0), oom_score_adj.at()),
    ] {
        if !context.root
            && let (Some(value @ ..=-1), Some(at)) = (value, at)
        {
            let message = format!("{value} needs root, which sppm is not: the launch will probably fail");
            cx.within(key, |cx| cx.warning(ProblemKind::Conflict, at, message, None));
        }
    }
    Limits {
        rlimits: [
            rlimit(RlimitKind::OpenFiles, open_files.get().map(|limit| limit.0)),
            rlimit(RlimitKind::Processes, processes.get().map(|limit| limit.0)),
            rlimit(RlimitKind::Core, core.get().map(|limit| limit.0)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        nice: number(nice.get().map(|value| value.0)),
        oom_score_adj: number(oom_score_adj.get().map(|value| value.0)),
    }
}

/// `user` needs root; one's own name is no change and does no harm.
fn who(section: &document::Program, context: &Context<'_>, cx: &mut Decoder<'_>) {
    let Setting::Given(account, at) = &section.user else { return };
    let own = ["USER", "LOGNAME"].iter().any(|name| context.environment.get(*name) == Some(&account.user));
    if !(context.root || own && account.group.is_none()) {
        let message = "only root can run programs as another user, and sppm does not run as root";
        let help = Some("remove `user`, or run sppm as root".to_owned());
        cx.within("user", |cx| cx.error(ProblemKind::Conflict, *at, message, help));
    }
}
