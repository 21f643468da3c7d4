use std::sync::Mutex;

use ottla_protocol::schema::leader_and_isr::{
    LeaderAndIsrPartitionError, LeaderAndIsrRequest, LeaderAndIsrResponse, LeaderAndIsrTopicError,
};
use ottla_protocol::schema::stop_replica::{StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse};
use ottla_protocol::schema::update_metadata::{UpdateMetadataRequest, UpdateMetadataResponse};

use super::*;
use crate::broker::controller_channel::Answer;
use crate::zk::fake::{FakeEnsemble, FakeZnodes, Fate};
use crate::zk::znodes::CreateMode;

const REGISTRATION: &str = r#"{"features":{},"listener_security_protocol_map":{"CLIENT":"PLAINTEXT"},
    "endpoints":["CLIENT://h:9092"],"jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}"#;

const TOPIC: &str = r#"{"partitions":{"0":[0],"1":[0]},"topic_id":"Y8JvQkf_STimD9AZDgXkbA","adding_replicas":{},
    "removing_replicas":{},"version":3}"#;

/// A broker that notes what it is told, one line for each partition.
#[derive(Default)]
struct Local {
    told: Mutex<Vec<String>>,
}

impl Local {
    fn note(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }
}

impl ControlRequests for Local {
    fn leader_and_isr(&self, request: LeaderAndIsrRequest) -> Answer<'_, LeaderAndIsrResponse> {
        let mut topics = Vec::new();
        for topic in request.topic_states {
            let mut partition_errors = Vec::new();
            for p in topic.partition_states {
                let (name, index, new) = (&topic.topic_name, p.partition_index, if p.is_new { " new" } else { "" });
                assert_ne!(topic.topic_id, [0; 16]);
                self.note(format!(
                    "{name}-{index} leader {} epoch {} version {} controller {}{new}",
                    p.leader, p.leader_epoch, p.partition_epoch, request.controller_epoch
                ));
                let error = LeaderAndIsrPartitionError { partition_index: index, ..Default::default() };
                partition_errors.push(error);
            }
            topics.push(LeaderAndIsrTopicError { topic_id: topic.topic_id, partition_errors });
        }
        Box::pin(async { LeaderAndIsrResponse { topics, ..Default::default() } })
    }

    fn update_metadata(&self, request: UpdateMetadataRequest) -> Answer<'_, UpdateMetadataResponse> {
        let live: Vec<_> = request.live_brokers.iter().map(|b| format!("{}@{}", b.id, b.endpoints[0].port)).collect();
        for topic in &request.topic_states {
            for p in &topic.partition_states {
                self.note(format!("metadata {}-{} leader {}", topic.topic_name, p.partition_index, p.leader));
            }
        }
        self.note(format!("live {}", live.join(",")));
        Box::pin(async { UpdateMetadataResponse::default() })
    }

    fn stop_replica(&self, request: StopReplicaRequest) -> Answer<'_, StopReplicaResponse> {
        let mut partition_errors = Vec::new();
        for topic in request.topic_states {
            for p in topic.partition_states {
                let how = if p.delete_partition { "delete" } else { "stop" };
                self.note(format!("{how} {}-{} epoch {}", topic.topic_name, p.partition_index, p.leader_epoch));
                partition_errors.push(StopReplicaPartitionError {
                    topic_name: topic.topic_name.clone(),
                    partition_index: p.partition_index,
                    error_code: 0,
                });
            }
        }
        Box::pin(async { StopReplicaResponse { partition_errors, ..Default::default() } })
    }
}

/// A ZooKeeper with a broker 0 and what a tool sees and does.
struct Setting {
    zk: Arc<FakeZnodes>,
    tool: FakeZnodes,
    local: Arc<Local>,
    handle: ControllerHandle,
    _unclean: watch::Sender<UncleanElection>,
}

async fn prepare(ensemble: &FakeEnsemble) -> (Arc<FakeZnodes>, FakeZnodes) {
    let tool = ensemble.connect();
    for path in [
        "/brokers",
        "/brokers/ids",
        "/brokers/topics",
        "/admin",
        "/admin/delete_topics",
        "/config",
        "/config/topics",
        "/isr_change_notification",
        "/log_dir_event_notification",
    ] {
        tool.create(path, b"", CreateMode::Persistent).await.unwrap();
    }
    (Arc::new(ensemble.connect()), tool)
}

async fn register(zk: &FakeZnodes) {
    zk.create("/brokers/ids/0", REGISTRATION.as_bytes(), CreateMode::Ephemeral).await.unwrap();
}

