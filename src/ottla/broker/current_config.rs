//! The broker's configuration as of now: what it was started with, under what ZooKeeper says on top of it (KIP-226).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::{BrokerConfig, Problem};

/// The configuration that holds; readers take a snapshot and keep it for one request at most.
pub struct CurrentConfig {
    start: BrokerConfig,
    current: RwLock<Arc<BrokerConfig>>,
}

impl CurrentConfig {
    /// What the broker was started with holds.
    pub fn new(start: BrokerConfig) -> CurrentConfig {
        CurrentConfig { current: RwLock::new(Arc::new(start.clone())), start }
    }

    /// What holds now.
    pub fn get(&self) -> Arc<BrokerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts the dynamic configs of all brokers and of this one over what the broker was started with. Returns what of
    /// them was left out, and why.
    pub fn set_dynamic(
        &self,
        all_brokers: &BTreeMap<String, String>,
        this_broker: &BTreeMap<String, String>,
    ) -> Vec<Problem> {
        let (config, warnings) = self.start.with_dynamic(all_brokers, this_broker);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_set_in_zookeeper_no_longer_holds() {
        let config = CurrentConfig::new(BrokerConfig::from_pairs(&[("log.segment.bytes", "1000")]).unwrap());
        let own = BTreeMap::from([("log.segment.bytes".to_owned(), "2000".to_owned())]);
        assert_eq!(config.set_dynamic(&BTreeMap::new(), &own), []);
        assert_eq!(config.get().topic_defaults.segment_bytes, 2000);
        config.set_dynamic(&BTreeMap::new(), &BTreeMap::new());
        assert_eq!(config.get().topic_defaults.segment_bytes, 1000);
    }
}
