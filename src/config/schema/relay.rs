//! `[relay]` of root's and of the user's file.

use super::{Key, Type};

/// Bytes of a message: 1KiB to 4MiB.
const MESSAGE_SIZE: Type = Type::Any(&[Type::String, Type::Int { min: 1 << 10, max: 4 << 20 }]);
/// Bytes of a mailbox: 16MiB to 1TiB.
const STORED_BYTES: Type = Type::Any(&[Type::String, Type::Int { min: 16 << 20, max: 1 << 40 }]);

/// The keys of both files, after what is root's alone and before what is the user's alone. What depends on another key
/// has no default here.
const RELAY: [Key; 19] = [
    PAIR,
    Key {
        name: "default",
        kind: Type::Enum(&["same-user", "deny"]),
        default: Some(r#""same-user""#),
        description: "What holds where no rule of `allow` matches: sessions of one user talk to each other, with every \
                      kind of messages but `eval`, or nobody talks to anybody.",
        example: Some(r#""deny""#),
    },
    Key {
        name: "allow",
        kind: Type::List(&Type::Table(&RULE)),
        default: Some("[]"),
        description: "Who else may send to whom, and what. A rule goes one way; what any rule allows is allowed.",
        example: Some(r#"[{ from = "project:web", to = "user:alice", kinds = ["message", "prompt"] }]"#),
    },
    Key {
        name: "groups",
        kind: Type::Map(&Type::List(&Type::String)),
        default: Some("{}"),
        description: "Groups of sessions by name, to send to and to name in rules: patterns as in `allow`, but no \
                      groups. A name has 1 to 64 characters out of a-z, 0-9, `-`, `_`, `.` and `~`, a letter or digit \
                      first.",
        example: Some(r#"{ front = ["project:web", "project:/srv/styles"] }"#),
    },
    Key {
        name: "require_session_auth",
        kind: Type::Bool,
        default: Some("true"),
        description: "Whether a session on the shared socket proves by the secret that it was given when it registered \
                      that it is the one. A sandbox needs none: its socket is its own.",
        example: Some("false"),
    },
    Key {
        name: "mask_paths",
        kind: Type::Bool,
        default: Some("true"),
        description: "Whether paths of the host in texts are masked.",
        example: Some("false"),
    },
    Key {
        name: "max_message_size",
        kind: MESSAGE_SIZE,
        default: Some(r#""1MiB""#),
        description: "The longest text of a message: a number with `KiB`, `MiB`, `kB` or `MB`, or bytes, from 1KiB to \
                      4MiB.",
        example: Some(r#""256KiB""#),
    },
    Key {
        name: "rate_limit",
        kind: Type::Int { min: 1, max: 1_000_000 },
        default: Some("100"),
        description: "Messages a minute that one session may send in the long run.",
        example: Some("600"),
    },
    Key {
        name: "rate_burst",
        kind: Type::Int { min: 1, max: 1_000_000 },
        default: None,
        description: "Messages that one session may send at once before `rate_limit` slows it. Without it as many as \
                      `rate_limit`.",
        example: Some("20"),
    },
    Key {
        name: "stored_messages",
        kind: Type::Int { min: 1, max: 10_000_000 },
        default: Some("10000"),
        description: "Messages that wait in one mailbox; more are refused.",
        example: Some("1000"),
    },
    Key {
        name: "stored_bytes",
        kind: STORED_BYTES,
        default: Some(r#""256MiB""#),
        description: "The most that they hold together, from 16MiB to 1TiB.",
        example: Some(r#""64MiB""#),
    },
    Key {
        name: "message_expiry",
        kind: Type::String,
        default: None,
        description: "How long a message waits to be taken before it is dropped: a time like `90s`, `30m`, `2h` or \
                      `1d12h`, at most `audit_retention`. Without it 7 days, or `audit_retention` if that is less.",
        example: Some(r#""2d""#),
    },
    Key {
        name: "session_timeout",
        kind: Type::String,
        default: Some(r#""1d""#),
        description: "How long a session may be silent before it is ended.",
        example: Some(r#""12h""#),
    },
    Key {
        name: "heartbeat_expiry",
        kind: Type::String,
        default: None,
        description: "How long a session without a connection may be silent before it is away, at most \
                      `session_timeout`. Without it 90 seconds.",
        example: Some(r#""3m""#),
    },
    Key {
        name: "max_sessions",
        kind: Type::Int { min: 1, max: 100_000 },
        default: Some("1000"),
        description: "Sessions of one user.",
        example: Some("50"),
    },
    Key {
        name: "max_schedules",
        kind: Type::Int { min: 0, max: 100_000 },
        default: Some("100"),
        description: "Messages to be sent later, or again and again, of one session.",
        example: Some("10"),
    },
    Key {
        name: "audit_retention",
        kind: Type::String,
        default: Some(r#""30d""#),
        description: "How long the audit is kept, from 1 day to 10 years.",
        example: Some(r#""90d""#),
    },
    Key {
        name: "cluster",
        kind: Type::Table(&CLUSTER),
        default: None,
        description: "Makes this relay one of several hosts', which meet through a NATS cluster with JetStream.",
        example: None,
    },
    JOIN,
];

const JOIN: Key = Key {
    name: "join",
    kind: Type::Enum(&["claude", "always", "never"]),
    default: Some(r#""claude""#),
    description: "Which sandboxes join the relay when it runs: those of `rcc claude`, all, or none; `--relay` asks for \
                  it in any other run.",
    example: Some(r#""always""#),
};

/// The keys of root's file.
pub(super) const ADMIN_RELAY: &[Key] = RELAY.split_at(RELAY.len() - 1).0;

/// Those of the user's file.
pub(super) const USER_RELAY: &[Key] = RELAY.split_at(1).1;

const PAIR: Key = Key {
    name: "pair",
    kind: Type::List(&Type::Table(&PAIRED)),
    default: Some("[]"),
    description: "Pairs of projects whose sandboxes reach each other directly while the relay is down.",
    example: Some(r#"[{ name = "api-web", one = { project = "/srv/api" }, other = { project = "/srv/web" } }]"#),
};

const PAIRED: [Key; 4] = [
    Key {
        name: "name",
        kind: Type::String,
        default: None,
        description: "What the pair is called, unlike every other: 1 to 64 characters out of a-z, 0-9, `-`, `_`, `.` and \
                      `~`, a letter or digit first. Required.",
        example: Some(r#""api-web""#),
    },
    Key {
        name: "one",
        kind: Type::Table(&END),
        default: None,
        description: "One end: a project, perhaps of one user. Required.",
        example: None,
    },
    Key {
        name: "other",
        kind: Type::Table(&END),
        default: None,
        description: "The other end. Required.",
        example: None,
    },
    Key {
        name: "kinds",
        kind: Type::List(&Type::Enum(&["message", "prompt", "command", "response"])),
        default: Some(r#"["message", "prompt", "command", "response"]"#),
        description: "What goes directly. Code never does.",
        example: Some(r#"["message", "response"]"#),
    },
];

const END: [Key; 2] = [
    Key {
        name: "project",
        kind: Type::String,
        default: None,
        description: "The project's root, an absolute path without symbolic links. Required.",
        example: Some(r#""/srv/api""#),
    },
    Key {
        name: "user",
        kind: Type::String,
        default: None,
        description: "The login name of the user who starts its sandboxes. Without it that of the other end; where neither \
                      names one, each user has a pair of their own.",
        example: Some(r#""alice""#),
    },
];

const RULE: [Key; 3] = [
    Key {
        name: "from",
        kind: Type::String,
        default: None,
        description: "Who may send: `*` for every session, or `user:NAME`, `project:NAME` (every project of that name, \
                      whoever's), `project:/its/path`, `group:NAME` or `host:NAME`; in the user's file also \
                      `project:~/its/path`. Required.",
        example: Some(r#""project:web""#),
    },
    Key {
        name: "to",
        kind: Type::String,
        default: None,
        description: "To whom, in the same way. Required.",
        example: Some(r#""user:alice""#),
    },
    Key {
        name: "kinds",
        kind: Type::List(&Type::Enum(&["message", "prompt", "command", "response", "eval"])),
        default: Some(r#"["message", "prompt", "command", "response"]"#),
        description: "What is allowed. `eval`, code for the receiver's client to evaluate, only where it is listed.",
        example: Some(r#"["message", "response"]"#),
    },
];

/// Without defaults: a section that says nothing is no cluster.
const CLUSTER: [Key; 6] = [
    Key {
        name: "backend",
        kind: Type::Enum(&["nats"]),
        default: None,
        description: "What the relays meet through. Required.",
        example: Some(r#""nats""#),
    },
    Key {
        name: "host",
        kind: Type::String,
        default: None,
        description: "This relay's name in the cluster, unlike every other's: what follows `@` in an address; 1 to 31 \
                      characters out of a-z, 0-9, `-` and `_`. Required.",
        example: Some(r#""build""#),
    },
    Key {
        name: "servers",
        kind: Type::List(&Type::String),
        default: None,
        description: "Servers of the cluster: `tls://HOST:PORT`, or `nats://HOST:PORT` where the network itself is \
                      trusted. Required, and not empty.",
        example: Some(r#"["tls://nats1.example.org:4222", "tls://nats2.example.org:4222"]"#),
    },
    Key {
        name: "credentials",
        kind: Type::Path,
        default: None,
        description: "The file with this relay's NATS credentials, which the relay alone may read.",
        example: Some(r#""/etc/rcc/nats.creds""#),
    },
    Key {
        name: "ca",
        kind: Type::Path,
        default: None,
        description: "The file with the certificates of the authorities that are trusted, instead of the system's.",
        example: Some(r#""/etc/rcc/nats-ca.pem""#),
    },
    Key {
        name: "prefix",
        kind: Type::String,
        default: None,
        description: "What the relays' subjects and streams begin with, the same in the whole cluster: 1 to 32 \
                      characters out of a-z, A-Z, 0-9, `-` and `_`. Without it `rcc`.",
        example: Some(r#""rcc-test""#),
    },
];
