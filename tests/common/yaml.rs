//! Writes configurations. Scalars are written as JSON strings, which YAML reads as they are.

use super::Rig;

/// A configuration in the making; edits are made on it and saved again.
#[derive(Debug, Clone, Default)]
pub struct Yaml {
    /// Lines before everything else.
    pub head: String,
    /// Lines of `supervisor:`, without indentation.
    pub supervisor: Vec<String>,
    /// Each program's name and its lines, without indentation.
    pub programs: Vec<(String, Vec<String>)>,
}

impl Yaml {
    /// With all folders inside the test's own.
    pub fn new(rig: &Rig) -> Self {
        let folder = |name: &str| quoted(&rig.path(name).display().to_string());
        Self {
            supervisor: vec![
                format!("runtime_dir: {}", folder("r")),
                format!("state_dir: {}", folder("st")),
                format!("log_dir: {}", folder("log")),
            ],
            ..Self::default()
        }
    }

    /// With nothing but programs: every folder is the default.
    pub fn bare() -> Self {
        Self::default()
    }

    /// Adds a line to `supervisor:`.
    pub fn supervisor(mut self, line: &str) -> Self {
        self.supervisor.push(line.to_owned());
        self
    }

    /// Adds a program.
    pub fn program<S: AsRef<str>>(mut self, name: &str, lines: &[S]) -> Self {
        self.programs.push((name.to_owned(), lines.iter().map(|line| line.as_ref().to_owned()).collect()));
        self
    }

    /// Adds a line to a program that is there.
    #[track_caller]
    pub fn with(mut self, name: &str, line: &str) -> Self {
        self.lines(name).push(line.to_owned());
        self
    }

    /// Replaces a line of a program: the one that begins with the same key.
    #[track_caller]
    pub fn set(mut self, name: &str, line: &str) -> Self {
        let key = line.split_once(':').expect("key: value").0.to_owned() + ":";
        let lines = self.lines(name);
        match lines.iter_mut().find(|old| old.starts_with(&key)) {
            Some(old) => line.clone_into(old),
            None => lines.push(line.to_owned()),
        }
        self
    }

    /// Takes a program out.
    pub fn without(mut self, name: &str) -> Self {
        self.programs.retain(|(program, _)| program != name);
        self
    }

    #[track_caller]
    fn lines(&mut self, name: &str) -> &mut Vec<String> {
        let found = self.programs.iter_mut().find(|(program, _)| program == name);
        &mut found.unwrap_or_else(|| panic!("no program {name} to edit")).1
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        if !self.supervisor.is_empty() {
            text.push_str("supervisor:\n");
            for line in &self.supervisor {
                text.push_str(&format!("  {line}\n"));
            }
        }
        if self.programs.is_empty() {
            text.push_str("programs: {}\n");
            return text;
        }
        text.push_str("programs:\n");
        for (name, lines) in &self.programs {
            text.push_str(&format!("  {name}:\n"));
            for line in lines {
                text.push_str(&format!("    {line}\n"));
            }
        }
        text
    }
}

/// A text as a quoted scalar.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

/// `command: [...]` of these words.
pub fn command<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    format!("command: [{}]", words.join(", "))
}
