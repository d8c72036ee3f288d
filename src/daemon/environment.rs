//! A program's environment, built anew at each launch from the plan and from what the keeper was started with.

use crate::linux::texts::Texts;
use crate::linux::users::ResolvedUser;
use crate::model::{Inherit, InstanceLabel, Program, RunId, Slot};
use crate::talk::Places;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is inherited, whatever `inherit_environment` says.
const BASICS: [&str; 3] = ["PATH", "LANG", "TZ"];
/// Where programs are looked for when nobody says (the value that login(1) uses for everybody).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all programs can inherit.
pub(super) type Base = BTreeMap<OsString, OsString>;

/// Those of a run: as they are in the base, the plan, the account, or made for it.
pub(super) type Variables<'a> = BTreeMap<Cow<'a, OsStr>, Cow<'a, OsStr>>;

/// The supervisor's own variables, less those that speak to it alone.
pub(super) fn inherited() -> Base {
    std::env::vars_os().filter(|(name, _)| !is_our_own(name)).collect()
}

fn is_our_own(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let prefixes: [&[u8]; 4] = [b"WATCHDOG_", b"LISTEN_", b"SPPM_", b"LD_"];
    name == b"NOTIFY_SOCKET" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Everything that `run` gets, sorted by name.
pub(super) fn build<'a>(
    base: &'a Base,
    spec: &'a Program,
    slot: &'a Slot,
    label: &'a InstanceLabel,
    ways: &Ways<'a>,
    user: Option<&'a ResolvedUser>,
) -> Variables<'a> {
    let mut variables: Variables<'a> = base
        .iter()
        .filter(|(name, _)| inherits(&spec.inherit_environment, name))
        .map(|(name, value)| (Cow::from(name), Cow::from(value)))
        .collect();
    variables.entry(fixed("PATH")).or_insert_with(|| fixed(DEFAULT_PATH));
    if let Some(user) = user {
        variables.insert(fixed("USER"), fixed(&user.name));
        variables.insert(fixed("LOGNAME"), fixed(&user.name));
        variables.insert(fixed("HOME"), fixed(&user.home));
        variables.insert(fixed("SHELL"), fixed(&user.shell));
    }
    for (name, value) in &spec.environment {
        match value {
            Some(value) => variables.insert(fixed(name), made(value.fill(slot, label))),
            None => variables.remove(OsStr::new(name)),
        };
    }
    variables.insert(fixed("SPPM_NAME"), fixed(slot.program.as_str()));
    variables.insert(fixed("SPPM_INSTANCE"), fixed(label.as_str()));
    variables.insert(fixed("SPPM_INDEX"), made(slot.index.to_string()));
    ways.name(spec, &mut variables);
    variables
}

fn fixed<'a, T: AsRef<OsStr> + ?Sized>(text: &'a T) -> Cow<'a, OsStr> {
    Cow::Borrowed(text.as_ref())
}

fn made<'a>(text: String) -> Cow<'a, OsStr> {
    Cow::Owned(text.into())
}

/// By which ways a run talks with the supervisor.
#[derive(Debug)]
pub(super) struct Ways<'a> {
    pub(super) run: RunId,
    pub(super) places: &'a Places,
    /// The working lock, in the run's own folder or elsewhere.
    pub(super) lock: &'a Path,
    pub(super) socket: &'a Path,
}

impl<'a> Ways<'a> {
    fn name(&self, spec: &Program, variables: &mut Variables<'a>) {
        variables.insert(fixed("SPPM_RUN"), made(self.run.to_string()));
        variables.insert(fixed("SPPM_LOCK"), fixed(self.lock));
        variables.insert(fixed("SPPM_NOTIFY"), fixed(&self.places.notify));
        variables.insert(fixed("SPPM_ENV"), fixed(&self.places.env));
        variables.insert(fixed("SPPM_SOCKET"), fixed(self.socket));
        if let Some(socket) = &self.places.sd {
            variables.insert(fixed("NOTIFY_SOCKET"), fixed(socket));
        }
        if let Some(every) = spec.watchdog {
            variables.insert(fixed("WATCHDOG_USEC"), made(every.as_micros().to_string()));
        }
    }
}

fn inherits(rule: &Inherit, name: &OsStr) -> bool {
    let basic = || {
        let text = name.as_bytes();
        BASICS.iter().any(|basic| basic.as_bytes() == text) || text.starts_with(b"LC_")
    };
    match rule {
        Inherit::All => true,
        Inherit::Basics => basic(),
        Inherit::Also(names) => basic() || names.iter().any(|wanted| OsStr::new(wanted) == name),
    }
}

/// `NAME=value` each, for execve(2). An entry with a NUL byte cannot exist there and is left out.
pub(super) fn encode(variables: &Variables<'_>) -> Texts {
    let size = |(name, value): (&Cow<'_, OsStr>, &Cow<'_, OsStr>)| name.len() + value.len() + 2;
    let mut texts = Texts::with_capacity(variables.iter().map(size).sum());
    for (name, value) in variables {
        texts.push(&[name.as_bytes(), b"=", value.as_bytes()]);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_to_the_supervisor_is_not_passed_on() {
        for ours in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "SPPM_CONFIG", "LD_PRELOAD"] {
            assert!(is_our_own(OsStr::new(ours)), "{ours}");
        }
        for others in ["PATH", "NOTIFY_SOCKETS", "OLD_PWD", "MY_SPPM_X"] {
            assert!(!is_our_own(OsStr::new(others)), "{others}");
        }
    }

    #[test]
    fn the_rule_decides_what_else_is_inherited() {
        let inherits = |rule: &Inherit, name: &str| inherits(rule, OsStr::new(name));
        assert!(inherits(&Inherit::All, "X"));
        assert!(!inherits(&Inherit::Basics, "X"));
        assert!(inherits(&Inherit::Basics, "LC_ALL"));
        let also = Inherit::Also(vec!["X".to_owned()]);
        assert!(inherits(&also, "X") && inherits(&also, "PATH") && !inherits(&also, "Y"));
    }
}
