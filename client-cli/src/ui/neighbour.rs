//! Whose process is at the other end of a loopback connection. Linux tells it in `/proc/net`; elsewhere nobody does, and the
//! link and the cookie are all that keeps other users of the machine out.

use std::net::SocketAddr;

/// Whether it may be spoken with: this user's own, or the system's (which can read everything here anyway, and which hands on
/// what a browser outside of a virtual machine asks).
#[cfg(target_os = "linux")]
pub fn is_ours(peer: SocketAddr, own: SocketAddr) -> bool {
    let tables: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    // Where the system tells nothing of anybody it cannot be asked.
    tables.is_empty()
        || tables.iter().find_map(|table| owner(table, peer.port(), own.port())).is_some_and(|uid| {
            let system = uid == 0;
            system || stafett_host::is_us(uid)
        })
}

#[cfg(not(target_os = "linux"))]
pub fn is_ours(_: SocketAddr, _: SocketAddr) -> bool {
    true
}

/// The user whose socket goes from one port to the other.
#[cfg(target_os = "linux")]
fn owner(table: &str, from: u16, to: u16) -> Option<u32> {
    const GONE: &str = "06";
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
        if port(local)? != from || port(remote)? != to || state == GONE {
            return None;
        }
        words.nth(3)?.parse().ok()
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 2 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1
";

    #[test]
    fn the_owner_of_the_other_end_is_found() {
        assert_eq!(owner(TABLE, 50_000, 8080), Some(1001));
        assert_eq!(owner(TABLE, 50_001, 8080), None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert!(is_ours(peer, listener.local_addr().unwrap()));
        assert!(!is_ours("127.0.0.1:1".parse().unwrap(), listener.local_addr().unwrap()), "nobody's");
    }
}
