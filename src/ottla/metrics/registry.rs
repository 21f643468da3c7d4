use std::fmt::Error;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Metrics, TopicCounters};

/// The percentiles of Kafka's histograms; `0.$8` in the rules makes 0.999 of the 999th.
const QUANTILES: [(&str, f64); 6] =
    [("0.50", 0.50), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

type Labels = Vec<(&'static str, String)>;
type OfTopic = fn(&TopicCounters) -> u64;

impl Metrics {
    /// The figures as OpenMetrics text.
    pub fn encode(self: &Arc<Self>) -> Result<String, Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn encode_topics(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner).clone();
        let figures: [(&str, &str, OfTopic); 4] = [
            ("messagesin", "Records appended for clients", |topic| topic.messages_in.get()),
            ("bytesin", "Bytes of records appended for clients", |topic| topic.bytes_in.get()),
            ("bytesout", "Bytes of records sent to clients", |topic| topic.bytes_out.get()),
            ("failedproducerequests", "Partitions of Produce requests that were refused", |topic| {
                topic.failed_produce_requests.get()
            }),
        ];
        for (name, help, value) in figures {
            let all = (Labels::new(), value(&self.all_topics));
            let each = topics.iter().map(|(topic, counters)| (vec![("topic", topic.to_string())], value(counters)));
            let series: Vec<(Labels, u64)> = std::iter::once(all).chain(each).collect();
            counter(encoder, &format!("kafka_server_brokertopicmetrics_{name}"), help, &series)?;
        }
        Ok(())
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let name = "kafka_network_requestmetrics";
        let label = |request: &str| vec![("request", request.to_owned())];
        let came = self.requests.iter().filter(|(_, counters)| counters.requests.get() > 0);
        let requests: Vec<(Labels, u64)> =
            came.clone().map(|(request, counters)| (label(request), counters.requests.get())).collect();
        counter(encoder, &format!("{name}_requests"), "Requests that came", &requests)?;

        let (mut counts, mut times) = (Vec::new(), Vec::new());
        for (request, counters) in came.filter(|(_, counters)| counters.total_time.count() > 0) {
            counts.push((label(request), counters.total_time.count() as i64));
            let shares = QUANTILES.map(|(_, share)| share);
            let values = counters.total_time.quantiles(&shares, Instant::now());
            for ((text, _), value) in QUANTILES.iter().zip(values) {
                let mut labels = label(request);
                labels.push(("quantile", (*text).to_owned()));
                times.push((labels, value));
            }
        }
        let help = "Milliseconds from a request's coming to its answer, in the last minutes";
        gauge(encoder, &format!("{name}_totaltimems"), help, &times)?;
        gauge(encoder, &format!("{name}_totaltimems_count"), "Requests that were answered", &counts)
    }

    fn encode_replicas(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let gauges = [
            ("server_replicamanager_partitioncount", "Partitions that this broker hosts", &self.partition_count),
            ("server_replicamanager_leadercount", "Partitions that this broker leads", &self.leader_count),
            (
                "server_replicamanager_underreplicatedpartitions",
                "Partitions led here with fewer in-sync replicas than replicas",
                &self.under_replicated_partitions,
            ),
            (
                "server_replicamanager_underminisrpartitioncount",
                "Partitions led here with fewer in-sync replicas than min.insync.replicas",
                &self.under_min_isr_partition_count,
            ),
            (
                "controller_kafkacontroller_activecontrollercount",
                "1 while this broker is the controller",
                &self.active_controller_count,
            ),
            (
                "controller_kafkacontroller_offlinepartitionscount",
                "Partitions without a leader, as the controller sees it",
                &self.offline_partitions_count,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(encoder, &format!("kafka_{name}"), help, &[(Labels::new(), value.get())])?;
        }
        let counters = [
            ("isrshrinks", "ISRs that this broker, as leader, made smaller", &self.isr_shrinks),
            ("isrexpands", "ISRs that this broker, as leader, made larger", &self.isr_expands),
        ];
        for (name, help, value) in counters {
            let series = [(Labels::new(), value.get())];
            counter(encoder, &format!("kafka_server_replicamanager_{name}"), help, &series)?;
        }
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.encode_topics(&mut encoder)?;
        self.encode_requests(&mut encoder)?;
        self.encode_replicas(&mut encoder)
    }
}

/// A family of counters; the format adds `_total` to the name.
fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, series: &[(Labels, u64)]) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in series {
        match labels.is_empty() {
            true => family.encode_counter::<Labels, u64, u64>(value, None)?,
            false => family.encode_family(labels)?.encode_counter::<Labels, u64, u64>(value, None)?,
        }
    }
    Ok(())
}

