//! The figures that operators look at first, after traffic whose numbers are known.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ottla_integration_tests::client::{kcat, ottla};
use ottla_integration_tests::process::wait_until;
use ottla_integration_tests::{Broker, free_port};

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of a series by its name and labels, as they stand in the text.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn the_figures_fit_the_traffic() {
    let port = free_port();
    let mut broker = Broker::with(false, &[&format!("metrics.port={port}")]);
    let create = ["topics", "--bootstrap-server", &broker.bootstrap, "--create", "--topic", "t", "--partitions", "3"];
    ottla(&create, "").success();
    let text: String = (0..100).map(|i| format!("message {i}\n")).collect();
    kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "1"], &text).success();
    for _ in 0..2 {
        kcat(&broker.bootstrap, &["-C", "-t", "t", "-p", "1", "-o", "beginning", "-e", "-q"], "").success();
    }
    let refused = kcat(&broker.bootstrap, &["-P", "-t", "t", "-p", "1", "-X", "message.max.bytes=3000000"], &{
        let mut large = "x".repeat(2_000_000);
        large.push('\n');
        large
    });
    assert!(!refused.status.success());
    wait_until("the states are counted", Duration::from_secs(15), || {
        value(&get(port, "/metrics"), "kafka_server_replicamanager_partitioncount") == Some(3.0)
    });
    let answer = get(port, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let of = |series: &str| value(&answer, series).unwrap_or_else(|| panic!("no {series} in\n{answer}"));
    let topics = "kafka_server_brokertopicmetrics_";
    for labels in ["", "{topic=\"t\"}"] {
        assert_eq!(of(&format!("{topics}messagesin_total{labels}")), 100.0);
        let bytes_in = of(&format!("{topics}bytesin_total{labels}"));
        assert!((1000.0..100_000.0).contains(&bytes_in), "{bytes_in}");
        assert_eq!(of(&format!("{topics}bytesout_total{labels}")), 2.0 * bytes_in, "it was read twice");
        assert!(of(&format!("{topics}failedproducerequests_total{labels}")) >= 1.0);
    }
    assert!(of("kafka_network_requestmetrics_requests_total{request=\"Produce\"}") >= 2.0);
    assert!(of("kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}") >= 2.0);
    assert!(of("kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.99\"}") > 0.0);
    for (name, expected) in [
        ("server_replicamanager_leadercount", 3.0),
        ("server_replicamanager_underreplicatedpartitions", 0.0),
        ("server_replicamanager_underminisrpartitioncount", 0.0),
        ("server_replicamanager_isrshrinks_total", 0.0),
        ("server_replicamanager_isrexpands_total", 0.0),
        ("controller_kafkacontroller_activecontrollercount", 1.0),
        ("controller_kafkacontroller_offlinepartitionscount", 0.0),
    ] {
        assert_eq!(of(&format!("kafka_{name}")), expected, "{name}");
    }
    assert!(get(port, "/else").starts_with("HTTP/1.1 404"));
    broker.stop(&[]);
}
