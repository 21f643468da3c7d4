use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch};

use super::super::fake::{FakeEnsemble, FakeZnodes, Fate};
use super::super::store_cluster;
use super::super::store_election::{Election, elect};
use super::super::store_registration::create_parents;
use super::super::store_topics::{create_topic, request_deletion};
use super::super::znodes::WatchEvent;
use super::*;

fn topic() -> TopicName {
    TopicName::new("t").unwrap()
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(topic(), number)
}

fn state(leader_epoch: i32) -> PartitionState {
    PartitionState {
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(leader_epoch),
        isr: vec![BrokerId(1)],
        controller_epoch: ControllerEpoch(1),
        leader_recovery_state: 0,
    }
}

async fn controller(ensemble: &FakeEnsemble) -> (FakeZnodes, Leadership) {
    let zk = ensemble.connect();
    create_parents(&zk).await.unwrap();
    let Ok(Election::Won(leadership)) = elect(&zk, BrokerId(1), 5).await else { panic!("not elected") };
    (zk, leadership)
}

async fn with_topic(ensemble: &FakeEnsemble) -> (FakeZnodes, Leadership) {
    let (zk, leadership) = controller(ensemble).await;
    let partitions = (0..3).map(|number| (number, vec![BrokerId(1)])).collect();
    let assignment = TopicAssignment { partitions, ..Default::default() };
    create_topic(&zk, &topic(), &assignment, &Default::default()).await.unwrap();
    (zk, leadership)
}

fn epochs(outcomes: Vec<PartitionOutcome>) -> Vec<i32> {
    outcomes.into_iter().map(|(_, outcome)| outcome.unwrap().0).collect()
}

