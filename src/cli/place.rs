//! Where the command was typed: which configuration that means, and which supervisor's socket.

use super::failure::Failure;
use crate::config::{self, FindError, Search, folders};
use crate::control::client::{Client, ClientError};
use crate::control::wire::{ErrorDto, ErrorKind};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Folder, environment and user of the command.
pub(super) struct Place {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
    pub(super) root: bool,
    option: Option<PathBuf>,
}

impl Place {
    /// Of this process; `option` is the file that was named.
    pub(super) fn here(option: Option<PathBuf>) -> Self {
        // A variable that is not UTF-8 can be neither a path of ours nor a `${…}`; the daemon inherits it all the same.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            environment,
            // A removed working folder matters only for relative paths, which then fail by name.
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            root: nix::unistd::geteuid().is_root(),
            option,
        }
    }

    /// The configuration's path, absolute as given.
    fn find(&self) -> Result<PathBuf, FindError> {
        let search =
            Search { option: self.option.as_deref(), cwd: &self.cwd, environment: &self.environment };
        config::find(&search, &|path| path.exists())
    }

    /// The configuration, for commands that read it.
    pub(super) fn config(&self) -> Result<PathBuf, Failure> {
        self.find().map_err(|error| not_found(&error, ErrorKind::ConfigInvalid))
    }

    /// Where to write a new configuration.
    pub(super) fn new_config(&self) -> PathBuf {
        let path = self.option.as_deref().unwrap_or(Path::new("sppm.yaml"));
        config::absolute(&self.cwd, path)
    }

    /// The configuration whose supervisor is meant. Where nothing is named, a file that is gone from this folder while
    /// its supervisor lives goes before one of another folder: a `shutdown` must not reach the wrong supervisor.
    fn find_supervised(&self) -> Result<PathBuf, FindError> {
        let found = self.find();
        let named =
            self.option.is_some() || self.environment.get("SPPM_CONFIG").is_some_and(|path| !path.is_empty());
        let here = found.as_ref().is_ok_and(|path| path.parent() == Some(self.cwd.as_path()));
        if named || here {
            return found;
        }
        let mut supervised = ["sppm.yaml", "sppm.yml"]
            .map(|name| self.cwd.join(name))
            .into_iter()
            .filter(|path| self.sockets(path).iter().any(|socket| socket.exists()));
        match (supervised.next(), supervised.next()) {
            (Some(only), None) => Ok(only),
            (None, _) | (Some(_), Some(_)) => found,
        }
    }

    /// Finds the supervisor of the configuration. The file may be invalid or gone.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let config = self.find_supervised().map_err(|error| not_found(&error, ErrorKind::NoSupervisor))?;
        let places = self.sockets(&config);
        for socket in &places {
            // A folder that may not be entered holds somebody's socket, or none: the client finds out.
            if socket.symlink_metadata().is_err_and(|error| error.kind() != io::ErrorKind::PermissionDenied) {
                continue;
            }
            let client = Client::new(socket);
            match client.probe() {
                Ok(()) => return Ok(client),
                Err(ClientError::NoServer(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let looked: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        Err(ErrorDto::new(ErrorKind::NoSupervisor, format!("no supervisor runs for {}", config.display()))
            .with_place(looked.join("\n"))
            .with_help("sppm start")
            .into())
    }

    /// Where the socket of `config` may be: in our own base, then in root's; by its path as given, then by
    /// its real path; through the link that its supervisor left, then at the place that is the default.
    fn sockets(&self, config: &Path) -> Vec<PathBuf> {
        let own = folders::base(self.root, &self.environment);
        let mut paths = vec![config.to_owned()];
        paths.extend(config.canonicalize());
        let mut places: Vec<PathBuf> = Vec::new();
        for (base, root) in [(own, self.root), (PathBuf::from(folders::SYSTEM_BASE), true)] {
            for path in &paths {
                let link = folders::by_path(&base, path);
                let linked = link.read_link().ok().map(|target| base.join("by-path").join(target));
                let default = folders::defaults(path, root, &self.environment).runtime_dir;
                for folder in linked.into_iter().chain([default]) {
                    let socket = folder.join(folders::SOCKET);
                    if !places.contains(&socket) {
                        places.push(socket);
                    }
                }
            }
        }
        places
    }
}

fn not_found(error: &FindError, nowhere: ErrorKind) -> Failure {
    match error {
        FindError::Nowhere { looked } => {
            let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
            ErrorDto::new(nowhere, "there is no sppm.yaml here")
                .with_place(looked.join("\n"))
                .with_help("`sppm init` writes one; `-c FILE` names another")
                .into()
        }
        FindError::Both { .. } => Failure::new(ErrorKind::ConfigInvalid, error.to_string()),
    }
}
