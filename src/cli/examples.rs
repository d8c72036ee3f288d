//! What people type first: a line or three for each verb, shown by its `--help` and its manual page.

/// An example and what it does.
type Example = (&'static str, &'static str);

/// The examples of each verb that is shown.
pub(super) const EXAMPLES: [(&str, &[Example]); 24] = [
    (
        "start",
        &[
            ("sppm start", "start sppm in the background, and all programs"),
            ("sppm start web", "end the stop of web"),
            ("sppm start @batch --no-wait", "and return at once"),
        ],
    ),
    (
        "stop",
        &[
            ("sppm stop web", "until `sppm start web`, also over a reboot"),
            ("sppm stop 'crawler-*' --runtime", "only until sppm is started again"),
            ("sppm stop web --force", "kill it at once"),
        ],
    ),
    (
        "restart",
        &[
            ("sppm restart web", "one instance after the other"),
            ("sppm restart web.2", "only the second one"),
            ("sppm restart @batch --timeout 5m", "watch for five minutes at most"),
        ],
    ),
    ("reload", &[("sppm diff && sppm reload", "look first"), ("sppm reload -v", "say which values change")]),
    (
        "shutdown",
        &[
            ("sppm shutdown", "every program gets its stop.timeout"),
            ("sppm shutdown --force", "kill everything now"),
        ],
    ),
    (
        "scale",
        &[
            ("sppm scale web=3", "also: sppm scale web 3"),
            ("sppm scale web=+1", "one more"),
            ("sppm scale web -1", "one less"),
        ],
    ),
    (
        "signal",
        &[
            ("sppm signal web HUP", "also: sppm signal HUP web"),
            ("sppm signal @batch USR1", "to all with the tag"),
        ],
    ),
    (
        "wait",
        &[
            ("sppm wait web --timeout 30s && ./deploy-next", "go on when web is ready"),
            ("sppm wait import --for completed", "wait for the end of a job"),
            ("sppm wait all --for stopped", "wait until nothing runs"),
        ],
    ),
    (
        "status",
        &[
            ("sppm status", "all programs"),
            ("sppm status web", "one in detail"),
            ("sppm status -w", "show every change until Ctrl-C"),
        ],
    ),
    (
        "why",
        &[
            ("sppm why web", "what led to its present state"),
            ("sppm why web.2", "one of its instances"),
            ("sppm why web --json | jq .causes", "for programs"),
        ],
    ),
    (
        "logs",
        &[
            ("sppm logs web", "the last 100 lines"),
            ("sppm logs -f", "all programs, as they print"),
            ("sppm logs web -n all > web.txt", "all there is"),
        ],
    ),
    (
        "events",
        &[
            ("sppm events", "the last 20"),
            ("sppm events -f web", "what happens to web from now on"),
            ("sppm events -f --json | while read -r event; do notify \"$event\"; done", "for programs"),
        ],
    ),
    (
        "history",
        &[
            ("sppm history", "the last 100 events"),
            ("sppm history web -n all", "all that is known of web"),
            ("sppm history --json | jq 'select(.by)'", "who asked for what"),
        ],
    ),
    ("diff", &[("sppm diff", "a line for each program"), ("sppm diff -v", "with the old and new values")]),
    (
        "publish",
        &[
            ("sppm publish jobs/new '{\"url\": \"https://example.org\"}'", "to all who listen to jobs/new"),
            ("sppm publish reload-now yes", "text is text"),
        ],
    ),
    (
        "subscribe",
        &[
            ("sppm subscribe", "everything that is published"),
            ("sppm subscribe 'jobs/*' --json", "a JSON object for each"),
            ("sppm subscribe done -n 1 && ./deploy-next", "wait for one message"),
        ],
    ),
    (
        "kv",
        &[
            ("sppm kv set jobs/limit 7", "programs see it at once"),
            ("sppm kv set leader web.1 --if-version 0", "only if there is none yet"),
            ("sppm kv list jobs/", "keys, versions, values"),
        ],
    ),
    (
        "busy",
        &[
            ("sppm busy -- rsync -a /srv/a /srv/b", "a stop of this script waits for rsync"),
            ("sppm busy --what 'page 7' -- python3 page.py 7", "and status says with what it is busy"),
        ],
    ),
    (
        "init",
        &[
            ("sppm init", "a file to edit"),
            ("sppm init -- python3 -u crawler.py", "a file for a program that you have"),
        ],
    ),
    (
        "check",
        &[
            ("sppm check", "the file that would be used"),
            ("sppm check -c new.yaml && mv new.yaml sppm.yaml", "before it is used"),
        ],
    ),
    (
        "schema",
        &[
            ("sppm schema > sppm.schema.json", "for editors"),
            ("sppm schema | jq .definitions", "every key, its meaning and its default"),
        ],
    ),
    (
        "run",
        &[
            ("sppm run", "the programs of sppm.yaml, as in a container"),
            ("sppm run -c /etc/sppm/sppm.yaml", "of this file"),
            ("sppm run -- ./server --port 80", "one program without a file"),
        ],
    ),
    (
        "completions",
        &[
            ("sppm completions bash > ~/.local/share/bash-completion/completions/sppm", "bash"),
            ("sppm completions zsh > ~/.zfunc/_sppm", "zsh, with ~/.zfunc in $fpath"),
            ("sppm completions fish > ~/.config/fish/completions/sppm.fish", "fish"),
        ],
    ),
    (
        "man",
        &[
            ("sppm man | man -l -", "read the page of sppm"),
            ("sppm man status | man -l -", "the page of a verb"),
            ("sppm man --all /usr/local/share/man/man1", "install all of them"),
        ],
    ),
];
