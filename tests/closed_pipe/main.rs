//! Whoever reads a command's output may go away at any moment: `rcc ps | head -1`.

#[cfg(target_os = "linux")]
mod full_disk;

use std::io::PipeWriter;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Every command with arguments that make it print, and its subcommand's name. What needs root
/// or a sandbox prints its refusal.
const COMMANDS: [(&str, &[&str]); 66] = [
    ("", &["--help"]),
    ("", &["--version"]),
    ("setup", &["setup"]),
    ("setup", &["setup", "--json"]),
    ("init", &["init", "--print-unit"]),
    ("claude", &["claude", "--dry-run", "--profile", "offline"]),
    ("shell", &["shell", "--dry-run", "--profile", "offline"]),
    ("run", &["run", "--dry-run", "--profile", "offline", "--", "true"]),
    ("attach", &["attach", "no-such-session"]),
    ("logs", &["logs", "no-such-session"]),
    ("status", &["status"]),
    ("status", &["status", "--json"]),
    ("ps", &["ps"]),
    ("ps", &["ps", "--json"]),
    ("stats", &["stats"]),
    ("stats", &["stats", "--json", "--once"]),
    ("stop", &["stop", "no-such-session", "--json"]),
    ("stop", &["stop", "no-such-session"]),
    ("denials", &["denials"]),
    ("denials", &["denials", "--json"]),
    ("firewall apply", &["firewall", "apply", "--no-such-option"]),
    ("firewall reset", &["firewall", "reset", "--help"]),
    ("firewall status", &["firewall", "status"]),
    ("firewall status", &["firewall", "status", "--json"]),
    ("firewall verify", &["firewall", "verify", "--help"]),
    ("firewall render", &["firewall", "render", "--backend", "pf", "user.toml"]),
    ("why", &["why", "10.1.2.3:443", "--profile", "public"]),
    ("why", &["why", "example.com", "--profile", "allowlist", "--json"]),
    ("allow", &["allow", "--help"]),
    ("deny", &["deny", "--help"]),
    ("allowed", &["allowed"]),
    ("allowed", &["allowed", "--json"]),
    ("relay start", &["relay", "start", "--help"]),
    ("relay bridge", &["relay", "bridge", "--help"]),
    ("relay stop", &["relay", "stop"]),
    ("relay status", &["relay", "status"]),
    ("relay status", &["relay", "status", "--json"]),
    ("relay path", &["relay", "path"]),
    ("relay session", &["relay", "session", "list"]),
    ("relay send", &["relay", "send", "nobody", "text"]),
    ("relay inbox", &["relay", "inbox"]),
    ("relay schedule", &["relay", "schedule", "--json"]),
    ("relay watch", &["relay", "watch", "--help"]),
    ("relay audit", &["relay", "audit"]),
    ("relay audit", &["relay", "audit", "--verify"]),
    ("relay install", &["relay", "install", "--print"]),
    ("relay install", &["relay", "--system", "install", "--print=service"]),
    ("relay uninstall", &["relay", "uninstall", "--help"]),
    ("plugin check", &["plugin", "check"]),
    ("plugin add", &["plugin", "add", "no-such-tool"]),
    ("plugin list", &["plugin", "list", "--json"]),
    ("plugin status", &["plugin", "status"]),
    ("plugin start", &["plugin", "start", "--help"]),
    ("plugin stop", &["plugin", "stop"]),
    ("plugin logs", &["plugin", "logs"]),
    ("plugin logs", &["plugin", "logs", "--verify"]),
    ("plugin unit", &["plugin", "unit"]),
    ("image build", &["image", "build", "--help"]),
    ("image list", &["image", "list", "--no-such-option"]),
    ("image pull", &["image", "pull", "--", "--all"]),
    ("image prune", &["image", "prune", "--help"]),
    ("config check", &["config", "check", "--kind", "user", "user.toml"]),
    ("config show", &["config", "show"]),
    ("config show", &["config", "show", "--json"]),
    ("completions", &["completions", "bash"]),
    ("man", &["man"]),
];

fn rcc(home: &Path, arguments: &[&str]) -> Command {
    let project = home.join("project");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rcc"));
    command.args(arguments).current_dir(project).stdin(Stdio::null());
    // Everything that can be said is said.
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("RCC_LOG", "trace");
    command
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("project")).unwrap();
    std::fs::write(home.path().join("project/user.toml"), "").unwrap();
    home
}

/// A pipe that nobody reads.
fn closed() -> PipeWriter {
    std::io::pipe().unwrap().1
}

fn run(mut command: Command) -> Output {
    command.output().unwrap()
}

#[test]
fn a_reader_who_goes_away_changes_nothing_for_any_command() {
    let home = home();
    for (_, arguments) in COMMANDS {
        let heard = run(rcc(home.path(), arguments));
        assert!(!heard.stdout.is_empty() || !heard.stderr.is_empty(), "{arguments:?} prints nothing");
        let mut command = rcc(home.path(), arguments);
        command.stdout(closed()).stderr(Stdio::piped());
        let unheard = command.spawn().unwrap().wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&unheard.stderr);
        assert_eq!(unheard.status, heard.status, "{arguments:?}: {complaints}");
        assert!(!complaints.contains("panicked") && !complaints.contains("Broken pipe"), "{arguments:?}: {complaints}");

        let mut command = rcc(home.path(), arguments);
        let silent = command.stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(silent, heard.status, "{arguments:?} 2>&1");
    }
}

#[test]
fn every_command_is_tried() {
    let home = home();
    let mut tried: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    tried.dedup();
    let mut known = vec![String::new()];
    for name in subcommands(home.path(), &[]) {
        let below = subcommands(home.path(), &[&name]);
        if below.is_empty() {
            known.push(name);
        } else {
            known.extend(below.iter().map(|inner| format!("{name} {inner}")));
        }
    }
    known.push("man".to_owned()); // hidden
    assert_eq!(tried, known);
}

/// What the help lists.
fn subcommands(home: &Path, of: &[&str]) -> Vec<String> {
    let help = run(rcc(home, &[of, &["--help"]].concat()));
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    // Descriptions that go on in the next line are further in.
    let lines = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_ascii_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}
