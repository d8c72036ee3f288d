//! The keys at the top of a file.

use super::{Program, Supervisor};
use crate::config::section::section;
use crate::config::values::{Deferred, OneOrMany, PathText, Version};

section! {
    /// The configuration of sppm, a process supervisor: the programs that shall run, and how.
    ///
    /// `${VAR}`, `${VAR:-default}` and `${VAR:?message}` are replaced in values, `$$` is a dollar. Keys at the
    /// top that begin with `x-` are ignored, so that YAML anchors have a place.
    Root open true {
        /// The version of this file format.
        version: Version = 1;
        /// The supervisor itself. An included file may not have it.
        supervisor: Supervisor;
        /// More files with programs: paths, or patterns with `*`, relative to this file. A path must exist, a
        /// pattern may match nothing. Included files hold `programs` and `defaults` and include nothing.
        include: OneOrMany<PathText>, examples [["conf.d/*.yaml"]];
        /// What every program says unless it says otherwise. Maps are merged key by key; `null` in a program
        /// brings the built-in default back. Those of an included file hold for its own programs.
        defaults: Program, examples [{ "restart": { "policy": "on-failure" } }];
        /// The programs by name. `programs: {}` says on purpose that there are none.
        programs: Deferred<Program>, examples [{ "crawler": { "command": "python3 -u crawler.py" } }];
    }
    later []
}
