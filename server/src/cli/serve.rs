//! `stafettd serve`: prints one line when ready, stops on SIGTERM or SIGINT after draining.

use std::path::Path;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{CliError, print_line};
use crate::certs::{self, Authority};
use crate::home::Home;
use crate::http;
use crate::municipality::Municipality;
use crate::server::Server;
use crate::{accept, tls};

pub async fn run(dir: &Path) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (home, db) = super::open(dir).await?;
    let shown = certs::new_leaf(&authority(&home)?, host(&home))?;
    let acceptor = TlsAcceptor::from(tls::server_config(shown)?);
    let listener = TcpListener::bind(&home.settings.listen).await?;
    let (stop, stopped) = watch::channel(false);
    let server = Server::start(db.clone(), Municipality::of(&home)?, stopped.clone()).await?;
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
    accept::serve(listener, acceptor, http::router(server), stopped).await;
    db.close().await;
    tracing::info!("stopped");
    Ok(())
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
