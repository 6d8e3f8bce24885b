//! The manifests in force: root's and the user's, read once and followed as they change.
//!
//! A text that is wrong changes nothing: what its file said before stays in force, and the mistake is kept to be
//! shown. A file that is gone takes its tool with it. Root's word on a name is the only one, also while it is wrong.

mod fault;
#[cfg(test)]
mod tests;
mod watch;

pub use fault::Fault;

use super::places::{Places, list};
use super::{Manifest, Origin};
use crate::config;
use crate::plugin::name::ToolName;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use watch::{Pending, Watch};

/// Both, in the order of their numbers.
const ORIGINS: [Origin; 2] = [Origin::Admin, Origin::User];

/// The manifests in force.
#[derive(Debug)]
pub struct Catalogue {
    places: Places,
    directories: [Directory; 2],
    watch: Watch,
    tools: BTreeMap<ToolName, Arc<Manifest>>,
    problems: Vec<Arc<Fault>>,
}

/// What is known of one directory.
#[derive(Debug, Default)]
struct Directory {
    /// By their files' names.
    entries: BTreeMap<String, Entry>,
    fault: Option<Arc<Fault>>,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct Entry {
    good: Option<Arc<Manifest>>,
    fault: Option<Arc<Fault>>,
    is_link: bool,
}

/// What another reading has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Tools that there were none of.
    pub added: Vec<ToolName>,
    /// Tools whose manifest says something else.
    pub changed: Vec<ToolName>,
    /// Tools that are gone.
    pub removed: Vec<ToolName>,
    /// What is wrong and was not before, or in another way.
    pub problems: Vec<Arc<Fault>>,
}

impl Changes {
    /// Whether everything is as before.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty() && self.problems.is_empty()
    }
}

impl Catalogue {
    /// Reads all manifests, and watches for changes from now on. A manifest that is wrong is no error, but one of
    /// the [`problems`](Self::problems); a directory that is not there yet is waited for.
    ///
    /// # Errors
    /// If the kernel can't watch directories: the user's share of inotify(7) is used up, most likely.
    pub fn open(places: Places) -> io::Result<Self> {
        let mut catalogue = Self {
            places,
            directories: Default::default(),
            watch: Watch::new()?,
            tools: BTreeMap::new(),
            problems: Vec::new(),
        };
        catalogue.look(&Pending { everything: true, ..Pending::default() })?;
        Ok(catalogue)
    }

    /// The manifests in force.
    pub fn tools(&self) -> &BTreeMap<ToolName, Arc<Manifest>> {
        &self.tools
    }

    /// What is wrong now.
    pub fn problems(&self) -> &[Arc<Fault>] {
        &self.problems
    }

    /// Whenever the file descriptor is readable: looks at what has changed. Never waits; the changes come a moment
    /// after the first of them, when the descriptor is readable again, and until then there are none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn refresh(&mut self) -> io::Result<Changes> {
        let pending = self.watch.take()?;
        if pending == Pending::default() {
            return Ok(Changes::default());
        }
        self.look(&pending)
    }

    fn look(&mut self, pending: &Pending) -> io::Result<Changes> {
        for (number, origin) in ORIGINS.into_iter().enumerate() {
            // Before it is read, so that no change falls between.
            if pending.everything {
                self.watch.directory(number, self.places.of(origin).0)?;
            }
            for name in self.named(number, origin, pending) {
                self.read(number, origin, &name)?;
            }
        }
        Ok(self.compare())
    }

    /// The files that may have changed.
    fn named(&mut self, number: usize, origin: Origin, pending: &Pending) -> BTreeSet<String> {
        let directory = &mut self.directories[number];
        let of = |files: &BTreeSet<(usize, String)>| -> Vec<String> {
            files.iter().filter(|(of, _)| *of == number).map(|(_, name)| name.clone()).collect()
        };
        let mut names: BTreeSet<String> = of(&pending.files).into_iter().collect();
        // Whoever makes a file or changes its mode may be about to write it. But a mode can mend a file that is wrong,
        // and a symlink is whole as soon as it is there, as is a file's second name.
        let path = self.places.of(origin).0;
        let whole = |name: &String| {
            let is_wrong = directory.entries.get(name).is_some_and(|entry| entry.fault.is_some());
            let found = std::fs::symlink_metadata(path.join(name));
            is_wrong || found.is_ok_and(|found| found.is_symlink() || found.nlink() > 1)
        };
        names.extend(of(&pending.hints).into_iter().filter(whole));
        let known =
            directory.entries.iter().filter(|(_, entry)| pending.everything || (pending.links && entry.is_link));
        names.extend(known.map(|(name, _)| name.clone()));
        if pending.everything {
            let (listed, fault) = list(path);
            names.extend(listed);
            directory.fault = fault.map(|error| Arc::new(Fault::Directory { path: path.to_owned(), error }));
        }
        names
    }

    fn read(&mut self, number: usize, origin: Origin, name: &str) -> io::Result<()> {
        let (directory, owner) = self.places.of(origin);
        let path = directory.join(name);
        let links = config::symlinks_on(&path);
        let is_link = !links.is_empty();
        // Where the links are, before what they lead to.
        if is_link {
            self.watch.links(&links)?;
        }
        let entries = &mut self.directories[number].entries;
        match config::load_manifest(&path, owner) {
            Ok(None) => {
                entries.remove(name);
            }
            Ok(Some(loaded)) => {
                let good = Some(Arc::new(loaded.manifest));
                entries.insert(name.to_owned(), Entry { good, fault: None, is_link });
            }
            Err(error) => {
                let entry = entries.entry(name.to_owned()).or_default();
                let in_force = entry.good.is_some();
                entry.fault = Some(Arc::new(Fault::Manifest { path, error, in_force }));
                entry.is_link = is_link;
            }
        }
        Ok(())
    }

    /// Puts into force what was read, and says what is new about it.
    fn compare(&mut self) -> Changes {
        let [admin, user] = &self.directories;
        let mut tools = BTreeMap::new();
        let mut problems: Vec<Arc<Fault>> = Vec::new();
        for (directory, above) in [(admin, None), (user, Some(admin))] {
            problems.extend(directory.fault.clone());
            for (name, entry) in &directory.entries {
                if above.is_some_and(|above| above.entries.contains_key(name)) {
                    problems.push(Arc::new(Fault::Ignored { path: self.places.user.join(name) }));
                    continue;
                }
                problems.extend(entry.fault.clone());
                tools.extend(entry.good.iter().map(|manifest| (manifest.tool.clone(), Arc::clone(manifest))));
            }
        }
        let mut changes = Changes::default();
        for (tool, manifest) in &tools {
            match self.tools.get(tool) {
                None => changes.added.push(tool.clone()),
                Some(before) if before != manifest => changes.changed.push(tool.clone()),
                Some(_) => {}
            }
        }
        changes.removed = self.tools.keys().filter(|tool| !tools.contains_key(*tool)).cloned().collect();
        let is_new = |fault: &&Arc<Fault>| {
            // A mistake that was written again is told again; the others are made anew each time.
            let again = matches!(***fault, Fault::Manifest { .. });
            let same = |before: &Arc<Fault>| !again && before.to_string() == fault.to_string();
            !self.problems.iter().any(|before| Arc::ptr_eq(before, fault) || same(before))
        };
        changes.problems = problems.iter().filter(is_new).cloned().collect();
        (self.tools, self.problems) = (tools, problems);
        changes
    }
}

impl AsFd for Catalogue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