impl Setting {
    async fn new() -> Setting {
        let (zk, tool) = prepare(&FakeEnsemble::default()).await;
        register(&zk).await;
        let setting = Setting::spawn(zk, tool);
        setting.told(&["live 0@9092"]).await;
        setting
    }

    fn spawn(zk: Arc<FakeZnodes>, tool: FakeZnodes) -> Setting {
        let local = Arc::new(Local::default());
        let (unclean_sender, unclean) = watch::channel(UncleanElection::default());
        let settings =
            ControllerSettings { core: Settings::default(), inter_broker_listener: ListenerName::new("CLIENT") };
        let handle = ControllerDriver::spawn(zk.clone(), BrokerId(0), settings, unclean, local.clone());
        Setting { zk, tool, local, handle, _unclean: unclean_sender }
    }

    /// Waits until the broker was told these things, in this order and nothing else, since the last call.
    async fn told(&self, expected: &[&str]) {
        for _ in 0..500 {
            if self.local.told.lock().unwrap().len() >= expected.len() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(std::mem::take(&mut *self.local.told.lock().unwrap()), expected);
    }

    async fn create(&self, path: &str, data: &str) {
        self.tool.create(path, data.as_bytes(), CreateMode::Persistent).await.unwrap();
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.tool.get(path).await.unwrap().0).unwrap()
    }

