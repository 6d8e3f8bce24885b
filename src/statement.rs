//! What the network allows, told inside, so that an agent need not guess. Says what may be reached
//! and nothing of the host: neither its names, addresses or files, nor what it keeps private.

use crate::policy::{Exception, Listed, Ports, Profile, ProfileName, Protocol, Reach};
use crate::shown;
use serde_json::{Value, json};

/// Where the statement lies inside.
pub const PATH: &str = "/run/rcc/policy.json";
/// Rules of one kind in the statement; the rest is counted.
const RULES_MAX: usize = 1000;
/// Rules of one kind in the note.
const NOTED_MAX: usize = 24;

/// The statement for a profile; without one there is no network. JSON, ASCII, one rule on a line.
pub fn document(profile: Option<&Profile>) -> String {
    let Some(profile) = profile else {
        return object(&[
            ("about", json!("This sandbox has no network, and nothing inside can change that.").to_string()),
            ("profile", json!(ProfileName::offline()).to_string()),
            ("default", json!("none").to_string()),
        ]);
    };
    let text = |text: &str| Value::from(text).to_string();
    let denies = matches!(profile.reach, Reach::Listed(_));
    let mut members = vec![
        (
            "about",
            text(
                "What this sandbox's network allowed when it started. The host's firewall enforces it, and nothing \
                 inside can change it; what is allowed for a while only is not in here.",
            ),
        ),
        ("profile", text(profile.name.as_str())),
        ("default", text(if denies { "deny" } else { "public" })),
        (
            "private",
            text(
                "denied but for the exceptions: private, link-local and metadata addresses, the host itself, and \
                 whatever its LAN and VPNs lead to",
            ),
        ),
        (
            "denied",
            text(
                "Connections fail at once or time out, and names that lead nowhere do not resolve. Neither retrying nor another \
                 address, port or resolver helps.",
            ),
        ),
        ("ask", text(&ask(&profile.name))),
    ];
    let (exceptions, more) = rules(&profile.exceptions, exception);
    members.push(("exceptions", exceptions));
    members.extend((more > 0).then(|| ("more_exceptions", more.to_string())));
    if denies {
        let (names, more) = rules(listed(profile), name);
        members.push(("names", names));
        members.extend((more > 0).then(|| ("more_names", more.to_string())));
    }
    object(&members)
}

