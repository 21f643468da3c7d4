//! Access control: who may do what with a node, which lists are acceptable, and the table of lists in use.

use crate::ip::Network;
use base64::Engine;
use ottla_jute::{Acl, ErrorCode, Id, Record};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Read the data and the list of children.
pub(crate) const READ: i32 = 1;
/// Set the data.
pub(crate) const WRITE: i32 = 2;
/// Create a child.
pub(crate) const CREATE: i32 = 4;
/// Delete a child.
pub(crate) const DELETE: i32 = 8;
/// Set the ACL.
pub(crate) const ADMIN: i32 = 16;

/// A list that one or more nodes have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AclEntry {
    /// Its number in snapshots.
    pub(crate) id: i64,
    /// The list.
    pub(crate) list: Vec<Acl>,
}

impl AclEntry {
    /// Whether one of these identities has the bit (`ZooKeeperServer.checkACL`).
    pub(crate) fn check(&self, bit: i32, ids: &[Id]) -> Result<(), ErrorCode> {
        let allowed = self.list.is_empty()
            || ids.iter().any(|id| id.scheme == "super")
            || self
                .list
                .iter()
                .any(|acl| acl.perms & bit != 0 && (is_anyone(&acl.id) || ids.iter().any(|id| matches(&acl.id, id))));
        if allowed { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    /// The list as those see it who may not change it: without the hashes of passwords.
    pub(crate) fn masked(&self) -> Vec<Acl> {
        let mut list = self.list.clone();
        for acl in list.iter_mut().filter(|acl| acl.id.scheme == "digest") {
            if let Some(colon) = acl.id.id.find(':') {
                acl.id.id.replace_range(colon.., ":x");
            }
        }
        list
    }
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

fn matches(entry: &Id, id: &Id) -> bool {
    entry.scheme == id.scheme
        && match entry.scheme.as_str() {
            "digest" => entry.id == id.id,
            "ip" => Network::parse(&entry.id).is_some_and(|network| network.contains(&id.id)),
            _ => false,
        }
}

/// The list as it is stored: without duplicates, `auth` replaced by the connection's own identities, or INVALIDACL
/// (`PrepRequestProcessor.fixupACL`).
pub(crate) fn fix_up(list: &[Acl], ids: &[Id]) -> Result<Vec<Acl>, ErrorCode> {
    let mut fixed: Vec<Acl> = Vec::with_capacity(list.len());
    for (index, acl) in list.iter().enumerate() {
        if list[..index].contains(acl) {
            continue;
        }
        match acl.id.scheme.as_str() {
            "world" if is_anyone(&acl.id) => fixed.push(acl.clone()),
            "digest" if is_digest(&acl.id.id) => fixed.push(acl.clone()),
            "ip" if Network::parse(&acl.id.id).is_some() => fixed.push(acl.clone()),
            "auth" => {
                let own: Vec<&Id> = ids.iter().filter(|id| id.scheme == "digest").collect();
                if own.is_empty() {
                    return Err(ErrorCode::InvalidAcl);
                }
                fixed.extend(own.into_iter().map(|id| Acl { perms: acl.perms, id: id.clone() }));
            }
            _ => return Err(ErrorCode::InvalidAcl),
        }
    }
    if fixed.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(fixed) }
}

/// Two parts by colons, counted as Java's `split` does: empty ones at the end do not count.
fn is_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// The identity that `user:password` proves: `user:BASE64(SHA1(user:password))`.
pub(crate) fn digest_identity(user_and_password: &[u8]) -> Id {
    let text = String::from_utf8_lossy(user_and_password);
    let user = text.split(':').next().unwrap_or_default();
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(text.as_bytes()));
    Id { scheme: "digest".into(), id: format!("{user}:{hash}") }
}

/// The lists in use; equal ones are one.
#[derive(Debug, Clone)]
pub(crate) struct AclTable {
    by_encoding: BTreeMap<Vec<u8>, Arc<AclEntry>>,
    /// `world:anyone` with all bits, for the server's own first nodes: without an entry in the table.
    unlisted_open: Arc<AclEntry>,
    last_id: i64,
}

impl AclTable {
    /// The number of the open list that needs no entry (`ReferenceCountedACLCache.OPEN_UNSAFE_ACL_ID`).
    pub(crate) const UNLISTED_OPEN: i64 = -1;

    pub(crate) fn new() -> Self {
        let open = AclEntry { id: Self::UNLISTED_OPEN, list: vec![Acl::open()] };
        Self { by_encoding: BTreeMap::new(), unlisted_open: Arc::new(open), last_id: 0 }
    }

    pub(crate) fn unlisted_open(&self) -> Arc<AclEntry> {
        self.unlisted_open.clone()
    }

