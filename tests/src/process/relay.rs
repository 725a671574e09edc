//! A wire that can lose answers: passes bytes both ways, and on demand swallows whatever the server says after the client has
//! spoken so many times (the second time is, in TLS 1.3, the first request), then hangs up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Long enough for a server to have done what it was asked.
const LATE: Duration = Duration::from_millis(700);

/// Listens until the test ends.
pub struct Relay {
    pub port: u16,
    losing: Arc<AtomicUsize>,
}

impl Relay {
    /// In front of the server at this address.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let losing = Arc::new(AtomicUsize::new(0));
        let lose = Arc::clone(&losing);
        spawn(move || {
            for client in listener.incoming().flatten() {
                let lose = lose.load(Ordering::SeqCst);
                // A server that is away hangs up on the client, too.
                if let Ok(server) = TcpStream::connect(server) {
                    carry(client, server, lose);
                }
            }
        });
        Self { port, losing }
    }

    /// On connections from now on the client is no more answered from the time that it speaks so often.
    pub fn lose_from(&self, spoken: usize) {
        self.losing.store(spoken, Ordering::SeqCst);
    }

    /// Connections from now on are whole.
    pub fn lose_nothing(&self) {
        self.lose_from(0);
    }
}

fn carry(client: TcpStream, server: TcpStream, lose: usize) {
    let silenced = Arc::new(AtomicBool::new(false));
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    let silence = Arc::clone(&silenced);
    spawn(move || {
        let mut spoken = 0;
        let mut buffer = [0; 65536];
        while let Ok(n @ 1..) = from_client.read(&mut buffer) {
            spoken += 1;
            if spoken == lose {
                silence.store(true, Ordering::SeqCst);
                let ends = [from_client.try_clone().unwrap(), to_server.try_clone().unwrap()];
                spawn(move || {
                    sleep(LATE);
                    ends.iter().for_each(hang_up);
                });
            }
            if to_server.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        hang_up(&to_server);
    });
    spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(n @ 1..) = from_server.read(&mut buffer) {
            if !silenced.load(Ordering::SeqCst) && to_client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        hang_up(&to_client);
    });
}

fn hang_up(stream: &TcpStream) {
    // It may be gone already.
    let _ = stream.shutdown(std::net::Shutdown::Both);
}
