//! `stafettd` in a process of its own, for this crate's own suites.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;

use ed25519_dalek::SigningKey;
use rustls::pki_types::ServerName;
use stafett_protocol::codec::encode;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::wire::JoinRequest;
use stafett_server::db::Db;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::common::World;
use crate::support::*;

/// A server in a process of its own.
pub struct Remote {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Remote {
    /// `stafettd init`, with the world's key in the municipality's place.
    pub fn init(world: &World, home: &std::path::Path, url: Option<&str>) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stafettd"));
        command.args(["init", "--number", "3209", "--name", "Ullensaker", "--json", "--home"]).arg(home);
        if let Some(url) = url {
            command.args(["--database", url]);
        }
        let output = command.output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let key = stafett_protocol::ids::to_hex(&world.municipality.to_bytes());
        std::fs::write(home.join("municipality.key"), key).unwrap();
        let pem = std::fs::read_to_string(said["ca_file"].as_str().unwrap()).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("https://").parse().unwrap();
        Self { address, connector: connector(&pem) }
    }

    /// A guardian's code, put beside the running process as `stafettd unit add` would.
    pub async fn add_code(&self, home: &std::path::Path, url: Option<&str>, ticket: [u8; 16]) {
        let db = Db::open(&home.join("stafett.db"), url).await.unwrap();
        put_code(&db, ticket, PersonKind::Guardian, None).await;
        db.close().await;
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        self.connector.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp).await.unwrap()
    }

    pub async fn join(&self, request: &JoinRequest) {
        let (status, _) = exchange(self.connect().await, "POST", "/v1/join", &encode(request)).await;
        assert_eq!(status, 200);
    }

    pub async fn open(&self, key: &SigningKey) -> Result<Client, u16> {
        let tls = self.connect().await;
        let binding = binding_of(&tls);
        open_on(tls, &binding, key).await
    }
}
