//! The keys of `supervisor:`.

use crate::config::section::section;
use crate::config::values::{GroupName, Line, PathText, Whole};
use crate::model::Mode;
use std::time::Duration;

section! {
    /// The supervisor itself.
    Supervisor {
        /// Shown in status and logs. Default: the name of this file's folder.
        name: Line, examples ["crawlers"];
        /// Folder of the control socket, the pid file and the locks. A change needs a restart of sppm.
        ///
        /// Default: /run/sppm/main for /etc/sppm/sppm.yaml; for any other file a folder named by a hash of its
        /// path, below /run/sppm for root and below $XDG_STATE_HOME/sppm/run for others.
        runtime_dir: PathText, examples ["/run/crawlers"];
        /// Folder of what outlives a reboot. A change needs a restart of sppm.
        ///
        /// Default: /var/lib/sppm for /etc/sppm/sppm.yaml, else a folder below it or $XDG_STATE_HOME/sppm/state.
        state_dir: PathText, examples ["/var/lib/crawlers"];
        /// Folder of the logs.
        ///
        /// Default: /var/log/sppm for /etc/sppm/sppm.yaml, else a folder below it or $XDG_STATE_HOME/sppm/log.
        log_dir: PathText, examples ["/var/log/crawlers"];
        /// Where the process id is written.
        pid_file: PathText = "{runtime_dir}/sppm.pid";
        /// Whether an edit of this file applies by itself.
        follow_file: FollowFile;
        /// So many launches are in flight at once: programs that are started and not ready yet. The others wait for their
        /// turn, by priority and name, first come first served. A restart waits like a first start.
        start_concurrency: Whole<1, 10_000> = 64;
        /// How long a shutdown may take. The time in which a program finishes its task does not count.
        shutdown_timeout: Duration = "2m";
        /// Who may use the control socket. A change needs a restart of sppm.
        api: Api;
    }
    later ["exit_on", "semaphores"]
}

section! {
    /// The watch on this file and on all that it includes; `true` or `false` alone is `enabled`.
    FollowFile short enabled {
        /// Whether an edit applies by itself; else `sppm reload` applies it.
        enabled: bool = true;
        /// How long the file must be quiet before it is read.
        debounce: Duration = "300ms";
    }
    later []
}

section! {
    /// Who may use the control socket: root and the supervisor's own user always.
    Api {
        /// Mode of the socket file.
        mode: Mode = "0660";
        /// A group whose members may do everything: name or number.
        group: GroupName, examples ["sppm"];
    }
    later []
}
