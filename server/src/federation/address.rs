//! Where a peer's server may be: what its address resolves to is looked at before anything is sent, and
//! the connection goes to the very address that was looked at (attacks C17, F13).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A peer's `https://host:port`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// Why an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("an address is https://host:port and nothing more")]
    Form,
    #[error("the address is none that a server of another municipality can have")]
    Forbidden,
    #[error("the host name leads into a private network")]
    Private,
    #[error("the host name does not resolve")]
    Unresolved,
}

const HTTPS_PORT: u16 = 443;
const NAME_BYTES: usize = 253;

impl Address {
    /// Takes exactly `https://host[:port]`; a literal that no server can have is refused here already.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        let rest = url.strip_prefix("https://").ok_or(BadAddress::Form)?;
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or(BadAddress::Form)?;
            host.parse::<Ipv6Addr>().map_err(|_| BadAddress::Form)?;
            (host, port.strip_prefix(':').map_or((port.is_empty()).then_some(""), Some).ok_or(BadAddress::Form)?)
        } else {
            rest.split_once(':').unwrap_or((rest, ""))
        };
        let port = if port.is_empty() { HTTPS_PORT } else { port.parse().map_err(|_| BadAddress::Form)? };
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':');
        if host.is_empty() || host.len() > NAME_BYTES || !host.bytes().all(plain) || port == 0 {
            return Err(BadAddress::Form);
        }
        let address = Self { host: host.to_owned(), port };
        match address.literal() {
            Some(ip) if is_never_a_server(ip) => Err(BadAddress::Forbidden),
            // What looks like a number and is no address (`127.1`, `0x7f000001`) resolvers read as one.
            None if host.rsplit('.').next().is_some_and(is_numeric) => Err(BadAddress::Form),
            _ => Ok(address),
        }
    }

    fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The address to connect to. A literal is what the operator has read and added; a name may only lead
    /// to public addresses, all of them, and `localhost` to this machine.
    pub async fn resolve(&self) -> Result<SocketAddr, BadAddress> {
        if let Some(ip) = self.literal() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| BadAddress::Unresolved)?.collect();
        choose(&self.host, &found)
    }
}

fn is_numeric(label: &str) -> bool {
    label.is_empty() || label.bytes().all(|c| c.is_ascii_digit()) || label.starts_with("0x")
}

fn choose(host: &str, found: &[SocketAddr]) -> Result<SocketAddr, BadAddress> {
    let local = host == "localhost";
    let allowed = |ip: IpAddr| if local { ip.is_loopback() } else { is_public(ip) };
    if found.iter().any(|address| !allowed(address.ip())) {
        return Err(BadAddress::Private);
    }
    // IPv4 first where both are given: a machine without IPv6 must not wait for it.
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or(BadAddress::Unresolved)
}

/// Link-local (cloud metadata lives there), multicast, broadcast, unspecified, and IPv4 in disguise.
fn is_never_a_server(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.octets().first() == Some(&0)
        }
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() || embeds_v4(ip),
    }
}

/// Mapped, compatible, NAT64, 6to4 and Teredo addresses carry an IPv4 address that would escape the check.
fn embeds_v4(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let mapped_or_compatible = matches!(s, [0, 0, 0, 0, 0, 0 | 0xffff, ..]) && !ip.is_loopback();
    mapped_or_compatible || matches!(s, [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..])
}

fn is_public(ip: IpAddr) -> bool {
    if is_never_a_server(ip) || ip.is_loopback() {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => !ip.is_private() && !ip.is_documentation() && !is_special_v4(ip),
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Global unicast is 2000::/3; unique local and site local are not in it.
            (first & 0xe000) == 0x2000 && (first, second) != (0x2001, 0x0db8)
        }
    }
}

/// Carrier NAT, protocol assignments, benchmarks, reserved.
fn is_special_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    (a == 100 && (64..128).contains(&b)) || (a, b, c) == (192, 0, 0) || (a == 198 && (b & 0xfe) == 18) || a >= 240
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn f13_names_lead_to_public_addresses_only() {
        let one = |text: &str| vec![SocketAddr::new(text.parse().unwrap(), 8443)];
        for public in ["193.212.1.10", "2a02:c0::7"] {
            assert!(choose("stafett.example", &one(public)).is_ok(), "{public}");
        }
        for inside in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "240.0.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert_eq!(choose("stafett.example", &one(inside)), Err(BadAddress::Private), "{inside}");
        }
        // One bad answer among good ones is a rebinding attempt.
        let both = [one("193.212.1.10"), one("10.0.0.1")].concat();
        assert_eq!(choose("stafett.example", &both), Err(BadAddress::Private));
        assert_eq!(choose("stafett.example", &[]), Err(BadAddress::Unresolved));
        assert!(choose("localhost", &one("127.0.0.1")).is_ok());
        assert_eq!(choose("localhost", &one("193.212.1.10")), Err(BadAddress::Private));
    }

    #[tokio::test]
    async fn a_literal_is_the_operators_own_choice_unless_no_server_can_be_there() {
        for literal in ["https://127.0.0.1:8443", "https://10.0.0.7:8443", "https://[::1]:8443", "https://[2a02:c0::7]"]
        {
            assert!(Address::parse(literal).unwrap().resolve().await.is_ok(), "{literal}");
        }
        for never in
            ["https://169.254.169.254", "https://[::ffff:10.0.0.1]:1", "https://0.0.0.0:1", "https://[fe80::1]"]
        {
            assert_eq!(Address::parse(never), Err(BadAddress::Forbidden), "{never}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(Address::parse("https://a.example").unwrap(), Address { host: "a.example".into(), port: 443 });
        for bad in [
            "http://a.example",
            "https://",
            "https://a.example/path",
            "https://u@a.example",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a.example:1:2",
            "https://a b",
            "https://[::1",
            "https://127.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://a.example?x",
            "https://[a.example]",
            "https://a.",
        ] {
            assert_eq!(Address::parse(bad), Err(BadAddress::Form), "{bad}");
        }
    }
}
