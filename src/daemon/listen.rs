//! The lines into the supervisor: the control socket, the keeper's reports, signals.

use super::inbox::{Inbox, Message};
use super::inheritance::{CONTROL, Inheritance, PLACES};
use super::options::{Options, StartError};
use super::places::Places;
use crate::control::server::{Access, Server, serve};
use crate::keeper::link::{Link, Order, Sender};
use crate::model::{ApiSettings, Signal};
use nix::unistd::{Gid, Group};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

/// The control socket: the one that the keeper holds, or a new one.
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
    let listener = match inherited.take_control() {
        Some(fd) if path.exists() => UnixListener::from(fd),
        Some(_) | None => {
            // The lock is ours, so whoever bound it is gone.
            let _ = fs::remove_file(&path);
            let listener = UnixListener::bind(&path).map_err(|error| failed("bind", &error))?;
            let fd = listener.try_clone().map_err(|error| failed("hold", &error))?;
            let order = Order::Hold { name: CONTROL.to_owned(), fd: fd.into() };
            sender.send(&order).map_err(|error| failed("hold", &error))?;
            hold_places(places, sender)?;
            listener
        }
    };
    let mode = api.mode.0;
    if group.is_some() {
        nix::unistd::chown(&path, None, group.map(Gid::from_raw)).map_err(|error| failed("chgrp", &error))?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(|error| failed("chmod", &error))?;
    let access = Access { own_uid: nix::unistd::geteuid().as_raw(), group };
    let inbox = inbox.clone();
    serve(listener, access, Arc::new(move |call| inbox.call(call))).map_err(|error| failed("serve", &error))
}

/// Leaves the folders with the keeper, as a JSON list of four paths.
fn hold_places(places: &Places, sender: &Sender) -> Result<(), StartError> {
    let folders = &places.folders;
    let paths = [&folders.runtime_dir, &folders.state_dir, &folders.log_dir, &places.pid_file];
    let json = serde_json::to_vec(&paths).unwrap_or_default();
    let fd = crate::linux::memfd::sealed("sppm-places", &json)
        .map_err(|error| StartError::new(format!("error: cannot make a memory file: {error}")))?;
    sender
        .send(&Order::Hold { name: PLACES.to_owned(), fd })
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

pub(super) fn read_reports(link: Link, inbox: Inbox) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("keeper".to_owned());
    thread
        .spawn(move || {
            loop {
                match link.receive() {
                    Ok(Some(report)) => inbox.send(Message::Keeper(report)),
                    Ok(None) => return inbox.send(Message::KeeperGone),
                    // It is lost, and the keeper believes it told: a successor gets the whole table.
                    Err(error) => {
                        tracing::error!(%error, "a report of the keeper could not be read; starting over");
                        return inbox.send(Message::KeeperGone);
                    }
                }
            }
        })
        .map(|_| ())
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
