//! The lines into the supervisor: the control socket, the keeper's reports, signals.

use super::inbox::{Inbox, Message};
use super::inheritance::{CONTROL, CONTROL_FILE, Inheritance, PLACES};
use super::options::{Options, StartError};
use super::places::Places;
use crate::control::server::{Access, Address, Bind, Server, serve};
use crate::keeper::link::{HoldFor, Order, Sender};
use crate::linux::held_file::{hold_file, leads_to};
use crate::model::{ApiSettings, Signal};
use nix::unistd::{Gid, Group};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

/// The control socket: the one that the keeper holds, where its path still leads to it, or a new one.
pub(super) fn listen(
    places: &Places,
    api: &ApiSettings,
    group: Option<u32>,
    inherited: &mut Inheritance,
    sender: &Sender,
    inbox: &Inbox,
) -> Result<Server, StartError> {
    let path = places.socket();
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        StartError::new(format!("error: cannot {what} the control socket: {error}\n  --> {}", path.display()))
    };
    let (mode, sender) = (api.mode.0, sender.clone());
    let bind: Bind = Box::new({
        let (path, sender) = (path.clone(), sender.clone());
        move || bind(&path, mode, group, &sender)
    });
    let (listener, file) = match inherited.take_control() {
        Some((fd, file)) if leads_to(&path, &file) => {
            open_to_others(&path, mode, group).map_err(|error| failed("open", &error))?;
            (UnixListener::from(fd), file)
        }
        Some(_) | None => {
            let bound = bind().map_err(|error| failed("bind", &error))?;
            hold_places(places, &sender)?;
            bound
        }
    };
    let access = Access { own_uid: nix::unistd::geteuid().as_raw(), group };
    let (inbox, address) = (inbox.clone(), Address { path: path.clone(), file, bind });
    serve(listener, Some(address), access, Arc::new(move |call| inbox.call(call)))
        .map_err(|error| failed("serve", &error))
}

/// A new socket, in place of whatever is there: the lock is ours, so whoever bound it is gone. The keeper holds the
/// socket and its file from now on.
fn bind(
    path: &Path,
    mode: u32,
    group: Option<u32>,
    sender: &Sender,
) -> std::io::Result<(UnixListener, OwnedFd)> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let file = hold_file(path)?;
    open_to_others(path, mode, group)?;
    let copies = [(CONTROL, listener.try_clone()?.into()), (CONTROL_FILE, file.try_clone()?)];
    for (name, fd) in copies {
        sender.send(&Order::Hold { name: name.to_owned(), fd, purpose: HoldFor::Keep })?;
    }
    Ok((listener, file))
}

fn open_to_others(path: &Path, mode: u32, group: Option<u32>) -> std::io::Result<()> {
    if group.is_some() {
        nix::unistd::chown(path, None, group.map(Gid::from_raw))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Leaves the folders with the keeper, as a JSON list of four paths.
fn hold_places(places: &Places, sender: &Sender) -> Result<(), StartError> {
    let folders = &places.folders;
    let paths = [&folders.runtime_dir, &folders.state_dir, &folders.log_dir, &places.pid_file];
    let json = serde_json::to_vec(&paths).unwrap_or_default();
    let fd = crate::linux::memfd::sealed("sppm-places", &json)
        .map_err(|error| StartError::new(format!("error: cannot make a memory file: {error}")))?;
    sender
        .send(&Order::Hold { name: PLACES.to_owned(), fd, purpose: HoldFor::Keep })
        .map_err(|error| StartError::new(format!("error: the keeper is gone: {error}")))
}

pub(super) fn read_places(fd: &OwnedFd, options: &Options) -> Option<Places> {
    let bytes = crate::linux::memfd::read_sealed(fd, 64 * 1024).ok()?;
    let [runtime_dir, state_dir, log_dir, pid_file] = serde_json::from_slice(&bytes).ok()?;
    let folders = crate::model::Folders { runtime_dir, state_dir, log_dir };
    Some(Places { config: options.config.clone(), folders, pid_file })
}

pub(super) fn find_group(name: &str) -> Result<u32, StartError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(StartError {
            message: format!("error: supervisor.api.group: there is no group {name}"),
            exit_code: 78,
        }),
        Err(error) => Err(StartError::new(format!("error: cannot look up the group {name}: {error}"))),
    }
}

pub(super) fn listen_for_signals(inbox: Inbox) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
    let mut signals =
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])?;
    for number in [SIGTTIN, SIGTTOU] {
        if let Some(signal) = Signal::from_number(number) {
            crate::linux::signals::ignore(signal)?;
        }
    }
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread
        .spawn(move || {
            for signal in signals.forever().filter_map(Signal::from_number) {
                inbox.send(Message::Signal(signal));
            }
        })
        .map(|_| ())
}
