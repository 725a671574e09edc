//! The pin, the exporter and the bounds, against a real TLS server in this process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{NamedGroup, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::host::tls::ca_hash;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Authority { issuer: Issuer::new(params, key), der }
}

fn acceptor(signer: &Authority, shown: &Authority, name: &str) -> TlsAcceptor {
    acceptor_in(signer, shown, name, None)
}

fn acceptor_in(
    signer: &Authority,
    shown: &Authority,
    name: &str,
    validity: Option<(time::OffsetDateTime, time::OffsetDateTime)>,
) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if let Some((from, to)) = validity {
        (params.not_before, params.not_after) = (from, to);
    }
    let leaf = params.signed_by(&key, &signer.issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone(), shown.der.clone().into()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one connection: answers `answer` to whatever is asked; gives the negotiated group.
async fn serve(acceptor: TlsAcceptor, answer: Vec<u8>) -> (u16, tokio::task::JoinHandle<Option<NamedGroup>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.ok()?;
        let group = tls.get_ref().1.negotiated_key_exchange_group().map(|group| group.name());
        let mut buffer = vec![0; 4096];
        let _ = tls.read(&mut buffer).await;
        let _ = tls.write_all(&answer).await;
        let _ = tls.shutdown().await;
        group
    });
    (port, task)
}

async fn ask(port: u16, ca: CaHash) -> Result<Vec<u8>, TransportError> {
    let place = ServerPlace::new(&format!("https://127.0.0.1:{port}"), ca).unwrap();
    post(&place, "/v1/join", b"ask".to_vec(), &Recording::none()).await
}

#[tokio::test]
async fn the_pinned_server_answers_post_quantum() {
    let ca = authority();
    let (port, task) =
        serve(acceptor(&ca, &ca, "127.0.0.1"), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nja".to_vec()).await;
    assert_eq!(ask(port, ca_hash(&ca.der)).await.unwrap(), b"ja");
    assert_eq!(task.await.unwrap(), Some(NamedGroup::X25519MLKEM768));
}

#[tokio::test]
async fn any_other_authority_is_refused() {
    let (ca, other) = (authority(), authority());
    let (port, _) = serve(acceptor(&other, &other, "127.0.0.1"), Vec::new()).await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Identity(_))));
    // Shows the right CA, but its own leaf was not signed by it.
    let (port, _) = serve(acceptor(&other, &ca, "127.0.0.1"), Vec::new()).await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Identity(_))));
    // Right authority, another name.
    let (port, _) = serve(acceptor(&ca, &ca, "127.0.0.2"), Vec::new()).await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Identity(_))));
}

/// Answers two connections in turn with what a server says at this time.
async fn serve_at(acceptor: TlsAcceptor, date: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!("HTTP/1.1 404 Not Found\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n");
    tokio::spawn(async move {
        for _ in 0..2 {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let _ = tls.read(&mut vec![0; 4096]).await;
            let _ = tls.write_all(answer.as_bytes()).await;
            let _ = tls.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_clock_that_is_off_is_not_another_server() {
    let ca = authority();
    let other_time = |from: i32, to: i32| (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
    // Certificates of a time in which this device does not live yet, or any more.
    for ((from, to), date, code) in [
        (other_time(2090, 2091), "Sun, 01 Jan 2090 10:00:00 GMT", "clock-off"),
        (other_time(2001, 2002), "Wed, 02 May 2001 10:00:00 GMT", "clock-off"),
        (other_time(2001, 2002), "no date", "clock-unknown"),
        (other_time(2001, 2002), httpdate::fmt_http_date(SystemTime::now()).as_str(), "server-expired"),
    ] {
        let port = serve_at(acceptor_in(&ca, &ca, "127.0.0.1", Some((from, to))), date).await;
        let refused = ask(port, ca_hash(&ca.der)).await.unwrap_err();
        assert!(matches!(refused, TransportError::Clock(_)), "{refused}");
        let fault = crate::host::fault::Fault::from(refused);
        assert_eq!((fault.code.as_str(), fault.exit), (code, crate::host::fault::Exit::Unreachable), "{fault:?}");
    }
    // The wrong time excuses nothing else.
    let other = authority();
    let port = serve_at(acceptor_in(&other, &ca, "127.0.0.1", Some(other_time(2001, 2002))), "").await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Identity(_))));
    let port = serve_at(acceptor_in(&ca, &ca, "127.0.0.2", Some(other_time(2001, 2002))), "").await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Identity(_))));
}

#[tokio::test]
async fn refusals_and_floods_are_told_apart() {
    let ca = authority();
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let (port, _) = serve(acceptor(&ca, &ca, "127.0.0.1"), refusal).await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Refused { status: 403, .. })));
    let busy = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let (port, _) = serve(acceptor(&ca, &ca, "127.0.0.1"), busy).await;
    assert!(matches!(ask(port, ca_hash(&ca.der)).await, Err(TransportError::Unreachable(_))));
    let mut flood = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    flood.resize(MOST_BODY_BYTES + 1000, b'x');
    let (port, _) = serve(acceptor(&ca, &ca, "127.0.0.1"), flood).await;
    assert!(ask(port, ca_hash(&ca.der)).await.is_err());
    assert!(matches!(ask(1, ca_hash(&ca.der)).await, Err(TransportError::Unreachable(_))));
}

