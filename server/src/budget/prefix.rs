//! Whom an address counts for: an IPv4 address for itself, an IPv6 address for its /64, since whoever has one has all of
//! them.

use std::net::{IpAddr, Ipv6Addr};

/// A prefix of addresses that one household, school or attacker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(IpAddr);

impl Prefix {
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        // An IPv4 address in IPv6 clothes is the same address.
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) if address.is_loopback() => IpAddr::V6(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        })
    }

    /// This very machine, and whatever forwards to it: not counted for itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_whole_64_is_one_and_others_are_others() {
        let prefix = |text: &str| Prefix::of(text.parse().unwrap());
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_eq!(prefix("::ffff:192.0.2.7"), prefix("192.0.2.7"));
        assert_ne!(prefix("192.0.2.7"), prefix("192.0.2.8"));
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(prefix(near).is_loopback());
        }
        assert!(!prefix("::2").is_loopback());
    }
}
