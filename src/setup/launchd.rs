//! `rcc init` and its undoing on macOS. Everything is decided before the first effect; every effect
//! can be repeated. What is macOS' own is behind [`Hooks`], so that the order is tested everywhere.

use super::Failure;
use super::durable::FileError;
use super::gc_root;
use super::install::{self, CopyError, Say};
use super::layout::Layout;
use super::program::{self, Program};
use super::unit;
use serde::Serialize;
use std::path::{Path, PathBuf};

type Act<'a> = &'a dyn Fn() -> Result<(), Failure>;
type Change<'a> = &'a dyn Fn() -> Result<bool, Failure>;

/// What `init` and its undoing need from other parts of rcc and from the host.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Loads the rules that root's configuration asks for.
    pub apply: Act<'a>,
    /// Removes the rules and releases pf; fine where there are none.
    pub reset: Act<'a>,
    /// Puts the reference into /etc/pf.conf; says whether it was not there.
    pub refer: Change<'a>,
    /// Takes it out; says whether it was there.
    pub forget: Change<'a>,
    /// Makes launchd run the daemon of this property list, now and at boot.
    pub start: &'a dyn Fn(&Path) -> Result<(), Failure>,
    /// Ends the daemon; says whether it was there.
    pub stop: Change<'a>,
    /// Tells the user what was done.
    pub say: Say<'a>,
}

