//! Who listens on a TCP port, as far as /proc tells.

use super::proc;
use std::fs;
use std::path::Path;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its process id.
    pub pid: u32,
    /// Its name (comm).
    pub name: String,
}

/// The process that listens on `port`. `None`: nobody does, or it may not be seen (another user's descriptors are
/// visible to root alone).
pub fn listener(port: u16) -> Option<Listener> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listening_inodes(&fs::read_to_string(table).unwrap_or_default(), port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pid = pids
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, &inodes))?;
    Some(Listener { pid, name: proc::comm(pid).unwrap_or_default() })
}

/// The inodes of sockets in state LISTEN (0A) on `port` in a table of proc_net_tcp(5).
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let number = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (state == "0A" && number == port).then(|| fields.nth(5)?.parse().ok())?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn holds(pid: u32, inodes: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        socket_inode(&target).is_some_and(|inode| inodes.contains(&inode))
    })
}

/// The number in `socket:[4711]`.
fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_listener_of_a_port_is_found_and_a_free_port_has_none() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listener(port).unwrap().pid, std::process::id());
        drop(socket);
        assert_eq!(listener(port), None);
    }
}
