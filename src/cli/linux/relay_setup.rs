//! `rcc relay install`, `rcc relay uninstall`, and the reload of the unit.

use crate::cli::relay_setup::{InstallArguments, Printed, ReloadArguments, UninstallArguments};
use crate::config;
use crate::facts::Facts;
use crate::guest::program;
use crate::output;
use crate::relay::place::Place;
use crate::setup::install::Images;
use crate::setup::layout::Layout;
use crate::setup::relay::{self, Hooks, system, user};
use crate::setup::relay_unit::Form;
use crate::setup::{Failure, account, mend, privilege};
use std::path::Path;
use std::process::ExitCode;

impl InstallArguments {
    /// Runs the command for the user's own relay or the system's.
    ///
    /// # Errors
    /// When not root, or root without need, and what stopped it.
    pub fn run(&self, facts: &Facts, is_system: bool) -> miette::Result<ExitCode> {
        done(self.execute(facts, form(is_system)))
    }

    fn execute(&self, facts: &Facts, form: Form) -> Result<(), Failure> {
        let running = privilege::running_program()?;
        if let Some(printed) = self.print {
            return Ok(output::print(text(form, &running, printed)?)?);
        }
        match form {
            Form::User if !self.members.is_empty() => {
                Err("your own relay has no members: --member goes with --system".into())
            }
            Form::User => {
                check_not_root(facts)?;
                let relay = config::load_relay_user(&facts.config_dir, &facts.user.home, facts.user.uid)?;
                let bridged = relay.policy.cluster.is_some();
                let plan = user::Plan::new(&facts.config_dir, &running, has_manager(facts), bridged)?;
                Ok(user::install(&plan, hooks())?)
            }
            Form::System => {
                check_root(facts, "install")?;
                let accounts = (std::fs::read_to_string("/etc/passwd")?, std::fs::read_to_string("/etc/group")?);
                let members = if self.members.is_empty() { members(facts, &accounts.0)? } else { self.members.clone() };
                let layout = Layout::host();
                let relay = config::load_relay_admin(Path::new(config::ADMIN_FILE), 0)?;
                let bridged = relay.policy.cluster.is_some();
                let plan = system::Plan::new(&layout, &running, (&accounts.0, &accounts.1), &members, bridged)?;
                let guest = program::beside(&running)?;
                let images = Images { program: Path::new("/proc/self/exe"), guest: &guest };
                Ok(system::install(&plan, &layout, images, hooks())?)
            }
        }
    }
}

impl UninstallArguments {
    /// Runs the command for the user's own relay or the system's.
    ///
    /// # Errors
    /// When not root, or root without need, and every step that failed.
    pub fn run(&self, facts: &Facts, is_system: bool) -> miette::Result<ExitCode> {
        done(self.execute(facts, form(is_system)))
    }

    fn execute(&self, facts: &Facts, form: Form) -> Result<(), Failure> {
        match form {
            Form::User => {
                check_not_root(facts)?;
                let directory = user::directory(&facts.config_dir);
                let state = Place::user(facts.user.uid, None, &facts.data_dir, |_| false).state;
                Ok(user::uninstall(&directory, has_manager(facts), &state, self.purge, hooks())?)
            }
            Form::System => {
                check_root(facts, "uninstall")?;
                let Place { run, state } = Place::system();
                let removal = system::Removal { state, run, purge: self.purge };
                Ok(system::uninstall(&removal, &Layout::host(), hooks())?)
            }
        }
    }
}

impl ReloadArguments {
    /// Runs the command.
    ///
    /// # Errors
    /// If it is not systemd that calls, or the relay is gone.
    pub fn run(self) -> miette::Result<ExitCode> {
        done(relay::reload(std::env::var_os("MAINPID").as_deref()))
    }
}

fn form(is_system: bool) -> Form {
    if is_system { Form::System } else { Form::User }
}

