//! Two listeners with names of their own: each tells its clients its own addresses.

use ottla_integration_tests::client::{kcat, ottla};
use ottla_integration_tests::{Broker, free_port};

#[test]
fn each_listener_tells_its_own_addresses() {
    let (client, replication) = (free_port(), free_port());
    let mut broker = Broker::with(
        false,
        &[
            &format!("listeners=CLIENT://127.0.0.1:{client},REPLICATION://127.0.0.1:{replication}"),
            &format!("advertised.listeners=CLIENT://localhost:{client},REPLICATION://127.0.0.1:{replication}"),
            "listener.security.protocol.map=CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT",
            "inter.broker.listener.name=REPLICATION",
        ],
    );
    for (asked, told) in [(client, format!("localhost:{client}")), (replication, format!("127.0.0.1:{replication}"))] {
        let bootstrap = format!("127.0.0.1:{asked}");
        let listed = kcat(&bootstrap, &["-L"], "").success();
        assert!(listed.contains(&format!("broker 0 at {told} ")), "asked {bootstrap}: {listed}");
        // Both addresses lead to the same log.
        kcat(&bootstrap, &["-P", "-t", "t", "-p", "0"], &format!("{asked}\n")).success();
    }
    let read = kcat(&format!("127.0.0.1:{client}"), &["-C", "-t", "t", "-e", "-q"], "").success();
    assert_eq!(read, format!("{client}\n{replication}\n"));

    let node = ottla(&["znodes", "get", "/brokers/ids/0", "--zookeeper", &broker.zookeeper], "").success();
    let endpoints = format!(r#""endpoints":["CLIENT://localhost:{client}","REPLICATION://127.0.0.1:{replication}"]"#);
    let map = r#""listener_security_protocol_map":{"CLIENT":"PLAINTEXT","REPLICATION":"PLAINTEXT"}"#;
    assert!(node.contains(&endpoints) && node.contains(map), "{node}");
    broker.stop(&[]);
}
