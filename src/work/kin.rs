//! Whether a process that calls itself by a number belongs to a run's tree, and is alive.

use crate::linux::cgroup;
use crate::linux::proc::{self, ProcessStat};
use crate::linux::tree::{Main, Root, Snapshot};

/// Processes between a writer and its run's session, at most, before /proc is looked through instead.
const CLIMB: usize = 16;

/// The live process of the tree that goes by this number, by our number of it. It may know itself by a number in a pid
/// namespace of its own.
pub(super) fn find(root: &Root, keeper: u32, pid: u32) -> Option<u32> {
    if is_near(root, keeper, pid) {
        return Some(pid);
    }
    let snapshot = match Snapshot::take(keeper) {
        Ok(snapshot) => snapshot,
        // Short of something: what cannot be refuted is believed.
        Err(_) => return proc::stat(pid).is_ok_and(|stat| !stat.is_dead()).then_some(pid),
    };
    let mut members: Vec<u32> = snapshot.members(root).iter().map(|member| member.pid).collect();
    members.extend(root.cgroup.as_deref().map(cgroup::members).and_then(Result::ok).unwrap_or_default());
    if members.contains(&pid) {
        return Some(pid);
    }
    members.into_iter().find(|member| proc::inner_pids(*member).contains(&pid))
}

/// The common case, without a look through /proc: it, or one that it descends from, is in main's session or group.
fn is_near(root: &Root, keeper: u32, pid: u32) -> bool {
    let Main::Pinned(leader) = root.main else { return false };
    let own = std::process::id();
    let mut next = pid;
    for step in 0..CLIMB {
        if leader == 0 || next <= 1 || next == keeper || next == own {
            return false;
        }
        let Ok(stat) = proc::stat(next) else { return false };
        if step == 0 && stat.is_dead() {
            return false;
        }
        if leads(leader, &stat) {
            return true;
        }
        next = stat.parent;
    }
    false
}

fn leads(leader: u32, stat: &ProcessStat) -> bool {
    stat.pid == leader || stat.session == leader || stat.group == leader
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::RunId;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    #[test]
    fn main_its_children_and_theirs_belong_and_strangers_and_the_dead_do_not() {
        let script =
            "echo $$; setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; read x\" <&3; :' 3<&0 <&3; :";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pids: Vec<u32> = lines.take(3).map(|line| line.unwrap().parse().unwrap()).collect();
        let root = Root { run: RunId::from_bits(1), main: Main::Pinned(child.id()), cgroup: None };
        let keeper = std::process::id();
        for pid in &pids {
            assert_eq!(find(&root, keeper, *pid), Some(*pid));
        }
        for stranger in [1, keeper, 4_194_305] {
            assert_eq!(find(&root, keeper, stranger), None);
        }
        drop(child.stdin.take());
        child.kill().unwrap();
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert_eq!(find(&root, keeper, child.id()), None, "a zombie");
        child.wait().unwrap();
    }
}
