//! Installs the pinned Claude Code into the user's data directory, whole or not at all.

use super::VERSION;
use super::find::{self, is_native};
use super::package::{self, Package};
use crate::facts::{self, Facts};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha512};
use std::fs::{DirBuilder, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes that the tarball and the unpacked program take together, with some room: 2.1.330 is
/// 175 MB packed and 381 MB unpacked.
const ROOM: u64 = 640 << 20;

/// Where the tools that are run find their own tools; not the caller's `PATH`, which a project
/// may have changed.
const TOOL_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin";

/// Claude Code was not installed; nothing of the attempt is left.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No package for this processor.
    #[error(
        "Claude Code {VERSION} has no package for {0}: install it by other means, so that `claude` is in your PATH"
    )]
    Platform(&'static str),
    /// The disk is too full.
    #[error("{} has {free} MiB free and {needed} MiB are needed: make room and run it again", path.display())]
    Room {
        /// The directory.
        path: PathBuf,
        /// Free mebibytes.
        free: u64,
        /// Needed mebibytes.
        needed: u64,
    },
    /// A file operation failed.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No way to download worked.
    #[error("cannot download {spec}:\n  {}", attempts.join("\n  "))]
    Download {
        /// The package.
        spec: String,
        /// What each program said.
        attempts: Vec<String>,
    },
    /// The tarball is not the one that was pinned.
    #[error(
        "the downloaded package is not the pinned one: its SHA-512 is {found}. Was the registry changed? Nothing was installed"
    )]
    Integrity {
        /// Its hash in hexadecimal.
        found: String,
    },
    /// The tarball holds something else.
    #[error("the package can't be unpacked: {0}")]
    Unpack(String),
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::File { verb, path, source }
}

/// Installs the pinned version unless it is there; returns its program.
///
/// Runs as the user, with the user's npm where there is one, else with curl or wget.
pub fn install(facts: &Facts, say: &dyn Fn(&str)) -> Result<PathBuf, FetchError> {
    let arch = std::env::consts::ARCH;
    let musl = package::is_musl_host(Path::new("/"), arch);
    let package = Package::of(arch, musl).ok_or(FetchError::Platform(arch))?;
    install_package(facts, package, ROOM, &|staging| {
        say(&format!("fetching {} (175 MB)", package.spec()));
        download(facts, package, staging)
    })
}

/// `obtain` puts the tarball into a directory and returns its path.
fn install_package(
    facts: &Facts,
    package: Package,
    room: u64,
    obtain: &dyn Fn(&Path) -> Result<PathBuf, FetchError>,
) -> Result<PathBuf, FetchError> {
    let versions = find::versions(facts);
    create_private(&versions)?;
    let _lock = lock(&versions)?;
    let target = versions.join(VERSION);
    let program = target.join("claude");
    if is_native(&program) {
        return Ok(program);
    }
    let staging = Staging::create(&versions)?;
    check_room(&versions, room)?;
    let tarball = obtain(&staging.0)?;
    verify(&tarball, package)?;
    let unpacked = unpack(&tarball, &staging.0)?;
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(failed("remove the damaged", &target))?;
    }
    std::fs::rename(&unpacked, &target).map_err(failed("create", &target))?;
    File::open(&versions).and_then(|it| it.sync_all()).map_err(failed("write", &versions))?;
    Ok(program)
}

fn create_private(path: &Path) -> Result<(), FetchError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// One installation at a time; released on drop.
fn lock(versions: &Path) -> Result<File, FetchError> {
    let path = versions.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed("open", &path))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed("lock", &path)(errno.into()))?;
    Ok(file)
}

fn check_room(path: &Path, room: u64) -> Result<(), FetchError> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| failed("measure", path)(errno.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= room {
        return Ok(());
    }
    Err(FetchError::Room { path: path.to_owned(), free: free >> 20, needed: room >> 20 })
}

/// What is under way; removed on drop, and by the next attempt after a crash.
struct Staging(PathBuf);

impl Staging {
    fn create(versions: &Path) -> Result<Self, FetchError> {
        let path = versions.join(".partial");
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            _ => create_private(&path)?,
        }
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is removed by the next attempt.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn download(facts: &Facts, package: Package, staging: &Path) -> Result<PathBuf, FetchError> {
    let npmrc = std::fs::read_to_string(facts.user.home.join(".npmrc")).unwrap_or_default();
    let url = package.url(&package::registry(facts, &npmrc));
    let tarball = staging.join("package.tgz");
    let mut attempts = Vec::new();
    for tool in ["npm", "curl", "wget"] {
        let Some(program) = facts::program(tool) else {
            attempts.push(format!("{tool}: not installed"));
            continue;
        };
        let mut command = Command::new(program);
        match tool {
            "npm" => command.args([
                "pack",
                &package.spec(),
                "--ignore-scripts",
                "--loglevel=error",
                "--pack-destination",
                ".",
            ]),
            "curl" => command
                .args(["-fsSL", "--proto", "=https,http", "--connect-timeout", "30", "--retry", "2"])
                .args(["--speed-limit", "1024", "--speed-time", "60", "-o", "package.tgz", "--", &url]),
            _ => command.args(["-q", "--timeout=60", "--tries=3", "-O", "package.tgz", "--", &url]),
        };
        let result = run(&mut command, staging);
        let found = if tool == "npm" { only_tarball(staging) } else { Some(tarball.clone()) };
        match (result, found) {
            (Ok(()), Some(found)) => return Ok(found),
            (Ok(()), None) => attempts.push(format!("{tool}: made no tarball")),
            (Err(said), _) => attempts.push(format!("{tool}: {said}")),
        }
    }
    Err(FetchError::Download { spec: package.spec(), attempts })
}

fn only_tarball(staging: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(staging).ok()?.flatten().map(|entry| entry.path());
    entries.find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
}

/// Runs a tool in the staging directory: npm reads the `.npmrc` of its working directory, which
/// must not be a project's.
fn run(command: &mut Command, staging: &Path) -> Result<(), String> {
    let command = command.current_dir(staging).env("PATH", TOOL_PATH).env_remove("NODE_OPTIONS");
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The first lines name the cause; what follows is advice.
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    Err(format!("{}: {}", output.status, lines.join("; ")))
}

fn verify(tarball: &Path, package: Package) -> Result<(), FetchError> {
    let mut file = File::open(tarball).map_err(failed("open", tarball))?;
    let mut hasher = Sha512::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).map_err(failed("read", tarball))? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == package.sha512 { Ok(()) } else { Err(FetchError::Integrity { found }) }
}

/// Unpacks the program into a directory of its own.
fn unpack(tarball: &Path, staging: &Path) -> Result<PathBuf, FetchError> {
    let tar = facts::program("tar").ok_or_else(|| FetchError::Unpack("tar is not installed".into()))?;
    let mut command = Command::new(tar);
    command.arg("-xzf").arg(tarball).args(["--no-same-owner", "package/claude"]);
    run(&mut command, staging).map_err(FetchError::Unpack)?;
    let (directory, program) = (staging.join("package"), staging.join("package/claude"));
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).map_err(failed("set the mode of", &program))?;
    if !is_native(&program) {
        return Err(FetchError::Unpack("it holds no native program".into()));
    }
    File::open(&program).and_then(|file| file.sync_all()).map_err(failed("write", &program))?;
    Ok(directory)
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
