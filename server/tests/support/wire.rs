//! A wire in front of a server that can be cut: what was open breaks, what comes is hung up on.

use std::net::SocketAddr;

use stafett_protocol::federation::PeerFile;
use stafett_protocol::signed::Signed;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Running;

pub struct Wire {
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    pub async fn before(server: &Running) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, to) = (listener.local_addr().unwrap(), server.address);
        let (whole, watched) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let mut watched = watched.clone();
                if !*watched.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut caller, &mut server) => {}
                        _ = watched.changed() => {}
                    }
                });
            }
        });
        Self { address, whole }
    }

    /// The server's word about itself, with this wire as its address.
    pub fn peer_file(&self, server: &Running) -> Signed<PeerFile> {
        let file = server.peer_file().peek().unwrap();
        server.server.municipality.sign(&PeerFile { url: format!("https://{}", self.address), ..file })
    }

    pub fn cut(&self) {
        self.whole.send(false).unwrap();
    }

    pub fn mend(&self) {
        self.whole.send(true).unwrap();
    }
}
