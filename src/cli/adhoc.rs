//! Configurations that we write ourselves: for `init`, and for `run -- CMD`. Pure text.

use crate::config::folders;
use crate::model::ProgramName;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The head of every file that people are to edit. The modeline makes editors complete and check.
const HEAD: &str = "\
# yaml-language-server: $schema=./sppm.schema.json
# (For completion in editors: sppm schema > sppm.schema.json)
#
# sppm start     starts sppm in the background, and with it these programs
# sppm status    shows what runs; sppm logs -f shows what they print
# Save this file, and what you changed is applied. sppm diff says beforehand what that will be.

programs:
";

/// What a program can be given besides its command; all of it commented out.
const MORE: &str = concat!(
    "    # directory: /srv/app              # where it runs; default: the folder of this file\n",
    "    # user: nobody                     # whose rights it has; needs root\n",
    "    # environment: { LANG: C.UTF-8 }\n",
    "    # instances: 2                     # as NAME.1 and NAME.2\n",
    "    # restart: on-failure              # default: always, after growing pauses\n",
    "    # stop: { signal: INT, timeout: 1m }   # default: TERM, and KILL 30s later\n",
    "    # logs: { max_size: 50MiB }        # default: 20MiB, ten files, below the state folder\n",
);

/// The file of a bare `init`.
pub(super) fn example() -> String {
    let ticker =
        "  ticker:\n    shell: 'while :; do date; sleep 5; done'   # or command: [python3, -u, crawler.py]\n";
    format!("{HEAD}{ticker}{MORE}")
}

/// A program by its command line.
pub(super) struct AdHoc<'a> {
    command: &'a [String],
    directory: Option<&'a Path>,
    name: String,
}

impl<'a> AdHoc<'a> {
    pub(super) fn new(command: &'a [String], directory: Option<&'a Path>) -> Self {
        Self { command, directory, name: name(command) }
    }

    /// The file of `init -- CMD`.
    pub(super) fn init_file(&self) -> String {
        format!("{HEAD}{}{MORE}", self.entry())
    }

    /// The file of `run -- CMD`: output goes where ours goes, and a program that cannot be kept running ends
    /// the supervisor instead of being retried for ever in a container that looks alive.
    pub(super) fn run_file(&self) -> String {
        let mut text = String::from("# Written by `sppm run -- CMD`.\n");
        let _ = writeln!(text, "supervisor:\n  name: {}\n  follow_file: {{ enabled: false }}", self.name);
        let _ = write!(text, "programs:\n{}", self.entry());
        text.push_str("    restart: { policy: always, limit: 5, then: shutdown }\n    logs: { stdout: inherit, stderr: inherit }\n");
        text
    }

    fn entry(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| scalar(word)).collect();
        let mut text = format!("  {}:\n    command: [{}]\n", self.name, words.join(", "));
        if let Some(directory) = self.directory {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    directory: {}", scalar(&directory.display().to_string()));
        }
        text
    }

    /// Eight characters that stand for folder and command.
    pub(super) fn key(&self) -> String {
        let mut bytes =
            self.directory.map(|path| path.as_os_str().as_encoded_bytes().to_vec()).unwrap_or_default();
        for word in self.command {
            bytes.push(0);
            bytes.extend_from_slice(word.as_bytes());
        }
        folders::hash8(&PathBuf::from(OsString::from_vec(bytes)))
    }
}

/// A word as YAML takes it back unchanged: `$` doubled, quoted wherever it might mean something else.
fn scalar(word: &str) -> String {
    let text = word.replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '=' | '@');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let meaning = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if starts && text.chars().all(plain) && !meaning.contains(&text.to_ascii_lowercase().as_str()) {
        return text;
    }
    // JSON strings are YAML 1.2 double-quoted scalars; serialising a text cannot fail.
    serde_json::to_string(&text).unwrap_or_default()
}

