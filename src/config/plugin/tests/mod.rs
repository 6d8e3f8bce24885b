mod mutations;

use super::*;
use crate::plugin::manifest::grammar::decide;
use crate::plugin::manifest::shipped::SHIPPED;
use crate::plugin::manifest::{GitAccess, ProjectAccess};
use miette::Diagnostic;
use std::os::unix::fs::PermissionsExt;

/// A host with a few programs, and whose they are.
struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["gh", "git", "npm", "node", "cargo", "tool"] {
            let path = root.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { root }
    }

    fn read_as(&self, origin: Origin, tool: &str, text: &str) -> Result<LoadedManifest, ConfigError> {
        let uid = rustix::process::geteuid().as_raw();
        let find = |name: &str| Some(self.root.path().join(name)).filter(|path| path.is_file());
        let home = (origin == Origin::User).then_some(self.root.path());
        let document = Document { path: format!("/etc/rcc/plugins/{tool}.toml").into(), text: text.to_owned() };
        read(&document, &Reader { find: &find, ..Reader::new(Owner { origin, uid, home }) })
    }

    fn admin(&self, tool: &str, text: &str) -> Manifest {
        match self.read_as(Origin::Admin, tool, text) {
            Ok(loaded) => loaded.manifest,
            Err(error) => panic!("{:?}", miette::Report::new(error)),
        }
    }

    /// Every mistake and its advice.
    fn mistakes(&self, origin: Origin, text: &str) -> String {
        match self.read_as(origin, "tool", text) {
            Ok(loaded) => panic!("taken: {:?}", loaded.manifest),
            Err(ConfigError::Invalid { problems, .. }) => {
                let help = |problem: &Problem| problem.help().map(|help| help.to_string()).unwrap_or_default();
                problems.iter().map(|problem| format!("{problem}; {}\n", help(problem))).collect()
            }
            Err(other) => other.to_string(),
        }
    }
}

const EXEC: &str = "version = 1\nkind = \"exec\"\n";

#[test]
fn a_whole_manifest_of_a_program_is_read() {
    let host = Host::new();
    let manifest = host.admin(
        "tool",
        r#"
        version = 1
        kind = "exec"
        summary = "a tool"
        profile = "allowlist"
        timeout = "10m"
        concurrency = 3
        executes = ["git"]
        project = "inert"
        output_max = "2 GiB"
        [credentials.token]
        environment = "TOOL_TOKEN"
        variable = "TOOL_TOKEN"
        [environment]
        pass = ["TERM"]
        set = { PAGER = "cat" }
        [commands]
        allowed = ["show", "item list"]
        [options]
        style = "go"
        flags = ["-h, --help"]
        [command."item list"]
        values = ["-n, --number"]
        "#,
    );
    assert_eq!((manifest.timeout, manifest.concurrency), (Duration::from_secs(600), 3));
    let Kind::Exec(exec) = manifest.kind else { panic!() };
    let programs = |name: &str| std::fs::canonicalize(host.root.path().join(name)).unwrap();
    assert_eq!(exec.program, programs("tool"));
    assert_eq!(exec.executes, Some([programs("git")].into()));
    assert_eq!((exec.project, exec.output_max), (ProjectAccess::Inert, 2 << 30));
    let may = |words: &str| decide(&exec.grammar, &words.split(' ').map(str::to_owned).collect::<Vec<_>>());
    may("item list -n 3").unwrap();
    may("item list -hn3").unwrap();
    may("show -n 3").unwrap_err();
    may("item drop").unwrap_err();
}

