//! The client against servers that cut off, lie and fall silent.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::http::{Body, Framing, Head};
use super::*;
use std::io::Cursor;
use std::os::unix::net::UnixListener;

/// A server that says `bytes` to the first client, whatever it asks.
fn says(
    bytes: &'static [u8],
    ask: impl FnOnce(Client) -> Result<Vec<u8>, ClientError>,
) -> Result<Vec<u8>, ClientError> {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let _left_early = stream.write_all(bytes);
    });
    let answer = ask(Client::new(folder.path().join("s")));
    server.join().unwrap();
    answer
}

fn get(client: &Client) -> Result<Vec<u8>, ClientError> {
    let body = client.exchange("GET", &Target::path("/"), &[], Duration::from_secs(5))?;
    read_all(body, MAX_ANSWER)
}

#[test]
fn bodies_end_where_they_say() {
    for (answer, wanted) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef"[..], &b"abc"[..]),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\nabc", b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: v\r\n\r\nzz", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", b"a"),
    ] {
        assert_eq!(says(answer, |client| get(&client)).unwrap(), wanted);
    }
}

#[test]
fn nothing_that_is_cut_or_odd_passes_for_an_answer() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\na",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\na",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let error = says(answer, |client| get(&client));
        assert!(
            matches!(error, Err(ClientError::Lost(_) | ClientError::Protocol(_))),
            "{} gave {error:?}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[test]
fn an_error_without_json_is_still_an_error() {
    let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\nn\x1bope";
    match says(answer, |client| get(&client)) {
        Err(ClientError::Refused(error)) => {
            assert_eq!(error.error.message, "HTTP status 502: n\\u{1b}ope");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_head_has_a_limit() {
    let mut endless = Cursor::new(b"HTTP/1.1 200 OK\r\nx: ".to_vec()).chain(std::io::repeat(b'a'));
    let error = Head::read(&mut BufReader::new(&mut endless)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut interim = Cursor::new(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(50));
    assert!(Head::read(&mut interim).is_err());
}

#[test]
fn a_slow_reader_of_a_chunked_body_sees_every_byte() {
    let text: Vec<u8> = (0..10_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let mut wire = Vec::new();
    for piece in text.chunks(777) {
        wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let mut body = Body::new(BufReader::with_capacity(13, Cursor::new(wire)), Framing::Chunked);
    let mut read = Vec::new();
    let mut buffer = [0; 7];
    loop {
        match body.read(&mut buffer).unwrap() {
            0 => break,
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(read == text);
}

#[test]
fn a_silent_server_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let client = Client::new(folder.path().join("s"));
    let answer = client.get::<u32>(&Target::path("/"), Duration::from_millis(50));
    assert!(matches!(answer, Err(ClientError::TimedOut)), "{answer:?}");
    let nobody = Client::new(folder.path().join("t"));
    assert!(matches!(nobody.probe(), Err(ClientError::NoServer(_))));
}
