//! A program's environment, built anew at each launch from the plan and from what the keeper was started with.

use crate::linux::users::ResolvedUser;
use crate::model::{Inherit, InstanceLabel, Program, RunId, Slot};
use crate::talk::Places;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What is inherited, whatever `inherit_environment` says.
const BASICS: [&str; 3] = ["PATH", "LANG", "TZ"];
/// Where programs are looked for when nobody says (the value that login(1) uses for everybody).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Variables = BTreeMap<OsString, OsString>;

/// The supervisor's own variables, less those that speak to it alone.
pub(super) fn inherited() -> Variables {
    std::env::vars_os().filter(|(name, _)| !is_our_own(name)).collect()
}

fn is_our_own(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let prefixes: [&[u8]; 4] = [b"WATCHDOG_", b"LISTEN_", b"SPPM_", b"LD_"];
    name == b"NOTIFY_SOCKET" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Everything that `run` gets, sorted by name.
pub(super) fn build(
    base: &Variables,
    spec: &Program,
    slot: &Slot,
    label: &InstanceLabel,
    ways: &Ways<'_>,
    user: Option<&ResolvedUser>,
) -> Variables {
    let mut variables: Variables = base
        .iter()
        .filter(|(name, _)| inherits(&spec.inherit_environment, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    variables.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    if let Some(user) = user {
        variables.insert("USER".into(), user.name.clone().into());
        variables.insert("LOGNAME".into(), user.name.clone().into());
        variables.insert("HOME".into(), user.home.clone().into());
        variables.insert("SHELL".into(), user.shell.clone().into());
    }
    for (name, value) in &spec.environment {
        match value {
            Some(value) => variables.insert(name.into(), value.fill(slot, label).into()),
            None => variables.remove(OsStr::new(name)),
        };
    }
    variables.insert("SPPM_NAME".into(), slot.program.as_str().into());
    variables.insert("SPPM_INSTANCE".into(), label.as_str().into());
    variables.insert("SPPM_INDEX".into(), slot.index.to_string().into());
    ways.name(spec, &mut variables);
    variables
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

impl Ways<'_> {
    fn name(&self, spec: &Program, variables: &mut Variables) {
        variables.insert("SPPM_RUN".into(), self.run.to_string().into());
        variables.insert("SPPM_LOCK".into(), self.lock.into());
        variables.insert("SPPM_NOTIFY".into(), (&self.places.notify).into());
        variables.insert("SPPM_ENV".into(), (&self.places.env).into());
        variables.insert("SPPM_SOCKET".into(), self.socket.into());
        if let Some(socket) = &self.places.sd {
            variables.insert("NOTIFY_SOCKET".into(), socket.into());
        }
        if let Some(every) = spec.watchdog {
            variables.insert("WATCHDOG_USEC".into(), every.as_micros().to_string().into());
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
pub(super) fn encode(variables: &Variables) -> Vec<CString> {
    let entry = |(name, value): (&OsString, &OsString)| {
        let mut bytes = name.clone().into_vec();
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        CString::new(bytes).ok()
    };
    variables.iter().filter_map(entry).collect()
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
