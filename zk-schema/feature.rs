//! `/feature`: finalized feature levels.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::document::{self, DecodeError, Document};

/// The node of the finalized features.
pub const PATH: &str = "/feature";

/// `/feature`, persistent: the finalized feature levels (KIP-584; `ZkData.scala` FeatureZNode). ZooKeeper-mode brokers have
/// none. Versions 1 and 2 are read, 2 is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalizedFeatures {
    /// Whether the controller's inter.broker.protocol.version is 2.7-IV0 or higher.
    pub enabled: bool,
    /// Feature name to its finalized level.
    pub features: BTreeMap<String, i32>,
}

impl FinalizedFeatures {
    /// Reads any version.
    pub fn decode(path: &str, data: &[u8]) -> Result<FinalizedFeatures, DecodeError> {
        let document = Document::parse(path, "delete the node: the next controller writes it anew", data)?;
        let mut features = BTreeMap::new();
        for (name, levels) in document.optional_object("features")?.into_iter().flatten() {
            let level = levels.get("max_version_level").and_then(document::int);
            let level = level.ok_or_else(|| document.error(&format!("features.{name}"), "has no max_version_level"))?;
            features.insert(name.clone(), level);
        }
        Ok(FinalizedFeatures { enabled: document.int("status")? == 1, features })
    }

    /// Version 2, keys in the order of Kafka 3.9.
    pub fn encode(&self) -> Vec<u8> {
        let feature = |(name, level): (&String, &i32)| (name.clone(), json!({"max_version_level": level}));
        let features: Map<String, Value> = self.features.iter().map(feature).collect();
        document::encode(&json!({"features": features, "version": 2, "status": i32::from(self.enabled)}))
    }
}