/// Members with values that are JSON already.
fn object(members: &[(&str, String)]) -> String {
    let lines: Vec<String> = members.iter().map(|(key, value)| format!("  \"{key}\": {value}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// The same in a few sentences, for the system context of an agent.
pub fn note(profile: Option<&Profile>) -> String {
    let Some(profile) = profile else {
        return "Network: this session runs in a sandbox without any network.".to_owned();
    };
    let reach = match &profile.reach {
        Reach::Public => "all of the public internet".to_owned(),
        Reach::Listed(list) if list.is_empty() => "nothing of the public internet".to_owned(),
        Reach::Listed(list) => {
            let names = list.iter().map(|it| word(&it.pattern.to_string(), &it.ports, it.protocol));
            format!("of the public internet only {}; other names do not resolve", noted(names))
        }
    };
    let private = if profile.exceptions.is_empty() {
        String::new()
    } else {
        let each = profile.exceptions.iter().map(|it| word(&shown::target(&it.target), &it.ports, it.protocol));
        format!(", except {}", noted(each))
    };
    format!(
        "Network: this session runs in a sandbox. It reaches {reach}. It reaches no private address, not the host and \
         not its LAN or VPN{private}. What is denied fails at once or times out, and neither retrying nor a detour helps. Details: \
         {PATH}. {}",
        ask(&profile.name)
    )
}

fn ask(profile: &ProfileName) -> String {
    let of = if *profile == ProfileName::public() { String::new() } else { format!(" --profile {profile}") };
    format!(
        "If something denied is needed, tell the user which host and port: outside, `rcc why HOST:PORT{of}` explains \
         it, and `sudo rcc allow HOST:PORT{of} --for 30m` allows it at once."
    )
}

fn listed(profile: &Profile) -> &[Listed] {
    match &profile.reach {
        Reach::Public => &[],
        Reach::Listed(list) => list,
    }
}

/// A list of the first rules, and how many more there are.
fn rules<T>(all: &[T], shown: impl Fn(&T) -> Value) -> (String, usize) {
    let lines: Vec<String> = all.iter().take(RULES_MAX).map(|rule| format!("\n    {}", shown(rule))).collect();
    let end = if lines.is_empty() { "" } else { "\n  " };
    (format!("[{}{end}]", lines.join(",")), all.len().saturating_sub(RULES_MAX))
}

fn name(listed: &Listed) -> Value {
    json!({ "name": listed.pattern, "ports": listed.ports, "protocol": listed.protocol })
}

fn exception(exception: &Exception) -> Value {
    let Exception { target, ports, protocol } = exception;
    json!({ "to": shown::target(target), "ports": ports, "protocol": protocol })
}

/// `NAME` on TCP port 443, which goes without saying, or `NAME (udp 53, 80-90)`.
fn word(target: &str, ports: &Ports, protocol: Protocol) -> String {
    let ports: Vec<String> = ports.ranges().iter().map(ToString::to_string).collect();
    let over = match protocol {
        Protocol::Tcp if ports == ["443"] => return target.to_owned(),
        Protocol::Tcp => "",
        Protocol::Udp => "udp ",
        Protocol::Any => "tcp and udp ",
    };
    format!("{target} ({over}{})", ports.join(", "))
}

fn noted(words: impl ExactSizeIterator<Item = String>) -> String {
    let more = words.len().saturating_sub(NOTED_MAX);
    let mut text = words.take(NOTED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Admin;
    use crate::policy::{PortRange, Target};

    fn exceptions(count: u16) -> Vec<Exception> {
        let ports = |port| Ports::new(vec![PortRange::new(port, port).unwrap()]).unwrap();
        let target = || Target::Domain("git.corp.lan".parse().unwrap());
        (1..=count).map(|port| Exception { target: target(), ports: ports(port), protocol: Protocol::Any }).collect()
    }

    fn profiles() -> Vec<Profile> {
        let mut profiles = Admin::default().profiles;
        for profile in &mut profiles {
            profile.exceptions = exceptions(2);
        }
        profiles
    }

    #[test]
    fn the_statement_says_what_is_allowed() {
        let read = |profile| serde_json::from_str::<Value>(&document(profile)).unwrap();
        let profiles = profiles();
        let (public, allowlist) = (read(Some(&profiles[0])), read(Some(&profiles[1])));
        assert_eq!((&public["default"], public.get("names")), (&json!("public"), None));
        assert_eq!(public["exceptions"][0], json!({"to": "git.corp.lan", "ports": ["1"], "protocol": "any"}));
        assert_eq!(allowlist["default"], "deny");
        assert_eq!(allowlist["names"][0], json!({"name": "api.anthropic.com", "ports": ["443"], "protocol": "tcp"}));
        assert!(allowlist["ask"].as_str().unwrap().contains("sudo rcc allow HOST:PORT --profile allowlist --for 30m"));
        assert_eq!(read(None)["default"], "none");
    }

    #[test]
    fn neither_statement_nor_note_speaks_of_the_host() {
        for profile in profiles() {
            for text in [document(Some(&profile)), note(Some(&profile))] {
                for secret in ["/etc", "config.toml", "127.82", "tun*", "wg*", "/home"] {
                    assert!(!text.contains(secret), "{secret}: {text}");
                }
                assert!(text.is_ascii());
            }
        }
    }

    #[test]
    fn thousands_of_rules_make_neither_a_book() {
        let profile = Profile { exceptions: exceptions(10_000), ..profiles().remove(0) };
        let stated: Value = serde_json::from_str(&document(Some(&profile))).unwrap();
        assert_eq!((stated["exceptions"].as_array().unwrap().len(), &stated["more_exceptions"]), (1000, &json!(9000)));
        let note = note(Some(&profile));
        assert!(note.len() < 2_000 && note.contains("and 9976 more"), "{note}");
    }

    #[test]
    fn the_note_is_short_and_names_what_is_reached() {
        let profiles = profiles();
        let public = note(Some(&profiles[0]));
        assert!(public.contains("all of the public internet") && public.contains("git.corp.lan (tcp and udp 1)"));
        let allowlist = note(Some(&profiles[1]));
        assert!(allowlist.contains("api.anthropic.com, claude.ai") && allowlist.contains("do not resolve"));
        assert!(public.len() < 700 && allowlist.len() < 1_600, "{} {}", public.len(), allowlist.len());
        assert!(note(None).contains("without any network"));
    }
}
