//! `/etc/rcc/config.toml`.

use super::relay::ADMIN_RELAY;
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
                      32 with the built-in ones. `public` and `allowlist` always exist, and a section adds to them: \
                      `public` is what runs without `--profile` use, `allowlist` reaches only what its groups and \
                      names list. `offline` has no network and cannot be changed.",
        example: Some(r#"{ work = { allow = [{ domain = "git.corp.example", ports = [22, 443] }] } }"#),
    },
    Key {
        name: "groups",
        kind: Type::Map(&Type::Table(&GROUP)),
        default: Some("{}"),
        description: "Groups of names that profiles take by the group's name: 1 to 24 characters out of a-z, 0-9 and \
                      `-`, a letter first. A section defines a group, or replaces the built-in one of that name: \
                      `claude`, `npm`, `pypi`, `crates`, `github`, `debian`, `go` or `nix`.",
        example: Some(r#"{ internal = { names = ["registry.example.com"] } }"#),
    },
    Key {
        name: "bridges",
        kind: Type::Table(&BRIDGES),
        default: None,
        description: "Bridges for container engines of root's (Docker, Podman as root), whose networks rcc cannot \
                      enter. Without a profile in it there is none.",
        example: None,
    },
    Key {
        name: "limits",
        kind: Type::Table(&LIMITS),
        default: None,
        description: "Ceilings for every user's sandboxes. Nothing is allocated in advance.",
        example: None,
    },
    Key {
        name: "relay",
        kind: Type::Table(ADMIN_RELAY),
        default: None,
        description: "What the system's relay does. The relay of a user is the business of the user's own file.",
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

const BRIDGES: [Key; 3] = [
    Key {
        name: "profiles",
        kind: Type::List(&Type::String),
        default: Some("[]"),
        description: "The profiles that have one: `rcc0` is that of `public`, `rcc1` that of `allowlist`, and so on.",
        example: Some(r#"["public", "allowlist"]"#),
    },
    Key {
        name: "v4",
        kind: Type::String,
        default: Some(r#""10.82.0.0/16""#),
        description: "Where their IPv4 addresses are: a private prefix of length 16 that is not in use here.",
        example: Some(r#""10.200.0.0/16""#),
    },
    Key {
        name: "v6",
        kind: Type::String,
        default: Some(r#""fd72:6363:6272::/48""#),
        description: "Where their IPv6 addresses are: a unique local prefix of length 48.",
        example: Some(r#""fd12:3456:789a::/48""#),
    },
];

/// Without defaults: what holds where a key is absent differs between profiles, and where it may not
/// stand at all even an empty list is a mistake.
const PROFILE: [Key; 4] = [
    Key {
        name: "default",
        kind: Type::Enum(&["public", "deny"]),
        default: None,
        description: "What this profile reaches that no rule names: all of the public internet, or nothing. Without \
                      it `\"public\"`, but `\"deny\"` in `allowlist`; the two built-in profiles cannot change it.",
        example: Some(r#""deny""#),
    },
    Key {
        name: "groups",
        kind: Type::List(&Type::String),
        default: None,
        description: "The groups of names that this profile reaches; only where `default` is `\"deny\"`. `allowlist` \
                      takes every built-in group unless this is written.",
        example: Some(r#"["claude", "npm"]"#),
    },
    Key {
        name: "names",
        kind: NAMES,
        default: None,
        description: "Names that this profile reaches beside its groups, where their addresses are public; only where \
                      `default` is `\"deny\"`. A text stands for TCP port 443.",
        example: Some(r#"["example.com", { name = "*.example.com", ports = [443, 8443] }]"#),
    },
    Key {
        name: "allow",
        kind: Type::List(&Type::Table(&EXCEPTION)),
        default: Some("[]"),
        description: "Exceptions: what this profile reaches though it is private, or, by address, though it is not \
                      listed.",
        example: Some(
            r#"[{ address = "10.1.2.3", ports = [443, "8000-8100"] }, { domain = "git.corp.example", ports = [22], protocol = "tcp" }]"#,
        ),
    },
];

const NAMES: Type = Type::List(&Type::Any(&[Type::String, Type::Table(&LISTED)]));

const GROUP: [Key; 1] = [Key {
    name: "names",
    kind: NAMES,
    default: None,
    description: "The names of the group, as in a profile. Required.",
    example: Some(r#"["registry.example.com"]"#),
}];

const LISTED: [Key; 3] = [
    Key {
        name: "name",
        kind: Type::String,
        default: None,
        description: "A host's name, or `*.` and a name for all names below that one, at any depth, but not the name \
                      itself. Required.",
        example: Some(r#""*.example.com""#),
    },
    Key { default: Some("[443]"), description: "Ports, as numbers, or ranges of them as text; not empty.", ..PORTS },
    PROTOCOL,
];

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
        description: "A host's name, or `*.` and a name for all names below that one. What it is answered with opens \
                      as it is asked for, private addresses included, but never this machine, loopback, link-local \
                      space or a cloud's metadata. Either this or `address`.",
        example: Some(r#""git.corp.example""#),
    },
    PORTS,
    PROTOCOL,
];

const PORTS: Key = Key {
    name: "ports",
    kind: Type::List(&Type::Any(&[Type::Int { min: 1, max: 65535 }, Type::String])),
    default: None,
    description: "Ports, as numbers, or ranges of them as text. Required, and not empty.",
    example: Some(r#"[80, "8000-8100"]"#),
};

const PROTOCOL: Key = Key {
    name: "protocol",
    kind: Type::Enum(&["tcp", "udp", "any"]),
    default: Some(r#""tcp""#),
    description: "The transport protocol; `any` means TCP and UDP.",
    example: Some(r#""any""#),
};
