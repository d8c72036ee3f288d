//! One load from the main file to the plan: which files are read, in which order, and what of each counts.
//!
//! In: context and sources. Out: a plan, or problems. Never add here: knowledge of single keys of a program.

mod env_files;
mod include;
mod locks;

use crate::config::decode::{Decoder, Setting, Value};
use crate::config::document::{Program, Root};
use crate::config::parse::parse;
use crate::config::placeholders::Fill;
use crate::config::position::{At, Files, Shown};
use crate::config::problem::{ProblemKind, Watched, quoted};
use crate::config::resolve::{Scene, program, supervisor};
use crate::config::sources::SourceError;
use crate::config::tree::{NodeRef, Tree};
use crate::config::values::Deferred;
use crate::config::{Context, Loaded, Problems, Sources};
use crate::model::{self, DisabledProgram, Folders, Plan, ProgramName, SupervisorSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// The most programs of one configuration.
const MAX_PROGRAMS: usize = 50_000;

/// See [`super::load`].
pub(super) fn load(context: &Context<'_>, sources: &dyn Sources) -> Result<Loaded, Problems> {
    let mut loader = Loader {
        context,
        sources,
        files: Files::new(context.path),
        cx: Decoder::new(context.environment),
        watched: BTreeSet::new(),
        folders: BTreeSet::new(),
        env_files: BTreeMap::new(),
        names: BTreeMap::new(),
        programs: BTreeMap::new(),
        disabled: BTreeMap::new(),
        locks: BTreeMap::new(),
    };
    let settings = loader.main();
    loader.ambiguous_names();
    loader.shared_locks();
    loader.finish(settings)
}

type Variables = Rc<BTreeMap<String, String>>;

struct Loader<'a> {
    context: &'a Context<'a>,
    sources: &'a dyn Sources,
    files: Files,
    cx: Decoder<'a>,
    watched: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    env_files: BTreeMap<PathBuf, Option<Variables>>,
    /// Every name, also of disabled and of broken programs.
    names: BTreeMap<ProgramName, At>,
    programs: BTreeMap<ProgramName, Arc<model::Program>>,
    disabled: BTreeMap<ProgramName, DisabledProgram>,
    /// The working locks that have a path of their own, and whose they are.
    locks: BTreeMap<String, Vec<(ProgramName, At)>>,
}

/// What the programs of a file stand in.
struct Surroundings<'a> {
    folders: &'a Folders,
    /// The `defaults` that hold for the file.
    defaults: &'a Setting<Program>,
    built_in: &'a Program,
}

