//! DescribeConfigs (KIP-133; sources and synonyms: KIP-226; types and documentation: KIP-569). `ConfigHelper.scala`.
//!
//! Version 0 says only whether a value is the default; later versions say where it comes from. A broker answers for itself
//! and, under the empty name, for what all brokers have in common.

use std::sync::Arc;

use futures_util::future::join_all;
use ottla_protocol::ErrorCode;
use ottla_protocol::schema::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_types::{BrokerId, TopicName};
use zk_schema::ConfigEntity;

use crate::broker::api_error::{ApiError, outcome};
use crate::broker::config_alteration::{BROKER, BROKER_LOGGER, TOPIC, parse_broker, to_map};
use crate::broker::current_config::CurrentConfig;
use crate::broker::metadata_cache::MetadataCache;
use crate::broker::request::Reply;
use crate::config::describe::{self, ConfigSource, Entry, Synonym};
use crate::zk::store_configs;
use crate::zk::znodes::Znodes;

/// What the handler needs.
pub struct DescribeConfigs {
    /// This broker.
    pub broker_id: BrokerId,
    /// Where topics' own configs are.
    pub znodes: Arc<dyn Znodes>,
    /// Which topics there are.
    pub cache: Arc<MetadataCache>,
    /// The broker's configuration.
    pub config: Arc<CurrentConfig>,
}

impl DescribeConfigs {
    /// Answers when the topics' own configs are read.
    pub fn handle(self: &Arc<Self>, request: DescribeConfigsRequest) -> Reply<DescribeConfigsResponse> {
        let handler = self.clone();
        Reply::later(async move { handler.answer(&request).await })
    }

    pub(super) async fn answer(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = request.resources.iter().map(|resource| async {
            let described = self.describe(resource).await;
            let (error_code, error_message) = outcome(&described.as_ref().map(drop).map_err(Clone::clone));
            let asked = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
            let entries = described.unwrap_or_default().into_iter();
            let entries = entries.filter(|entry| asked.is_none_or(|keys| keys.iter().any(|key| **key == *entry.name)));
            DescribeConfigsResult {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                configs: entries.map(|entry| wire_entry(request, entry)).collect(),
            }
        });
        DescribeConfigsResponse { results: join_all(results).await, ..DescribeConfigsResponse::default() }
    }

    async fn describe(&self, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, ApiError> {
        let refused = |message: String| ApiError::new(ErrorCode::InvalidRequest, message);
        let name: &str = &resource.resource_name;
        let settings = self.config.get().settings.clone();
        match resource.resource_type {
            TOPIC => {
                let topic = TopicName::new(name)
                    .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
                if !self.cache.snapshot().topics.contains_key(&topic) {
                    return Err(ErrorCode::UnknownTopicOrPartition.into());
                }
                let own = store_configs::configs(&*self.znodes, &ConfigEntity::Topic(topic)).await?;
                Ok(describe::topic(&settings, &to_map(&own)))
            }
            BROKER if name.is_empty() => {
                Ok(describe::broker(&settings).into_iter().filter_map(of_all_brokers).collect())
            }
            BROKER if parse_broker(name)? == self.broker_id => Ok(describe::broker(&settings)),
            BROKER => {
                let id = self.broker_id;
                Err(refused(format!("Unexpected broker id, expected {id} or empty string, but received {name}")))
            }
            BROKER_LOGGER => Err(refused("Unsupported resource type: BROKER_LOGGER".into())),
            other => Err(refused(format!("Unsupported resource type: {other}"))),
        }
    }
}

/// What of an entry is said for all brokers, if anything is.
fn of_all_brokers(entry: Entry) -> Option<Entry> {
    let said = |synonym: &Synonym| synonym.source == ConfigSource::DynamicDefaultBroker;
    let own = entry.synonyms.iter().find(|synonym| said(synonym) && synonym.name == entry.name)?.clone();
    Some(Entry {
        value: own.value,
        source: ConfigSource::DynamicDefaultBroker,
        synonyms: entry.synonyms.into_iter().filter(said).collect(),
        ..entry
    })
}

fn wire_entry(request: &DescribeConfigsRequest, entry: Entry) -> DescribeConfigsResourceResult {
    let synonym = |synonym: Synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Into::into),
        source: synonym.source as i8,
    };
    let synonyms = if request.include_synonyms { entry.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        is_default: entry.source == ConfigSource::Default,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type: entry.kind.wire_id(),
        documentation: request.include_documentation.then(|| entry.documentation.into()),
    }
}