    async fn until_gone(&self, path: &str) {
        for _ in 0..500 {
            match self.tool.exists(path).await.unwrap() {
                None => return,
                Some(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("{path} is still there");
    }
}

const CREATED: [&str; 5] = [
    "t-0 leader 0 epoch 0 version 0 controller 1 new",
    "t-1 leader 0 epoch 0 version 0 controller 1 new",
    "metadata t-0 leader 0",
    "metadata t-1 leader 0",
    "live 0@9092",
];

#[tokio::test]
async fn a_tools_topic_gets_state_nodes_roles_and_metadata() {
    let setting = Setting::new().await;
    setting.create("/brokers/topics/t", TOPIC).await;
    setting.told(&CREATED).await;
    let state = r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}"#;
    assert_eq!(setting.text("/brokers/topics/t/partitions/1/state").await, state);
    assert_eq!(setting.handle.status().borrow().epoch, Some(ControllerEpoch(1)));
    // Nothing was written to the topic's own node.
    assert_eq!(setting.tool.exists("/brokers/topics/t").await.unwrap().unwrap().version, 0);

    setting.create("/config/topics/t", "{}").await;
    setting.create("/admin/delete_topics/t", "").await;
    setting
        .told(&[
            "metadata t-0 leader -2",
            "metadata t-1 leader -2",
            "live 0@9092",
            "stop t-0 epoch -2",
            "stop t-1 epoch -2",
            "delete t-0 epoch -2",
            "delete t-1 epoch -2",
        ])
        .await;
    setting.until_gone("/admin/delete_topics/t").await;
    for gone in ["/brokers/topics/t", "/config/topics/t"] {
        assert_eq!(setting.tool.exists(gone).await, Ok(None), "{gone}");
    }
    // The same name again, as a new topic.
    setting.create("/brokers/topics/t", TOPIC).await;
    setting.told(&CREATED).await;
}

#[tokio::test]
async fn an_old_tools_topic_gets_an_id_first_and_grows() {
    let setting = Setting::new().await;
    setting.create("/brokers/topics/t", r#"{"version":1,"partitions":{"0":[0]}}"#).await;
    setting.told(&[CREATED[0], CREATED[2], CREATED[4]]).await;
    let text = setting.text("/brokers/topics/t").await;
    assert!(text.starts_with(r#"{"partitions":{"0":[0]},"topic_id":""#), "{text}");

    let grown = text.replace(r#"{"0":[0]}"#, r#"{"0":[0],"1":[0]}"#);
    setting.tool.set("/brokers/topics/t", grown.as_bytes(), None).await.unwrap();
    setting.told(&[CREATED[1], CREATED[3], CREATED[4]]).await;
}

#[tokio::test]
async fn a_node_that_nobody_can_read_takes_no_topic_away() {
    let setting = Setting::new().await;
    setting.create("/brokers/topics/t", TOPIC).await;
    setting.told(&CREATED).await;
    setting.tool.set("/brokers/topics/t", b"{", None).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    setting.told(&[]).await;
    // Mended, it goes on.
    let grown = TOPIC.replace(r#""1":[0]"#, r#""1":[0],"2":[0]"#);
    setting.tool.set("/brokers/topics/t", grown.as_bytes(), None).await.unwrap();
    setting.told(&["t-2 leader 0 epoch 0 version 0 controller 1 new", "metadata t-2 leader 0", "live 0@9092"]).await;
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    for fate in [Fate::DoneUnseen, Fate::NeverArrived] {
        for lost in 0..12 {
            let setting = Setting::new().await;
            let mut fates = [Fate::Answered; 12];
            fates[lost] = fate;
            setting.zk.plan(&fates);
            setting.create("/brokers/topics/t", TOPIC).await;
            // However the writes were split, each partition is announced once as new.
            for _ in 0..500 {
                let told = setting.local.told.lock().unwrap().clone();
                if CREATED[..4].iter().all(|line| told.iter().any(|l| l == line)) {
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
            let told = std::mem::take(&mut *setting.local.told.lock().unwrap());
            for line in &CREATED[..2] {
                assert_eq!(told.iter().filter(|l| l == line).count(), 1, "{fate:?} {lost}: {told:?}");
            }
            let stat = setting.tool.exists("/brokers/topics/t/partitions/0/state").await.unwrap().unwrap();
            assert_eq!(stat.version, 0);
        }
    }
}

#[tokio::test]
async fn a_lost_session_ends_the_term_and_the_next_waits_for_the_registration() {
    let setting = Setting::new().await;
    setting.create("/brokers/topics/t", TOPIC).await;
    setting.told(&CREATED).await;
    setting.zk.expire();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(setting.tool.exists("/controller").await, Ok(None), "no election before the registration");
    assert_eq!(setting.handle.status().borrow().epoch, None);
    register(&setting.zk).await;
    let again = |line: &str| line.replace("controller 1 new", "controller 2");
    let mut expected = vec!["live 0@9092".to_owned()];
    expected.extend(CREATED.map(again));
    setting.told(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(setting.text("/controller_epoch").await, "2");
}

#[tokio::test]
async fn a_removed_controller_node_is_a_new_election() {
    let setting = Setting::new().await;
    setting.tool.delete("/controller", None).await.unwrap();
    setting.told(&["live 0@9092"]).await;
    assert_eq!(setting.text("/controller_epoch").await, "2");
}

#[tokio::test]
async fn who_is_not_elected_waits_for_the_office() {
    let ensemble = FakeEnsemble::default();
    let (zk, tool) = prepare(&ensemble).await;
    let other = ensemble.connect();
    let theirs = r#"{"version":1,"brokerid":7,"timestamp":"1"}"#;
    other.create("/controller", theirs.as_bytes(), CreateMode::Ephemeral).await.unwrap();
    other.create("/controller_epoch", b"41", CreateMode::Persistent).await.unwrap();
    register(&zk).await;
    let setting = Setting::spawn(zk, tool);
    sleep(Duration::from_millis(100)).await;
    setting.told(&[]).await;
    other.expire();
    setting.told(&["live 0@9092"]).await;
    assert_eq!(setting.text("/controller_epoch").await, "42");
}

#[tokio::test]
async fn a_deposed_controller_stops_writing() {
    let setting = Setting::new().await;
    // Another controller was elected, which this one has not seen: no watch tells of the epoch's node.
    setting.tool.set("/controller_epoch", b"9", None).await.unwrap();
    setting.create("/brokers/topics/t", TOPIC).await;
    // Refused, it gives the office up and stands again.
    let mut expected = vec!["live 0@9092".to_owned()];
    expected.extend(CREATED.map(|line| line.replace("controller 1", "controller 10")));
    // `/controller` is still its own session's, which it finds out and removes.
    setting.told(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_stopped_controller_leaves_the_office_at_once() {
    let setting = Setting::new().await;
    setting.handle.stop().await;
    assert_eq!(setting.tool.exists("/controller").await, Ok(None));
}

#[tokio::test]
async fn leaders_own_isr_changes_are_passed_on_and_their_notifications_removed() {
    let setting = Setting::new().await;
    setting.create("/brokers/topics/t", &TOPIC.replace(r#","1":[0]"#, "")).await;
    setting.told(&[CREATED[0], CREATED[2], CREATED[4]]).await;
    let state = r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}"#;
    setting.tool.set("/brokers/topics/t/partitions/0/state", state.as_bytes(), None).await.unwrap();
    let notification = br#"{"version":1,"partitions":[{"topic":"t","partition":0}]}"#;
    let prefix = "/isr_change_notification/isr_change_";
    let (path, _) = setting.tool.create(prefix, notification, CreateMode::PersistentSequential).await.unwrap();
    setting.told(&[CREATED[2], CREATED[4]]).await;
    setting.until_gone(&path).await;
}
