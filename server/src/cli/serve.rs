//! `stafettd serve`: prints one line when ready, stops on SIGTERM or SIGINT after draining.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{CliError, print_line};
use crate::accept;
use crate::certs::{self, Authority};
use crate::federation::Federation;
use crate::home::Home;
use crate::http;
use crate::municipality::Municipality;
use crate::restored;
use crate::server::Server;
use crate::tls::{self, Leaf};

const RENEW: Duration = Duration::from_secs(24 * 3600);

pub async fn run(dir: &Path) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (home, db) = super::open(dir).await?;
    restored::count_start(&db, dir).await?;
    let leaf = Leaf::new(certs::new_leaf(&authority(&home)?, host(&home))?)?;
    let municipality = Municipality::of(&home)?;
    let federation = Federation::new(&municipality, &authority(&home)?)?;
    let peers = Arc::clone(&federation.peers);
    let acceptor = TlsAcceptor::from(tls::server_config(Arc::clone(&leaf), Arc::clone(&peers))?);
    let listener = TcpListener::bind(&home.settings.listen).await.map_err(|error| CliError::Refused {
        code: "address",
        message: format!("cannot listen on {}: {error}", home.settings.listen),
        hint: "is the server running already, or another program on this port? the address stands in settings.json",
    })?;
    let (stop, stopped) = watch::channel(false);
    let server = Server::start(db.clone(), municipality, federation, stopped.clone()).await?;
    print_line(
        &serde_json::json!({"ready": true, "url": home.settings.url, "number": home.settings.number}).to_string(),
    );
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining");
        let _ = stop.send(true);
    });
    tokio::spawn(renew(home, leaf, Arc::clone(&server)));
    accept::serve(listener, acceptor, peers, http::router(server), stopped).await;
    db.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Shows new certificates every day: one to clients, good for a month, one to peers, good for a week.
async fn renew(home: Home, leaf: Arc<Leaf>, server: Arc<Server>) {
    loop {
        tokio::time::sleep(RENEW).await;
        let renewed = authority(&home).and_then(|authority| {
            leaf.renew(certs::new_leaf(&authority, host(&home))?)?;
            Ok(server.federation.renew(&authority)?)
        });
        if let Err(error) = renewed {
            tracing::error!(%error, "the certificate was not renewed");
        }
    }
}

/// The authority of a home, able to sign leaves.
pub fn authority(home: &Home) -> Result<Authority, CliError> {
    Ok(Authority {
        number: home.settings.number,
        name: home.settings.name.clone(),
        certificate_pem: home.read_text("ca.pem")?,
        key_pem: home.read_text("ca.key")?,
    })
}

/// The host that clients connect to.
pub fn host(home: &Home) -> &str {
    let listen = &home.settings.listen;
    listen.rsplit_once(':').map_or(listen.as_str(), |(host, _)| host.trim_matches(['[', ']']))
}
