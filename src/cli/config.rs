//! `rcc config`: checks and shows the configuration.

use crate::config::{self, Kind, Loaded, PROJECT_FILE, Sources, USER_FILE};
use crate::facts::Facts;
use crate::output;
use crate::policy::ProfileName;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check configuration files, or show what holds.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a file without using it; exit status 1 if it could not be used
    Check {
        /// The file
        file: PathBuf,
        /// Which schema the file follows [default: told by its path]
        #[arg(long, value_enum)]
        kind: Option<Kind>,
    },
    /// Show the merged configuration, each value with its origin
    Show {
        /// The network profile that would be asked for
        #[arg(long, value_name = "PROFILE")]
        profile: Option<ProfileName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `check` can't tell which schema a file follows.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot tell what kind of configuration {} is", config::printable(&.0.to_string_lossy()))]
#[diagnostic(help("say it: --kind admin, --kind user or --kind project"))]
struct UnknownKind(PathBuf);

impl ConfigCommand {
    /// Runs the command for the project at `project`.
    ///
    /// # Errors
    /// The configuration's, with every mistake and its line.
    pub fn run(self, facts: &Facts, project: &Path) -> miette::Result<ExitCode> {
        match self {
            Self::Check { file, kind } => check(&file, kind, facts),
            Self::Show { profile, json } => show(&Sources::new(facts, project, profile), json),
        }
    }
}

fn check(file: &Path, kind: Option<Kind>, facts: &Facts) -> miette::Result<ExitCode> {
    let kind = kind.or_else(|| kind_of(file, facts)).ok_or_else(|| UnknownKind(file.to_owned()))?;
    let is_in_force = kind == Kind::Admin && file == Path::new(config::ADMIN_FILE);
    let checked = match is_in_force {
        true => config::load_admin(file, 0).map(|admin| admin.warnings),
        false => config::check(file, kind, &facts.user.home),
    };
    match checked {
        Ok(warnings) => print_warnings(warnings),
        // Not a failure of the check: its answer.
        Err(mistakes) => {
            output::tell_line(format_args!("{:?}", miette::Report::new(mistakes)));
            return Ok(ExitCode::FAILURE);
        }
    }
    output::print(format!("{}: no mistakes\n", config::printable(&file.to_string_lossy())))?;
    Ok(ExitCode::SUCCESS)
}

fn kind_of(file: &Path, facts: &Facts) -> Option<Kind> {
    if file == Path::new(config::ADMIN_FILE) {
        Some(Kind::Admin)
    } else if file == facts.config_dir.join(USER_FILE) {
        Some(Kind::User)
    } else {
        file.ends_with(PROJECT_FILE).then_some(Kind::Project)
    }
}

fn show(sources: &Sources, json: bool) -> miette::Result<ExitCode> {
    let Loaded { admin, mut entries, warnings, .. } = config::load(sources)?;
    entries.extend(admin.entries(&sources.admin));
    print_warnings(warnings);
    if json {
        output::print(format!("{}\n", serde_json::json!(entries)))?;
    } else {
        output::print(entries.iter().map(|entry| format!("{entry}\n")).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_warnings(warnings: Vec<config::Problem>) {
    for warning in warnings {
        output::tell_line(format_args!("{:?}", miette::Report::new(warning)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;

    fn facts(root: &Path) -> Facts {
        Facts {
            user: User { uid: rustix::process::geteuid().as_raw(), gid: 0, name: "alice".into(), home: root.into() },
            cwd: root.join("project"),
            environment: Default::default(),
            config_dir: root.join("config"),
            data_dir: root.join("data"),
        }
    }

    #[test]
    fn the_kind_is_told_by_the_path() {
        let facts = facts(Path::new("/home/alice"));
        for (file, kind) in [
            ("/etc/rcc/config.toml", Some(Kind::Admin)),
            ("/home/alice/config/config.toml", Some(Kind::User)),
            ("../config/config.toml", None),
            (".rcc.toml", Some(Kind::Project)),
            ("/elsewhere/.rcc.toml", Some(Kind::Project)),
            ("x.rcc.toml", None),
        ] {
            assert_eq!(kind_of(Path::new(file), &facts), kind, "{file}");
        }
    }

    #[test]
    fn check_tells_good_files_from_bad_ones() {
        let root = tempfile::tempdir().unwrap();
        let facts = facts(root.path());
        let file = root.path().join(".rcc.toml");
        let check = || ConfigCommand::Check { file: file.clone(), kind: None }.run(&facts, root.path());
        assert_eq!(check().unwrap(), ExitCode::FAILURE, "there is no file yet");
        std::fs::write(&file, "profile = \"offline\"").unwrap();
        assert_eq!(check().unwrap(), ExitCode::SUCCESS);
        std::fs::write(&file, "mounts = []").unwrap();
        assert_eq!(check().unwrap(), ExitCode::FAILURE, "the project's file took a mount");
    }
}
