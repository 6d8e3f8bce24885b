//! `rcc plugin check` and `rcc plugin add`.

use crate::config::{self, LoadedManifest};
use crate::facts::Facts;
use crate::output;
use crate::plugin::manifest::grammar::{Refusal, decide};
use crate::plugin::manifest::places::{Places, list};
use crate::plugin::manifest::shipped::{self, AddError};
use crate::plugin::manifest::{Kind, Origin};
use crate::shown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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

/// What is asked about a file.
#[derive(Clone, Copy)]
enum Asked {
    /// Whether it holds, where it is.
    InPlace,
    /// Whether it would.
    Here,
    /// Whether it would on another machine.
    Elsewhere,
}

/// Checks one manifest, or a call; all that are in place, if none is named. The file is perhaps said to be the
/// user's, and for another machine.
///
/// # Errors
/// If there is no such manifest. Mistakes of one are no errors, but the answer.
pub(super) fn check_named(
    facts: &Facts,
    manifest: Option<&str>,
    (user, elsewhere): (bool, bool),
    arguments: Option<&[String]>,
) -> miette::Result<ExitCode> {
    let places = Places::new(facts);
    match manifest {
        None => check_all(&places),
        Some(manifest) => {
            let (path, origin, in_place) = find(&places, manifest, user)?;
            let asked = match (elsewhere, in_place) {
                (true, _) => Asked::Elsewhere,
                (false, true) => Asked::InPlace,
                (false, false) => Asked::Here,
            };
            check(&places, &path, origin, asked, arguments)
        }
    }
}

/// Writes one that comes with rcc.
///
/// # Errors
/// If there is none of that name, or it cannot be written.
pub(super) fn add_shipped(facts: &Facts, tool: &str, force: bool) -> miette::Result<ExitCode> {
    add(&Places::new(facts), tool, force)
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
            if check(places, &directory.join(name), origin, Asked::InPlace, None)? != ExitCode::SUCCESS {
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
    asked: Asked,
    arguments: Option<&[String]>,
) -> miette::Result<ExitCode> {
    let owner = places.of(origin).1;
    let loaded = match asked {
        Asked::InPlace => config::load_manifest(path, owner)
            .and_then(|loaded| loaded.map_or_else(|| config::check_manifest(path, owner), Ok)),
        Asked::Here => config::check_manifest(path, owner),
        Asked::Elsewhere => config::check_manifest_elsewhere(path, owner),
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