#[tokio::test]
async fn states_are_created_below_their_folders_and_read_back() {
    let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
    let store = ControllerStore::new(&zk, leadership);
    let states = |range: std::ops::Range<i32>| range.map(|number| (partition(number), state(0))).collect();
    assert_eq!(epochs(store.create_partition_states(states(0..2)).await), [0, 0]);
    // More partitions later: the topic's folder is there already.
    let outcomes = store.create_partition_states(states(1..3)).await;
    assert_eq!(outcomes[0].1.as_ref().unwrap_err().zk(), Some(&ZkError::NodeExists));
    assert_eq!(outcomes[1].1, Ok(PartitionEpoch(0)));
    let data = zk.get("/brokers/topics/t/partitions/2/state").await.unwrap().0;
    assert_eq!(data, br#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#);
    let found = store_cluster::partition_states(&zk, (0..9).map(partition)).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!((&found[&partition(1)].state, found[&partition(1)].epoch), (&state(0), PartitionEpoch(0)));
}

#[tokio::test]
async fn states_are_written_at_the_expected_epoch_only_and_once() {
    let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
    let store = ControllerStore::new(&zk, leadership);
    store.create_partition_states(vec![(partition(0), state(0))]).await;
    let write = |leader_epoch, expected| {
        store.set_partition_states(vec![(partition(0), state(leader_epoch), PartitionEpoch(expected))])
    };
    assert_eq!(epochs(write(1, 0).await), [1]);
    let stale = write(2, 0).await.remove(0).1.unwrap_err();
    assert_eq!(stale.zk(), Some(&ZkError::BadVersion));
    for (expected, lost) in [(1, Fate::DoneUnseen), (2, Fate::NeverArrived)] {
        zk.plan(&[lost]);
        assert_eq!(epochs(write(expected, expected).await), [expected + 1], "{lost:?}");
    }
    assert_eq!(zk.exists("/brokers/topics/t/partitions/0/state").await.unwrap().unwrap().version, 3);
}

#[tokio::test]
async fn a_lost_creation_is_recognised() {
    let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
    let store = ControllerStore::new(&zk, leadership);
    zk.plan(&[Fate::Answered, Fate::Answered, Fate::DoneUnseen]);
    assert_eq!(epochs(store.create_partition_states(vec![(partition(0), state(0))]).await), [0]);
}

#[tokio::test]
async fn a_deposed_controller_changes_nothing() {
    let ensemble = FakeEnsemble::default();
    let (zk, old) = with_topic(&ensemble).await;
    zk.expire();
    let next = ensemble.connect();
    elect(&next, BrokerId(2), 6).await.unwrap();
    let store = ControllerStore::new(&zk, old);
    let before = ensemble.tree().digest();
    let moved = Err(FencedError::ControllerMoved);
    assert_eq!(
        store.create_partition_states(vec![(partition(0), state(0))]).await[0].1,
        Err(FencedError::ControllerMoved)
    );
    let set = store.set_partition_states(vec![(partition(0), state(0), PartitionEpoch(0))]).await;
    assert_eq!(set[0].1, Err(FencedError::ControllerMoved));
    assert_eq!(store.delete_topic(&topic()).await, moved);
    assert_eq!(store.set_up_feature().await, moved);
    assert_eq!(store.set_topic(&topic(), &TopicAssignment::default(), 0).await, Err(FencedError::ControllerMoved));
    assert_eq!(ensemble.tree().digest(), before);
}

#[tokio::test]
async fn a_deleted_topic_leaves_nothing_and_deleting_may_be_repeated() {
    for crash in 0..12 {
        let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
        let store = ControllerStore::new(&zk, leadership);
        store.create_partition_states((0..3).map(|number| (partition(number), state(0))).collect()).await;
        request_deletion(&zk, &topic()).await.unwrap();
        let (marked, watcher) = store_cluster::watch_topics_to_delete(&zk).await.unwrap();
        assert_eq!(marked, [topic()]);
        let mut fates = vec![Fate::Answered; crash];
        fates.push(Fate::NeverArrived);
        zk.plan(&fates);
        if store.delete_topic(&topic()).await.is_err() {
            assert!(zk.exists("/admin/delete_topics/t").await.unwrap().is_some(), "the request goes last");
            store.delete_topic(&topic()).await.unwrap();
        }
        for path in ["/brokers/topics/t", "/config/topics/t", "/admin/delete_topics/t"] {
            assert_eq!(zk.exists(path).await, Ok(None), "{path}");
        }
        assert_eq!(watcher.await, WatchEvent::ChildrenChanged);
    }
}

#[tokio::test]
async fn topics_are_read_with_their_versions_and_written_at_them() {
    let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
    let store = ControllerStore::new(&zk, leadership);
    zk.create("/brokers/topics/broken", b"{", CreateMode::Persistent).await.unwrap();
    let names = store_cluster::topic_names(&zk).await.unwrap();
    assert_eq!(names.len(), 2);
    let topics = store_cluster::topics(&zk, names).await.unwrap();
    assert_eq!(topics.len(), 1, "a broken node does not hide the others");
    let node = &topics[&topic()];
    let (_, watcher) = store_cluster::watch_topic(&zk, &topic()).await.unwrap();
    let id = ottla_types::TopicId([3; 16]);
    let assignment = TopicAssignment { topic_id: Some(id), ..node.assignment.clone() };
    assert_eq!(store.set_topic(&topic(), &assignment, node.version).await, Ok(1));
    assert_eq!(watcher.await, WatchEvent::DataChanged);
    let (again, _) = store_cluster::watch_topic(&zk, &topic()).await.unwrap();
    assert_eq!(again.unwrap().assignment.topic_id, Some(id));
    let stale = store.set_topic(&topic(), &assignment, 0).await.unwrap_err();
    assert_eq!(stale.zk(), Some(&ZkError::BadVersion));
}

#[tokio::test]
async fn what_tools_and_leaders_ask_for_is_read_and_then_dropped() {
    let (zk, leadership) = with_topic(&FakeEnsemble::default()).await;
    let store = ControllerStore::new(&zk, leadership);
    let put = |path: &'static str, data: Vec<u8>, mode| {
        let zk = &zk;
        async move { zk.create(path, &data, mode).await.unwrap() }
    };

    let (none, watcher) = store_cluster::watch_reassignment(&zk).await.unwrap();
    assert_eq!(none, None);
    let wanted = vec![(partition(0), vec![BrokerId(2)]), (partition(1), vec![BrokerId(2)])];
    put(admin_reassign_partitions::PATH, admin_reassign_partitions::encode(&wanted), CreateMode::Persistent).await;
    assert_eq!(watcher.await, WatchEvent::Created);
    assert_eq!(store_cluster::watch_reassignment(&zk).await.unwrap().0, Some(wanted.clone()));
    store.set_reassignment(&wanted[1..].to_vec()).await.unwrap();
    assert_eq!(store_cluster::watch_reassignment(&zk).await.unwrap().0, Some(wanted[1..].to_vec()));
    store.set_reassignment(&Vec::new()).await.unwrap();
    assert_eq!(zk.exists(admin_reassign_partitions::PATH).await, Ok(None));

    put(admin_preferred_replica_election::PATH, b"broken".to_vec(), CreateMode::Persistent).await;
    assert_eq!(store_cluster::watch_preferred_election(&zk).await.unwrap().0, Some(vec![]));
    store.delete_preferred_election().await.unwrap();
    store.delete_preferred_election().await.unwrap();

    let sequential = CreateMode::PersistentSequential;
    put(isr_change_notification::PREFIX, isr_change_notification::encode(&[partition(0)]), sequential).await;
    put(isr_change_notification::PREFIX, isr_change_notification::encode(&[partition(1)]), sequential).await;
    put(log_dir_event_notification::PREFIX, log_dir_event_notification::encode(BrokerId(3)), sequential).await;
    let changes = store_cluster::watch_isr_changes(&zk).await.unwrap();
    assert_eq!(changes.contents, [partition(0), partition(1)]);
    store.delete_isr_changes(&changes.names).await.unwrap();
    let events = store_cluster::watch_log_dir_events(&zk).await.unwrap();
    assert_eq!(events.contents, [BrokerId(3)]);
    store.delete_log_dir_events(&events.names).await.unwrap();
    assert!(zk.children(isr_change_notification::PARENT).await.unwrap().is_empty());
    assert!(zk.children(log_dir_event_notification::PARENT).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_feature_node_is_as_kafka_leaves_it() {
    for before in [None, Some("broken"), Some(r#"{"features":{},"version":1,"status":0}"#)] {
        let (zk, leadership) = controller(&FakeEnsemble::default()).await;
        if let Some(before) = before {
            zk.create(feature::PATH, before.as_bytes(), CreateMode::Persistent).await.unwrap();
        }
        let store = ControllerStore::new(&zk, leadership);
        store.set_up_feature().await.unwrap();
        store.set_up_feature().await.unwrap();
        let (data, stat) = zk.get(feature::PATH).await.unwrap();
        assert_eq!(data, br#"{"features":{},"version":2,"status":1}"#);
        assert_eq!(stat.version, i32::from(before.is_some()), "written once");
    }
}