#[test]
fn what_is_missing_misspelt_or_of_another_kind_is_told() {
    let host = Host::new();
    for (text, told) in [
        ("", "`version` is missing"),
        ("", "`kind` is missing"),
        ("version = 2\nkind = \"exec\"", "version: 2 is out of bounds"),
        ("version = 1\nkind = \"exe\"\nprogram = \"tool\"", "kind: \"exe\" is not a kind"),
        ("version = 1\nkind = \"exec\"\ntimeot = \"1m\"", "timeot: unknown key; did you mean `timeout`?"),
        ("version = 1\nkind = \"exec\"\nhosts = []", "hosts: not allowed in this file; it belongs to kind = \"git\""),
        ("version = 1\nkind = \"exec\"\ntimeout = \"2d\"", "timeout: this time is out of bounds"),
        ("version = 1\nkind = \"exec\"\nprogram = \"absent\"", "the system's directories have no absent"),
        ("version = 1\nkind = \"exec\"\nprogram = \"../tool\"", "write an absolute path"),
        ("version = 1\nkind = \"exec\"\n[commands]", "every command may be"),
        ("version = 1\nkind = \"exec\"\n[command.x]", "`commands` is missing"),
        ("version = 1\nkind = \"exec\"\n[options]\nblocked = [\"--web\"]", "there is a rule about --web"),
        ("version = 1\nkind = \"exec\"\n[options]\nflags = [\"-ab\"]", "two dashes in this style: --ab"),
        ("version = 1\nkind = \"exec\"\n[options]\nflags = [\"-a\"]\nvalues = [\"-a\"]", "-a is listed twice"),
        ("version = 1\nkind = \"git\"", "`hosts` is missing"),
        ("version = 1\nkind = \"git\"", "`push` is missing"),
        ("version = 1\nkind = \"http\"", "`upstream` is missing"),
    ] {
        let mistakes = host.mistakes(Origin::Admin, text);
        assert!(mistakes.contains(told), "{text}: {mistakes}");
    }
}

#[test]
fn a_user_has_no_credentials_to_give() {
    let host = Host::new();
    for text in [
        "version = 1\nkind = \"exec\"\n[credentials.a]\nenvironment = \"A\"\nvariable = \"A\"",
        "version = 1\nkind = \"git\"",
        "version = 1\nkind = \"http\"",
    ] {
        let mistakes = host.mistakes(Origin::User, text);
        assert!(mistakes.contains("put this file in /etc/rcc/plugins, as root"), "{mistakes}");
    }
    host.read_as(Origin::User, "tool", EXEC).unwrap();
}

#[test]
fn no_credential_is_beside_what_the_agent_writes_and_the_tool_executes() {
    let host = Host::new();
    let text = "version = 1\nkind = \"exec\"\nproject = \"writable\"\n[credentials.a]\nfile = \"/a\"\nvariable = \"A\"";
    let mistakes = host.mistakes(Origin::Admin, text);
    assert!(mistakes.contains("does not execute what is in the project"), "{mistakes}");
    assert_eq!(mistakes.lines().count(), 1, "{mistakes}");
}

#[test]
fn a_credential_has_one_source_and_one_use() {
    let host = Host::new();
    for (section, told) in [
        ("[credentials.a]\nvariable = \"A\"", "comes from nowhere"),
        ("[credentials.a]\nvariable = \"A\"\nfile = \"/a\"\nsystemd = \"a\"", "one source is enough"),
        ("[credentials.a]\nfile = \"/a\"", "nothing uses the credential \"a\""),
        ("[credentials.a]\nfile = \"a\"\nvariable = \"A\"", "write an absolute path"),
        ("[credentials.a]\nfile = \"~/a\"\nvariable = \"A\"", "root's manifests are for every user"),
        ("[credentials.a]\ncommand = []\nvariable = \"A\"", "this is no command"),
        ("[credentials.a]\ncommand = [\"pass\", \"/x\"]\nvariable = \"A\"", "with its absolute path"),
        ("[credentials.a]\nenvironment = \"A=B\"\nvariable = \"A\"", "not the name of an environment"),
        ("[credentials.a]\nfile = \"/a\"\nvariable = \"LD_PRELOAD\"", "load other code"),
        ("[credentials.\"../a\"]\nfile = \"/a\"\nvariable = \"A\"", "not the name of a credential"),
        ("[credentials.a]\nfile = \"/a\"\nvariable = \"A\"\n[environment]\npass = [\"A\"]", "a credential of this"),
        ("[credentials.a]\nfile = \"/a\"\nvariable = \"A\"\n[environment]\nset = { A = \"\" }", "a credential of this"),
    ] {
        let mistakes = host.mistakes(Origin::Admin, &format!("{EXEC}{section}"));
        assert!(mistakes.contains(told), "{section}: {mistakes}");
    }
}

#[test]
fn no_manifest_gives_the_loader_or_the_agent_a_say() {
    let host = Host::new();
    for section in
        ["pass = [\"GIT_SSH_COMMAND\"]", "pass = [\"PATH\"]", "set = { LD_PRELOAD = \"/x\" }", "set = { HOME = \"/\" }"]
    {
        host.mistakes(Origin::Admin, &format!("{EXEC}[environment]\n{section}"));
    }
    host.admin("tool", &format!("{EXEC}[environment]\nset = {{ GIT_CONFIG_COUNT = \"0\" }}"));
}

