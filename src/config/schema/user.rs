//! `~/.config/rcc/config.toml`, and `.rcc.toml`, which may say less of the same.

use super::relay::USER_RELAY;
use super::{Key, Type};

/// The user's file.
pub const USER: Type = Type::Table(&[
    Key {
        name: "profile",
        kind: Type::String,
        default: Some(r#""public""#),
        description: "The network profile of runs without `--profile`: `public`, `offline`, or one of \
                      `/etc/rcc/config.toml`.",
        example: Some(r#""offline""#),
    },
    Key {
        name: "runtime",
        kind: Type::Enum(&["auto", "embedded", "podman", "docker", "orbstack", "apple"]),
        default: Some(r#""auto""#),
        description: "What makes the sandbox: rcc itself (`embedded`, which `auto` means on Linux) or a [container \
                      engine](engines.md), which takes the system's files from `image`. Of the engines `podman` and \
                      `docker` are there, both without root; the others answer that they are not there yet.",
        example: Some(r#""podman""#),
    },
    Key {
        name: "image",
        kind: Type::String,
        default: None,
        description: "The image of a container engine, which must be there already: a run pulls none, [`rcc image`]\
                      (images.md) does. With a digest (`name@sha256:...`) it is that very one.",
        example: Some(r#""localhost/agent:latest""#),
    },
    Key {
        name: "exclude",
        kind: Type::List(&Type::String),
        default: Some("[]"),
        description: "Files of projects that are invisible inside: patterns as in `.gitignore`, relative to the \
                      project. They come after the defaults and those of the project come after them; the last that \
                      matches decides, and `!` takes back.",
        example: Some(r#"["/fixtures/private/", "*.sqlite", "!dev.key"]"#),
    },
    Key {
        name: "exclude_defaults",
        kind: Type::Bool,
        default: Some("true"),
        description: "Whether the default excludes hold: `.env`, `*.key` and the like.",
        example: Some("false"),
    },
    Key {
        name: "mounts",
        kind: Type::List(&Type::Table(&MOUNT)),
        default: Some("[]"),
        description: "Host paths that the agent sees beside the project.",
        example: Some(r#"[{ source = "~/reference", target = "/reference", mode = "ro" }]"#),
    },
    Key {
        name: "limits",
        kind: Type::Table(&LIMITS),
        default: None,
        description: "Ceilings for each sandbox; the lower of these and root's holds. Nothing is allocated in advance.",
        example: None,
    },
    Key {
        name: "environment",
        kind: Type::Table(&ENVIRONMENT),
        default: None,
        description: "Environment variables inside. Nothing is passed that is not named.",
        example: None,
    },
    Key {
        name: "handover",
        kind: Type::Table(&HANDOVER),
        default: None,
        description: "What of the project's protected paths is not.",
        example: None,
    },
    Key {
        name: "relay",
        kind: Type::Table(USER_RELAY),
        default: None,
        description: "What your own relay does, through which your sandboxes exchange messages.",
        example: None,
    },
    Key {
        name: "timeouts",
        kind: Type::Table(&TIMEOUTS),
        default: None,
        description: "How long rcc waits, in times like `90s`, `5m` or `1m30s`. A slow disk or a busy engine needs more.",
        example: None,
    },
    Key {
        name: "plugins",
        kind: PLUGINS,
        default: None,
        description: "The tools that sandboxes have, of those that there are [plugins](plugins.md) for: `false` for \
                      none, or a list for no others. All of them without it.",
        example: Some(r#"["git", "gh"]"#),
    },
]);

/// The project's file: it can only tighten.
pub const PROJECT: Type = Type::Table(&[
    Key {
        name: "exclude",
        kind: Type::List(&Type::String),
        default: Some("[]"),
        description: "More files that are invisible inside: patterns as in `.gitignore`, at most 1000, without `!`.",
        example: Some(r#"["/deploy/secrets/"]"#),
    },
    Key {
        name: "profile",
        kind: Type::String,
        default: None,
        description: "A stricter network profile: `offline`, or one whose exceptions are among those of the profile \
                      that would be used.",
        example: Some(r#""offline""#),
    },
    Key {
        name: "limits",
        kind: Type::Table(&PROJECT_LIMITS),
        default: None,
        description: "Lower ceilings.",
        example: None,
    },
    Key {
        name: "relay",
        kind: Type::False,
        default: None,
        description: "Keeps the project's sandboxes away from the relay, whatever is asked for.",
        example: Some("false"),
    },
    Key {
        name: "plugins",
        kind: PLUGINS,
        default: None,
        description: "The tools that the project's sandboxes have at most: `false` for none, or a list. What your own \
                      file leaves out, and what there is no plugin for, stays out.",
        example: Some(r#"["git"]"#),
    },
]);

const PLUGINS: Type = Type::Any(&[Type::False, Type::List(&Type::String)]);

pub(super) const LIMITS: [Key; 3] = [
    Key {
        name: "memory",
        kind: MEMORY,
        default: None,
        description: "Memory with the page cache: a number with `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB` or `TB`, \
                      or bytes, 4MiB at least; a share of the machine's memory (`50%`); or `none`. Without it three \
                      quarters of the machine's memory, or of the surrounding cgroup's ceiling, but 1 GiB is left to \
                      the host (on a machine with less than 2 GiB half of it), where a cgroup can hold that.",
        example: Some(r#""8GiB""#),
    },
    Key {
        name: "pids",
        kind: Type::Any(&[PIDS, Type::Enum(&["none"])]),
        default: None,
        description: "Processes and threads, or `none`. Without it a quarter of what the machine can have, at most \
                      16384, where that can be held.",
        example: Some("2048"),
    },
    CPUS,
];

/// A project takes no ceiling away.
const PROJECT_LIMITS: [Key; 3] = [
    Key {
        name: "memory",
        kind: MEMORY,
        default: None,
        description: "Memory with the page cache, as in the user's file but for `none`. Above what holds by default, \
                      that holds.",
        example: Some(r#""4GiB""#),
    },
    Key {
        name: "pids",
        kind: PIDS,
        default: None,
        description: "Processes and threads. Above what holds by default, that holds.",
        example: Some("512"),
    },
    CPUS,
];

const MEMORY: Type = Type::Any(&[Type::String, Type::Int { min: 4 << 20, max: i64::MAX }]);
const PIDS: Type = Type::Int { min: 1, max: 1 << 22 };

const CPUS: Key = Key {
    name: "cpus",
    kind: Type::Number { min: 0.01, max: 8192.0 },
    default: None,
    description: "Processors' worth of time. No ceiling without it.",
    example: Some("2.5"),
};

const MOUNT: [Key; 3] = [
    Key {
        name: "source",
        kind: Type::Path,
        default: None,
        description: "A path of the host, absolute or beginning with `~/`. Required.",
        example: Some(r#""~/reference""#),
    },
    Key {
        name: "target",
        kind: Type::Path,
        default: None,
        description: "Where it is inside, if not at the source's own path. Not in `/proc`, `/sys`, `/dev` or `/run/rcc`.",
        example: Some(r#""/reference""#),
    },
    Key {
        name: "mode",
        kind: Type::Enum(&["ro", "rw"]),
        default: Some(r#""ro""#),
        description: "`rw` lets the agent write there.",
        example: Some(r#""rw""#),
    },
];

const ENVIRONMENT: [Key; 2] = [
    Key {
        name: "pass",
        kind: Type::List(&Type::String),
        default: Some("[]"),
        description: "Variables that keep the value that they have outside, where they have one.",
        example: Some(r#"["LANG", "CARGO_TERM_COLOR"]"#),
    },
    Key {
        name: "set",
        kind: Type::Map(&Type::String),
        default: Some("{}"),
        description: "Variables with their values.",
        example: Some(r#"{ RUST_LOG = "debug" }"#),
    },
];

const TIMEOUTS: [Key; 4] = [
    Key {
        name: "start",
        kind: Type::String,
        default: Some(r#""30s""#),
        description: "For an engine's first answer, and then until rcc is heard in the container: from `1s` to `1h`.",
        example: Some(r#""2m""#),
    },
    Key {
        name: "engine",
        kind: Type::String,
        default: Some(r#""2m""#),
        description: "For one call of an engine, which may have to lay out an image's files: from `5s` to `1h`.",
        example: Some(r#""10m""#),
    },
    Key {
        name: "death",
        kind: Type::String,
        default: Some(r#""10s""#),
        description: "Until the processes of a container that was ended are dead, which those are not that wait for a \
                      disk or a server of files: from `1s` to `10m`. After that the placeholders in the project stay.",
        example: Some(r#""1m""#),
    },
    Key {
        name: "stop",
        kind: Type::String,
        default: Some(r#""5s""#),
        description: "That `rcc stop` leaves the agent to end by itself, without `--time`: from `1s` to `1h`.",
        example: Some(r#""30s""#),
    },
];

const HANDOVER: [Key; 1] = [Key {
    name: "writable",
    kind: Type::List(&Type::String),
    default: Some("[]"),
    description: "Paths in the project that this machine would execute or load by itself, which the agent may write \
                  all the same.",
    example: Some(r#"[".claude", ".vscode"]"#),
}];
