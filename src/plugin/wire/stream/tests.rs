//! Peers that are slow, that cut, and that lie.

use super::super::client::{Client, ClientError, Heard};
use super::super::{Control, First, REQUEST_MAX, Request, Response, Signal, Welcome};
use super::*;
use tokio::io::{AsyncReadExt, duplex};
use tokio::net::UnixStream;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// With time that passes at once where nothing else happens.
fn run_paused<T>(test: impl Future<Output = T>) -> T {
    run(async {
        tokio::time::pause();
        test.await
    })
}

fn reader<R: AsyncRead + Unpin>(from: R) -> Reader<R> {
    Reader::new(from, &Allowance::of(4 << 20), PATIENCE)
}

#[test]
fn a_call_goes_through_both_sides() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let big: Vec<u8> = (0..1_000_000_u32).map(|at| at as u8).collect();
    let expected = big.clone();
    let client = std::thread::spawn(move || {
        let (welcome, mut streaming) = Client::over(near).stream().unwrap();
        assert_eq!(welcome.tool, "gh");
        let request = Request { cwd: "/".into(), ..Request::default() };
        streaming.say(&Control::Exec { request, terminal: None }).unwrap();
        assert_eq!(streaming.hear().unwrap(), Heard::Event(Event::Credit { bytes: 3 }));
        streaming.input(b"abc").unwrap();
        streaming.input(b"").unwrap();
        let mut output = Vec::new();
        loop {
            match streaming.hear().unwrap() {
                Heard::Output(bytes) => output.extend_from_slice(bytes),
                Heard::Error(bytes) => assert_eq!(bytes, b"warning"),
                Heard::Event(Event::Exited { exit_code, .. }) => return (exit_code, output),
                other => panic!("{other:?}"),
            }
        }
    });
    run(async {
        far.set_nonblocking(true).unwrap();
        let (from, to) = UnixStream::from_std(far).unwrap().into_split();
        let (mut reader, mut writer) = (reader(from), Writer::new(to));
        let first = reader.message().await.unwrap().map(First::parse);
        assert_eq!(first, Some(Ok(First::Stream { version: 1 })));
        writer.message(&Welcome { version: 1, tool: "gh".into(), environment: vec![] }).await.unwrap();
        let exec = reader.frame().await.unwrap().unwrap();
        assert!(matches!(Control::parse(exec.payload), Ok(Control::Exec { terminal: None, .. })));
        writer.event(&Event::Credit { bytes: 3 }).await.unwrap();
        assert_eq!(reader.frame().await.unwrap(), Some(Frame { tag: Tag::Input, payload: b"abc" }));
        assert_eq!(reader.frame().await.unwrap(), Some(Frame { tag: Tag::Input, payload: b"" }));
        writer.output(Tag::Error, b"warning").await.unwrap();
        writer.output(Tag::Output, &big).await.unwrap();
        writer.event(&Event::Exited { exit_code: 7, signal: None, read: None }).await.unwrap();
        assert!(reader.frame().await.unwrap().is_none(), "the client has closed");
    });
    assert_eq!(client.join().unwrap(), (7, expected));
}

#[test]
fn simple_calls_follow_each_other_on_one_connection() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let client = std::thread::spawn(move || {
        let mut client = Client::over(near);
        let mut call = |word: &str| {
            let request = Request { args: vec![word.to_owned()], cwd: "/".into(), ..Request::default() };
            client.exec(&request)
        };
        assert_eq!(call("one").unwrap().stdout, "one");
        assert_eq!(call("two").unwrap().stdout, "two");
        assert!(matches!(call("three"), Err(ClientError::Closed | ClientError::Io(_))));
    });
    run(async {
        far.set_nonblocking(true).unwrap();
        let (from, to) = UnixStream::from_std(far).unwrap().into_split();
        let (mut reader, mut writer) = (reader(from), Writer::new(to));
        for _ in 0..2 {
            let frame = reader.message().await.unwrap().unwrap();
            let Ok(First::Exec(request)) = First::parse(frame) else { panic!() };
            writer.message(&Response::ended(0, request.args[0].as_bytes(), b"")).await.unwrap();
        }
    });
    client.join().unwrap();
}

#[test]
fn who_does_not_finish_a_frame_is_given_up() {
    run_paused(async {
        let (near, mut far) = duplex(64);
        let mut reader = reader(near);
        // Half a frame, then a byte every now and then: it is the frame that has a time, not its bytes.
        let trickle = async {
            far.write_all(&100_u32.to_be_bytes()).await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if far.write_all(b" ").await.is_err() {
                    break;
                }
            }
        };
        let begun = Instant::now();
        tokio::select! {
            () = trickle => panic!("it goes on"),
            read = reader.message() => assert!(matches!(read, Err(ReadError::Slow(PATIENCE))), "{read:?}"),
        }
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    });
}

#[test]
fn who_says_nothing_is_waited_for() {
    run_paused(async {
        let (near, mut far) = duplex(64);
        let mut reader = reader(near);
        let later = async {
            tokio::time::sleep(100 * PATIENCE).await;
            far.write_all(&frames::control(Sender::Client, &Control::Signal { signal: Signal::Int }).unwrap()).await
        };
        let (read, written) = tokio::join!(reader.frame(), later);
        assert_eq!(read.unwrap().unwrap().tag, Tag::Control);
        written.unwrap();
    });
}

#[test]
fn reading_can_be_broken_off_anywhere() {
    run_paused(async {
        let (near, mut far) = duplex(3);
        let mut reader = reader(near);
        let sent = frames::message(Sender::Client, &First::Stream { version: 1 }).unwrap();
        let write = far.write_all(&sent);
        tokio::pin!(write);
        let mut tries = 0;
        let first = loop {
            // Each try is given as long as one poll.
            tokio::select! {
                biased;
                read = reader.message() => break read.unwrap().map(First::parse),
                _ = &mut write, if tries < sent.len() => {}
                () = tokio::task::yield_now() => {}
            }
            tries += 1;
            assert!(tries < 1000, "it never comes");
        };
        assert_eq!(first, Some(Ok(First::Stream { version: 1 })));
        assert!(tries > 3, "it came at once");
    });
}

#[test]
fn half_a_frame_at_the_end_is_an_error() {
    run(async {
        for (sent, whole) in [(&b""[..], true), (&[0, 0][..], false), (&[0, 0, 0, 5, b'c', b'{'][..], false)] {
            let (near, mut far) = duplex(64);
            far.write_all(sent).await.unwrap();
            drop(far);
            match reader(near).frame().await {
                Ok(None) => assert!(whole),
                Err(ReadError::Unfinished) => assert!(!whole),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_giant_is_refused_by_its_length_alone() {
    run(async {
        let (near, mut far) = duplex(64);
        far.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let read = reader(near).message().await.err().unwrap();
        assert_eq!(read.to_string(), format!("a frame of {} bytes where {REQUEST_MAX} are the most", u32::MAX));
    });
}

#[test]
fn nothing_follows_half_a_frame() {
    run_paused(async {
        let (near, mut far) = duplex(16);
        let mut writer = Writer::new(near);
        let broken_off = tokio::time::timeout(PATIENCE, writer.output(Tag::Output, &[0; 100])).await;
        broken_off.unwrap_err();
        writer.event(&Event::Started).await.unwrap_err();
        drop(writer);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), 16, "what was written before");
    });
}
