//! What an attacker has: connections, an account with devices, and the certificate of a peer.

use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use stafett_protocol::codec::encode;
use stafett_protocol::credential::{DeviceCertificate, letter_key_hash};
use stafett_protocol::http_signature;
use stafett_protocol::ids::PersonId;
use stafett_protocol::joining::DeviceClaim;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{CertifiedDevice, ClientFrame, JoinClaim, JoinRequest, PersonJoin, Request};
use stafett_server::certs::{self, Authority};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub type Tls = TlsStream<TcpStream>;
pub type Stream = WebSocketStream<Tls>;

pub struct Target {
    pub address: SocketAddr,
    pub ca_pem: String,
    pub ticket: [u8; 16],
    pub peer: Authority,
}

/// A person, with as many devices as it likes.
pub struct Account {
    person: SigningKey,
    pub id: PersonId,
}

fn key(of: u8, n: u16) -> SigningKey {
    let [high, low] = n.to_be_bytes();
    let mut seed = [of; 32];
    seed[..2].copy_from_slice(&[high, low]);
    SigningKey::from_bytes(&seed)
}

fn device_key(n: u16) -> SigningKey {
    key(2, n)
}

const LETTER_KEY: [u8; 1216] = [5; 1216];

impl Target {
    pub async fn connect(&self) -> Option<Tls> {
        self.connect_as(None).await
    }

    async fn connect_as(&self, peer: Option<&Authority>) -> Option<Tls> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certs::authority_der(&self.ca_pem).expect("a certificate")).expect("a root");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let config = match peer {
            Some(authority) => {
                let shown = certs::new_client_leaf(authority).expect("a certificate");
                config.with_client_auth_cert(shown.chain, shown.key).expect("a key")
            }
            None => config.with_no_client_auth(),
        };
        let tcp = TcpStream::connect(self.address).await.ok()?;
        let name = ServerName::try_from(self.address.ip().to_string()).expect("a name");
        tcp.set_nodelay(true).ok()?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()
    }

    /// Whether it answers whoever is nobody.
    pub async fn is_well(&self) -> bool {
        let asked = async {
            let mut tls = self.connect().await?;
            tls.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
            let mut answer = vec![];
            let _ = tls.read_to_end(&mut answer).await;
            answer.starts_with(b"HTTP/1.1 200").then_some(())
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.is_ok_and(|well| well.is_some())
    }

    /// Sends a request but for its last byte, and keeps the connection.
    pub async fn short(&self, bytes: usize) -> Option<Tls> {
        let mut tls = self.connect().await?;
        let head = format!("POST /v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
        tls.write_all(head.as_bytes()).await.ok()?;
        tls.write_all(&vec![0; bytes - 1]).await.ok()?;
        tls.flush().await.ok()?;
        Some(tls)
    }

    /// Joins with the one code.
    pub async fn join(&self) -> Account {
        let person = key(1, 0);
        let public = person.verifying_key().to_bytes();
        let account = Account { id: PersonId::of_first_key(&public), person };
        let device = device_key(0);
        let claim = JoinClaim {
            ticket: self.ticket,
            person_key: public,
            device_key: device.verifying_key().to_bytes(),
            device: account.certificate(0),
            letter_key: LETTER_KEY.to_vec().into(),
            proof: [0; 32],
            sealed_name: vec![].into(),
        };
        let request = JoinRequest::Person(PersonJoin { claim: Signed::sign(&claim, &device), key_packages: vec![] });
        let body = encode(&request);
        let mut tls = self.connect().await.expect("connects");
        let head =
            format!("POST /v1/join HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        tls.write_all(head.as_bytes()).await.expect("is sent");
        tls.write_all(&body).await.expect("is sent");
        let mut answer = vec![];
        let _ = tls.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        account
    }

    /// A device's stream; its greeting is read by nobody.
    pub async fn stream(&self, device: u16) -> Option<Stream> {
        let tls = self.connect().await?;
        let exporter = http_signature::EXPORTER_LABEL;
        let binding = tls.get_ref().1.export_keying_material([0; 32], exporter, None).expect("an exporter");
        let signed = http_signature::sign("GET", "/v1/stream", b"", &binding, &device_key(device));
        let mut request = "wss://127.0.0.1/v1/stream".into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("content-digest", signed.content_digest.parse().expect("a header"));
        headers.insert("signature-input", signed.signature_input.parse().expect("a header"));
        headers.insert("signature", signed.signature.parse().expect("a header"));
        tokio_tungstenite::client_async(request, tls).await.ok().map(|(socket, _)| socket)
    }

    /// What a peer's server opens for a guest.
    pub async fn guest(&self) -> Option<Stream> {
        let tls = self.connect_as(Some(&self.peer)).await?;
        let request = "wss://127.0.0.1/v1/peer/relay".into_client_request().expect("a request");
        Some(tokio_tungstenite::client_async(request, tls).await.expect("the peer is let in").0)
    }
}

impl Account {
    fn certificate(&self, device: u16) -> Signed<DeviceCertificate> {
        let certificate = DeviceCertificate {
            person: self.id,
            device_key: device_key(device).verifying_key().to_bytes(),
            letter_key: letter_key_hash(&LETTER_KEY),
            issued_at: 0,
        };
        Signed::sign(&certificate, &self.person)
    }

    fn claim(&self, device: u16) -> Signed<DeviceClaim> {
        let key = device_key(device);
        let claim = DeviceClaim {
            ticket: [0; 16],
            person: self.id,
            device_key: key.verifying_key().to_bytes(),
            letter_key: LETTER_KEY.to_vec().into(),
            proof: [0; 32],
            sealed_name: vec![].into(),
            key_packages: vec![],
        };
        Signed::sign(&claim, &key)
    }

    /// Certifies so many devices more; how many the home has taken.
    pub async fn add_devices(&self, first: &mut Stream, count: u16) -> u16 {
        let mut taken = 0;
        for n in 1..=count {
            let certified = CertifiedDevice { certificate: self.certificate(n), claim: self.claim(n) };
            let id = u32::from(n);
            first.send(frame(id, Request::CertifyDevice(certified))).await.expect("is sent");
            loop {
                let Some(Ok(message)) = first.next().await else { return taken };
                let bytes = message.into_data();
                if bytes.get(..4) == Some(&id.to_be_bytes()) {
                    // 1 is `Done`.
                    if bytes.get(4) != Some(&1) {
                        return taken;
                    }
                    taken = n;
                    break;
                }
            }
        }
        taken
    }
}

pub fn frame(id: u32, request: Request) -> Message {
    Message::Binary(encode(&ClientFrame { id, request }).into())
}
