//! The network of a profile in an engine's machine: a bridge of its own, by whose name the rules know the profile.

use super::guard::Call;
use crate::firewall::nft;
use crate::policy::ProfileName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// On each of these networks: the profile.
pub const LABEL: &str = "rcc.profile";
const BRIDGE: &str = "com.docker.network.bridge.name";
const BETWEEN: &str = "com.docker.network.bridge.enable_icc";

/// The network is not as rcc makes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("the engine has a network '{name}', but {wrong}")]
#[diagnostic(help("remove it, and rcc makes a new one: `docker network rm {name}`"))]
pub struct NotOurs {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub wrong: &'static str,
}

/// What the network of a profile is called.
pub fn name(profile: &ProfileName) -> String {
    format!("rcc-{profile}")
}

/// Describes it; there is no such thing if the status is 404.
pub fn inspect(profile: &ProfileName) -> Call {
    Call::get(format!("/networks/{}", name(profile)))
}

/// Makes it. `position` is the profile's in the policy. Containers on it cannot speak to each other.
pub fn create(profile: &ProfileName, position: usize) -> Call {
    let body = json!({
        "Name": name(profile),
        "Driver": "bridge",
        "Internal": false,
        "Attachable": false,
        "EnableIPv6": true,
        // Engines before 27 choose none for IPv6. RFC 4193; "rc" and "c" in ASCII.
        "IPAM": { "Config": [{ "Subnet": format!("fd72:6363:0:{position:x}::/64") }] },
        "Options": {
            BRIDGE: nft::bridge(position),
            BETWEEN: "false",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
        },
        "Labels": { LABEL: profile.to_string() },
    });
    Call::post("/networks/create".to_owned(), Some(body))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    driver: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Whether what is there is what [`create`] makes: rules for another bridge would not meet its packets.
pub fn check(answer: &Value, profile: &ProfileName, position: usize) -> Result<(), NotOurs> {
    let wrong = |wrong| NotOurs { name: name(profile), wrong };
    let described = Described::deserialize(answer).map_err(|_| wrong("its description is not understood"))?;
    let option = |name: &str| described.options.get(name).map(String::as_str);
    if described.labels.get(LABEL).map(String::as_str) != Some(profile.as_str()) {
        return Err(wrong("it has not rcc's label for this profile"));
    }
    if described.driver != "bridge" || option(BRIDGE) != Some(nft::bridge(position).as_str()) {
        return Err(wrong("it is not on the bridge that the rules of this profile are for"));
    }
    if option(BETWEEN) != Some("false") {
        return Err(wrong("it lets containers speak to each other"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_as_they_were() {
        let calls = [inspect(&ProfileName::public()), create(&ProfileName::new("my-work").unwrap(), 17)];
        let line = |call: &Call| serde_json::to_string(call).unwrap() + "\n";
        crate::golden::assert_golden("src/runtime/machine/network.jsonl", &calls.iter().map(line).collect::<String>());
    }

    /// As an engine describes what [`create`] made.
    fn described() -> Value {
        create(&ProfileName::public(), 0).body.unwrap()
    }

    #[test]
    fn a_network_that_the_rules_would_miss_is_not_taken() {
        let check = |answer: &Value| check(answer, &ProfileName::public(), 0);
        assert_eq!(check(&described()), Ok(()));
        let changes: [(&str, Value); 6] = [
            ("/Driver", "macvlan".into()),
            ("/Labels", json!({})),
            ("/Labels/rcc.profile", "work".into()),
            ("/Options/com.docker.network.bridge.name", "docker0".into()),
            ("/Options/com.docker.network.bridge.enable_icc", "true".into()),
            ("/Options", Value::Null),
        ];
        for (place, value) in changes {
            let mut answer = described();
            *answer.pointer_mut(place).unwrap() = value.clone();
            assert!(check(&answer).is_err(), "{place} {value}");
        }
        for answer in [Value::Null, json!([]), json!({ "Driver": 7 })] {
            assert!(check(&answer).is_err(), "{answer}");
        }
        // The policy was reordered: the old bridge is another profile's now.
        assert!(super::check(&described(), &ProfileName::public(), 1).is_err());
    }
}
