//! The program in the plugin's sandbox: forwards what one client asks on the socket that is its standard input.

use super::forward::{Audit, Forwarder, HttpError, Outcome, ServeError};
use super::own;
use super::task::{Task, Told};
use super::upstream::{BadUpstream, by_resolver, system_roots};
use crate::network::pasta;
use crate::plugin::credential::{HardenError, SECRET_MAX, Secret, SecretError, harden};
use crate::terminal::stdio::{StdioError, replace_with_null};
use hyper::StatusCode;
use rustix::io::fcntl_dupfd_cloexec;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// The port of DNS.
const DOMAIN: u16 = 53;

/// The client cannot be served.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the broker's task cannot be read: {0}; restart the broker with `rcc plugin stop` and `start`")]
    Task(#[from] serde_json::Error),
    #[error(transparent)]
    Harden(#[from] HardenError),
    #[error("cannot read {} in the plugin's sandbox: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot hold the credential: {0}")]
    Secret(#[from] SecretError),
    #[error("there is no certificate in the file that `ca` in the plugin's manifest names")]
    NoAuthority,
    #[error(transparent)]
    Roots(#[from] BadUpstream),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("cannot start the forwarder's loop: {0}")]
    Loop(io::Error),
    #[error(transparent)]
    Client(#[from] ServeError),
}

/// Serves the client that the task, in JSON, tells of.
pub fn run(task: &str) -> ExitCode {
    let Ok((client, journal)) = streams() else { return ExitCode::FAILURE };
    let served = prepare(task, journal.try_clone()).and_then(|forwarder| serve(forwarder, &client));
    let tell = |line: Vec<u8>| (&journal).write_all(&line);
    match served {
        // It has been answered, where it could be.
        Err(Failure::Client(error)) if error.is_malformed() => {
            let _ = Told::failed("this is no request of HTTP/1.1, and is not forwarded").line().map(tell);
            ExitCode::SUCCESS
        }
        Ok(()) | Err(Failure::Client(_)) => ExitCode::SUCCESS,
        Err(failure) => {
            let why = failure.to_string();
            // Whom it does not reach has gone.
            let _ = Told::failed(&why).line().map(tell);
            let _ = (&client).write_all(&own::farewell(StatusCode::BAD_GATEWAY, "rcc_failed", &why));
            ExitCode::FAILURE
        }
    }
}

/// The client's socket and the broker's, which are no standard streams any more: nothing writes to them by mistake.
fn streams() -> Result<(UnixStream, UnixStream), StdioError> {
    let kept = |fd: BorrowedFd<'_>| {
        let kept = fcntl_dupfd_cloexec(fd, 3).map(UnixStream::from);
        kept.map_err(|errno| StdioError::System { attempt: "keep a socket", source: errno.into() })
    };
    let both = (kept(rustix::stdio::stdin())?, kept(rustix::stdio::stderr())?);
    replace_with_null()?;
    Ok(both)
}

fn prepare(task: &str, journal: io::Result<UnixStream>) -> Result<Forwarder, Failure> {
    harden()?;
    let task: Task = serde_json::from_str(task)?;
    let secret = Secret::take(&mut read(&task.credential)?)?;
    let roots = match &task.http.ca {
        Some(path) => authorities(&read(path)?)?,
        None => system_roots()?,
    };
    let resolve = by_resolver(SocketAddr::from((pasta::DNS, DOMAIN)));
    let audit = audit(journal.map_err(Failure::Loop)?);
    Ok(Forwarder::new(&task.http, &secret, task.timeout, roots, resolve, audit)?)
}

/// A file of at most a credential's length or what certificates take, read without leaving a copy behind: the buffer
/// does not grow.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).max(SECRET_MAX) + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be read are passed over: nobody is trusted for them.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    if roots.is_empty() { Err(Failure::NoAuthority) } else { Ok(roots) }
}

/// Tells the broker, and waits for its word where a request depends on it. The one client that there is waits too.
fn audit(journal: UnixStream) -> Audit {
    Box::new(move |record| {
        (&journal).write_all(&Told::of(record).line()?)?;
        match record.outcome {
            Outcome::Allowed => (&journal).read_exact(&mut [0]),
            _ => Ok(()),
        }
    })
}

fn serve(forwarder: Forwarder, client: &UnixStream) -> Result<(), Failure> {
    let client = client.try_clone().map_err(Failure::Loop)?;
    client.set_nonblocking(true).map_err(Failure::Loop)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Loop)?;
    runtime.block_on(async {
        let client = tokio::net::UnixStream::from_std(client).map_err(Failure::Loop)?;
        Ok(Arc::new(forwarder).serve(client).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::http::forward::Record;

    #[test]
    fn a_request_is_forwarded_when_the_broker_has_it_on_record_and_not_without() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let audit = audit(theirs);
        let record = |outcome| Record { method: "GET", path: "/", outcome };
        (&ours).write_all(b"\n").unwrap();
        audit(&record(Outcome::Allowed)).unwrap();
        // Nothing is waited for where nothing depends on it.
        audit(&record(Outcome::Failed("no".into()))).unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(audit(&record(Outcome::Allowed)).is_err());
    }

    #[test]
    fn a_file_without_certificates_trusts_nobody() {
        assert!(matches!(authorities(b"no PEM"), Err(Failure::NoAuthority)));
    }
}