fn done(result: Result<(), Failure>) -> miette::Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS).map_err(|failure| miette::miette!("{failure}"))
}

fn hooks() -> Hooks<'static> {
    Hooks { command: &mend::run, say: &|line| output::tell_line(line) }
}

fn has_manager(facts: &Facts) -> bool {
    user::has_manager(facts.variable("XDG_RUNTIME_DIR").map(Path::new), Path::is_dir)
}

fn check_root(facts: &Facts, command: &str) -> Result<(), Failure> {
    if facts.user.uid == 0 {
        return Ok(());
    }
    Err(format!("the system's relay is root's to {command}: `sudo rcc relay {command} --system`").into())
}

fn check_not_root(facts: &Facts) -> Result<(), Failure> {
    if facts.user.uid != 0 {
        return Ok(());
    }
    Err("no relay runs as root: become the user whose relay it is, or name the system's by --system".into())
}

/// Who may use the system's relay where nobody is named: those who may run sandboxes.
fn members(facts: &Facts, passwd: &str) -> Result<Vec<String>, Failure> {
    let admin = config::load_admin(Path::new(config::ADMIN_FILE), 0)?;
    let configured = admin.users.iter().map(ToString::to_string);
    let known = configured.filter_map(|user| account::find(passwd, &user)).map(|user| user.name);
    let mut members: Vec<String> = known.collect();
    if admin.users.is_empty() {
        members.push(account::acting_for(facts, passwd).name);
    }
    // Root needs no group.
    members.retain(|name| name != "root");
    Ok(members)
}

/// Units as a package installs them: that nobody but root can change the program is the package's care.
fn text(form: Form, program: &Path, printed: Printed) -> Result<String, Failure> {
    let [(socket_name, socket), (service_name, service)] = relay::units(form, program)?;
    Ok(match printed {
        Printed::Socket => socket,
        Printed::Service => service,
        Printed::Bridge => relay::bridge_unit(form, program)?,
        Printed::Both => format!("# {socket_name}\n{socket}\n# {service_name}\n{service}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        arguments: InstallArguments,
    }

    fn printed(typed: &[&str]) -> Option<Printed> {
        Typed::try_parse_from([&["install"], typed].concat()).unwrap().arguments.print
    }

    fn facts(uid: u32) -> Facts {
        Facts {
            user: User { uid, gid: uid, name: "alice".into(), home: "/nonexistent".into() },
            cwd: "/".into(),
            environment: Default::default(),
            config_dir: "/nonexistent/config".into(),
            data_dir: "/nonexistent/data".into(),
        }
    }

    #[test]
    fn a_package_gets_the_units_one_by_one() {
        assert_eq!(printed(&[]), None);
        assert_eq!(printed(&["--print"]), Some(Printed::Both));
        assert_eq!(printed(&["--print=service"]), Some(Printed::Service));
        let program = Path::new("/nix/store/abc-rcc-0.1.0/bin/rcc");
        let [(_, socket), (_, service)] = relay::units(Form::System, program).unwrap();
        assert_eq!(text(Form::System, program, Printed::Socket).unwrap(), socket);
        assert_eq!(text(Form::System, program, Printed::Service).unwrap(), service);
        let both = text(Form::System, program, Printed::Both).unwrap();
        assert!(both.starts_with("# rcc-relay.socket\n") && both.contains("\n# rcc-relay.service\n"));
    }

    #[test]
    fn root_has_no_relay_and_only_root_installs_the_systems() {
        let refusal = |uid, is_system| {
            let install = InstallArguments::default().execute(&facts(uid), form(is_system));
            let uninstall = UninstallArguments::default().execute(&facts(uid), form(is_system));
            [install, uninstall].map(|result| result.unwrap_err().to_string())
        };
        assert!(refusal(0, false).iter().all(|said| said.contains("--system")));
        assert!(refusal(1000, true).iter().all(|said| said.contains("`sudo rcc relay ")));
    }
}
