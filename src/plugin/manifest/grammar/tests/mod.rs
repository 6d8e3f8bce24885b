//! The calls of every shipped manifest, and of grammars that try to be misread.

mod shipped;

use super::*;
use crate::config;
use crate::plugin::manifest::shipped::SHIPPED;
use crate::plugin::manifest::{Kind, Origin};
use proptest::prelude::*;
use std::path::Path;

/// The grammar of a manifest's text, whose programs need not be there.
fn grammar(text: &str) -> Grammar {
    let text: String =
        text.lines().filter(|line| !line.starts_with("executes =")).map(|line| format!("{line}\n")).collect();
    let program = if text.contains("\nprogram = ") { "" } else { "\nprogram = \"sh\"" };
    let text = text.replacen("kind = \"exec\"", &format!("kind = \"exec\"{program}"), 1);
    let uid = rustix::process::geteuid().as_raw();
    let owner = config::Owner { origin: Origin::Admin, uid, home: None };
    match config::read_manifest(Path::new("tool.toml"), &text, owner) {
        Ok(loaded) => match loaded.manifest.kind {
            Kind::Exec(exec) => exec.grammar,
            other => panic!("{other:?}"),
        },
        Err(error) => panic!("{:?}", miette::Report::new(error)),
    }
}

fn of_tool(tool: &str) -> Grammar {
    grammar(SHIPPED.iter().find(|shipped| shipped.tool == tool).unwrap().text)
}

fn of(style: &str, rest: &str) -> Grammar {
    grammar(&format!("version = 1\nkind = \"exec\"\n[options]\nstyle = \"{style}\"\n{rest}"))
}

/// Words with a space between them; `·` stands for a space in a word, `∅` for a word without letters.
fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('·', " ").replace('∅', "")).collect()
}

fn allows(grammar: &Grammar, lines: &[&str]) {
    for line in lines {
        if let Err(refusal) = decide(grammar, &words(line)) {
            panic!("{line}: {refusal}");
        }
    }
}

fn refuses(grammar: &Grammar, lines: &[&str]) {
    for line in lines {
        assert!(decide(grammar, &words(line)).is_err(), "allowed: {line}");
    }
}

fn says(grammar: &Grammar, line: &str, told: &str) {
    let refusal = decide(grammar, &words(line)).unwrap_err().to_string();
    assert!(refusal.contains(told), "{line}: {refusal}");
}

#[test]
fn a_style_reads_as_its_tools_do() {
    let options = "flags = [\"-a, --all\"]\nvalues = [\"-o, --out\"]\noptional = [\"-c, --colour\"]\nblocked_values = [\"--out=x\"]\n\
                   blocked_operands = [\"x\"]";
    for (style, line, allowed) in [
        // The value of `-o=x`.
        ("gnu", "-o=x", true),
        ("go", "-o=x", false),
        ("clap", "-o=x", false),
        ("gnu", "-ox", false),
        ("gnu", "-aox", false),
        ("go", "-aox", false),
        ("go", "-ao=x", false),
        ("gnu", "-o -a", true),
        ("clap", "-o -a", false),
        ("npm", "-o -a", false),
        // Whether the word behind is an operand.
        ("gnu", "--colour x", false),
        ("clap", "--colour x", true),
        ("npm", "--colour x", false),
        ("gnu", "-- x", false),
        ("gnu", "-c x", false),
        ("gnu", "-cx", true),
        ("go", "--all=x", true),
        ("gnu", "--all=x", false),
        ("npm", "--all=true", true),
        ("npm", "--all=x", false),
        ("npm", "-ao", false),
        ("gnu", "--al", false),
        ("gnu", "---all", false),
        ("gnu", "--", true),
        ("gnu", "-", true),
        ("gnu", "--out", false),
        ("gnu", "--out=", true),
        ("gnu", "-o", false),
        ("gnu", "-é", false),
        ("gnu", "-aé", false),
        ("gnu", "--=x", false),
    ] {
        assert_eq!(decide(&of(style, options), &words(line)).is_ok(), allowed, "{style}: {line}");
    }
    let single = of("single", "flags = [\"-json\"]\nvalues = [\"-chdir\"]\nblocked = [\"-json\"]");
    refuses(&single, &["-json", "--json", "-json=true", "--json=false", "x -chdir y", "-chdir", "-j"]);
    allows(&single, &["-chdir=x y", "--chdir -json y", "-chdir x -- -json"]);
}