fn gauge<V: prometheus_client::encoding::EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: &[(Labels, V)],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        match labels.is_empty() {
            true => family.encode_gauge(value)?,
            false => family.encode_family(labels)?.encode_gauge(value)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ottla_protocol::ApiKey;
    use ottla_types::TopicName;

    use super::*;

    #[test]
    fn figures_have_the_names_that_jmx_exporter_gives_them() {
        let metrics = Arc::new(Metrics::new());
        let topic = TopicName::new("orders").unwrap();
        let counters = metrics.topic(&topic);
        metrics.produced(&counters, 3, 100);
        metrics.produce_failed(&counters);
        metrics.fetched(&counters, 50);
        metrics.request(ApiKey::Produce);
        metrics.answered(ApiKey::Produce, Duration::from_millis(2));
        metrics.partition_count.set(4);
        metrics.leader_count.set(2);
        metrics.active_controller_count.set(1);
        metrics.isr_shrinks.add(1);
        let text = metrics.encode().unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "kafka_server_brokertopicmetrics_messagesin_total 3",
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 3",
            "kafka_server_brokertopicmetrics_bytesin_total 100",
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"orders\"} 100",
            "kafka_server_brokertopicmetrics_bytesout_total 50",
            "kafka_server_brokertopicmetrics_bytesout_total{topic=\"orders\"} 50",
            "kafka_server_brokertopicmetrics_failedproducerequests_total 1",
            "kafka_server_brokertopicmetrics_failedproducerequests_total{topic=\"orders\"} 1",
            "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1",
            "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 1",
            "kafka_server_replicamanager_partitioncount 4",
            "kafka_server_replicamanager_leadercount 2",
            "kafka_server_replicamanager_underreplicatedpartitions 0",
            "kafka_server_replicamanager_underminisrpartitioncount 0",
            "kafka_controller_kafkacontroller_activecontrollercount 1",
            "kafka_controller_kafkacontroller_offlinepartitionscount 0",
            "kafka_server_replicamanager_isrshrinks_total 1",
            "kafka_server_replicamanager_isrexpands_total 0",
        ];
        let other: Vec<&str> = lines.iter().copied().filter(|line| !line.contains("totaltimems{")).collect();
        assert_eq!(other, expected);
        let quantiles =
            lines.iter().filter(|line| line.contains("totaltimems{request=\"Produce\",quantile=\"0.")).count();
        assert_eq!(quantiles, QUANTILES.len());
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_topic_that_is_gone_has_no_series() {
        let metrics = Arc::new(Metrics::new());
        let topic = TopicName::new("orders").unwrap();
        let counters = metrics.topic(&topic);
        metrics.produced(&counters, 1, 1);
        metrics.keep_topics(&[].into());
        assert!(metrics.encode().unwrap().contains("orders"), "a partition is here that the list does not have yet");
        drop(counters);
        metrics.keep_topics(&[].into());
        let text = metrics.encode().unwrap();
        assert!(!text.contains("orders"));
        assert!(text.contains("messagesin_total 1\n"));
    }

    #[test]
    fn a_topic_that_was_deleted_counts_anew() {
        let metrics = Arc::new(Metrics::new());
        let topic = TopicName::new("orders").unwrap();
        let old = metrics.topic(&topic);
        metrics.produced(&old, 5, 5);
        metrics.forget_topic(&topic);
        // A request that was under way.
        metrics.produced(&old, 1, 1);
        assert!(!metrics.encode().unwrap().contains("orders"));
        metrics.produced(&metrics.topic(&topic), 2, 2);
        let text = metrics.encode().unwrap();
        assert!(text.contains("messagesin_total{topic=\"orders\"} 2\n") && text.contains("messagesin_total 8\n"));
    }
}
