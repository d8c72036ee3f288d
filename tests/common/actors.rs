//! Programs with a declared behaviour, for the supervisor to run. Each is a script in the test's folder.
//!
//! Every start of one is a line in `starts.txt`: instance, pid, run. Scripts, not `shell:` lines: `$$` is a dollar there.

use super::Rig;
use super::yaml::command;

const RECORD: &str = "echo \"$SPPM_INSTANCE $$ $SPPM_RUN\" >> \"$RIG/starts.txt\"\n";

impl Rig {
    /// Writes an executable script; answers its path.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        self.write(name, text);
        self.chmod(name, 0o755);
        path.display().to_string()
    }

    /// An actor: `#!/bin/sh`, its start recorded, then `body`. Answers its `command:` line.
    pub fn actor(&self, name: &str, body: &str) -> String {
        let path = self.script(name, &format!("#!/bin/sh\n{RECORD}{body}\n"));
        command(&[path])
    }

    /// Runs for ever and ends at TERM.
    pub fn steady(&self) -> String {
        self.actor("steady", "echo \"$SPPM_INSTANCE runs\"\nexec sleep 100000")
    }

    /// Writes a numbered line every 50 ms.
    pub fn counter(&self) -> String {
        self.actor(
            "counter",
            "n=0\nwhile :; do n=$((n+1)); echo \"$SPPM_INSTANCE line $n\"; sleep 0.05; done",
        )
    }

    /// Ends with this code after this many seconds.
    pub fn ends_with(&self, code: u8, after: &str) -> String {
        self.actor(&format!("ends-{code}-{after}"), &format!("sleep {after}\nexit {code}"))
    }

    /// Kills itself with this signal.
    pub fn kills_itself(&self, signal: &str) -> String {
        self.actor(&format!("dies-{signal}"), &format!("ulimit -c 0\nsleep 0.1\nkill -{signal} $$\nsleep 10"))
    }

    /// Ignores TERM, and so does a family of descendants: one in a session of its own, one forked twice.
    pub fn stubborn_family(&self) -> String {
        self.actor(
            "stubborn",
            "trap '' TERM INT HUP\n\
             setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &\n\
             ( ( sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & ) & )\n\
             sleep 1000 &\n\
             while :; do sleep 1000; done",
        )
    }

    /// Holds a lock that all its descendants inherit; notes every start that finds it still held.
    pub fn overlap_detector(&self, body: &str) -> String {
        self.actor(
            "detector",
            &format!(
                "exec 9>>\"$RIG/$SPPM_INSTANCE.held\"\n\
                 flock -n 9 || echo \"$SPPM_INSTANCE $$\" >> \"$RIG/overlaps.txt\"\n{body}"
            ),
        )
    }

    /// Writes without end, as fast as it can.
    pub fn flood(&self) -> String {
        self.actor("flood", "exec yes \"a line of the flood, which is neither short nor very long\"")
    }

    /// The pids of every start of an instance so far, in order.
    pub fn starts(&self, instance: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(self.path("starts.txt")).unwrap_or_default();
        let mut pids = Vec::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            if words.next() == Some(instance) {
                pids.extend(words.next().and_then(|pid| pid.parse::<u32>().ok()));
            }
        }
        pids
    }

    /// Every start that found its predecessor's tree alive.
    pub fn overlaps(&self) -> String {
        std::fs::read_to_string(self.path("overlaps.txt")).unwrap_or_default()
    }
}
