//! The command: the real machinery behind [`sppm::cli`].

use sppm::cli::{self, Backend, ErrorDto, ErrorKind, Sources};
use sppm::daemon::{self, DiskSources, Mode, Options};
use std::process::ExitCode;

/// The daemon of this binary.
struct Machinery;

fn options(options: &cli::Options) -> Options {
    let mode = if options.background { Mode::Background } else { Mode::Foreground };
    Options { config: options.config.clone(), mode }
}

impl Backend for Machinery {
    fn sources(&self) -> Box<dyn Sources> {
        Box::new(DiskSources::new(None))
    }

    fn run_foreground(&self, given: &cli::Options) -> u8 {
        daemon::run_foreground(&options(given))
    }

    fn start_background(&self, given: &cli::Options) -> Result<(), Box<ErrorDto>> {
        daemon::start_background(&options(given)).map_err(|error| {
            let text = error.message.trim().to_owned();
            let message = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
            let mut dto = match error.exit_code {
                78 => ErrorDto::config_invalid("the configuration is not valid", text),
                _ => ErrorDto::new(ErrorKind::Failed, message),
            };
            dto.error.exit_code = error.exit_code;
            Box::new(dto)
        })
    }

    fn supervise(&self, given: &cli::Options) -> u8 {
        daemon::supervise(&options(given))
    }

    fn detach(&self, given: &cli::Options) -> u8 {
        daemon::detach(&options(given))
    }
}

fn main() -> ExitCode {
    cli::main(&Machinery)
}
