//! `{name}`, `{runtime_dir}`, `{state_dir}` and `{log_dir}`, filled when the plan is made.
//!
//! In: a text. Out: a text in which at most `{instance}` and `{index}` are still open, for
//! [`Template`](crate::model::Template) to fill at launch. Any other brace stays. Never add here: `${…}`.

use crate::model::Folders;

/// What can be filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill<'a> {
    /// The program; `None` outside of programs.
    pub(super) name: Option<&'a str>,
    /// The folders.
    pub(super) folders: &'a Folders,
}

impl Fill<'_> {
    /// The text with all that is known filled in, in one pass: what is filled in is not looked at again.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            match rest.find('}').and_then(|end| Some((end, self.value(&rest[1..end])?))) {
                Some((end, value)) => {
                    out.push_str(&value);
                    rest = &rest[end + 1..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn value(&self, name: &str) -> Option<String> {
        let folder = match name {
            "name" => return self.name.map(str::to_owned),
            "runtime_dir" => &self.folders.runtime_dir,
            "state_dir" => &self.folders.state_dir,
            "log_dir" => &self.folders.log_dir,
            _ => return None,
        };
        Some(folder.display().to_string())
    }
}

/// Placeholders that are known only at launch.
pub(super) fn is_per_instance(text: &str) -> bool {
    text.contains("{instance}") || text.contains("{index}")
}

/// Any placeholder.
pub(super) fn has_any(text: &str) -> bool {
    is_per_instance(text)
        || ["{name}", "{runtime_dir}", "{state_dir}", "{log_dir}"].iter().any(|p| text.contains(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_braces_are_filled_and_others_stay() {
        let folders = Folders { runtime_dir: "/r".into(), state_dir: "/{name}".into(), log_dir: "/l".into() };
        let fill = Fill { name: Some("web"), folders: &folders };
        for (text, filled) in [
            ("x", "x"),
            ("{name}", "web"),
            ("{log_dir}/{instance}.{index}", "/l/{instance}.{index}"),
            ("{runtime_dir}{state_dir}", "/r/{name}"),
            ("{{name}}", "{web}"),
            ("{print $1} {", "{print $1} {"),
            ("{unknown}{name", "{unknown}{name"),
        ] {
            assert_eq!(fill.fill(text), filled);
        }
        assert_eq!(Fill { name: None, folders: &folders }.fill("{name}"), "{name}");
    }
}
