//! What the user's environment and files say of container engines. Nothing of a project's is looked at.

use crate::facts::Facts;
use crate::runtime::machine::context;
use crate::runtime::machine::found::{By, Endpoint, Named, Socket, socket_of};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// A file of docker's configuration is no longer than this, in octets.
const FILE_MAX: u64 = 1 << 20;

/// The socket at this path, or behind a link there.
pub(super) fn socket(path: &Path) -> Option<Socket> {
    let leads_to = std::fs::canonicalize(path).ok()?;
    let is_socket = std::fs::metadata(&leads_to).is_ok_and(|found| found.file_type().is_socket());
    is_socket.then(|| Socket { path: path.to_owned(), leads_to })
}

/// What `docker` itself would talk to, where the user says so: `DOCKER_HOST` before `DOCKER_CONTEXT` before the current
/// context.
pub(super) fn named(facts: &Facts) -> Option<Named> {
    if let Some(host) = facts.variable("DOCKER_HOST").filter(|host| !host.is_empty()) {
        return Some(Named { by: By::Variable, endpoint: endpoint(host) });
    }
    let directory = facts.variable("DOCKER_CONFIG").map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = directory.unwrap_or_else(|| facts.user.home.join(".docker"));
    let configuration = text(&directory.join("config.json"));
    let name = context::current(facts.variable("DOCKER_CONTEXT"), configuration.as_deref())?;
    let description = text(&directory.join(context::file(&name)));
    let host = description.and_then(|description| context::endpoint(&name, &description));
    Some(Named { by: By::Context(name), endpoint: host.map_or(Endpoint::Unknown, |host| endpoint(&host)) })
}

fn endpoint(host: &str) -> Endpoint {
    match socket_of(host) {
        Some(path) => socket(path).map_or_else(|| Endpoint::Missing(path.to_owned()), Endpoint::Socket),
        None => Endpoint::Other(host.to_owned()),
    }
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;
    use crate::runtime::machine::judge::{Open, by_place};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn facts(home: &Path, environment: &[(&str, &str)]) -> Facts {
        let user = User { uid: 501, gid: 20, name: "a".into(), home: home.to_owned() };
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (config_dir, data_dir) = (home.join("c"), home.join("d"));
        Facts { user, cwd: home.to_owned(), environment, config_dir, data_dir }
    }

    #[test]
    fn a_context_is_followed_to_its_socket_and_a_link_to_where_it_leads() {
        let home = tempfile::tempdir().unwrap();
        let home = std::fs::canonicalize(home.path()).unwrap();
        let colima = home.join(".colima/default");
        let meta = home.join(".docker").join(context::file("mine"));
        for directory in [&colima, &meta.parent().unwrap().to_owned()] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let _listener = UnixListener::bind(colima.join("docker.sock")).unwrap();
        let link = home.join("docker.sock");
        symlink(colima.join("docker.sock"), &link).unwrap();
        std::fs::write(home.join(".docker/config.json"), r#"{"currentContext": "mine"}"#).unwrap();
        let host = format!("unix://{}", link.display());
        let text = serde_json::json!({ "Name": "mine", "Endpoints": { "docker": { "Host": host } } });
        std::fs::write(&meta, text.to_string()).unwrap();

        let Some(Named { by, endpoint: Endpoint::Socket(socket) }) = named(&facts(&home, &[])) else {
            panic!("the context names a socket")
        };
        assert_eq!((by, by_place(&socket, None)), (By::Context("mine".into()), Some(Open::Colima)));
        for (variable, value, expected) in [
            ("DOCKER_HOST", "tcp://10.0.0.1:2375", Endpoint::Other("tcp://10.0.0.1:2375".into())),
            ("DOCKER_HOST", "unix:///no/such/socket", Endpoint::Missing("/no/such/socket".into())),
            ("DOCKER_CONTEXT", "other", Endpoint::Unknown),
        ] {
            assert_eq!(named(&facts(&home, &[(variable, value)])).unwrap().endpoint, expected, "{value}");
        }
        assert_eq!(named(&facts(&home, &[("DOCKER_CONTEXT", "default")])), None);
    }

    #[test]
    fn a_file_is_no_socket() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(socket(file.path()), None);
        assert_eq!(socket(Path::new("/no/such/socket")), None);
    }
}