/// A name for a command: the script of an interpreter, else the program itself.
fn name(command: &[String]) -> String {
    const INTERPRETERS: [&str; 13] =
        ["python", "pypy", "node", "deno", "bun", "ruby", "perl", "php", "bash", "dash", "sh", "java", "env"];
    let stem = |word: &String| {
        let stem = Path::new(word).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.unwrap_or_default()
    };
    let first = command.first().map(stem).unwrap_or_default();
    let bare = first.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let script =
        command.iter().skip(1).find(|word| !word.starts_with('-') && !word.contains(char::is_whitespace));
    let best = match script {
        Some(script) if INTERPRETERS.contains(&bare) => stem(script),
        Some(_) | None => first,
    };
    let clean: String = best
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(ProgramName::MAX_LEN)
        .collect();
    let clean = clean.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    match ProgramName::new(clean) {
        Ok(name) => name.to_string(),
        Err(_) => "program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_gets_a_fitting_name() {
        for (command, wanted) in [
            (&["python3", "-u", "crawler.py"][..], "crawler"),
            (&["/usr/bin/redis-server", "--port", "1"], "redis-server"),
            (&["python3.11", "src/my worker.py"], "python3"),
            (&["node", "./web.js"], "web"),
            (&["sh", "-c", "a | b"], "sh"),
            (&["all"], "program"),
            (&["--", "x"], "program"),
            (&[""], "program"),
        ] {
            assert_eq!(name(&words(command)), wanted, "{command:?}");
        }
    }

    #[test]
    fn words_are_quoted_where_yaml_would_misread_them() {
        for (word, wanted) in [
            ("python3", "python3"),
            ("/usr/bin/x", "/usr/bin/x"),
            ("-u", "\"-u\""),
            ("8080", "\"8080\""),
            ("true", "\"true\""),
            ("a b", "\"a b\""),
            ("$HOME", "\"$$HOME\""),
            ("a: [b] \"c\" \\ #d\n\u{1}é", "\"a: [b] \\\"c\\\" \\\\ #d\\n\\u0001é\""),
        ] {
            assert_eq!(scalar(word), wanted);
        }
    }

    #[test]
    fn files_of_our_own() {
        let command = words(&["python3", "-u", "crawler.py"]);
        let init = AdHoc::new(&command, None).init_file();
        assert!(
            init.contains("  crawler:\n    command: [python3, \"-u\", crawler.py]\n    # directory"),
            "{init}"
        );
        let run = AdHoc::new(&command, Some(Path::new("/srv/a b")));
        assert!(run.run_file().contains("    directory: \"/srv/a b\"\n    restart:"), "{}", run.run_file());
        assert_eq!(run.key().len(), 8);
        assert_ne!(run.key(), AdHoc::new(&command, Some(Path::new("/srv"))).key());
    }

    /// One file, from memory.
    struct One(String);

    impl crate::config::Sources for One {
        fn read(&self, _: &Path) -> Result<String, crate::config::SourceError> {
            Ok(self.0.clone())
        }

        fn glob(&self, _: &Path) -> Result<Vec<PathBuf>, crate::config::SourceError> {
            Ok(Vec::new())
        }
    }

    fn command_of(text: String) -> Vec<String> {
        let environment = [("HOME".to_owned(), "/home/u".to_owned())].into();
        let path = Path::new("/srv/sppm.yaml");
        let context = crate::config::Context { path, environment: &environment, root: false, cpus: 1 };
        let loaded = crate::config::load(&context, &One(text.clone()))
            .unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(crate::config::Style::Plain)));
        match &loaded.plan.programs.values().next().map(|program| program.command.clone()) {
            Some(crate::model::Command::Exec(words)) => {
                words.iter().map(|word| word.as_str().to_owned()).collect()
            }
            Some(crate::model::Command::Shell(text)) => vec![text.as_str().to_owned()],
            None => Vec::new(),
        }
    }

    #[test]
    fn what_we_write_is_read_back_word_for_word() {
        let odd = words(&[
            "sh",
            "-c",
            "echo $HOME ${X:-1} $$ | cat > 'a b' # {x} \"q\" \\ \n é",
            "",
            "8",
            "~",
            "*",
            "null",
        ]);
        assert_eq!(command_of(AdHoc::new(&odd, None).init_file()), odd);
        assert_eq!(command_of(AdHoc::new(&odd, Some(Path::new("/a $b: c"))).run_file()), odd);
        assert_eq!(command_of(example()), ["while :; do date; sleep 5; done"]);
    }
}