    /// The entry of that list.
    pub(crate) fn intern(&mut self, list: &[Acl]) -> Arc<AclEntry> {
        let encoding = list.to_vec().encode();
        if let Some(entry) = self.by_encoding.get(&encoding) {
            return entry.clone();
        }
        self.last_id += 1;
        let entry = Arc::new(AclEntry { id: self.last_id, list: list.to_vec() });
        self.by_encoding.insert(encoding, entry.clone());
        entry
    }

    /// Puts an entry of a snapshot back under its number.
    pub(crate) fn restore(&mut self, id: i64, list: Vec<Acl>) -> Arc<AclEntry> {
        self.last_id = self.last_id.max(id);
        let encoding = list.encode();
        let entry = Arc::new(AclEntry { id, list });
        self.by_encoding.insert(encoding, entry.clone());
        entry
    }

    /// A node no longer has that list: forgets it if it was the last.
    pub(crate) fn release(&mut self, entry: Arc<AclEntry>) {
        // The table's own and the one in hand.
        if Arc::strong_count(&entry) == 2 {
            self.by_encoding.remove(&entry.list.encode());
        }
    }

    /// Forgets the lists that no node has.
    pub(crate) fn purge(&mut self) {
        self.by_encoding.retain(|_, entry| Arc::strong_count(entry) > 1);
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &AclEntry> {
        self.by_encoding.values().map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
        Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } }
    }

    #[test]
    fn a_digest_identity_is_the_one_zookeeper_computes() {
        assert_eq!(digest_identity(b"bob:secret").id, "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=");
        assert!(digest_identity(b"nobody").id.starts_with("nobody:"));
    }

    #[test]
    fn lists_are_fixed_up_or_refused() {
        let bob = Id { scheme: "digest".into(), id: "bob:h".into() };
        let here = Id { scheme: "ip".into(), id: "127.0.0.1".into() };
        let ids = [here, bob];
        let good = [acl(31, "world", "anyone"), acl(1, "digest", "joe:x"), acl(0, "ip", "10.0.0.0/8")];
        assert_eq!(fix_up(&good, &ids), Ok(good.to_vec()));
        assert_eq!(fix_up(&[good[0].clone(), good[0].clone()], &ids), Ok(vec![good[0].clone()]));
        assert_eq!(fix_up(&[acl(3, "auth", "x")], &ids), Ok(vec![acl(3, "digest", "bob:h")]));
        for bad in [
            acl(31, "world", "everyone"),
            acl(31, "digest", "joe"),
            acl(31, "digest", "a:b:c"),
            acl(31, "ip", "10.0.0"),
            acl(31, "ip", "10.0.0.0/33"),
            acl(31, "sasl", "x"),
            acl(31, "super", "x"),
            acl(31, "", ""),
        ] {
            assert_eq!(fix_up(std::slice::from_ref(&bad), &ids), Err(ErrorCode::InvalidAcl), "{bad:?}");
        }
        assert_eq!(fix_up(&[], &ids), Err(ErrorCode::InvalidAcl));
        assert_eq!(
            fix_up(&[acl(3, "auth", "")], &ids[..1]),
            Err(ErrorCode::InvalidAcl),
            "an address is not authenticated"
        );
    }

    #[test]
    fn an_entry_with_the_bit_and_the_identity_allows() {
        let entry = AclEntry {
            id: 1,
            list: vec![acl(READ, "world", "anyone"), acl(WRITE, "digest", "bob:h"), acl(CREATE, "ip", "10.1.0.0/16")],
        };
        let id = |scheme: &str, id: &str| [Id { scheme: scheme.into(), id: id.into() }];
        assert_eq!(entry.check(READ, &[]), Ok(()));
        assert_eq!(entry.check(WRITE, &[]), Err(ErrorCode::NoAuth));
        assert_eq!(entry.check(WRITE, &id("digest", "bob:h")), Ok(()));
        assert_eq!(entry.check(WRITE, &id("digest", "bob:other")), Err(ErrorCode::NoAuth));
        assert_eq!(entry.check(CREATE, &id("ip", "10.1.255.1")), Ok(()));
        assert_eq!(entry.check(CREATE, &id("ip", "10.2.0.1")), Err(ErrorCode::NoAuth));
        assert_eq!(entry.check(ADMIN, &id("super", "")), Ok(()));
        assert_eq!(entry.masked()[1].id.id, "bob:x");
    }

    #[test]
    fn equal_lists_are_one_entry_until_the_last_node_drops_it() {
        let mut table = AclTable::new();
        let (first, second) = (table.intern(&[Acl::open()]), table.intern(&[Acl::open()]));
        assert_eq!((first.id, second.id), (1, 1));
        table.release(first);
        assert_eq!(table.entries().count(), 1);
        table.release(second);
        assert_eq!(table.entries().count(), 0);
        assert_eq!(table.intern(&[Acl::open()]).id, 2, "numbers are not used twice");
    }
}
