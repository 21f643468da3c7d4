//! Addresses in ACLs: IPv4, with the number of bits that count.

use std::net::Ipv4Addr;

/// `10.0.0.0/8`, or one address.
pub(crate) struct Network {
    address: u32,
    bits: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok()?),
            None => (text, 32),
        };
        let address = parse_address(address)?;
        (bits <= 32).then_some(Self { address, bits })
    }

    pub(crate) fn contains(&self, address: &str) -> bool {
        let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
        parse_address(address).is_some_and(|address| (address ^ self.address) & mask == 0)
    }
}

fn parse_address(text: &str) -> Option<u32> {
    text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_bits_count() {
        let contains = |network: &str, address: &str| Network::parse(network).unwrap().contains(address);
        assert!(contains("127.0.0.0/8", "127.1.2.3"));
        assert!(!contains("127.0.0.0/8", "128.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4"));
        assert!(contains("10.0.0.1", "10.0.0.1"));
        assert!(!contains("10.0.0.1", "10.0.0.2"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(Network::parse("1.2.3.4/33").is_none());
        assert!(Network::parse("1.2.3.4/x").is_none());
    }
}
