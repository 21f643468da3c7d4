//! What happens to a broker when its ZooKeeper session, its ZooKeeper or itself goes away for a while. With a real
//! ZooKeeper, whose `dump` says which session owns what.

use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::Broker;
use ottla_integration_tests::broker::binary;
use ottla_integration_tests::client::kcat;
use ottla_integration_tests::process::{run, wait_until};
use ottla_integration_tests::zookeeper::zk_cli;

const REGISTRATION: &str = "/ottla/brokers/ids/0";
const CONTROLLER: &str = "/ottla/controller";

fn produce(broker: &Broker, topic: &str, text: &str) {
    kcat(&broker.bootstrap, &["-P", "-t", topic, "-p", "0"], text).success();
}

#[track_caller]
fn holds(broker: &Broker, topic: &str, text: &str) {
    let args = ["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"];
    assert_eq!(kcat(&broker.bootstrap, &args, "").success(), text);
}

fn owner(broker: &Broker, path: &str) -> Option<String> {
    broker.real_zookeeper().unwrap().owner(path)
}

/// The registration's czxid, which is the broker's epoch, and the controller's epoch.
fn epochs(broker: &Broker) -> (String, String) {
    let registration = zk_cli(&broker.zookeeper, &["get", "-s", "/brokers/ids/0"]).success();
    let czxid = registration.lines().find_map(|line| line.strip_prefix("cZxid = ")).unwrap().to_owned();
    let controller = zk_cli(&broker.zookeeper, &["get", "/controller_epoch"]).success();
    (czxid, controller.lines().rfind(|line| line.parse::<i32>().is_ok()).unwrap().to_owned())
}

#[track_caller]
fn says(broker: &Broker, text: &str) {
    assert!(broker.lines().iter().any(|line| line.contains(text)), "no '{text}' in\n{}", broker.lines().join("\n"));
}

#[test]
fn a_broker_that_slept_through_its_session_registers_again() {
    let mut broker = Broker::with(true, &["zookeeper.session.timeout.ms=4000"]);
    produce(&broker, "t", "before\n");
    let session = owner(&broker, REGISTRATION).expect("registered");
    let (broker_epoch, controller_epoch) = epochs(&broker);

    broker.signal("STOP");
    wait_until("the session expires", Duration::from_secs(20), || owner(&broker, REGISTRATION).is_none());
    broker.signal("CONT");
    wait_until("it registers again", Duration::from_secs(15), || owner(&broker, REGISTRATION).is_some());
    wait_until("it is controller again", Duration::from_secs(15), || {
        let owner = owner(&broker, CONTROLLER);
        owner.is_some() && owner.as_ref() != Some(&session)
    });

    produce(&broker, "t", "after\n");
    holds(&broker, "t", "before\nafter\n");
    produce(&broker, "made-by-the-new-controller", "x\n");
    let (new_broker_epoch, new_controller_epoch) = epochs(&broker);
    assert_ne!(broker_epoch, new_broker_epoch);
    let number = |text: &str| text.parse::<i32>().unwrap();
    assert!(number(&new_controller_epoch) > number(&controller_epoch), "{controller_epoch}, {new_controller_epoch}");
    says(&broker, "has expired");
    broker.stop(&["connection to ZooKeeper lost", "ZooKeeper session 0x"]);
}

#[test]
fn produce_and_fetch_go_on_while_zookeeper_is_away() {
    // Away for longer than the session lasts: only ZooKeeper may say that a session has ended, and it does not.
    let mut broker = Broker::with(true, &["zookeeper.session.timeout.ms=4000"]);
    produce(&broker, "t", "before\n");
    let session = owner(&broker, REGISTRATION).expect("registered");
    let mut expected = String::from("before\n");
    broker.zookeeper_process().kill();
    for round in 0..7 {
        let text = format!("meanwhile {round}\n");
        produce(&broker, "t", &text);
        expected += &text;
        holds(&broker, "t", &expected);
        std::thread::sleep(Duration::from_secs(1));
    }
    broker.zookeeper_process().restart();
    wait_until("new topics are made again", Duration::from_secs(20), || {
        kcat(&broker.bootstrap, &["-P", "-t", "new", "-p", "0", "-X", "message.timeout.ms=5000"], "x\n")
            .status
            .success()
    });
    holds(&broker, "new", "x\n");
    holds(&broker, "t", &expected);
    assert_eq!(owner(&broker, REGISTRATION), Some(session.clone()), "the same session goes on");
    assert_eq!(owner(&broker, CONTROLLER), Some(session), "the same controller goes on");
    says(&broker, "connection to ZooKeeper lost");
    says(&broker, "ZooKeeper is back");
    broker.stop(&["connection to ZooKeeper lost"]);
}

#[test]
fn a_broker_without_zookeeper_can_be_stopped() {
    let mut broker = Broker::with(true, &["zookeeper.session.timeout.ms=4000"]);
    produce(&broker, "t", "before\n");
    broker.zookeeper_process().kill();
    assert!(broker.terminate().success(), "{}", broker.lines().join("\n"));
    broker.check_log(&["ZooKeeper"]);

    broker.zookeeper_process().restart();
    broker.restart();
    holds(&broker, "t", "before\n");
    broker.stop(&[]);
}

#[test]
fn a_killed_broker_does_not_wait_for_its_ghost() {
    let mut broker = Broker::with(true, &[]);
    produce(&broker, "t", "before\n");
    let ghost = owner(&broker, REGISTRATION).expect("registered");
    broker.kill();
    assert_eq!(owner(&broker, REGISTRATION), Some(ghost.clone()), "the session lasts 18 s");
    let took = broker.restart();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_ne!(owner(&broker, REGISTRATION), Some(ghost.clone()));
    wait_until("it is controller", Duration::from_secs(2), || {
        owner(&broker, CONTROLLER).is_some_and(|owner| owner != ghost)
    });
    produce(&broker, "t", "after\n");
    holds(&broker, "t", "before\nafter\n");

    // Another folder is another broker, whatever its id says; and one address belongs to one broker.
    let session = owner(&broker, REGISTRATION);
    let taken = format!("advertised.listeners=PLAINTEXT://{}", broker.bootstrap);
    for (id, advertised, refusal) in [
        ("broker.id=0", "advertised.listeners=PLAINTEXT://127.0.0.1:1", "broker id 0 is taken"),
        ("broker.id=7", taken.as_str(), "broker 0 advertises"),
    ] {
        let mut second = Command::new(binary());
        second.args(["start", "--data", broker.folder().join(id).to_str().unwrap()]);
        let zookeeper = format!("zookeeper.connect={}", broker.zookeeper);
        for setting in [id, advertised, "listeners=PLAINTEXT://127.0.0.1:0", &zookeeper] {
            second.args(["--override", setting]);
        }
        let refused = run(&mut second, b"");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "one line: {}", refused.stderr);
        assert!(refused.stderr.contains(refusal), "{}", refused.stderr);
    }
    assert_eq!(owner(&broker, REGISTRATION), session, "the first one is not touched");
    produce(&broker, "t", "still\n");
    broker.stop(&["was not stopped cleanly", "recovered"]);
}
