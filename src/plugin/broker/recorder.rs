//! Has on record what a plugin decides in the course of a call, before it acts on it: a socket in the plugin's sandbox,
//! over which lines of JSON come. Each is answered with a line feed when it is on the disk, and without that the plugin
//! does not go on.

use super::Unrecorded;
use super::call::Station;
use super::desk::Desk;
use crate::plugin::event::Event;
use crate::plugin::git::task::DECISION_MAX;
use crate::sockets::{self, SocketError};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use std::cell::RefCell;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nobody but the user, whose own a plugin's sandbox is.
const MODE: u32 = 0o600;
/// Bytes of one call that are recorded, and decisions.
const BYTES_MAX: usize = 4 << 20;
const DECISIONS_MAX: usize = 10_000;
/// Who can decide at a time. One push has one program that does, but anything in its sandbox can come as well.
const CLIENTS_MAX: usize = 16;
/// How long one may be there and say nothing at all.
const SILENT: Duration = Duration::from_secs(60);
/// What the sockets' names begin and end with; between them are the broker's process ID and the call's number.
const PREFIX: &str = "decisions-";
const SUFFIX: &str = ".sock";

/// Takes the decisions of one call. Dropped, it takes no more.
#[derive(Debug)]
pub(super) struct Recorder {
    socket: PathBuf,
    listening: JoinHandle<()>,
}

impl Recorder {
    /// Listens in this directory, which the plugin's sandbox has.
    ///
    /// # Errors
    /// If there can be no socket.
    pub(super) fn start(directory: &Path, desk: &Rc<Desk>, station: &Station, call: u64) -> Result<Self, SocketError> {
        let socket = directory.join(format!("{PREFIX}{}-{call}{SUFFIX}", std::process::id()));
        let listener = sockets::listen(&socket, MODE)?;
        let (desk, station) = (desk.clone(), station.clone());
        let listening = tokio::task::spawn_local(async move {
            let record = async |decision: Value, bytes: usize| {
                desk.keep_pace(&station.session, bytes).await;
                let (session, tool) = (station.session.clone(), station.tool.clone());
                desk.audit.record(Event::Decided { call, session, tool, decision }).await
            };
            listen(&listener, &record).await;
        });
        Ok(Self { socket, listening })
    }

    /// Its name in the directory.
    pub(super) fn name(&self) -> &Path {
        self.socket.file_name().map_or(Path::new(""), Path::new)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.listening.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Removes the sockets that killed brokers left. The caller is the only broker that runs, and has no call yet.
///
/// # Errors
/// If the directory cannot be read, or one of them not be removed.
pub(super) fn sweep(directory: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if ours && entry.file_type()?.is_socket() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Nobody waits for another who says nothing.
async fn listen(listener: &UnixListener, record: &impl AsyncFn(Value, usize) -> Result<(), Unrecorded>) {
    let left = RefCell::new(Left { bytes: BYTES_MAX, decisions: DECISIONS_MAX });
    let mut clients = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < CLIENTS_MAX => match accepted {
                Ok((stream, _)) => clients.push(take(stream, &left, record)),
                Err(_) => return,
            },
            Some(()) = clients.next() => {
                if left.borrow().decisions == 0 {
                    return;
                }
            }
        }
    }
}

/// What may still be recorded of a call.
struct Left {
    bytes: usize,
    decisions: usize,
}

impl Left {
    /// Whether there is room for one more, of so many bytes; there is none for any after one that has not.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes).zip(self.decisions.checked_sub(1));
        (self.bytes, self.decisions) = left.unwrap_or((0, 0));
        left.is_some()
    }
}

