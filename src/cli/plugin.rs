//! `rcc plugin`: tools that run outside of the sandbox.

use crate::config::{self, LoadedManifest};
use crate::facts::Facts;
use crate::output;
use crate::plugin::manifest::grammar::{Refusal, decide};
use crate::plugin::manifest::places::{Places, list};
use crate::plugin::manifest::shipped::{self, AddError};
use crate::plugin::manifest::{Kind, Origin};
use crate::shown;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tools that run outside of the sandbox, where the credentials and the rules are.
#[derive(Debug, Subcommand)]
pub enum PluginArguments {
    /// Check manifests, or tell whether a tool may be called so; exit status 1 if there are mistakes, or it may not
    Check {
        /// A manifest's file, or the tool that has one in force [default: all that are in place]
        #[arg(value_name = "FILE|TOOL")]
        manifest: Option<String>,
        /// Check a file that is not in place yet as one of yours, not as root's
        #[arg(long, requires = "manifest")]
        user: bool,
        /// The arguments of a call that is not made
        #[arg(last = true, requires = "manifest", allow_hyphen_values = true)]
        arguments: Option<Vec<String>>,
    },
    /// Write a manifest that comes with rcc: as root for everybody, otherwise for yourself
    Add {
        /// The tool: git, gh, npm, cargo; npm-registry and example are to start from
        tool: String,
        /// Replace one that is there
        #[arg(long)]
        force: bool,
    },
}

/// Neither root nor the user has one.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "there is no plugin {}: neither {} nor {} is there",
    shown::text(tool),
    shown::terminal(admin),
    shown::terminal(user)
)]
#[diagnostic(help("`rcc plugin add` writes one that comes with rcc; a file is checked by its path, like ./gh.toml"))]
struct NoManifest {
    tool: String,
    admin: PathBuf,
    user: PathBuf,
}

/// Rules about arguments are those of programs.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{} is no program that is called with arguments", shown::text(.0))]
#[diagnostic(help("what is pushed or asked decides there: its manifest has the rules"))]
struct NoArguments(String);

/// Why nothing was written, and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct NotAdded(#[from] AddError);

impl miette::Diagnostic for NotAdded {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.0.remedy()))
    }
}

impl PluginArguments {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such manifest, or none can be written. Mistakes of a manifest are no errors of `check`, but its
    /// answer.
    pub fn run(self, facts: &Facts) -> miette::Result<ExitCode> {
        let places = Places::new(facts);
        match self {
            Self::Check { manifest: None, .. } => check_all(&places),
            Self::Check { manifest: Some(manifest), user, arguments } => {
                let (path, origin, in_place) = find(&places, &manifest, user)?;
                check(&places, &path, origin, in_place, arguments.as_deref())
            }
            Self::Add { tool, force } => add(&places, &tool, force),
        }
    }
}

/// The file, whose it is, and whether it is in its place.
fn find(places: &Places, manifest: &str, user: bool) -> miette::Result<(PathBuf, Origin, bool)> {
    let place = |origin| places.of(origin).0;
    if !manifest.contains('/') && !manifest.ends_with(".toml") {
        let [admin, user] = [Origin::Admin, Origin::User].map(|origin| place(origin).join(format!("{manifest}.toml")));
        return if admin.exists() {
            Ok((admin, Origin::Admin, true))
        } else if user.exists() {
            Ok((user, Origin::User, true))
        } else {
            Err(NoManifest { tool: manifest.to_owned(), admin, user }.into())
        };
    }
    let path = PathBuf::from(manifest);
    let in_place = [Origin::Admin, Origin::User].into_iter().find(|origin| path.parent() == Some(place(*origin)));
    let origin = in_place.unwrap_or(if user { Origin::User } else { Origin::Admin });
    Ok((path, origin, in_place.is_some()))
}

fn check_all(places: &Places) -> miette::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut any = false;
    for origin in [Origin::Admin, Origin::User] {
        let directory = places.of(origin).0;
        let (names, error) = list(directory);
        if let Some(error) = error {
            output::tell_line(format_args!("{}: {error}; {}", shown::terminal(directory), error.remedy()));
            code = ExitCode::FAILURE;
        }
        for name in names {
            any = true;
            if check(places, &directory.join(name), origin, true, None)? != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
    }
    if !any {
        output::tell_line("there are no plugins; `rcc plugin add` writes manifests that come with rcc");
    }
    Ok(code)
}

fn check(
    places: &Places,
    path: &Path,
    origin: Origin,
    in_place: bool,
    arguments: Option<&[String]>,
) -> miette::Result<ExitCode> {
    let owner = places.of(origin).1;
    let loaded = match in_place {
        true => config::load_manifest(path, owner)
            .and_then(|loaded| loaded.map_or_else(|| config::check_manifest(path, owner), Ok)),
        false => config::check_manifest(path, owner),
    };
    let LoadedManifest { manifest, warnings } = match loaded {
        Ok(loaded) => loaded,
        // Not a failure of the check: its answer.
        Err(mistakes) => {
            output::tell_line(format_args!("{:?}", miette::Report::new(mistakes)));
            return Ok(ExitCode::FAILURE);
        }
    };
    for warning in warnings {
        output::tell_line(format_args!("{:?}", miette::Report::new(warning)));
    }
    let Some(arguments) = arguments else {
        output::print(format!("{}: no mistakes\n", shown::terminal(path)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let Kind::Exec(exec) = &manifest.kind else { return Err(NoArguments(manifest.tool.to_string()).into()) };
    match decide(&exec.grammar, arguments) {
        Ok(()) => {
            output::print(format!("{}: this call is allowed\n", manifest.tool))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => refused(manifest.tool.as_str(), &refusal),
    }
}

fn refused(tool: &str, refusal: &Refusal) -> miette::Result<ExitCode> {
    output::print(format!("{tool}: {refusal}\n"))?;
    Ok(ExitCode::FAILURE)
}

fn add(places: &Places, tool: &str, force: bool) -> miette::Result<ExitCode> {
    let origin = if rustix::process::geteuid().is_root() { Origin::Admin } else { Origin::User };
    let (directory, owner) = places.of(origin);
    let path = shipped::add(tool, origin, directory, force).map_err(NotAdded)?;
    output::print(format!("{}: written\n", shown::terminal(&path)))?;
    // It may name a program that is not installed yet.
    if let Err(mistakes) = config::load_manifest(&path, owner) {
        output::tell_line(format_args!("{:?}", miette::Report::new(mistakes)));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
