use super::*;

fn https(name: &str) -> GitHost {
    let access = GitAccess::Https { user: "x-access-token".into(), credential: "token".into(), ca: None };
    GitHost { name: name.to_owned(), paths: Vec::new(), access }
}

fn ssh(name: &str) -> GitHost {
    let access = GitAccess::Ssh { user: "git".into(), credential: "key".into(), known_hosts: "/etc/known".into() };
    GitHost { name: name.to_owned(), paths: Vec::new(), access }
}

fn hosts() -> Vec<GitHost> {
    let limited = GitHost { paths: vec!["acme".into(), "other/one.git".into()], ..https("limited.example") };
    let mut server = ssh("server.example");
    server.access = GitAccess::Ssh { user: "alice".into(), credential: "key".into(), known_hosts: "/k".into() };
    server.paths = vec!["/srv/git".into(), "own".into()];
    vec![
        https("github.com"),
        https("git.example:8443"),
        ssh("codeberg.org"),
        ssh("git.example:2222"),
        limited,
        server,
        https("xn--bcher-kva.example"),
        https("[2001:db8::1]"),
        ssh("192.0.2.1"),
    ]
}

fn clean(url: &str) -> Result<String, Refusal> {
    resolve(url, &hosts()).map(|(_, upstream)| match &upstream {
        Upstream::Ssh { port: Some(port), .. } => format!("{upstream} -p {port}"),
        _ => upstream.to_string(),
    })
}

#[test]
fn remotes_are_written_anew_in_the_protocol_of_the_host() {
    for (asked, expected) in [
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://github.com/o/r/", "https://github.com/o/r"),
        ("https://GitHub.com./o/r", "https://github.com/o/r"),
        ("https://github.com:443/o/r", "https://github.com/o/r"),
        ("https://someone@github.com/o/r", "https://github.com/o/r"),
        ("https://github.com/o/a%20b%c3%a9", "https://github.com/o/a%20b%C3%A9"),
        ("https://github.com/o/%72", "https://github.com/o/r"),
        ("git@github.com:o/r.git", "https://github.com/o/r.git"),
        ("github.com:o/r.git", "https://github.com/o/r.git"),
        ("ssh://git@github.com/o/r.git", "https://github.com/o/r.git"),
        ("git+ssh://git@github.com:22/o/r.git", "https://github.com/o/r.git"),
        ("https://git.example:8443/r", "https://git.example:8443/r"),
        ("git@codeberg.org:o/r.git", "git@codeberg.org:o/r.git"),
        ("ssh://git@codeberg.org/o/r.git", "git@codeberg.org:/o/r.git"),
        ("https://codeberg.org/o/r.git", "git@codeberg.org:o/r.git"),
        ("https://me@codeberg.org/o/r.git", "git@codeberg.org:o/r.git"),
        ("ssh://git.example:2222/o/r.git", "git@git.example:/o/r.git -p 2222"),
        ("ssh://git.example:2222/~git/r", "git@git.example:~git/r -p 2222"),
        ("https://limited.example/acme/a/b", "https://limited.example/acme/a/b"),
        ("https://limited.example/other/one", "https://limited.example/other/one"),
        ("alice@server.example:/srv/git/x", "alice@server.example:/srv/git/x"),
        ("git@server.example:own/x", "alice@server.example:own/x"),
        ("https://bücher.example/r", "https://xn--bcher-kva.example/r"),
        ("https://[2001:db8:0::1]/r", "https://[2001:db8::1]/r"),
        ("git@192.0.2.1:r", "git@192.0.2.1:r"),
    ] {
        assert_eq!(clean(asked).as_deref(), Ok(expected), "{asked}");
    }
}

#[test]
fn hosts_that_the_manifest_does_not_name_get_nothing() {
    for asked in [
        "https://evil.example/github.com/o/r",
        "https://github.com.evil.example/o/r",
        "https://github.com@evil.example/o/r",
        "https://evil.example:443/@github.com/o/r",
        "https://github.com%40evil.example/o/r",
        "https://github.com%2f@evil.example/o/r",
        "https://github.com:8443/o/r",
        "https://github.com:22/o/r",
        "ssh://github.com:2222/o/r",
        "https://git.example/r",
        "ssh://git@git.example:8443/r",
        "git@git.example:r",
        "https://xgithub.com/o/r",
        "git@evil.example:github.com/o/r",
        "https://evil.example#@github.com/o/r",
        "https://evil.example?@github.com/o/r",
        "https://evil.example\\@github.com/o/r",
        "https://[::1]/r",
        "https://127.0.0.1/r",
    ] {
        let refusal = clean(asked);
        // Whatever stands in front of the last `@` is a user's name, which is not passed on.
        let harmless = refusal.as_deref().is_ok_and(|url| url == "https://github.com/o/r");
        assert!(
            harmless || matches!(refusal, Err(Refusal::UnknownHost(_) | Refusal::Host | Refusal::Path)),
            "{asked}: {refusal:?}"
        );
    }
}