/// Until the plugin has no more to say, says too much, or something cannot be recorded: then it is not answered.
async fn take(stream: UnixStream, left: &RefCell<Left>, record: &impl AsyncFn(Value, usize) -> Result<(), Unrecorded>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    if !matches!(timeout(SILENT, stream.fill_buf()).await, Ok(Ok(_))) {
        return;
    }
    loop {
        line.clear();
        let read = (&mut stream).take(DECISION_MAX as u64).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let whole = line.pop() == Some(b'\n');
        if !whole || !left.borrow_mut().take(line.len()) {
            *left.borrow_mut() = Left { bytes: 0, decisions: 0 };
            let _ =
                record(Value::String("more was decided than is recorded: nothing more is done".to_owned()), 0).await;
            return;
        }
        let text = || Value::String(String::from_utf8_lossy(&line).into_owned());
        let decision = serde_json::from_slice(&line).unwrap_or_else(|_| text());
        if let Err(error) = record(decision, line.len()).await {
            return tracing::warn!("a plugin is not to do what it decided: {error}");
        }
        if stream.get_mut().write_all(b"\n").await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Directory, Entries, Found};
    use crate::plugin::broker::Audit;
    use serde_json::json;

    /// What a client gets for these bytes, and what is on record then.
    async fn told(bytes: &[u8], left: &RefCell<Left>) -> (usize, Vec<Value>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let audit = Audit::start(&path).unwrap();
        let record = async |decision: Value, _| {
            let (session, tool) = ("api-1".to_owned(), "git".parse().unwrap());
            audit.record(Event::Decided { call: 7, session, tool, decision }).await
        };
        let (mut client, ours) = UnixStream::pair().unwrap();
        let says = async {
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answers = Vec::new();
            let _ = client.read_to_end(&mut answers).await;
            assert!(answers.iter().all(|byte| *byte == b'\n'));
            answers.len()
        };
        let (answers, ()) = tokio::join!(says, take(ours, left, &record));
        audit.finish();
        let directory = Directory::open(&path).unwrap();
        let decided = Entries::<Event>::new(&directory, 0).map(|found| match found.unwrap() {
            Found::Entry(line) => match line.entry.event {
                Event::Decided { decision, .. } => decision,
                other => panic!("{other:?}"),
            },
            Found::Fault(fault) => panic!("{fault}"),
        });
        (answers, decided.collect())
    }

    fn all() -> RefCell<Left> {
        some(BYTES_MAX, DECISIONS_MAX)
    }

    fn some(bytes: usize, decisions: usize) -> RefCell<Left> {
        RefCell::new(Left { bytes, decisions })
    }

    #[tokio::test]
    async fn each_decision_is_answered_when_it_is_on_record() {
        let (answers, decided) = told(b"{\"a\":1}\nno json\n", &all()).await;
        assert_eq!((answers, decided), (2, vec![json!({"a": 1}), json!("no json")]));
    }

    #[tokio::test]
    async fn a_decision_that_is_too_long_or_has_no_end_is_not_answered_and_nothing_after_it_is() {
        for bytes in [[vec![b'x'; DECISION_MAX], b"\n1\n".to_vec()].concat(), b"{\"a\":1}".to_vec()] {
            let left = all();
            let (answers, decided) = told(&bytes, &left).await;
            assert_eq!((answers, decided.len(), left.borrow().decisions), (0, 1, 0));
            assert!(decided[0].as_str().unwrap().contains("more was decided"), "{decided:?}");
        }
    }

    #[tokio::test]
    async fn more_decisions_than_a_push_has_are_not_answered() {
        let left = some(BYTES_MAX, 3);
        let (answers, decided) = told(&b"1\n".repeat(9), &left).await;
        assert_eq!((answers, decided.len(), left.borrow().decisions), (3, 4, 0));
        let left = some(10, DECISIONS_MAX);
        let (answers, _) = told(&b"123456\n".repeat(9), &left).await;
        assert_eq!((answers, left.borrow().decisions), (1, 0));
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_not_answered() {
        let (mut client, ours) = UnixStream::pair().unwrap();
        client.write_all(b"1\n2\n").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::start(&dir.path().join("audit")).unwrap();
        // Longer than a line of the journal.
        let record = async |_, _| audit.record(Event::Closed { session: "x".repeat(17 << 20) }).await;
        take(ours, &all(), &record).await;
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        assert!(answers.is_empty());
    }

    #[tokio::test]
    async fn who_says_nothing_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.sock");
        let listener = sockets::listen(&path, MODE).unwrap();
        let record = async |_, _| Ok(());
        let second = async {
            let _silent = UnixStream::connect(&path).await.unwrap();
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(b"1\n").await.unwrap();
            timeout(SILENT / 2, client.read_u8()).await.unwrap().unwrap()
        };
        tokio::select! {
            answer = second => assert_eq!(answer, b'\n'),
            () = listen(&listener, &record) => panic!("it listens no more"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_for_long_is_hung_up_on() {
        let (_client, ours) = UnixStream::pair().unwrap();
        let record = async |_, _| panic!("there is nothing to record");
        timeout(SILENT * 2, take(ours, &all(), &record)).await.unwrap();
    }

    #[tokio::test]
    async fn sockets_that_were_left_are_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("decisions-12-7.sock");
        drop(sockets::listen(&left, MODE).unwrap());
        let kept = ["decisions-12-8.sock", "config.1"].map(|name| dir.path().join(name));
        kept.iter().for_each(|path| std::fs::write(path, "").unwrap());
        sweep(dir.path()).unwrap();
        assert!(!left.exists() && kept.iter().all(|path| path.exists()));
        sweep(&dir.path().join("none")).unwrap();
    }
}
