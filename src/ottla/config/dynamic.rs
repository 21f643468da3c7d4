use std::collections::BTreeMap;

use super::{BrokerConfig, ConfigErrors, Problem, Settings, Source, Support, table};

impl BrokerConfig {
    /// The configuration with what ZooKeeper holds for all brokers (`/config/brokers/<default>`) and for this one put over
    /// it. To be asked of the configuration that the broker was started with. Keys that cannot change while the broker
    /// runs, unknown ones and wrong values are left out, each with a warning: a bad node must not stop a broker.
    pub fn with_dynamic(
        &self,
        all_brokers: &BTreeMap<String, String>,
        this_broker: &BTreeMap<String, String>,
    ) -> (BrokerConfig, Vec<Problem>) {
        let mut warnings = Vec::new();
        let mut config = self.clone();
        for (values, source) in [(all_brokers, Source::DynamicDefault), (this_broker, Source::DynamicBroker)] {
            for (key, value) in values {
                let mut settings = (*config.settings).clone();
                settings.set(key, value, source.clone());
                match table::support(key) {
                    Some(Support::Dynamic) => match BrokerConfig::new(settings) {
                        Ok(better) => config = better,
                        Err(ConfigErrors(problems)) => warnings.extend(problems),
                    },
                    Some(_) => warnings.push(settings.refused(key, "cannot change while the broker runs; ignored")),
                    None => warnings.push(settings.refused(key, "is a key that nobody knows; ignored")),
                }
            }
        }
        (config, warnings)
    }

    /// Whether AlterConfigs and IncrementalAlterConfigs may store these values for a broker; what is answered beside
    /// INVALID_REQUEST or INVALID_CONFIG when not.
    pub fn validate_dynamic(&self, values: &BTreeMap<String, String>) -> Result<(), String> {
        let fixed: Vec<&str> = values
            .keys()
            .map(String::as_str)
            .filter(|key| table::support(key).is_some_and(|support| support != Support::Dynamic))
            .collect();
        if !fixed.is_empty() {
            return Err(format!("Cannot update these configs dynamically: Set({})", fixed.join(", ")));
        }
        for (key, value) in values {
            let Some(row) = table::find(key) else { return Err(format!("Unknown broker config name: {key}")) };
            if let Err(why) = row.kind.check(value) {
                return Err(format!("Invalid value {value} for configuration {key}: {why}"));
            }
        }
        let mut settings: Settings = (*self.settings).clone();
        for (key, value) in values {
            settings.set(key, value, Source::DynamicBroker);
        }
        BrokerConfig::new(settings).map(drop).map_err(|errors| errors.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn this_broker_goes_before_all_brokers_before_the_file() {
        let config = BrokerConfig::from_pairs(&[("log.segment.bytes", "1000"), ("max.connections", "5")]).unwrap();
        let all = pairs(&[("log.segment.bytes", "2000"), ("log.retention.ms", "60000")]);
        let own = pairs(&[("log.segment.bytes", "3000")]);
        let (config, warnings) = config.with_dynamic(&all, &own);
        assert_eq!(warnings, []);
        assert_eq!(config.topic_defaults.segment_bytes, 3000);
        assert_eq!(config.topic_defaults.retention_ms, 60_000);
        assert_eq!(config.max_connections, 5);
    }

    #[test]
    fn a_bad_node_changes_nothing_and_warns() {
        let start = BrokerConfig::from_pairs(&[]).unwrap();
        let bad = pairs(&[("log.segment.bytes", "none"), ("broker.id", "7"), ("no.such.key", "1")]);
        let (config, warnings) = start.with_dynamic(&bad, &pairs(&[]));
        assert_eq!(config, start);
        let text: Vec<String> = warnings.iter().map(Problem::to_string).collect();
        assert_eq!(
            text,
            [
                "the cluster's dynamic configs: broker.id=7: cannot change while the broker runs; ignored",
                "the cluster's dynamic configs: log.segment.bytes=none: a whole number from 14 is expected",
                "the cluster's dynamic configs: no.such.key=1: is a key that nobody knows; ignored",
            ]
        );
    }

    #[test]
    fn requests_are_checked_before_they_are_stored() {
        let config = BrokerConfig::from_pairs(&[]).unwrap();
        let says = |key, value| config.validate_dynamic(&pairs(&[(key, value)])).err().unwrap_or_default();
        assert_eq!(says("log.segment.bytes", "20"), "");
        assert_eq!(says("broker.id", "1"), "Cannot update these configs dynamically: Set(broker.id)");
        assert_eq!(says("no.such.key", "1"), "Unknown broker config name: no.such.key");
        let message = "Invalid value 3 for configuration log.segment.bytes: Value must be at least 14";
        assert_eq!(says("log.segment.bytes", "3"), message);
        assert!(says("log.retention.ms", "0").contains("-1 (for ever) or a number from 1"));
    }
}