/// Why `init` stopped. It can be run again.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// nix-darwin declares the daemon and the configuration: an edit would be overwritten, or would
    /// overwrite what is declared.
    #[error(
        "{} is a link, so this machine's rcc is declared (nix-darwin): change services.rcc there; once it is \
         no longer enabled, `rcc init --undo` removes what the module left behind",
        .0.display()
    )]
    Declared(PathBuf),
    /// What the program loads from the Nix store is open to others, wherever a copy of it lies.
    #[error(
        "the Nix store belongs to another user than root, who could change what {} loads, so no root daemon \
         may run it: install Nix with its daemon (multi-user), or build rcc outside of the store",
        .0.display()
    )]
    OpenStore(PathBuf),
    /// One of rcc's own files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root-owned copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The rules.
    #[error("cannot load the firewall rules: {0}")]
    Apply(#[source] Failure),
    /// The reference.
    #[error("cannot make pf load the rules at boot: {0}")]
    Refer(#[source] Failure),
    /// launchd.
    #[error("cannot start the daemon rcc-firewall: {0}")]
    Start(#[source] Failure),
}

/// Traces are left; the other steps were done.
#[derive(Debug, thiserror::Error)]
#[error("not everything was removed; run it again after mending this:\n  {}", .0.join("\n  "))]
pub struct UndoError(Vec<String>);

/// What `init` is going to do, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Whether the configuration's template is written.
    pub write_config: bool,
    /// What the daemon runs.
    pub program: PathBuf,
    /// Whether `program` is a copy to be installed.
    pub copy: bool,
    /// The object of the Nix store that is kept from collection: the running program's.
    pub store_object: Option<PathBuf>,
}

impl Plan {
    /// Decides. `running` is the absolute path of the running rcc, free of symlinks.
    ///
    /// # Errors
    /// On a declared machine, and for a program whose libraries others than root can change.
    pub fn new(layout: &Layout, running: &Path) -> Result<Self, InitError> {
        check_editable(layout)?;
        let store_object = gc_root::store_object(running);
        if store_object.is_some() && *layout == Layout::host() && !program::is_guarded(running) {
            return Err(InitError::OpenStore(running.to_owned()));
        }
        let chosen = Program::choose(layout, running);
        Ok(Self {
            write_config: !layout.config().exists(),
            program: chosen.path().to_owned(),
            copy: matches!(chosen, Program::Copy(_)),
            store_object,
        })
    }
}

/// Whether this machine's rcc is not declared elsewhere: nix-darwin's `/etc` consists of links.
///
/// # Errors
/// If it is declared.
pub fn check_editable(layout: &Layout) -> Result<(), InitError> {
    let config = layout.config();
    if config.is_symlink() { Err(InitError::Declared(config)) } else { Ok(()) }
}

/// Does it. `image` is read for the copy.
///
/// # Errors
/// The first failure. What was done before stays and is complete in itself.
pub fn execute(plan: &Plan, layout: &Layout, image: &Path, hooks: Hooks) -> Result<(), InitError> {
    if plan.write_config {
        install::write(&layout.config(), unit::CONFIG_TEMPLATE, hooks.say)?;
    }
    if plan.copy {
        install::copy(layout, image, hooks.say)?;
    }
    if let Some(object) = &plan.store_object
        && gc_root::keep(layout, object)?
    {
        (hooks.say)(&format!("kept {} from garbage collection", object.display()));
    }
    (hooks.apply)().map_err(InitError::Apply)?;
    (hooks.say)("loaded the firewall rules");
    if (hooks.refer)().map_err(InitError::Refer)? {
        (hooks.say)("/etc/pf.conf refers to them, before its other rules, from the next boot on");
    }
    install::write(&layout.plist(), &unit::launchd(&plan.program), hooks.say)?;
    // The program may be another one behind the same path.
    (hooks.stop)().map_err(InitError::Start)?;
    (hooks.start)(&layout.plist()).map_err(InitError::Start)?;
    (hooks.say)(&format!("started the daemon {}, which also runs from boot on", unit::LABEL));
    Ok(())
}

/// Removes what `init` made; what was never there is fine.
///
/// # Errors
/// Every step that failed, after all were tried.
pub fn undo(layout: &Layout, purge: bool, hooks: Hooks) -> Result<(), UndoError> {
    type Step<'a> = (&'static str, &'a dyn Fn() -> Result<(), Failure>);
    let steps: [Step; 7] = [
        ("the daemon", &|| daemon(layout, hooks)),
        ("the firewall rules", &|| rules(hooks)),
        ("the reference in /etc/pf.conf", &|| reference(hooks)),
        ("the run-time directory", &|| run_directory(layout)),
        ("the root-owned copy", &|| install::remove_copy(layout, hooks.say)),
        ("the link that kept rcc in the Nix store", &|| install::remove(&layout.gc_root(), hooks.say)),
        ("the configuration", &|| install::remove_config(layout, purge, hooks.say)),
    ];
    let failed = steps.iter().filter_map(|(name, step)| step().err().map(|error| format!("{name}: {error}")));
    let failures: Vec<String> = failed.collect();
    if failures.is_empty() { Ok(()) } else { Err(UndoError(failures)) }
}

fn daemon(layout: &Layout, hooks: Hooks) -> Result<(), Failure> {
    // The file goes in any case: a daemon that can't be stopped must not come back at boot.
    let stopped = (hooks.stop)();
    install::remove(&layout.plist(), hooks.say)?;
    if stopped? {
        (hooks.say)(&format!("stopped the daemon {}", unit::LABEL));
    }
    Ok(())
}

fn rules(hooks: Hooks) -> Result<(), Failure> {
    (hooks.reset)()?;
    (hooks.say)("the firewall rules are gone");
    Ok(())
}

fn reference(hooks: Hooks) -> Result<(), Failure> {
    if (hooks.forget)()? {
        (hooks.say)("/etc/pf.conf does not refer to them any more");
    }
    Ok(())
}

fn run_directory(layout: &Layout) -> Result<(), Failure> {
    match std::fs::remove_dir_all(layout.var_run()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A host in a directory, and what was done to it, in order.
    struct Host {
        root: tempfile::TempDir,
        done: RefCell<Vec<&'static str>>,
        failing: &'static str,
    }

    impl Host {
        fn new(failing: &'static str) -> Self {
            Self { root: tempfile::tempdir().unwrap(), done: RefCell::default(), failing }
        }

        fn layout(&self) -> Layout {
            Layout::under(self.root.path())
        }

        fn act(&self, what: &'static str) -> Result<(), Failure> {
            self.done.borrow_mut().push(what);
            if what == self.failing { Err(format!("no {what}").into()) } else { Ok(()) }
        }

        fn with<T>(&self, run: impl FnOnce(Hooks) -> T) -> T {
            run(Hooks {
                apply: &|| self.act("apply"),
                reset: &|| self.act("reset"),
                refer: &|| self.act("refer").map(|()| true),
                forget: &|| self.act("forget").map(|()| true),
                start: &|plist| self.act(if plist.exists() { "start" } else { "start nothing" }),
                stop: &|| self.act("stop").map(|()| true),
                say: &|_| {},
            })
        }

        fn init(&self) -> Result<(), InitError> {
            let (layout, image) = (self.layout(), self.root.path().join("image"));
            std::fs::write(&image, "program").unwrap();
            let plan = Plan::new(&layout, Path::new("/Users/alice/rcc"))?;
            self.with(|hooks| execute(&plan, &layout, &image, hooks))
        }

        fn undo(&self) -> Result<(), UndoError> {
            self.with(|hooks| undo(&self.layout(), false, hooks))
        }
    }

    #[test]
    fn rules_are_in_force_before_anything_relies_on_them() {
        let host = Host::new("");
        host.init().unwrap();
        assert_eq!(*host.done.borrow(), ["apply", "refer", "stop", "start"]);
        let list = std::fs::read_to_string(host.layout().plist()).unwrap();
        assert!(list.contains("<string>/usr/local/libexec/rcc/rcc</string>"));
        assert!(host.layout().copy().exists() && host.layout().config().exists());
        host.init().unwrap();
    }

    #[test]
    fn a_declared_machine_is_refused_before_anything_is_done() {
        let host = Host::new("");
        let config = host.layout().config();
        config.parent().map(std::fs::create_dir_all).unwrap().unwrap();
        std::os::unix::fs::symlink("/nix/store/declared-config.toml", &config).unwrap();
        assert!(matches!(host.init(), Err(InitError::Declared(path)) if path == config));
        assert!(host.done.borrow().is_empty() && !host.layout().plist().exists());
    }

    #[test]
    fn a_program_whose_libraries_others_can_change_is_refused() {
        let refused = Plan::new(&Layout::host(), Path::new("/nix/store/not-roots-own/bin/rcc"));
        assert!(matches!(refused, Err(InitError::OpenStore(_))));
    }

    #[test]
    fn a_failing_load_starts_no_daemon() {
        let host = Host::new("apply");
        assert!(matches!(host.init(), Err(InitError::Apply(_))));
        assert!(!host.layout().plist().exists());
        let host = Host::new("refer");
        assert!(matches!(host.init(), Err(InitError::Refer(_))));
        assert!(!host.layout().plist().exists());
    }

    #[test]
    fn undoing_leaves_nothing_and_can_be_repeated() {
        let host = Host::new("");
        host.init().unwrap();
        host.undo().unwrap();
        for path in [host.layout().plist(), host.layout().copy(), host.layout().config(), host.layout().link()] {
            assert!(std::fs::symlink_metadata(&path).is_err(), "{}", path.display());
        }
        host.undo().unwrap();
    }

    #[test]
    fn undoing_goes_on_past_failures_and_reports_them() {
        let host = Host::new("stop");
        host.layout().plist().parent().map(std::fs::create_dir_all).unwrap().unwrap();
        std::fs::write(host.layout().plist(), "").unwrap();
        assert!(host.undo().unwrap_err().to_string().contains("the daemon: no stop"));
        assert_eq!(*host.done.borrow(), ["stop", "reset", "forget"]);
        assert!(!host.layout().plist().exists());
    }
}
