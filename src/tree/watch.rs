//! Who waits for what: watches of one table (`WatchManager.java`).

use ottla_jute::EventType;
use std::collections::{BTreeMap, BTreeSet};

/// How long a watch lasts and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchMode {
    /// Fires once.
    Standard,
    /// Fires until it is removed.
    Persistent,
    /// As persistent, for the node and everything below it, but never for a list of children.
    PersistentRecursive,
}

/// Watches by path. A session has at most one on a path; a later one replaces its mode.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchTable {
    by_path: BTreeMap<String, BTreeMap<i64, WatchMode>>,
    by_session: BTreeMap<i64, BTreeSet<String>>,
    recursive: usize,
}

impl WatchTable {
    pub(crate) fn add(&mut self, session: i64, path: &str, mode: WatchMode) {
        let replaced = self.by_path.entry(path.to_owned()).or_default().insert(session, mode);
        self.recursive += usize::from(mode == WatchMode::PersistentRecursive);
        self.recursive -= usize::from(replaced == Some(WatchMode::PersistentRecursive));
        self.by_session.entry(session).or_default().insert(path.to_owned());
    }

    /// Whether that session watches exactly that path.
    pub(crate) fn contains(&self, session: i64, path: &str) -> bool {
        self.by_path.get(path).is_some_and(|watchers| watchers.contains_key(&session))
    }

    /// Removes it whatever its mode; false if there is none.
    pub(crate) fn remove(&mut self, session: i64, path: &str) -> bool {
        let Some(watchers) = self.by_path.get_mut(path) else { return false };
        let Some(mode) = watchers.remove(&session) else { return false };
        if watchers.is_empty() {
            self.by_path.remove(path);
        }
        self.recursive -= usize::from(mode == WatchMode::PersistentRecursive);
        if let Some(paths) = self.by_session.get_mut(&session) {
            paths.remove(path);
            if paths.is_empty() {
                self.by_session.remove(&session);
            }
        }
        true
    }

    pub(crate) fn remove_session(&mut self, session: i64) {
        for path in self.by_session.remove(&session).unwrap_or_default() {
            let Some(watchers) = self.by_path.get_mut(&path) else { continue };
            if watchers.remove(&session) == Some(WatchMode::PersistentRecursive) {
                self.recursive -= 1;
            }
            if watchers.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }

    /// The sessions that an event at that path concerns; their standard watches are gone.
    pub(crate) fn trigger(&mut self, path: &str, event: EventType) -> BTreeSet<i64> {
        let mut concerned = BTreeSet::new();
        if self.recursive > 0 && event != EventType::NodeChildrenChanged {
            let mut ancestor = path;
            loop {
                let watchers = self.by_path.get(ancestor).into_iter().flatten();
                concerned.extend(
                    watchers.filter(|(_, mode)| **mode == WatchMode::PersistentRecursive).map(|(session, _)| *session),
                );
                match ancestor.rfind('/') {
                    Some(0) if ancestor != "/" => ancestor = "/",
                    Some(slash) if slash > 0 => ancestor = &ancestor[..slash],
                    _ => break,
                }
            }
        }
        let own: Vec<(i64, WatchMode)> =
            self.by_path.get(path).into_iter().flatten().map(|(session, mode)| (*session, *mode)).collect();
        for (session, mode) in own {
            if mode != WatchMode::PersistentRecursive {
                concerned.insert(session);
            }
            if mode == WatchMode::Standard {
                self.remove(session, path);
            }
        }
        concerned
    }

    /// Watches by path.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, Vec<i64>)> {
        self.by_path.iter().map(|(path, watchers)| (path.as_str(), watchers.keys().copied().collect()))
    }

    /// Number of watches.
    pub(crate) fn len(&self) -> usize {
        self.by_path.values().map(BTreeMap::len).sum()
    }
}