/// A stream to a home that says this once it is open, and reads nothing more.
async fn home_that_says(says: Vec<u8>) -> FrameStream {
    home_that_goes_on(says, 1).await.0
}

/// The same of a home that says it so many times; and how much it has got rid of.
async fn home_that_goes_on(says: Vec<u8>, times: usize) -> (FrameStream, Arc<AtomicUsize>) {
    let ca = authority();
    let acceptor = acceptor(&ca, &ca, "127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let gone = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&gone);
    tokio::spawn(async move {
        let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut asked = vec![];
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(tls.read_u8().await.unwrap());
        }
        let asked = String::from_utf8(asked).unwrap();
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let (_, key) = asked.lines().filter_map(field).find(|(name, _)| name == "sec-websocket-key").unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        let _ = tls.write_all(head.as_bytes()).await;
        for _ in 0..times {
            if tls.write_all(&says).await.is_err() || tls.flush().await.is_err() {
                break;
            }
            counted.fetch_add(says.len(), Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    });
    let place = ServerPlace::new(&format!("https://127.0.0.1:{port}"), ca_hash(&ca.der)).unwrap();
    let signed = |_: &str, _: &[u8; 32]| {
        let text = "x".to_owned();
        SignatureHeaders { content_digest: text.clone(), signature_input: text.clone(), signature: text }
    };
    (FrameStream::open(&place, Arc::new(Recording::none()), signed).await.unwrap(), gone)
}

#[tokio::test]
async fn a_home_does_not_ping_without_measure() {
    let ping = [0x89, 1, 7];
    let mut stream = home_that_says(ping.repeat(10)).await;
    assert_eq!(stream.next(Duration::from_millis(300)).await.unwrap(), None, "a few are nothing");
    let mut stream = home_that_says(ping.repeat(10_000)).await;
    assert!(matches!(stream.next(Duration::from_secs(20)).await, Err(TransportError::Nonsense(_))));
}

/// Far more than kernels hold between two sockets.
const MUCH: usize = 64 * 1024 * 1024;

#[tokio::test]
async fn pongs_that_a_home_does_not_read_do_not_pile_up_here() {
    let ping = [&[0x89, 125][..], &[7; 125]].concat();
    let (mut stream, gone) = home_that_goes_on(ping.repeat(1000), MUCH / (1000 * ping.len())).await;
    let ended = timeout(Duration::from_secs(60), async { while stream.next(Duration::from_secs(1)).await.is_ok() {} });
    assert!(ended.await.is_ok(), "whoever pings without measure is left");
    // Each that was taken has a pong as large, which nobody reads.
    assert!(gone.load(Ordering::Relaxed) < MUCH / 2, "{} bytes of pings", gone.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_a_home_does_not_take_waits_in_one_buffer() {
    let mut stream = home_that_says(vec![]).await;
    let mut taken = 0;
    while taken < MUCH {
        let large = Message::Binary(vec![1; FRAME_BYTES].into());
        match timeout(Duration::from_secs(1), stream.socket.feed(large)).await {
            Ok(Ok(())) => taken += FRAME_BYTES,
            _ => break,
        }
    }
    // What kernels hold, and one message.
    assert!(taken <= 3 * FRAME_BYTES, "{taken} bytes that nobody takes");
}

#[tokio::test]
async fn what_is_handled_together_has_a_bound() {
    const FRAME: usize = 3 * 1024 * 1024;
    let head = [&[0x82, 127], &(FRAME as u64).to_be_bytes()[..]].concat();
    let frame = [head, vec![1; FRAME]].concat();
    let mut stream = home_that_says(frame.repeat(8)).await;
    let mut seen = 0;
    while seen < 8 {
        let together = stream.together(Duration::from_secs(20)).await.unwrap().len();
        assert!((1..=3).contains(&together), "{together} frames of 3 MiB");
        seen += together;
    }
    // And one frame has one.
    let mut stream = home_that_says([&[0x82, 127], &(1u64 << 30).to_be_bytes()[..]].concat()).await;
    assert!(matches!(stream.next(Duration::from_secs(20)).await, Err(TransportError::Nonsense(_))));
}

#[test]
fn addresses() {
    assert!(ServerPlace::new("https://[::1]:8443", [0; 32]).unwrap().authority() == "[::1]:8443");
    assert!(ServerPlace::new("https://ullensaker.kommune.no", [0; 32]).unwrap().authority().ends_with(":443"));
    for wrong in ["http://a:1", "https://a/b", "https://u@a", "a:1", "", "https://a/?q"] {
        assert!(ServerPlace::new(wrong, [0; 32]).is_err(), "{wrong}");
    }
}

#[test]
fn backoff_grows_and_ends() {
    let mut backoff = Backoff::fresh();
    for _ in 0..20 {
        assert!(backoff.step() <= Backoff::LONGEST);
    }
    assert_eq!(backoff.ceiling, Backoff::LONGEST);
}