impl Loader<'_> {
    /// Reads the main file and all that it includes.
    fn main(&mut self) -> Option<SupervisorSettings> {
        self.watched.insert(self.context.path.to_owned());
        let (text, trouble) = match self.sources.read(self.context.path) {
            Ok(text) => (text, None),
            Err(error) => (String::new(), Some(error)),
        };
        let file = self.files.add(self.context.path, text, Shown::Lines);
        if let Some(error) = trouble {
            self.unreadable(&error, At::whole(file));
            return None;
        }
        let source = Arc::clone(self.files.get(file));
        let (tree, root) = self.root(file, &source.text);
        if let Some(root) = &root {
            self.some_programs(file, &tree, root);
        }
        let root = root?;
        let (folders, settings) = supervisor(&root.supervisor, self.context, &self.files, &mut self.cx);
        let built_in = Program::built_in(&mut self.cx).unwrap_or_default();
        let here = Surroundings { folders: &folders, defaults: &root.defaults, built_in: &built_in };
        self.programs_of(&tree, &root, &here);
        drop(tree);
        for (path, at) in self.includes(&root) {
            self.include(&path, at, &here);
        }
        settings
    }

    /// Parses a file and reads its keys; `None` after a finding was recorded.
    fn root<'t>(&mut self, file: u32, text: &'t str) -> (Tree<'t>, Option<Root>) {
        let (tree, faults) = parse(file, text);
        let whole = !faults.is_empty() && tree.root.is_none();
        faults.into_iter().for_each(|fault| self.cx.fault(fault));
        if whole {
            return (tree, None);
        }
        let root = match tree.document() {
            None => Some(Root::default()),
            Some(node) if matches!(node.shape, crate::config::tree::Shape::Null) => Some(Root::default()),
            Some(node) => Root::decode(node, &mut self.cx),
        };
        (tree, root)
    }

    /// A main file without `programs:` is refused: it is empty by mistake, or is being written just now.
    fn some_programs(&mut self, file: u32, tree: &Tree<'_>, root: &Root) {
        let said = matches!(root.programs, Setting::Given(..) | Setting::Broken);
        if said || self.cx.hinted_since(0, "programs") {
            return;
        }
        let message = match tree.root {
            None => "the file is empty",
            Some(_) => "the file has no `programs:`",
        };
        let help = Some("write `programs: {}` to say that there are none".to_owned());
        self.cx.error(ProblemKind::NoPrograms, At::whole(file), message, help);
    }

    fn programs_of(&mut self, tree: &Tree<'_>, root: &Root, here: &Surroundings<'_>) {
        let Some(Deferred { map, .. }) = root.programs.get() else { return };
        let Some(at) = root.programs.at() else { return };
        for (text, key_at, node) in tree.node(*map).entries() {
            if self.cx.exhausted() {
                return;
            }
            if self.names.len() >= MAX_PROGRAMS {
                let message = format!("there are more than {MAX_PROGRAMS} programs");
                self.cx.error(ProblemKind::TooLarge, at, message, None);
                return;
            }
            if let Some(name) = self.name(text, key_at) {
                // Only the path of keys has the two names; the borrow of the loader stays whole.
                let path = self.cx.enter(&format!("programs.{name}"));
                self.program(&name, key_at, node, here);
                self.cx.leave(path);
            }
        }
    }

    /// Checks a name and takes it, unless it is taken.
    fn name(&mut self, text: &str, key_at: At) -> Option<ProgramName> {
        let path = self.cx.enter("programs");
        let name = match ProgramName::new(text) {
            Ok(name) => match self.names.get(&name) {
                None => Some(name),
                Some(&first) => {
                    let message = format!("the program {} is defined twice", quoted(text));
                    let help = Some("remove or rename one of the two");
                    self.cx.clash(
                        ProblemKind::Duplicate,
                        key_at,
                        message,
                        help,
                        (first, "first defined here"),
                    );
                    None
                }
            },
            Err(error) => {
                let message = format!("{} is not a program's name: {error}", quoted(text));
                self.cx.error(ProblemKind::Value, key_at, message, None);
                None
            }
        };
        self.cx.leave(path);
        if let Some(name) = &name {
            self.names.insert(name.clone(), key_at);
        }
        name
    }

    fn program(&mut self, name: &ProgramName, key_at: At, node: NodeRef<'_, '_>, here: &Surroundings<'_>) {
        let mark = self.cx.mark();
        let section = match node.shape {
            crate::config::tree::Shape::Null => Program::default(),
            _ => match Program::decode(node, &mut self.cx) {
                Some(section) => section,
                None => return,
            },
        };
        let section = match here.defaults.get() {
            Some(defaults) => section.over(defaults),
            None => section,
        };
        let section = section.complete(here.built_in);
        self.something_to_run(&section, key_at, mark);
        self.cx.forget_hints(mark);
        let variables = self.variables(name, &section, here.folders);
        let own = section.environment.get().into_iter().flat_map(|environment| &environment.0);
        // What `defaults` and env_files give is counted for each program that gets it.
        let bytes =
            own.map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len)).sum::<usize>()
                + variables.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if !self.cx.keep(key_at, bytes) {
            return;
        }
        let scene = Scene {
            context: self.context,
            files: &self.files,
            fill: Fill { name: Some(name.as_str()), folders: here.folders },
        };
        let resolved = program(name, key_at, &section, variables, &scene, &mut self.cx);
        if section.enabled.get() == Some(&false) {
            self.disabled.insert(name.clone(), DisabledProgram { place: self.files.place(key_at) });
        } else if let Some(resolved) = resolved {
            self.note_lock(&section, &resolved);
            self.programs.insert(name.clone(), Arc::new(resolved));
        }
    }

    fn something_to_run(&mut self, section: &Program, key_at: At, mark: usize) {
        let said = section.command.is_given() || section.shell.is_given();
        let tried = section.command.is_broken() || section.shell.is_broken();
        let meant = self.cx.hinted_since(mark, "command") || self.cx.hinted_since(mark, "shell");
        if !said && !tried && !meant {
            let help = Some(
                "write `command: [program, argument]`, or `shell:` for a line that /bin/sh runs".to_owned(),
            );
            self.cx.error(ProblemKind::Missing, key_at, "there is neither `command` nor `shell`", help);
        }
    }

    /// Two labels must never be the same: `web.1` may be a program, or the first instance of `web`.
    fn ambiguous_names(&mut self) {
        for (name, &at) in &self.names {
            let Some((base, number)) = name.as_str().rsplit_once('.') else { continue };
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let Some(&other) =
                ProgramName::new(base).ok().filter(|_| is_number).and_then(|base| self.names.get(&base))
            else {
                continue;
            };
            let message =
                format!("{} is also what instance {number} of `{base}` is called", quoted(name.as_str()));
            let path = self.cx.enter("programs");
            self.cx.clash(
                ProblemKind::Conflict,
                at,
                message,
                Some("rename one of the two"),
                (other, "the other program"),
            );
            self.cx.leave(path);
        }
    }

    fn finish(self, settings: Option<SupervisorSettings>) -> Result<Loaded, Problems> {
        let failed = self.cx.failed();
        let (list, more) = self.cx.finish(&self.files);
        let watched = Watched {
            files: self.watched.into_iter().collect(),
            folders: self.folders.into_iter().collect(),
        };
        match settings {
            Some(supervisor) if !failed => Ok(Loaded {
                plan: Plan { supervisor, programs: self.programs, disabled: self.disabled },
                warnings: list,
                watched,
            }),
            Some(_) | None => Err(Problems { list, more, watched }),
        }
    }

    fn unreadable(&mut self, error: &SourceError, at: At) {
        self.cx.error(ProblemKind::Source, at, error.to_string(), None);
    }
}
