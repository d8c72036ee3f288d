//! Which file is the configuration, when nobody says.
//!
//! In: the option, the working folder, the environment and a way to ask whether a file exists. Out: one
//! absolute path. Never add here: any look at the file system of our own.

use super::folders::{SYSTEM_CONFIG, absolute_variable, home};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// What the search starts from.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// `--config`, as given.
    pub option: Option<&'a Path>,
    /// The working folder, absolute.
    pub cwd: &'a Path,
    /// The environment (SPPM_CONFIG, XDG_CONFIG_HOME, HOME count).
    pub environment: &'a BTreeMap<String, String>,
}

/// No single configuration could be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Two files in one folder, and either could be meant.
    #[error("both {} and {} exist: remove one, or say which with --config", yaml.display(), yml.display())]
    Both {
        /// `sppm.yaml`.
        yaml: PathBuf,
        /// `sppm.yml`.
        yml: PathBuf,
    },
    /// None of these exists.
    #[error("there is no sppm.yaml; looked for {}", list(looked))]
    Nowhere {
        /// In the order of the search.
        looked: Vec<PathBuf>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The configuration's path, absolute as given: the option, then `$SPPM_CONFIG`, then the first that exists
/// of `./sppm.yaml` (or `.yml`), `$XDG_CONFIG_HOME/sppm/sppm.yaml` and `/etc/sppm/sppm.yaml`.
///
/// A file that was named is not looked for: the command must find its supervisor when the file is gone.
///
/// # Errors
/// Both spellings exist in the working folder, or no file does.
pub fn find(search: &Search<'_>, exists: &dyn Fn(&Path) -> bool) -> Result<PathBuf, FindError> {
    if let Some(path) = search.option {
        return Ok(absolute(search.cwd, path));
    }
    if let Some(path) = search.environment.get("SPPM_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(absolute(search.cwd, Path::new(path)));
    }
    let yaml = search.cwd.join("sppm.yaml");
    let yml = search.cwd.join("sppm.yml");
    match (exists(&yaml), exists(&yml)) {
        (true, true) => return Err(FindError::Both { yaml, yml }),
        (true, false) => return Ok(yaml),
        (false, true) => return Ok(yml),
        (false, false) => {}
    }
    let user = absolute_variable(search.environment, "XDG_CONFIG_HOME")
        .unwrap_or_else(|| home(search.environment).join(".config"))
        .join("sppm/sppm.yaml");
    let system = PathBuf::from(SYSTEM_CONFIG);
    if let Some(found) = [&user, &system].into_iter().find(|path| exists(path)) {
        return Ok(found.clone());
    }
    Err(FindError::Nowhere { looked: vec![yaml, user, system] })
}

/// `path` below `cwd`, with `.` and `..` removed from the text and symbolic links kept as they are.
pub fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for part in cwd.join(path).components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::Normal(name) => result.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn run(option: Option<&str>, env: &[(&str, &str)], files: &[&str]) -> Result<PathBuf, FindError> {
        let environment = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let search =
            Search { option: option.map(Path::new), cwd: Path::new("/w"), environment: &environment };
        find(&search, &|path| files.iter().any(|file| path == Path::new(file)))
    }

    #[test]
    fn the_first_hit_of_the_order_is_taken() {
        let all = ["/w/sppm.yaml", "/h/.config/sppm/sppm.yaml", "/etc/sppm/sppm.yaml"];
        let home = ("HOME", "/h");
        assert_eq!(
            run(Some("../x/./a.yaml"), &[("SPPM_CONFIG", "b")], &all).unwrap(),
            Path::new("/x/a.yaml")
        );
        assert_eq!(run(None, &[("SPPM_CONFIG", "b")], &all).unwrap(), Path::new("/w/b"));
        assert_eq!(run(None, &[home], &all).unwrap(), Path::new("/w/sppm.yaml"));
        assert_eq!(run(None, &[home], &all[1..]).unwrap(), Path::new("/h/.config/sppm/sppm.yaml"));
        assert_eq!(run(None, &[home], &all[2..]).unwrap(), Path::new("/etc/sppm/sppm.yaml"));
        assert_eq!(run(None, &[], &["/w/sppm.yml"]).unwrap(), Path::new("/w/sppm.yml"));
        assert!(matches!(run(None, &[], &["/w/sppm.yml", "/w/sppm.yaml"]), Err(FindError::Both { .. })));
        let nowhere = run(None, &[home], &[]).unwrap_err();
        assert!(nowhere.to_string().contains("/h/.config/sppm/sppm.yaml"), "{nowhere}");
    }
}
