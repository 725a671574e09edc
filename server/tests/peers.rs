//! Who may speak as a municipality's server, and to whom this one speaks (A4, A5, F12, F13, F16, F17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::*;
use crate::support::*;
use hyper::Method;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use stafett_protocol::signed::Signed;
use stafett_server::certs;
use stafett_server::federation::outgoing::PeerError;
use stafett_server::federation::{HELLO_PATH, certificate_name};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const THERE: u16 = 1106;

async fn two() -> (Running, Running) {
    let world = World::new();
    let here = Running::start(&world, None).await;
    let there = Running::start_as(THERE, "Haugesund", &key("another municipality"), None).await;
    (here, there)
}

async fn hello(from: &Running, to: u16) -> Result<Vec<u8>, PeerError> {
    let answer = from.server.federation.outgoing.ask(to, Method::GET, HELLO_PATH, vec![], 4096).await;
    answer.map(|bytes| bytes.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_municipalities_speak_once_both_have_added_each_other() {
    let (here, there) = two().await;
    assert!(matches!(hello(&here, THERE).await, Err(PeerError::Unknown)), "nobody is contacted unasked");
    here.add_peer(there.peer_file()).await;
    assert!(matches!(hello(&here, THERE).await, Err(PeerError::NotAdded)));
    there.add_peer(here.peer_file()).await;
    let said: serde_json::Value = serde_json::from_slice(&hello(&here, THERE).await.unwrap()).unwrap();
    assert_eq!((&said["number"], &said["version"]), (&THERE.into(), &1.into()));
    assert!(hello(&there, HOME).await.is_ok());

    // Rotation: new certificates on both sides, nothing stops.
    there.server.federation.renew(&authority_of(&there.home())).unwrap();
    here.server.federation.renew(&authority_of(&here.home())).unwrap();
    assert!(hello(&here, THERE).await.is_ok() && hello(&there, HOME).await.is_ok());

    // F16: another version is told apart from nothing, but only to peers.
    let ask = here.server.federation.outgoing.ask(THERE, Method::GET, "/v2/peer/pull", vec![], 4096).await;
    assert!(matches!(ask, Err(PeerError::Version)));
    for path in ["/v1/peer", "/v2/peer", "/v1/peer/relay", "/v1/peer/pull", "/nonsense"] {
        let (status, body) = there.http("GET", path, b"").await;
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, problem["code"].as_str().unwrap()), (404, "no-such-route"), "{path}");
    }

    // The other's key changes: what was pinned does not open any more, on either side.
    let other = Running::start_as(THERE, "Haugesund", &key("a third key"), None).await;
    other.add_peer(here.peer_file()).await;
    assert!(matches!(hello(&other, HOME).await, Err(PeerError::NotAdded)), "F17");
    here.add_peer(other.peer_file()).await;
    assert!(hello(&other, HOME).await.is_ok() && hello(&here, THERE).await.is_ok());
    assert!(matches!(hello(&there, HOME).await, Err(PeerError::NotAdded)), "replaced");
}

/// A client certificate as an attacker with some authority might make it.
struct Forged {
    names: Vec<String>,
    usage: Option<ExtendedKeyUsagePurpose>,
    days: (i64, i64),
}

impl Forged {
    fn good(number: u16) -> Self {
        Self { names: vec![certificate_name(number)], usage: Some(ExtendedKeyUsagePurpose::ClientAuth), days: (-1, 1) }
    }

