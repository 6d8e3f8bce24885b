//! `/etc/rcc/config.toml`.

use super::user::LIMITS;
use super::{Key, Type};

/// Root's file.
pub const ADMIN: Type = Type::Table(&[
    Key {
        name: "users",
        kind: Type::List(&Type::Any(&[Type::String, Type::Int { min: 0, max: 0x7fff_ffff }])),
        default: Some("[]"),
        description: "Who may run sandboxes with a network: login names, or uids. `rcc init` gives them network \
                      identities.",
        example: Some(r#"["alice", 1001]"#),
    },
    Key {
        name: "network",
        kind: Type::Table(&NETWORK),
        default: None,
        description: "What no sandbox reaches, beside the private ranges, which are always denied.",
        example: None,
    },
    Key {
        name: "profiles",
        kind: Type::Map(&Type::Table(&PROFILE)),
        default: Some("{}"),
        description: "Network profiles by name: 1 to 24 characters out of a-z, 0-9 and `-`, a letter first; at most \
                      32, `public` included. `public` always exists, and is what runs without `--profile` use; \
                      `offline` has no network and cannot be changed.",
        example: Some(r#"{ work = { allow = [{ domain = "git.corp.example", ports = [22, 443] }] } }"#),
    },
    Key {
        name: "limits",
        kind: Type::Table(&LIMITS),
        default: None,
        description: "Ceilings for every user's sandboxes. Nothing is allocated in advance.",
        example: None,
    },
]);

const NETWORK: [Key; 2] = [
    Key {
        name: "private",
        kind: Type::List(&Type::String),
        default: Some("[]"),
        description: "Addresses and prefixes that are denied too, though they are public.",
        example: Some(r#"["203.0.113.0/24", "2001:db8:7::/48"]"#),
    },
    Key {
        name: "vpn_interfaces",
        kind: Type::List(&Type::String),
        default: Some(r#"["tun*", "wg*", "tailscale*", "ppp*", "zt*", "utun*", "nordlynx", "proton*"]"#),
        description: "Interfaces through which nothing is reached, whatever its address; a final `*` stands for any \
                      ending. A list here replaces the default.",
        example: Some(r#"["wg*", "company0"]"#),
    },
];

const PROFILE: [Key; 1] = [Key {
    name: "allow",
    kind: Type::List(&Type::Table(&EXCEPTION)),
    default: Some("[]"),
    description: "What this profile reaches beside the public internet, though it is private.",
    example: Some(
        r#"[{ address = "10.1.2.3", ports = [443, "8000-8100"] }, { domain = "git.corp.example", ports = [22], protocol = "tcp" }]"#,
    ),
}];

const EXCEPTION: [Key; 4] = [
    Key {
        name: "address",
        kind: Type::String,
        default: None,
        description: "An address, or a prefix without bits behind its length. In loopback and link-local space, cloud \
                      metadata included, only single addresses. Either this or `domain`.",
        example: Some(r#""10.20.0.0/16""#),
    },
    Key {
        name: "domain",
        kind: Type::String,
        default: None,
        description: "A domain name. Root resolves it when the rules are loaded. Either this or `address`.",
        example: Some(r#""git.corp.example""#),
    },
    Key {
        name: "ports",
        kind: Type::List(&Type::Any(&[Type::Int { min: 1, max: 65535 }, Type::String])),
        default: None,
        description: "Ports, as numbers, or ranges of them as text. Required, and not empty.",
        example: Some(r#"[443, "8000-8100"]"#),
    },
    Key {
        name: "protocol",
        kind: Type::Enum(&["tcp", "udp", "any"]),
        default: Some(r#""tcp""#),
        description: "The transport protocol; `any` means TCP and UDP.",
        example: Some(r#""any""#),
    },
];
