//! User and group names to numbers, through the system's name service (getpwnam(3)). May take long (LDAP): never on a
//! thread that must not wait, and never in the keeper.

use crate::model::{Account, LaunchFailure, LaunchStage};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::PathBuf;

/// An account in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, `gid` included.
    pub groups: Vec<u32>,
    /// Login name; the number where the uid has none.
    pub name: String,
    /// Home folder; `/` where the uid has no entry.
    pub home: PathBuf,
    /// Login shell; `/bin/sh` where the uid has no entry.
    pub shell: PathBuf,
}

/// Looks an account up.
///
/// # Errors
/// Stage `User`: no such user or group, or the lookup itself failed.
pub fn resolve(account: &Account) -> Result<ResolvedUser, LaunchFailure> {
    let entry = find_user(&account.user)?;
    let group = account.group.as_deref().map(find_group).transpose()?;
    match (entry, number(&account.user), group) {
        (Some(entry), _, group) => {
            let gid = group.unwrap_or(entry.gid);
            let groups = supplementary(&entry.name, gid)?;
            Ok(ResolvedUser {
                uid: entry.uid.as_raw(),
                gid: gid.as_raw(),
                groups,
                name: entry.name,
                home: entry.dir,
                shell: entry.shell,
            })
        }
        (None, Some(uid), Some(gid)) => Ok(ResolvedUser {
            uid,
            gid: gid.as_raw(),
            groups: vec![gid.as_raw()],
            name: uid.to_string(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        }),
        (None, Some(uid), None) => Err(failure(
            0,
            format!(
                "user id {uid} has no entry in the user database: give its group too, as in `user: \"{uid}:1000\"`"
            ),
        )),
        (None, None, _) => Err(failure(0, format!("there is no user `{}`", account.user.escape_debug()))),
    }
}

fn find_user(text: &str) -> Result<Option<User>, LaunchFailure> {
    let found = match number(text) {
        Some(uid) => User::from_uid(Uid::from_raw(uid)),
        None => User::from_name(text),
    };
    found.or_else(absent).map_err(|errno| lookup_failed("user", text, errno))
}

fn find_group(text: &str) -> Result<Gid, LaunchFailure> {
    if let Some(gid) = number(text) {
        return Ok(Gid::from_raw(gid));
    }
    let found =
        Group::from_name(text).or_else(absent).map_err(|errno| lookup_failed("group", text, errno))?;
    let missing = || failure(0, format!("there is no group `{}`", text.escape_debug()));
    found.map(|group| group.gid).ok_or_else(missing)
}

/// Some name services answer "no such entry" with one of these instead of an empty answer (getpwnam(3), ERRORS).
fn absent<T>(errno: Errno) -> Result<Option<T>, Errno> {
    match errno {
        Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM => Ok(None),
        other => Err(other),
    }
}

fn supplementary(name: &str, gid: Gid) -> Result<Vec<u32>, LaunchFailure> {
    let Ok(name) = CString::new(name) else { return Ok(vec![gid.as_raw()]) };
    let groups = getgrouplist(&name, gid)
        .map_err(|errno| lookup_failed("groups of user", &name.to_string_lossy(), errno))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

fn number(text: &str) -> Option<u32> {
    // The largest value means "leave as it is" to setresuid(2): never a user.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&id| digits && id != u32::MAX)
}

fn lookup_failed(what: &str, text: &str, errno: Errno) -> LaunchFailure {
    failure(errno as i32, format!("cannot look up the {what} `{}`: {}", text.escape_debug(), errno.desc()))
}

fn failure(errno: i32, message: String) -> LaunchFailure {
    LaunchFailure { stage: LaunchStage::User, errno, message }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn account(user: &str, group: Option<&str>) -> Account {
        Account { user: user.to_owned(), group: group.map(str::to_owned) }
    }

    #[test]
    fn names_and_numbers_are_found() {
        let root = resolve(&account("root", None)).unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert_eq!(resolve(&account("0", None)).unwrap(), root);
        let other = resolve(&account("4000111", Some("4000112"))).unwrap();
        assert_eq!((other.uid, other.gid, other.groups), (4_000_111, 4_000_112, vec![4_000_112]));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (wrong, words) in [
            (account("no-such-user-here", None), "no user `no-such-user-here`"),
            (account("root", Some("no-such-group")), "no group `no-such-group`"),
            (account("4000111", None), "4000111 has no entry"),
            (account("4294967295", None), "no user `4294967295`"),
        ] {
            let failure = resolve(&wrong).unwrap_err();
            assert_eq!(failure.stage, LaunchStage::User);
            assert!(failure.message.contains(words), "{}", failure.message);
        }
    }
}
