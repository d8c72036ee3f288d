//! What a new supervisor begins with: the file, or the records of the one before it.

use super::budget;
use super::inheritance::{Inheritance, next_report};
use super::listen::read_places;
use super::loader::Reader;
use super::options::{Mode, Options, StartError};
use super::own_log::OwnLog;
use super::places::Places;
use super::records::{Found, Plans, Wishes};
use super::sources::{Print, Recording};
use crate::config::{Loaded, Style, Watched};
use crate::keeper::link::{Link, Order, Report, Sender};
use crate::linux::clock;
use crate::model::{Generation, Plan, Program, ProgramName};
use crate::supervisor::Restored;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::Arc;

/// What the new core begins with.
pub(super) struct Beginning {
    pub(super) places: Places,
    pub(super) own_log: OwnLog,
    /// Its plan is never missing.
    pub(super) restored: Restored,
    pub(super) plan: Arc<Plan>,
    /// The file was not read, or is newer than the plan: it is an ordinary reload, once everything works.
    pub(super) read_file: bool,
    pub(super) watched: Watched,
    /// What the plan is from, where that was read just now.
    pub(super) print: Option<Print>,
    pub(super) wishes: Wishes,
}

/// Finds out where everything is, takes the lock, and decides between the records and the file.
pub(super) fn begin(
    options: &Options,
    reader: &Reader,
    inherited: &mut Inheritance,
    link: &Link,
    sender: &Sender,
) -> Result<Beginning, StartError> {
    let known = inherited.places().and_then(|fd| read_places(fd, options));
    let taking_over = known.is_some();
    let (places, fresh) = match known {
        Some(places) => (places, None),
        None => {
            let (loaded, recording) = load(options, reader)?;
            for warning in &loaded.warnings {
                // Said to whoever starts it; `sppm check` says it again.
                let _ = writeln!(std::io::stderr(), "{}", warning.render(Style::Plain).trim_end());
            }
            (Places::of(&options.config, &loaded.plan), Some((loaded, recording)))
        }
    };
    places.make().map_err(|message| StartError::new(format!("error: {message}")))?;
    claim(&places, inherited, link, sender)?;
    if let Some((loaded, _)) = &fresh {
        // Before there is a second thread: then nobody waits for it.
        budget::make_room(&loaded.plan);
    }
    let own_log = OwnLog::start(places.own_log(), options.mode).map_err(|error| {
        StartError::new(format!("error: cannot start the thread of the supervisor's own log: {error}"))
    })?;
    own_log.end_on_panic();
    let mut wishes = read_wishes(&places, taking_over)?;
    let mut restored = restore(&places, reader, taking_over);
    if let Some(restored) = &restored {
        wishes.keep_all(&restored.overrides);
    }
    if inherited.fresh_state {
        // The supervisors before died of what they knew: only the plan and the wishes of operators are believed.
        let _ = fs::rename(places.ledger(), places.ledger().with_extension("set-aside"));
        if let Some(restored) = &mut restored {
            restored.instances.clear();
        }
    }
    let mut restored =
        restored.unwrap_or_else(|| Restored { overrides: wishes.all(), ..Restored::default() });
    let mut watched = fresh.as_ref().map(|(loaded, _)| loaded.watched.clone()).unwrap_or_default();
    let (plan, print) = match (&restored.plan, fresh) {
        (Some((_, plan)), _) => (Arc::clone(plan), None),
        (None, fresh) => {
            // Nothing was accepted before, or it cannot be found any more: the file decides.
            let (loaded, recording) = fresh.map_or_else(|| load(options, reader), Ok)?;
            let generation = Generation(1);
            Plans::new(places.plans()).keep(generation, &recording).map_err(|error| {
                StartError::new(format!("error: cannot write below {}: {error}", places.plans().display()))
            })?;
            watched = loaded.watched;
            let plan = Arc::new(loaded.plan);
            restored.plan = Some((generation, Arc::clone(&plan)));
            (plan, Some(recording.print()))
        }
    };
    Ok(Beginning { places, own_log, restored, plan, read_file: print.is_none(), watched, print, wishes })
}

/// A file that cannot be read stops a start: programs that were stopped on purpose would run. It never stops a take-over,
/// which has them from the ledger.
fn read_wishes(places: &Places, taking_over: bool) -> Result<Wishes, StartError> {
    let path = places.overrides();
    Wishes::read(path.clone()).or_else(|error| match taking_over {
        true => {
            tracing::error!(path = %path.display(), %error, "cannot read the overrides");
            Ok(Wishes::none(path))
        }
        false => Err(StartError::new(format!(
            "error: cannot read the overrides: {error}\n  --> {}",
            path.display()
        ))),
    })
}

fn load(options: &Options, reader: &Reader) -> Result<(Loaded, Recording), StartError> {
    let (result, recording) = reader.load_from_disk(None);
    match result {
        Ok(loaded) => Ok((loaded, recording)),
        Err(problems) => {
            let style = match options.mode {
                Mode::Foreground if std::io::IsTerminal::is_terminal(&std::io::stderr()) => Style::Colour,
                Mode::Foreground | Mode::Background => Style::Plain,
            };
            Err(StartError { message: problems.render(style), exit_code: 78 })
        }
    }
}

/// The lock of the runtime folder: the keeper takes it, and dies with it.
fn claim(
    places: &Places,
    inherited: &mut Inheritance,
    link: &Link,
    sender: &Sender,
) -> Result<(), StartError> {
    let order =
        Order::Claim { runtime_dir: places.folders.runtime_dir.clone(), pid_file: places.pid_file.clone() };
    sender.send(&order).map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))?;
    loop {
        match next_report(link)? {
            Report::Claimed => return Ok(()),
            Report::ClaimRefused { holder, message } => {
                let folder = places.folders.runtime_dir.display();
                let text = match holder {
                    Some(pid) => format!(
                        "error: a supervisor runs already for {} (pid {pid})\n  --> {folder}\n  help: `sppm status` shows it; `sppm reload` applies an edit",
                        places.config.display()
                    ),
                    None => format!("error: cannot have the runtime folder: {message}\n  --> {folder}"),
                };
                return Err(StartError::new(text));
            }
            Report::Ping => {
                let _ = sender.send(&Order::Pong);
            }
            other => inherited.later.push_back(other),
        }
    }
}

/// What an earlier supervisor wrote down, if it is of this boot.
fn restore(places: &Places, reader: &Reader, taking_over: bool) -> Option<Restored> {
    let plans = Plans::new(places.plans());
    let found = Found::read(&places.ledger(), &clock::boot_id())?;
    let mut known: BTreeMap<Generation, Arc<Plan>> = BTreeMap::new();
    for generation in found.generations() {
        let plan = plans.read(generation).and_then(|recording| reader.load(&recording).ok());
        if let Some(loaded) = plan {
            known.insert(generation, Arc::new(loaded.plan));
        }
    }
    let current =
        found.generation().and_then(|generation| Some((generation, known.get(&generation)?.clone())));
    let find = |name: &ProgramName, generation: Generation| -> Option<Arc<Program>> {
        let plan = known.get(&generation).or(current.as_ref().map(|(_, plan)| plan))?;
        plan.programs.get(name).cloned()
    };
    Some(Restored {
        plan: current.clone(),
        overrides: found.wishes(),
        // Without its keeper a shutdown has ended already, as far as it could.
        shutdown: found.shutdown().filter(|_| taking_over),
        instances: found.into_instances(&find),
    })
}