#[test]
fn other_protocols_and_tricks_are_refused() {
    for (asked, refusal) in [
        ("http://github.com/o/r", Refusal::Protocol),
        ("git://github.com/o/r", Refusal::Protocol),
        ("file:///etc", Refusal::Protocol),
        ("HTTPS://github.com/o/r", Refusal::Protocol),
        ("ext::sh -c id", Refusal::Protocol),
        ("fd::7", Refusal::Protocol),
        ("rcc::https://github.com/o/r", Refusal::Protocol),
        ("ext::https://github.com/o/r", Refusal::Protocol),
        ("/srv/git/x", Refusal::Protocol),
        ("./x:y", Refusal::Protocol),
        ("--upload-pack=id", Refusal::Protocol),
        ("-oProxyCommand=id", Refusal::Protocol),
        ("", Refusal::Protocol),
        ("-oProxyCommand=id:x", Refusal::Host),
        ("ssh://-oProxyCommand=id/x", Refusal::Host),
        ("ssh://git@-x.codeberg.org/x", Refusal::Host),
        ("https://github.com:x/o", Refusal::Host),
        ("https://github.com:/o", Refusal::Host),
        ("https://github.com:+443/o", Refusal::Host),
        ("https://github.com:65536/o", Refusal::Host),
        ("https:///o/r", Refusal::Host),
        ("https://github..com/o", Refusal::Host),
        ("https://0x7f.1/o", Refusal::Host),
        ("https://[::1/o", Refusal::Host),
        ("https://[github.com]/o", Refusal::Host),
        ("https://github.com", Refusal::Path),
        ("https://github.com/", Refusal::Path),
        ("https://github.com/o/../r", Refusal::Path),
        ("https://github.com/o/%2e%2e/r", Refusal::Path),
        ("https://github.com/o/%2E./r", Refusal::Path),
        ("https://github.com/o//r", Refusal::Path),
        ("https://github.com/./r", Refusal::Path),
        ("https://github.com/o/r?x=y", Refusal::Path),
        ("https://github.com/o/r#x", Refusal::Path),
        ("https://github.com/o/r%3fx", Refusal::Path),
        ("https://github.com/o/%0ar", Refusal::Path),
        ("https://github.com/o/%00r", Refusal::Path),
        ("https://github.com/o/%ff", Refusal::Path),
        ("https://github.com/o/%zz", Refusal::Path),
        ("https://github.com/o\\r", Refusal::Path),
        ("git@codeberg.org:-x", Refusal::Path),
        ("git@codeberg.org:--upload-pack=id", Refusal::Path),
        ("git@codeberg.org:a';id;'", Refusal::Path),
        ("git@codeberg.org:$(id)", Refusal::Path),
        ("git@codeberg.org:`id`", Refusal::Path),
        ("git@codeberg.org:", Refusal::Path),
        ("ssh://git@codeberg.org/%2d-x", Refusal::Path),
        ("https://x:secret@github.com/o/r", Refusal::Password),
        ("https://x%3asecret@github.com/o/r", Refusal::Password),
        ("https://github.com/o/r\n", Refusal::Unreadable),
        ("https://github.com/o\0/r", Refusal::Unreadable),
        ("https://github.com/o\u{202e}/r", Refusal::Unreadable),
        ("git@codeberg.org:a\tb", Refusal::Unreadable),
    ] {
        assert_eq!(clean(asked), Err(refusal), "{asked:?}");
    }
    assert_eq!(clean(&format!("https://github.com/{}", "a".repeat(URL_MAX))), Err(Refusal::Unreadable));
}

#[test]
fn a_key_logs_in_as_nobody_else() {
    for asked in [
        "root@codeberg.org:o/r",
        "ssh://root@codeberg.org/o/r",
        "ssh://-lroot@codeberg.org/o/r",
        "bob@server.example:own/x",
    ] {
        assert!(matches!(clean(asked), Err(Refusal::User { .. })), "{asked}");
    }
}

#[test]
fn paths_are_compared_by_whole_components() {
    for asked in [
        "https://limited.example/acm",
        "https://limited.example/acmex/a",
        "https://limited.example/Acme/a",
        "https://limited.example/other",
        "https://limited.example/other/one2",
        "https://limited.example/x/acme/a",
        "git@server.example:srv/git/x",
        "git@server.example:/srv/gitx",
        "git@server.example:~own/x",
        "ssh://git@server.example/~/own/x",
    ] {
        assert!(matches!(clean(asked), Err(Refusal::UnlistedPath(_))), "{asked} {:?}", clean(asked));
    }
}

#[test]
fn whatever_is_written_an_upstream_is_on_a_host_of_the_manifest() {
    use proptest::prelude::*;
    proptest!(|(url in "(https|ssh)://[ -~]{0,30}(github\\.com|codeberg\\.org)[ -~]{0,30}|[ -~]{0,40}")| {
        if let Ok((_, upstream)) = resolve(&url, &hosts()) {
            match &upstream {
                Upstream::Https { url } => {
                    let rest = url.strip_prefix("https://").unwrap();
                    let (host, path) = rest.split_once('/').unwrap();
                    prop_assert!(hosts().iter().any(|known| known.name == host));
                    prop_assert!(!path.contains("..") || path.split('/').all(|part| part != ".."));
                }
                Upstream::Ssh { user, host, path, .. } => {
                    prop_assert!(user == "git" || user == "alice");
                    prop_assert!(!host.starts_with('-') && !path.starts_with('-'));
                }
            }
        }
    });
}