    fn chain(&self, authority: &certs::Authority) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        params.extended_key_usages = self.usage.clone().into_iter().collect();
        params.not_before = OffsetDateTime::now_utc() + time::Duration::days(self.days.0);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::days(self.days.1);
        let mut issuing = CertificateParams::default();
        issuing.distinguished_name = rcgen::DistinguishedName::new();
        issuing
            .distinguished_name
            .push(DnType::CommonName, format!("Stafett {:04} {}", authority.number, authority.name));
        issuing.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = Issuer::new(issuing, KeyPair::from_pem(&authority.key_pem).unwrap());
        let leaf = params.signed_by(&key, &issuer).unwrap().der().clone();
        let ca = certs::authority_der(&authority.certificate_pem).unwrap();
        (vec![leaf, ca], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Shows a chain to a server and asks for the hello; `None` when the connection was refused.
async fn show(to: &Running, shown: Chain, tls12: bool, classical: bool) -> Option<u16> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![if classical { kx_group::X25519 } else { kx_group::X25519MLKEM768 }];
    let versions = if tls12 { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
    if tls12 {
        provider.kx_groups = rustls::crypto::aws_lc_rs::default_provider().kx_groups;
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certs::authority_der(&to.home().read_text("ca.pem").unwrap()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[versions])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(shown.0, shown.1)
        .unwrap();
    let tcp = TcpStream::connect(to.address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
    let _ = stream.write_all(b"GET /v1/peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_certificates_that_are_not_a_peers_do_not_pass_the_handshake() {
    let (here, there) = two().await;
    here.add_peer(there.peer_file()).await;
    let theirs = authority_of(&there.home());
    let good = || Forged::good(THERE);
    assert_eq!(show(&here, good().chain(&theirs), false, false).await, Some(200), "the control");

    // A4: a valid peer that calls itself another number, or a wildcard, in its certificate.
    let other = Running::start_as(4204, "Kristiansand", &key("a third municipality"), None).await;
    here.add_peer(other.peer_file()).await;
    assert_eq!(show(&here, Forged::good(THERE).chain(&authority_of(&other.home())), false, false).await, None);
    for wildcard in ["*.stafett.internal", "*.*.stafett.internal", "server.*.stafett.internal"] {
        let wildcard = Forged { names: vec![wildcard.into()], ..good() };
        assert_eq!(show(&here, wildcard.chain(&theirs), false, false).await, None);
    }
    assert_eq!(show(&here, Forged { names: vec![], ..good() }.chain(&theirs), false, false).await, None);

    let expired = Forged { days: (-3, -1), ..good() };
    let future = Forged { days: (1, 3), ..good() };
    let server_only = Forged { usage: Some(ExtendedKeyUsagePurpose::ServerAuth), ..good() };
    for (what, forged) in [("expired", expired), ("future", future), ("wrong usage", server_only)] {
        assert_eq!(show(&here, forged.chain(&theirs), false, false).await, None, "{what}");
    }
    // Right names, another authority: somebody's own, and one of the same name and number.
    let own = certs::new_authority(THERE, "Haugesund").unwrap();
    assert_eq!(show(&here, good().chain(&own), false, false).await, None);
    let (mut mixed, key) = good().chain(&own);
    mixed[1] = certs::authority_der(&theirs.certificate_pem).unwrap();
    assert_eq!(show(&here, (mixed, key), false, false).await, None, "the real authority beside a forged leaf");
    let (mut alone, key) = good().chain(&theirs);
    alone.truncate(1);
    assert_eq!(show(&here, (alone, key), false, false).await, None, "the authority is part of what is shown");

    // The key exchange: TLS 1.2 and the classical group are for nobody, and for no server.
    assert_eq!(show(&here, good().chain(&theirs), true, false).await, None);
    assert_eq!(show(&here, good().chain(&theirs), false, true).await, None);
}

/// A peer whose server somebody else has put there, answering as told.
async fn impostor(answer: &'static [u8], endless: bool) -> (std::net::SocketAddr, certs::Authority) {
    let authority = certs::new_authority(THERE, "Haugesund").unwrap();
    let shown = certs::new_leaf(&authority, "127.0.0.1").unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(shown.chain, shown.key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                while endless && stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
                let _ = stream.flush().await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    (address, authority)
}

async fn ask_impostor(here: &Running, answer: &'static [u8], endless: bool) -> (Result<Vec<u8>, PeerError>, Duration) {
    let (address, authority) = impostor(answer, endless).await;
    let municipality = key("impostor");
    let file = stafett_protocol::federation::PeerFile {
        number: THERE,
        name: "Haugesund".into(),
        url: format!("https://{address}"),
        ca: certs::authority_der(&authority.certificate_pem).unwrap().to_vec().into(),
        key: public(&municipality),
    };
    here.add_peer(Signed::sign(&file, &municipality)).await;
    let start = Instant::now();
    (hello(here, THERE).await, start.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_peers_answer_is_bounded_in_time_and_size_and_leads_nowhere() {
    let here = Running::start(&World::new(), None).await;
    let (answer, _) = ask_impostor(&here, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await;
    assert_eq!(answer.unwrap(), b"ok", "the control");
    let redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert!(matches!(ask_impostor(&here, redirect, false).await.0, Err(PeerError::Answer)));
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    assert!(matches!(ask_impostor(&here, announced, true).await.0, Err(PeerError::Answer)));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n";
    assert!(matches!(ask_impostor(&here, chunked, true).await.0, Err(PeerError::Answer)));
    let headers = b"HTTP/1.1 200 OK\r\nx: ";
    assert!(ask_impostor(&here, headers, true).await.0.is_err());
    let (silent, took) = ask_impostor(&here, b"HTTP/1.1 200 OK\r\n", false).await;
    assert!(matches!(silent, Err(PeerError::Unreachable)) && took < Duration::from_secs(30), "{took:?}");
    // Codes of the protocol are understood, a peer's own words are not passed on.
    let refused = b"HTTP/1.1 409 Conflict\r\ncontent-length: 24\r\n\r\n{\"code\":\"unknown-scope\"}";
    let (answer, _) = ask_impostor(&here, refused, false).await;
    assert!(matches!(answer, Err(PeerError::Refused(stafett_protocol::refusal::Refusal::UnknownScope))));
    let words = b"HTTP/1.1 409 Conflict\r\ncontent-length: 21\r\n\r\n{\"code\":\"<b>Ella</b>\"}";
    assert!(matches!(ask_impostor(&here, words, false).await.0, Err(PeerError::Answer)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_at_a_peers_address_is_not_believed() {
    let (here, there) = two().await;
    there.add_peer(here.peer_file()).await;
    let third = Running::start_as(4204, "Kristiansand", &key("a third municipality"), None).await;
    third.add_peer(here.peer_file()).await;
    // The right authority in the file, and the wrong server at the address.
    let mut file = there.peer_file().peek().unwrap();
    file.url = third.peer_file().peek().unwrap().url;
    here.add_peer(Signed::sign(&file, &key("another municipality"))).await;
    assert!(matches!(hello(&here, THERE).await, Err(PeerError::NotThePeer)));
}