#[test]
fn behind_an_option_that_nobody_knows_nothing_may_look_like_a_rule() {
    let pass = of(
        "gnu",
        "unlisted = \"pass\"\nvalues = [\"-o, --out\"]\nblocked = [\"--exec\", \"-x\"]\nblocked_values = [\"--out=/*\"]",
    );
    allows(&pass, &["--new", "--new y z", "--new=1 --old", "-n y", "y --new"]);
    refuses(
        &pass,
        &[
            "--new --exec=x",
            "--new --ex",
            "--new -- --exec",
            "--new -o -x",
            "--new -ax",
            "--exe",
            "--no-exec",
            "--Exec",
            "-x",
            "--new -o /etc/x",
            "--new --ou=/etc/x",
            "-no",
            "--new --",
            "--new @file",
        ],
    );
}

#[test]
fn a_list_of_blocked_commands_holds_for_what_the_tool_completes() {
    let blocked = of("npm", "flags = [\"-f\"]\n[commands]\nblocked = [\"publish\", \"token revoke\", \"dist-tag\"]");
    refuses(
        &blocked,
        &[
            "publish",
            "pub",
            "p",
            "Publish",
            "token revoke",
            "token rev",
            "tok revoke",
            "distTag",
            "dist_tag x",
            "-f pub",
        ],
    );
    allows(&blocked, &["install", "token list", "run publish"]);
}

#[test]
fn what_the_agent_wrote_does_not_speak_to_the_terminal() {
    let gh = of_tool("gh");
    for word in ["\u{1b}[2J", "--\u{1b}]52;c;x\u{7}", "-\u{202e}", "pr\n"] {
        let refusal = decide(&gh, &[word.to_owned()]).unwrap_err().to_string();
        assert!(!refusal.chars().any(crate::shown::is_unseen), "{refusal:?}");
    }
    let long = decide(&gh, &["x".repeat(100_000)]).unwrap_err().to_string();
    assert!(long.len() < 2_000, "{}", long.len());
    assert_eq!(decide(&gh, &["pr".into(), "list\0".into()]).unwrap_err(), Refusal::Nul);
}

/// Options by their letters with their values, and operands.
type Given = (Vec<(char, String)>, Vec<String>);

/// A reading of `go` options by the letter of pflag's documentation: what the tool would be given.
fn pflag(args: &[String]) -> Option<Given> {
    let (mut options, mut operands) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            operands.extend(rest.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            match (name, value) {
                ("flag", value) => options.push(('f', value.unwrap_or_default())),
                ("value", Some(value)) => options.push(('v', value)),
                ("value", None) => options.push(('v', rest.next()?.clone())),
                _ => return None,
            }
        } else if word.len() > 1 && word.starts_with('-') {
            let mut letters = &word[1..];
            while !letters.is_empty() {
                let (letter, after) = (letters.chars().next()?, &letters[1..]);
                match letter {
                    'f' if after.len() > 1 && after.starts_with('=') => {
                        (options.push(('f', after[1..].into())), letters = "").1
                    }
                    'f' => (options.push(('f', String::new())), letters = after).1,
                    'v' if after.is_empty() => (options.push(('v', rest.next()?.clone())), letters = "").1,
                    'v' => {
                        let value = if after.len() > 1 { after.strip_prefix('=').unwrap_or(after) } else { after };
                        options.push(('v', value.to_owned()));
                        letters = "";
                    }
                    _ => return None,
                }
            }
        } else {
            operands.push(word.clone());
        }
    }
    Some((options, operands))
}

static GRAMMARS: std::sync::LazyLock<[Grammar; 4]> =
    std::sync::LazyLock::new(|| ["gh", "npm", "cargo", "example"].map(of_tool));

static SMALL: std::sync::LazyLock<Grammar> = std::sync::LazyLock::new(|| {
    of(
        "go",
        "flags = [\"-f, --flag\"]\nvalues = [\"-v, --value\"]\nblocked_values = [\"--value=*b*\"]\nblocked_operands = [\"b\"]",
    )
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever is allowed, the tool reads without one of the forbidden things in it.
    #[test]
    fn nothing_is_smuggled_past_the_rules(args in proptest::collection::vec("(-{0,3}(flag|value|[fvxb])?[=fvb]{0,3}|b|x|--|-)", 0..5)) {
        let read = pflag(&args);
        let harmless = read.as_ref().is_some_and(|(options, operands)| {
            !options.iter().any(|(name, value)| *name == 'v' && value.contains('b')) && !operands.iter().any(|operand| operand == "b")
        });
        prop_assert_eq!(decide(&SMALL, &args).is_ok(), harmless, "{:?} {:?}", args, read);
    }

    #[test]
    fn no_words_are_a_surprise(args in proptest::collection::vec("[-=@a-zäA-Z\\PC]{0,8}", 0..6)) {
        for grammar in GRAMMARS.iter() {
            let _ = decide(grammar, &args);
        }
    }
}