#[test]
fn of_patterns_of_variables_the_one_of_locales_is_taken() {
    let host = Host::new();
    let manifest = host.admin("tool", &format!("{EXEC}[environment]\npass = [\"LC_*\", \"LC_ALL\"]"));
    let Kind::Exec(exec) = manifest.kind else { panic!() };
    assert!(exec.pass.contains("LC_*") && exec.pass.contains("LC_ALL"));
    for pattern in ["*", "L*", "LC*", "LC_*X", "LD_*", "GH_*"] {
        host.mistakes(Origin::Admin, &format!("{EXEC}[environment]\npass = [\"{pattern}\"]"));
    }
}

#[test]
fn programs_are_those_that_only_root_or_the_user_can_change() {
    let host = Host::new();
    let root = std::fs::canonicalize(host.root.path()).unwrap();
    let program = |path: &Path| format!("{EXEC}program = \"{}\"", path.display());
    std::os::unix::fs::symlink("tool", root.join("link")).unwrap();
    let Kind::Exec(exec) = host.admin("x", &program(&root.join("link"))).kind else { panic!() };
    assert_eq!(exec.program, root.join("tool"), "links are followed once");
    assert_eq!(exec.called, "link");
    assert_eq!(exec.program_in(&root), Some(root.join("tool").as_path()));
    assert_eq!(exec.program_in(Path::new("/nowhere")), None);

    std::fs::create_dir(root.join("open")).unwrap();
    std::fs::copy(root.join("tool"), root.join("open/tool")).unwrap();
    std::fs::set_permissions(root.join("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::copy(root.join("tool"), root.join("mine")).unwrap();
    std::fs::set_permissions(root.join("mine"), std::fs::Permissions::from_mode(0o775)).unwrap();
    std::fs::write(root.join("text"), "").unwrap();
    for (name, told) in [
        ("open/tool", "lets others write it"),
        ("mine", "lets others write it"),
        ("text", "cannot execute"),
        ("absent", "cannot look at"),
        ("open", "not a regular file"),
    ] {
        let mistakes = host.mistakes(Origin::Admin, &program(&root.join(name)));
        assert!(mistakes.contains(told), "{name}: {mistakes}");
    }
}

const GIT: &str = r#"
version = 1
kind = "git"
[credentials.token]
environment = "T"
[[hosts]]
name = "github.com"
credential = "token"
[push]
allowed_branches = ["claude/*"]
"#;

#[test]
fn remotes_are_reached_with_a_user_a_token_and_nothing_forced() {
    let Kind::Git(git) = Host::new().admin("git", GIT).kind else { panic!() };
    let access = GitAccess::Https { user: "x-access-token".into(), credential: "token".into(), ca: None };
    assert_eq!((git.hosts[0].name.as_str(), &git.hosts[0].access), ("github.com", &access));
    assert!(!git.rules.force && !git.rules.delete && git.rules.allowed_tags.is_empty());
}

#[test]
fn hosts_rules_and_expressions_are_what_they_seem() {
    let host = Host::new();
    for (from, to, told) in [
        ("github.com", "GitHub.com", "in lower case"),
        ("github.com", "github.com/x", "as in its URLs"),
        ("github.com", "user@github.com", "as in its URLs"),
        ("github.com", "github.com:0", "a port"),
        ("github.com", "git.example.com", "`user` is missing"),
        ("\"token\"", "\"tokn\"", "did you mean `token`?"),
        ("[push]", "paths = [\"a/../b\"]\n[push]", "whole components"),
        ("[push]", "[push]\nmessage = \"(\"", "not a regular expression"),
        ("[push]", "[push]\nmessage = \"((a{99}){99}){99}\"", "not a regular expression"),
        ("claude/*", "refs/heads/claude/*", "without refs/heads/"),
        ("[push]", "[push]\nforced = true", "did you mean `force`?"),
        ("environment = \"T\"", "environment = \"T\"\nvariable = \"T\"", "not given as a variable here"),
        ("[push]", "protocol = \"ssh\"\n[push]", "`known_hosts` is missing"),
    ] {
        let mistakes = host.mistakes(Origin::Admin, &GIT.replacen(from, to, 1));
        assert!(mistakes.contains(told), "{to}: {mistakes}");
    }
}

const HTTP: &str = r#"
version = 1
kind = "http"
upstream = "https://api.example.com"
header = "X-Api-Key"
value = "{}"
credential = "key"
[credentials.key]
systemd = "key"
[[allow]]
methods = ["GET", "POST"]
path = "/v1/"
[[block]]
path = "/v1/organizations"
"#;

#[test]
fn an_upstream_has_one_header_and_rules() {
    let Kind::Http(http) = Host::new().admin("api", HTTP).kind else { panic!() };
    assert_eq!((http.header.as_str(), http.allowed.len(), http.blocked.len()), ("x-api-key", 1, 1));
    assert_eq!(http.port, None);
    let with_port = HTTP.replacen("header", "port = 4873\nheader", 1);
    let Kind::Http(http) = Host::new().admin("api", &with_port).kind else { panic!() };
    assert_eq!(http.port, Some(4873));
}

#[test]
fn what_frames_a_request_or_leads_elsewhere_is_refused() {
    let host = Host::new();
    for (from, to, told) in [
        ("https://api", "http://api", "write https://HOST"),
        ("example.com", "example.com/v1", "paths belong to"),
        ("X-Api-Key", "Host", "the forwarder decides"),
        ("X-Api-Key", "a b", "write a name"),
        ("\"{}\"", "\"Bearer\"", "one {}"),
        ("\"{}\"", "\"{}\\r\\nX: {}\"", "one {}"),
        ("\"/v1/\"", "\"/v1/../\"", "whole components"),
        ("\"/v1/\"", "\"v1\"", "absolute path"),
        ("\"GET\"", "\"get\"", "upper case"),
        ("[\"GET\", \"POST\"]", "[]", "a rule for no method"),
        ("header =", "port = 80\nheader =", "from 1024 to 65535"),
        ("header =", "port = 65536\nheader =", "from 1024 to 65535"),
    ] {
        let mistakes = host.mistakes(Origin::Admin, &HTTP.replacen(from, to, 1));
        assert!(mistakes.contains(told), "{to}: {mistakes}");
    }
}

#[test]
fn a_list_that_is_too_long_is_no_shorter_one() {
    let host = Host::new();
    let many = vec!["\"a\""; LIST_MAX + 1].join(",");
    let mistakes = host.mistakes(Origin::Admin, &format!("{EXEC}[commands]\nblocked = [{many}]"));
    assert!(mistakes.contains("too long"), "{mistakes}");
}

#[test]
fn a_manifest_has_the_name_of_its_tool() {
    let host = Host::new();
    for name in ["Tool", "", ".tool", "a b"] {
        assert!(host.read_as(Origin::Admin, name, EXEC).is_err(), "{name}");
    }
}

static HOST: std::sync::LazyLock<Host> = std::sync::LazyLock::new(Host::new);

#[test]
fn every_manifest_that_comes_with_rcc_is_good() {
    for shipped in SHIPPED {
        let text = shipped.text.replacen("program = \"env\"", "program = \"tool\"", 1);
        // The program of an example's name is its own.
        let loaded = HOST.read_as(Origin::Admin, shipped.tool, &text);
        match loaded {
            Ok(loaded) => assert!(loaded.warnings.is_empty() && !loaded.manifest.summary.is_empty()),
            Err(error) => panic!("{}: {:?}", shipped.tool, miette::Report::new(error)),
        }
        let of_user = HOST.read_as(Origin::User, shipped.tool, &text);
        assert_eq!(of_user.is_err(), shipped.has_credentials, "{}", shipped.tool);
    }
}

#[test]
fn gh_executes_git_and_no_shell_and_git_nothing_of_the_projects() {
    let text = SHIPPED.iter().find(|shipped| shipped.tool == "gh").unwrap().text;
    let Kind::Exec(exec) = HOST.admin("gh", text).kind else { panic!() };
    assert_eq!(exec.executes.unwrap().len(), 1);
    let count: usize = exec.set["GIT_CONFIG_COUNT"].parse().unwrap();
    let keys: Vec<&String> = (0..count).map(|at| &exec.set[&format!("GIT_CONFIG_KEY_{at}")]).collect();
    for at in 0..count {
        assert!(exec.set.contains_key(&format!("GIT_CONFIG_VALUE_{at}")), "{at}");
    }
    for key in ["core.fsmonitor", "core.hooksPath", "diff.external", "credential.helper", "core.sshCommand"] {
        assert!(keys.iter().any(|known| *known == key), "{key}");
    }
    assert_eq!(exec.set.keys().filter(|name| name.starts_with("GIT_CONFIG_KEY_")).count(), count);
}
