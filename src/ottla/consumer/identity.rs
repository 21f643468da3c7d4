//! Who a consumer is.

use rand::RngExt;

use crate::host;

/// `Hostname:UUID`, the UUID random (version 4).
pub(super) fn new_consumer_id() -> String {
    // The id is part of a path.
    let host = host::name().replace('/', "-");
    let mut id: u128 = rand::rng().random();
    id = id & !(0xf << 76) | 0x4 << 76;
    id = id & !(0x3 << 62) | 0x2 << 62;
    let part = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
    let (a, b, c, d, e) = (part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48));
    format!("{host}:{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_id_is_the_host_and_a_random_uuid() {
        let id = new_consumer_id();
        let (host, uuid) = id.rsplit_once(':').unwrap();
        assert!(!host.is_empty());
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
        assert_ne!(new_consumer_id(), id);
    }
}
