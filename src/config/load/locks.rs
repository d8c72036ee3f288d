//! Working locks that several programs have together.
//!
//! In: programs as they are resolved. Out: a warning per path. Never add here: checks of a single program.

use super::Loader;
use crate::config::document::Program;
use crate::config::position::At;
use crate::config::problem::ProblemKind;
use crate::model::{self, LockPath};

/// Working locks.
impl Loader<'_> {
    /// Remembers where a program's lock is, if it is at a place of the file's choice.
    pub(super) fn note_lock(&mut self, section: &Program, resolved: &model::Program) {
        let LockPath::At(path) = &resolved.work.path else { return };
        // What `{instance}` becomes is never that of another program.
        if path.as_str().contains("{instance}") {
            return;
        }
        let at = section.working_lock.get().and_then(|lock| lock.path.at()).unwrap_or(At::whole(0));
        self.locks.entry(path.as_str().to_owned()).or_default().push((resolved.name.clone(), at));
    }

    /// Two programs with one lock: perhaps one shall wait for the other, most probably a line was copied.
    pub(super) fn shared_locks(&mut self) {
        for owners in self.locks.values() {
            let [(first, first_at), (second, at), more @ ..] = &owners[..] else { continue };
            let whose = match more.len() {
                0 => format!("`{first}` and `{second}`"),
                more => format!("`{first}`, `{second}` and {more} more"),
            };
            let message = format!(
                "{whose} have one lock: a task of one holds up the stop of the other, or is not seen"
            );
            let help = "put `{name}` or `{instance}` into the path";
            let key = self.cx.enter(&format!("programs.{second}.working_lock.path"));
            self.cx.doubt(ProblemKind::Conflict, *at, message, Some(help), (*first_at, "the other one"));
            self.cx.leave(key);
        }
    }
}
