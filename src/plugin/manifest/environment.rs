//! Names of environment variables that are nobody's to give to a tool.
//!
//! A variable can make a program load code, read other configuration, or start another program. A client, which
//! the agent is, may give none of these, whatever a manifest says; a manifest may set some of them, but none that
//! the loader reads or that the sandbox itself decides.

/// Names that begin with one of these are read by the dynamic loader (ld.so(8), dyld(1)), or are a shell's
/// functions (bash(1), "Functions").
const LOADER: [&str; 5] = ["LD_", "DYLD_", "GLIBC_", "GCONV_", "BASH_FUNC_"];

/// What a shell reads before its first command (sh(1p), bash(1), zshparam(1)), and what the sandbox decides.
const SANDBOX: [&str; 22] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "HOME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "SHELL",
    "USER",
    "LOGNAME",
    "PWD",
    "OLDPWD",
    "CDPATH",
    "ZDOTDIR",
    "FPATH",
    "PS4",
    "PROMPT_COMMAND",
    "container",
    "GETCONF_DIR",
];

/// Prefixes of what interpreters and programs read that makes them run or load something else.
const PREFIXES: [&str; 38] = [
    "RCC_",
    "XDG_",
    "GIT_",
    "SSH_",
    "GPG_",
    "PYTHON",
    "PERL",
    "RUBY",
    "GEM_",
    "BUNDLE_",
    "NODE_",
    "NPM_CONFIG_",
    "CARGO_",
    "RUSTC_",
    "RUSTUP_",
    "RUSTFLAGS",
    "JAVA_",
    "_JAVA_",
    "JDK_",
    "MAVEN_",
    "GRADLE_",
    "LUA_",
    "PHP",
    "TCL",
    "ERL_",
    "DOTNET_",
    "COMPLUS_",
    "CORECLR_",
    "BASH_",
    "MALLOC_",
    "SSL_",
    "OPENSSL_",
    "CURL_",
    "LESS",
    "DBUS_",
    "SYSTEMD_",
    "TERMINFO",
    "DEBUGINFOD_",
];

/// The same, whole.
const NAMES: [&str; 25] = [
    "CLASSPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "MANPAGER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "LOCPATH",
    "NLSPATH",
    "LOCALE_ARCHIVE",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "TERMCAP",
    "EXINIT",
    "VIMINIT",
    "AWKPATH",
    "AWKLIBPATH",
    "GOFLAGS",
    "GOPROXY",
    "GOENV",
    "KUBECONFIG",
    "NETRC",
];

/// Ends of names whose values are programs that are run, or hosts through which everything goes.
const SUFFIXES: [&str; 8] = ["PAGER", "EDITOR", "BROWSER", "ASKPASS", "_PROXY", "_SHELL", "_PRELOAD", "_WRAPPER"];

/// Why a client may not give this variable, if it may not. Case is not asked: some programs do not ask either.
pub fn not_to_pass(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    if let Some(reason) = not_to_set(&name) {
        return Some(reason);
    }
    let listed = PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name.as_str())
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    listed.then_some("it makes programs run or load something else, and the agent would choose what")
}

/// Why a manifest may not set this variable, if it may not.
pub fn not_to_set(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    if LOADER.iter().any(|prefix| name.starts_with(prefix)) {
        return Some("it makes every program load other code");
    }
    let sandbox = SANDBOX.iter().any(|own| own.eq_ignore_ascii_case(&name));
    sandbox.then_some("the tool's sandbox decides it, or shells run what it says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_loads_code_is_not_given_by_a_client() {
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "LD_AUDIT",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "PATH",
            "IFS",
            "ENV",
            "BASH_ENV",
            "SHELLOPTS",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "GCONV_PATH",
            "HOME",
            "TMPDIR",
            "npm_config_registry",
            "https_proxy",
            "ALL_PROXY",
            "SSH_ASKPASS",
            "GH_PAGER",
            "BASH_FUNC_ls%%",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "LESSOPEN",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "GLIBC_TUNABLES",
            "DYLD_INSERT_LIBRARIES",
            "XDG_CONFIG_HOME",
            "SSL_CERT_FILE",
            "container",
            "TERMINFO_DIRS",
        ] {
            assert!(not_to_pass(name).is_some(), "{name}");
        }
        for name in ["TERM", "COLUMNS", "NO_COLOR", "LANG", "LC_ALL", "TZ", "GH_REPO", "CI", "FORCE_COLOR"] {
            assert_eq!(not_to_pass(name), None, "{name}");
        }
    }

    #[test]
    fn a_manifest_sets_more_but_nothing_of_the_loader() {
        for name in ["GIT_CONFIG_COUNT", "GH_PAGER", "NPM_CONFIG_REGISTRY", "NODE_OPTIONS", "PAGER"] {
            assert_eq!(not_to_set(name), None, "{name}");
        }
        for name in ["LD_PRELOAD", "ld_preload", "HOME", "PATH", "BASH_ENV", "GCONV_PATH", "CONTAINER"] {
            assert!(not_to_set(name).is_some(), "{name}");
        }
    }
}
