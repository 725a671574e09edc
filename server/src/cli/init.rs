//! `stafettd init`: keys, certificate authority, database, and the first administrator's code.

use std::net::{IpAddr, TcpListener};
use std::path::Path;

use clap::Args;
use ed25519_dalek::SigningKey;
use serde_json::json;
use stafett_protocol::code::ticket_hash;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::limits::CODE_MAX_MILLIS;
use stafett_protocol::text;
use stafett_protocol::wire::CodeKind;

use super::{CliError, Said, secrets};
use crate::certs;
use crate::db::{Conn, Db, StoreError};
use crate::home::{DATABASE, Home, Settings, now_ms, random};
use crate::municipality::Municipality;
use crate::store::accounts::{self, StoredCode};

#[derive(Debug, Args)]
pub struct Init {
    /// Municipality number (kommunenummer), four digits.
    #[arg(long)]
    number: u16,
    #[arg(long)]
    name: String,
    /// Where to listen; port 0 picks a free one, once. The host is also what the certificate names.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// A PostgreSQL URL; SQLite in the home when absent.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl Init {
    pub async fn run(self, dir: &Path) -> Result<Said, CliError> {
        if !(1..=9999).contains(&self.number) {
            return Err(CliError::Usage("--number is a municipality number of four digits".to_owned()));
        }
        let name = text::MUNICIPALITY.take(&self.name).map_err(|unfit| CliError::Usage(unfit.to_string()))?;
        let (host, _) =
            self.listen.rsplit_once(':').ok_or_else(|| CliError::Usage("--listen is HOST:PORT".to_owned()))?;
        let host = host.to_owned();
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            return Err(CliError::Usage(format!(
                "--listen {}: this host stands in every code, and nobody can reach {host}; name one that clients can reach",
                self.listen
            )));
        }
        let port = TcpListener::bind(&self.listen)
            .and_then(|listener| listener.local_addr())
            .map_err(|error| CliError::Usage(format!("--listen {}: {error}", self.listen)))?
            .port();
        Home::make_room(dir)?;
        let made = Self { name, ..self }.make(dir, &host, port).await;
        if made.is_err() {
            // Half a home would be in the next attempt's way.
            Home::clear(dir);
        }
        made
    }

    async fn make(self, dir: &Path, host: &str, port: u16) -> Result<Said, CliError> {
        let key = SigningKey::from_bytes(&random()?);
        let name = self.name;
        let authority = certs::new_authority(self.number, &name)?;
        let settings = Settings {
            number: self.number,
            name,
            listen: format!("{host}:{port}"),
            url: format!("https://{host}:{port}"),
            database: self.database,
            created_ms: now_ms(),
        };
        // The database first: a URL that does not work must not leave half a home behind, nor one server join another.
        let (file, url) = (dir.join(DATABASE), settings.database.as_deref());
        Db::must_be_empty(&file, url).await?;
        let db = Db::open(&file, url).await?;
        let home = Home::create(dir, settings, &key)?;
        home.write("ca.pem", authority.certificate_pem.as_bytes())?;
        home.write("ca.key", authority.key_pem.as_bytes())?;
        let municipality = Municipality::of(&home)?;
        home.write("peer.json", super::peer::own_file(&home, &municipality)?.as_bytes())?;
        let (backup_key, _) = secrets::new_key(&home)?;
        let ticket = new_code(&db, CodeKind::Person(PersonKind::Administrator), None).await?;
        let code = municipality.code(ticket).to_text();
        db.close().await;
        let settings = &home.settings;
        Ok(Said::new(
            format!(
                "{:04} {} listens on {}\nCA: {}\nFirst administrator's code, valid for 14 days:\n{code}\n\n{}",
                settings.number,
                settings.name,
                settings.url,
                home.path("ca.pem").display(),
                secrets::keep_it(&backup_key)
            ),
            json!({
                "number": settings.number,
                "url": settings.url,
                "ca_file": home.path("ca.pem"),
                "peer_file": home.path("peer.json"),
                "admin_code": code,
                "backup_key": backup_key.as_str(),
            }),
        ))
    }
}

/// Draws a ticket of the server's own and registers it.
pub async fn new_code(
    db: &Db,
    kind: CodeKind,
    unit: Option<stafett_protocol::ids::UnitId>,
) -> Result<[u8; 16], CliError> {
    let ticket: [u8; 16] = random()?;
    let expires_ms = now_ms() + CODE_MAX_MILLIS;
    db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move {
            let code = StoredCode { kind, unit, offered_by: None, expires_ms, used_by: None };
            accounts::add_code(conn, &ticket_hash(&ticket), &code).await
        })
    })
    .await?;
    Ok(ticket)
}
