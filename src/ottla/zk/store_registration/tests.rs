use ottla_types::{ListenerName, SecurityProtocol};

use super::super::fake::{FakeEnsemble, FakeZnodes, Fate};
use super::super::store_election::{Election, elect};
use super::*;

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        listener: ListenerName::new("PLAINTEXT"),
        security_protocol: SecurityProtocol::Plaintext,
        host: "h".into(),
        port,
    }
}

fn registration(port: u16) -> BrokerRegistration {
    BrokerRegistration {
        endpoints: vec![endpoint(port)],
        rack: None,
        jmx_port: -1,
        timestamp_ms: Some(5),
        features: Default::default(),
    }
}

async fn started(ensemble: &FakeEnsemble) -> FakeZnodes {
    let zk = ensemble.connect();
    create_parents(&zk).await.unwrap();
    zk
}

#[tokio::test]
async fn the_folders_are_made_once_whatever_is_lost_on_the_way() {
    for lost in [Fate::Answered, Fate::DoneUnseen, Fate::NeverArrived] {
        let zk = FakeEnsemble::default().connect();
        zk.create("/brokers", b"", CreateMode::Persistent).await.unwrap();
        let mut fates = vec![Fate::Answered; PERSISTENT_PARENTS.len()];
        fates.push(lost);
        zk.plan(&fates);
        create_parents(&zk).await.unwrap();
        for path in PERSISTENT_PARENTS {
            assert!(zk.exists(path).await.unwrap().is_some(), "{path} {lost:?}");
        }
    }
}

#[tokio::test]
async fn the_first_cluster_id_stays() {
    let ensemble = FakeEnsemble::default();
    let (a, b) = (started(&ensemble).await, ensemble.connect());
    a.plan(&[Fate::Answered, Fate::DoneUnseen]);
    assert_eq!(cluster_id_or_create(&a, "first").await.unwrap(), "first");
    assert_eq!(cluster_id_or_create(&b, "second").await.unwrap(), "first");
    assert_eq!(a.get("/cluster/id").await.unwrap().0, br#"{"version":"1","id":"first"}"#);
}

#[tokio::test]
async fn generated_ids_begin_at_1001_and_are_never_the_same() {
    let zk = started(&FakeEnsemble::default()).await;
    assert_eq!(generate_broker_id(&zk, 1000).await.unwrap(), BrokerId(1001));
    zk.plan(&[Fate::DoneUnseen]);
    assert_eq!(generate_broker_id(&zk, 1000).await.unwrap(), BrokerId(1003));
    assert_eq!(generate_broker_id(&zk, i32::MAX).await, Err(RegistrationError::NoIdLeft));
}

#[tokio::test]
async fn a_registration_is_ephemeral_at_version_1_and_its_epoch_is_czxid() {
    let zk = started(&FakeEnsemble::default()).await;
    let epoch = register(&zk, BrokerId(7), &registration(1), None).await.unwrap();
    let (data, stat) = zk.get("/brokers/ids/7").await.unwrap();
    assert_eq!((data, stat.version), (registration(1).encode(), 1));
    assert_eq!((stat.ephemeral_owner, stat.czxid), (zk.session_id(), epoch.0));
    // In the same session it is the same registration; new listeners are written.
    assert_eq!(register(&zk, BrokerId(7), &registration(2), None).await, Ok(epoch));
    assert_eq!(zk.get("/brokers/ids/7").await.unwrap().0, registration(2).encode());
}

#[tokio::test]
async fn a_lost_answer_registers_once() {
    for lost in [Fate::DoneUnseen, Fate::NeverArrived] {
        let zk = started(&FakeEnsemble::default()).await;
        zk.plan(&[lost]);
        let epoch = register(&zk, BrokerId(7), &registration(1), None).await.unwrap();
        assert_eq!(zk.exists("/brokers/ids/7").await.unwrap().unwrap().czxid, epoch.0, "{lost:?}");
    }
}

#[tokio::test]
async fn a_restart_does_not_wait_for_its_ghost() {
    let ensemble = FakeEnsemble::default();
    let dead = started(&ensemble).await;
    let before = register(&dead, BrokerId(7), &registration(1), None).await.unwrap();
    let Ok(Election::Won(_)) = elect(&dead, BrokerId(7), 5).await else { panic!() };
    let ghost = dead.session_id();

    let zk = ensemble.connect();
    let refused = register(&zk, BrokerId(7), &registration(1), None).await;
    assert!(matches!(refused, Err(RegistrationError::Taken { owner, .. }) if owner == ghost), "{refused:?}");
    let after = register(&zk, BrokerId(7), &registration(1), [1, ghost]).await.unwrap();
    assert!(after.0 > before.0, "another life, another epoch");
    assert_eq!(zk.exists("/brokers/ids/7").await.unwrap().unwrap().ephemeral_owner, zk.session_id());
    assert!(matches!(elect(&zk, BrokerId(7), 6).await, Ok(Election::Won(_))), "the ghost is still the controller");
    // The ghost's end takes nothing of ours.
    dead.close().await.unwrap();
    assert!(zk.exists("/brokers/ids/7").await.unwrap().is_some());
    assert!(zk.exists("/controller").await.unwrap().is_some());
}

#[tokio::test]
async fn a_ghost_that_lost_the_controllership_takes_nobody_elses() {
    let ensemble = FakeEnsemble::default();
    let (dead, other) = (started(&ensemble).await, ensemble.connect());
    register(&dead, BrokerId(7), &registration(1), None).await.unwrap();
    elect(&other, BrokerId(8), 5).await.unwrap();
    let zk = ensemble.connect();
    register(&zk, BrokerId(7), &registration(1), Some(dead.session_id())).await.unwrap();
    assert!(other.exists("/controller").await.unwrap().is_some());
}

#[tokio::test]
async fn after_an_expiry_the_broker_registers_anew() {
    let ensemble = FakeEnsemble::default();
    let zk = started(&ensemble).await;
    let before = register(&zk, BrokerId(7), &registration(1), None).await.unwrap();
    let expired = zk.session_id();
    zk.expire();
    let after = register(&zk, BrokerId(7), &registration(1), Some(expired)).await.unwrap();
    assert!(after.0 > before.0);
}

#[tokio::test]
async fn addresses_of_others_are_refused() {
    let ensemble = FakeEnsemble::default();
    let zk = started(&ensemble).await;
    register(&zk, BrokerId(7), &registration(1), None).await.unwrap();
    zk.create("/brokers/ids/9", b"garbage", CreateMode::Persistent).await.unwrap();
    check_endpoints(&zk, BrokerId(7), &[endpoint(1)]).await.unwrap();
    check_endpoints(&zk, BrokerId(8), &[endpoint(2)]).await.unwrap();
    let clash = check_endpoints(&zk, BrokerId(8), &[endpoint(2), endpoint(1)]).await.unwrap_err();
    assert_eq!(clash, RegistrationError::EndpointTaken { other: BrokerId(7), host: "h".into(), port: 1 });
}
