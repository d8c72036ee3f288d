//! Loads a configuration that exists only as a text, with the real reader.

use sppm::config::{Context, Loaded, Problems, SourceError, Sources, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MAIN: &str = "/srv/app/sppm.yaml";

/// The text as the main file, an env file wherever one is asked for, and no other file.
struct OneFile<'a>(&'a str);

impl Sources for OneFile<'_> {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        if path == Path::new(MAIN) {
            return Ok(self.0.to_owned());
        }
        let is_env = path.display().to_string().ends_with(".env");
        is_env.then(|| "FROM_FILE=1\n".to_owned()).ok_or_else(|| SourceError::not_found(path))
    }

    fn glob(&self, _: &Path) -> Result<Vec<PathBuf>, SourceError> {
        Ok(Vec::new())
    }
}

/// As root on a machine with four CPUs.
pub(crate) fn load_text(text: &str) -> Result<Loaded, Problems> {
    let variables = [("HOME", "/root"), ("TOKEN", "secret"), ("USER", "root")];
    let environment: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let context = Context { path: Path::new(MAIN), environment: &environment, root: true, cpus: 4 };
    load(&context, &OneFile(text))
}
