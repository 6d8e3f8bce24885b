//! A bare repository with all branches and tags of an upstream. What the upstream lacks was pushed and refused, or
//! is about to be judged; nothing else ever gets in.

use super::ServeError;
use super::command::{self, Git, hex};
use crate::plugin::git::remote::Upstream;
use crate::plugin::git::task::Task;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another connection's push is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);
/// All branches and tags, as the upstream has them.
const REFS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
/// Packs after which they are made one.
const PACKS_MAX: usize = 40;

/// A mirror, up to date, and nobody else's while this lives.
pub(super) struct Mirror {
    repository: PathBuf,
    /// Held by whatever is started here too: a push that goes on after this program was killed ends first.
    _lock: File,
}

impl Mirror {
    /// Opens the mirror of the task's upstream, or makes it, and brings it up to date.
    pub(super) fn open(git: &Git, task: &Task) -> Result<Self, ServeError> {
        let name = hex(format!("{:?}", task.upstream).as_bytes());
        let directory = task.mirrors.join(&name[..32]);
        std::fs::create_dir_all(&directory).map_err(ServeError::file("make the directory", &directory))?;
        let mirror = Self { repository: directory.join("repo.git"), _lock: locked(&directory, &task.upstream)? };
        mirror.clean()?;
        // Of a push that was killed.
        mirror.forget_packs(true);
        mirror.refresh(git, &task.upstream)?;
        Ok(mirror)
    }

    /// Where it is.
    pub(super) fn repository(&self) -> &Path {
        &self.repository
    }

    /// Notes which packs there are before a push.
    pub(super) fn note_packs(&self) -> Result<(), ServeError> {
        let names: String = self.packs().iter().map(|name| name.clone() + "\n").collect();
        command::write_anew(&self.noted(), names.as_bytes(), 0o600)
    }

    /// Ends what [`Mirror::note_packs`] began. Packs that came since then can go where the upstream took nothing of
    /// them, or where nobody knows: what it has is fetched again.
    pub(super) fn forget_packs(&self, remove: bool) {
        let Ok(noted) = std::fs::read_to_string(self.noted()) else { return };
        let before: BTreeSet<String> = noted.lines().map(str::to_owned).collect();
        for name in self.packs().difference(&before).filter(|_| remove) {
            let _ = std::fs::remove_file(self.repository.join("objects/pack").join(name));
        }
        let _ = std::fs::remove_file(self.noted());
    }

    fn noted(&self) -> PathBuf {
        self.repository.join("rcc-packs")
    }

    fn packs(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.repository.join("objects/pack")).into_iter().flatten().flatten();
        // Git gives them names of ASCII.
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Makes HEAD what it is at the upstream: what a clone checks out.
    pub(super) fn follow_head(&self, git: &Git, upstream: &Upstream) -> Result<(), ServeError> {
        let url = upstream.to_string();
        let found = command::output(git.command().args(["ls-remote", "--symref", "--quiet", &url, "HEAD"]))?;
        let found = found.map_err(|said| failed("look at", upstream, &said.reason()))?;
        let found = String::from_utf8_lossy(&found).into_owned();
        let branch = found.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        if let Some(branch) = branch.filter(|branch| branch.starts_with("refs/heads/")) {
            let set = command::output(git.at(&self.repository).args(["symbolic-ref", "HEAD", branch]))?;
            set.map_err(|said| failed("follow the HEAD of", upstream, &said.reason()))?;
        }
        Ok(())
    }

    fn refresh(&self, git: &Git, upstream: &Upstream) -> Result<(), ServeError> {
        if self.repository.join("HEAD").exists() && self.repository.join("config").exists() {
            let Err(error) = self.fetch(git, upstream) else { return self.tidy(git) };
            // Where the upstream is there, the mirror is at fault.
            if list(git, upstream).is_err() {
                return Err(error);
            }
        }
        self.make(git, upstream)?;
        self.fetch(git, upstream)
    }

    /// A new, empty one in the place of whatever is there.
    fn make(&self, git: &Git, upstream: &Upstream) -> Result<(), ServeError> {
        let refs = list(git, upstream)?;
        // An empty upstream does not tell its format; one that is not SHA-1 is then refused by git itself.
        let id = refs.split(|byte| *byte == b'\t').next().unwrap_or_default();
        let format = if id.len() == 64 { "sha256" } else { "sha1" };
        if self.repository.exists() {
            let aside = self.repository.with_extension("broken");
            let _ = std::fs::remove_dir_all(&aside);
            std::fs::rename(&self.repository, &aside).map_err(ServeError::file("move away", &self.repository))?;
        }
        let mut init = git.command();
        init.args(["init", "--quiet", "--bare", "--template=", &format!("--object-format={format}")]);
        // A branch that no push makes the one that a clone checks out.
        init.arg("--initial-branch=rcc/none").arg(&self.repository);
        command::output(&mut init)?.map(drop).map_err(|said| failed("make a mirror of", upstream, &said.reason()))
    }

    fn fetch(&self, git: &Git, upstream: &Upstream) -> Result<(), ServeError> {
        let mut fetch = git.at(&self.repository);
        fetch.args(["fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]);
        fetch.arg(upstream.to_string()).args(REFS);
        command::output(&mut fetch)?.map(drop).map_err(|said| failed("fetch from", upstream, &said.reason()))
    }

    /// Makes many packs one. Nobody else uses the repository meanwhile, so what nothing refers to can go at once.
    fn tidy(&self, git: &Git) -> Result<(), ServeError> {
        let is_pack = |name: &&String| name.ends_with(".pack");
        if self.packs().iter().filter(is_pack).count() > PACKS_MAX {
            // A mirror that could not be tidied is as good as before.
            let _ = command::output(git.at(&self.repository).args(["gc", "--quiet", "--prune=now"]))?;
        }
        Ok(())
    }

    /// Removes what processes left that were killed: whoever could still use it would have the lock.
    fn clean(&self) -> Result<(), ServeError> {
        let within = |path: &Path, directory: &str| path.starts_with(self.repository.join(directory));
        let mut entries = walkdir::WalkDir::new(&self.repository).into_iter();
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { continue };
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy());
            let of_objects = within(path, "objects") && (name.starts_with("tmp_") || name.starts_with("incoming-"));
            // No ref's name ends with .lock (git-check-ref-format(1)).
            if !of_objects && !name.ends_with(".lock") {
                continue;
            }
            let removed = if entry.file_type().is_dir() {
                entries.skip_current_dir();
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            removed.map_err(ServeError::file("remove", path))?;
        }
        Ok(())
    }
}

/// The upstream's branches and tags, as `git ls-remote` prints it.
fn list(git: &Git, upstream: &Upstream) -> Result<Vec<u8>, ServeError> {
    let listed =
        command::output(git.command().args(["ls-remote", "--quiet", "--heads", "--tags", &upstream.to_string()]))?;
    listed.map_err(|said| failed("reach", upstream, &said.reason()))
}

fn failed(attempt: &'static str, upstream: &Upstream, reason: &str) -> ServeError {
    ServeError::Upstream { attempt, upstream: upstream.to_string(), reason: reason.to_owned() }
}

fn locked(directory: &Path, upstream: &Upstream) -> Result<File, ServeError> {
    let path = directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(ServeError::file("open", &path))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(LOOK),
            Err(Errno::WOULDBLOCK) => return Err(ServeError::Busy(upstream.to_string())),
            Err(errno) => return Err(ServeError::file("lock", &path)(errno.into())),
        }
    }
    fcntl_setfd(&file, FdFlags::empty()).map_err(|errno| ServeError::file("lock", &path)(errno.into()))?;
    Ok(file)
}
