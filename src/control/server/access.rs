//! Who may use the socket. In: peer credentials. Out: a verdict. The only look outside is at the group database.

use crate::control::request::Peer;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;

/// Who may use the socket, besides root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The supervisor's own user.
    pub own_uid: u32,
    /// `supervisor.api.group` as a gid.
    pub group: Option<u32>,
}

/// The verdict on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Allowed(Peer),
    Stranger,
}

impl Access {
    /// Judges a peer. The group database is asked only where nothing else lets the peer in, off this thread:
    /// it may be a network away.
    pub(super) async fn admit(self, peer: Peer) -> Admission {
        if peer.uid == 0 || peer.uid == self.own_uid || self.group == Some(peer.gid) {
            return Admission::Allowed(peer);
        }
        let Some(group) = self.group else { return Admission::Stranger };
        match tokio::task::spawn_blocking(move || is_member(peer, group)).await {
            Ok(true) => Admission::Allowed(peer),
            Ok(false) | Err(_) => Admission::Stranger,
        }
    }
}

/// Whether the database lists `peer` as a member of `group` (getgrouplist(3)).
pub(super) fn is_member(peer: Peer, group: u32) -> bool {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(peer.uid)) else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    getgrouplist(&name, Gid::from_raw(peer.gid)).is_ok_and(|groups| groups.contains(&Gid::from_raw(group)))
}
