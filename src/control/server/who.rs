//! Who asks, in a name for people. In: peer credentials. Out: `ann`, `root`, `ann as root`, `uid 1234`.

use crate::control::request::{ApiRequest, Peer};
use crate::linux::proc;
use nix::unistd::{Uid, User};
use std::time::Duration;

/// A name service may be a network away. What is asked for does not wait longer for a name than this.
const PATIENCE: Duration = Duration::from_millis(200);

/// The name, where the request leaves a trace that it belongs to; else nobody looks it up.
pub(super) async fn who(peer: Peer, request: &ApiRequest) -> String {
    if !leaves_a_trace(request) {
        return numbered(peer.uid);
    }
    let look = tokio::task::spawn_blocking(move || named(peer));
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(name)) => name,
        Ok(Err(_)) | Err(_) => numbered(peer.uid),
    }
}

fn leaves_a_trace(request: &ApiRequest) -> bool {
    match request {
        ApiRequest::Reload
        | ApiRequest::Start { .. }
        | ApiRequest::Stop { .. }
        | ApiRequest::Restart { .. }
        | ApiRequest::Signal { .. }
        | ApiRequest::Scale { .. }
        | ApiRequest::Shutdown { .. } => true,
        ApiRequest::Status { .. }
        | ApiRequest::Diff
        | ApiRequest::Settle { .. }
        | ApiRequest::Logs { .. }
        | ApiRequest::Events { .. }
        | ApiRequest::History { .. }
        | ApiRequest::Why { .. }
        | ApiRequest::Channel(_) => false,
    }
}

/// Behind sudo everybody is root: whoever logged in is named first, where the kernel knows (pam_loginuid(8)).
fn named(peer: Peer) -> String {
    let login = peer.pid.and_then(|pid| u32::try_from(pid).ok()).and_then(proc::login_uid);
    match login.filter(|login| *login != peer.uid) {
        Some(login) => format!("{} as {}", name(login), name(peer.uid)),
        None => name(peer.uid),
    }
}

fn name(uid: u32) -> String {
    match uid {
        0 => "root".to_owned(),
        uid => {
            User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| numbered(uid), |user| user.name)
        }
    }
}

fn numbered(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("uid {uid}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_and_strangers_numbers() {
        let peer = |uid| Peer { uid, gid: 0, pid: None };
        assert_eq!(named(peer(0)), "root");
        assert_eq!(named(peer(4_000_001)), "uid 4000001");
        assert!(matches!(User::from_uid(Uid::from_raw(65534)), Ok(Some(user)) if user.name == name(65534)));
    }
}
