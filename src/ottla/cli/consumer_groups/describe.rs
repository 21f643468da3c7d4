//! The tables of `--describe`, from what was read.

use std::collections::BTreeMap;

use ottla_types::{Offset, TopicPartition};

use crate::cli::group_view::{GroupView, Holder, host};
use crate::cli::table::table;
use crate::cli::time::{moment, span};

/// Every partition: how far it is consumed, how far its log reaches, who has it. Kafka's columns of old consumers, then the
/// owner's host and the age of its session.
pub(super) fn partitions(view: &GroupView, ends: &BTreeMap<TopicPartition, Offset>, now_ms: i64) -> Vec<String> {
    let header =
        ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "OWNER", "HOST", "SESSION-AGE"];
    let row = |partition: TopicPartition| {
        let (offset, end) = (view.offset(&partition), ends.get(&partition).copied());
        let (owner, since_ms) = match view.holder(&partition) {
            Holder::Nobody => ("", None),
            Holder::Member(id) => (id, view.group.members.get(id).map(|member| member.since_ms)),
            Holder::Orphan(owner) => (owner.consumer_id(), None),
        };
        [
            view.group.name.clone(),
            partition.topic.to_string(),
            partition.partition.to_string(),
            number(offset),
            number(end),
            number(lag(offset, end)),
            owner.into(),
            host(&view.group.name, owner).unwrap_or_default().into(),
            since_ms.map_or(String::new(), |since| span(now_ms - since)),
        ]
    };
    table(header, &view.partitions().into_iter().map(row).collect::<Vec<_>>())
}

/// Records that are not consumed yet; below zero: the log is shorter than what is said to be consumed.
pub(super) fn lag(offset: Option<Offset>, end: Option<Offset>) -> Option<i64> {
    Some(end? - offset?)
}

fn number(number: Option<i64>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// Every member: where it runs and since when, what it wants, by which assignor, how much it has.
pub(super) fn members(view: &GroupView, now_ms: i64) -> Vec<String> {
    let header = ["GROUP", "CONSUMER-ID", "HOST", "SESSION-AGE", "ASSIGNOR", "#PARTITIONS", "SUBSCRIPTION"];
    let owned = |id: &str| {
        let of_member = |owner| view.group.owner_member(owner).is_some_and(|(member, _)| member == id);
        view.group.owners.values().filter(|owner| of_member(owner)).count()
    };
    let row = |(id, member): (&String, &crate::zk::store_consumers::Member)| {
        let registration = member.registration.as_ref();
        let topics = registration.map_or(Vec::new(), |registration| {
            registration.subscription.iter().map(|(topic, streams)| format!("{topic}({streams})")).collect()
        });
        let pattern = registration.map(|registration| registration.pattern.as_str()).filter(|p| *p != "static");
        let pattern = pattern.map_or(String::new(), |pattern| format!("{pattern}:"));
        let assignor = registration.and_then(|registration| registration.assignor.clone());
        [
            view.group.name.clone(),
            id.clone(),
            host(&view.group.name, id).unwrap_or_default().into(),
            span(now_ms - member.since_ms),
            assignor.unwrap_or_default(),
            owned(id).to_string(),
            format!("{pattern}{}", topics.join(",")),
        ]
    };
    table(header, &view.group.members.iter().map(row).collect::<Vec<_>>())
}

/// The group as a whole: who plans, which plan holds, how the last rebalance went.
pub(super) fn state(view: &GroupView, now_ms: i64) -> Vec<String> {
    let header = [
        "GROUP",
        "STATE",
        "#MEMBERS",
        "ASSIGNOR",
        "GENERATION",
        "PLANNER",
        "LAST-REBALANCE",
        "TOOK",
        "MOVED",
        "#PARTITIONS",
    ];
    let group = &view.group;
    let plan = group.plan.as_ref();
    // Without a plan the last claim says when it was.
    let last_claim = group.owners.values().map(|owner| owner.since_ms).max();
    let when = plan.map(|plan| plan.written_ms).or(last_claim);
    let assignor = match plan {
        Some(plan) => plan.content.assignor.clone(),
        None if group.members.is_empty() => String::new(),
        None => "range".into(),
    };
    let row = [
        group.name.clone(),
        view.state().into(),
        group.members.len().to_string(),
        assignor,
        plan.map_or(String::new(), |plan| plan.content.generation.to_string()),
        group.planner.as_ref().map_or(String::new(), |planner| planner.text.clone()),
        when.map_or(String::new(), |ms| format!("{} ({} ago)", moment(ms), span(now_ms - ms))),
        group.rebalance_ms().map_or(String::new(), seconds),
        plan.map_or(String::new(), |plan| plan.content.moved.to_string()),
        group.owners.len().to_string(),
    ];
    table(header, &[row])
}

/// A short time: `7 ms`, `1.31 s`.
pub(super) fn seconds(ms: i64) -> String {
    match ms {
        ..1000 => format!("{ms} ms"),
        _ => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
    }
}

#[cfg(test)]
mod tests {
    use zk_schema::ConsumerPlan;

    use super::*;
    use crate::cli::group_view::read;
    use crate::zk::fake::{FakeEnsemble, FakeZnodes};
    use crate::zk::store_consumers::tests::{hold, partition, put, put_topic, wants};
    use crate::zk::znodes::Znodes;

    const NOW: i64 = 1_700_000_000_000 + 65_000;

    /// A member of ours with two partitions, an old one with one, an owner node left behind, a topic that is gone.
    async fn group(ensemble: &FakeEnsemble) -> (FakeZnodes, FakeZnodes) {
        let (ours, old) = (ensemble.connect(), ensemble.connect());
        put_topic(&ours, "orders", 5).await;
        let id = "web-1:0b6c5c0e-7d5f-4c62-8e6f-0d3c3c5a1f11";
        hold(&ours, &format!("/consumers/g/ids/{id}"), &wants("orders", 2, Some("sticky"))).await;
        hold(&ours, "/consumers/g/planner", id).await;
        ensemble.advance(60_000);
        let old_id = "g_db-2-1700000000000-8f2a01bc";
        hold(&old, &format!("/consumers/g/ids/{old_id}"), &wants("orders", 1, None)).await;
        hold(&ours, "/consumers/g/owners/orders/0", &format!("{id}-0")).await;
        hold(&ours, "/consumers/g/owners/orders/1", &format!("{id}-1")).await;
        hold(&old, "/consumers/g/owners/orders/2", &format!("{old_id}-0")).await;
        put(&ours, "/consumers/g/owners/orders/3", "g_db-1-1600000000000-11111111-0").await;
        put(&ours, "/consumers/g/offsets/orders/0", "40").await;
        put(&ours, "/consumers/g/offsets/orders/1", "50").await;
        put(&ours, "/consumers/g/offsets/gone/0", "9").await;
        (ours, old)
    }

    #[tokio::test]
    async fn every_partition_is_shown_with_its_lag_and_its_owner() {
        let ensemble = FakeEnsemble::default();
        let (zk, _old) = group(&ensemble).await;
        let view = read(&zk, "g").await.unwrap().unwrap();
        let ends = [(partition("orders", 0), 42), (partition("orders", 2), 7)].into();
        assert_eq!(
            partitions(&view, &ends, NOW).join("\n"),
            "\
GROUP  TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  OWNER                                       HOST   SESSION-AGE
g      gone    0          -               -               -    -                                           -      -
g      orders  0          40              42              2    web-1:0b6c5c0e-7d5f-4c62-8e6f-0d3c3c5a1f11  web-1  1 min 5 s
g      orders  1          50              -               -    web-1:0b6c5c0e-7d5f-4c62-8e6f-0d3c3c5a1f11  web-1  1 min 5 s
g      orders  2          -               7               -    g_db-2-1700000000000-8f2a01bc               db-2   5 s
g      orders  3          -               -               -    g_db-1-1600000000000-11111111               db-1   -
g      orders  4          -               -               -    -                                           -      -"
        );
        assert_eq!(
            view.notes(),
            [
                "/consumers/g/offsets/gone/0: older than its topic, so not used",
                "/consumers/g/owners/orders/3: no member of the group owns it; `ottla znodes check --group g` says more",
            ]
        );
    }

    #[tokio::test]
    async fn members_are_shown_with_what_they_want_and_have() {
        let ensemble = FakeEnsemble::default();
        let (zk, old) = group(&ensemble).await;
        hold(&old, "/consumers/g/ids/py:1", "orders").await;
        let view = read(&zk, "g").await.unwrap().unwrap();
        assert_eq!(
            members(&view, NOW).join("\n"),
            "\
GROUP  CONSUMER-ID                                 HOST   SESSION-AGE  ASSIGNOR  #PARTITIONS  SUBSCRIPTION
g      g_db-2-1700000000000-8f2a01bc               db-2   5 s          -         1            orders(1)
g      py:1                                        py     5 s          -         0            -
g      web-1:0b6c5c0e-7d5f-4c62-8e6f-0d3c3c5a1f11  web-1  1 min 5 s    sticky    2            orders(2)"
        );
    }

    #[tokio::test]
    async fn the_state_names_planner_plan_and_the_last_rebalance() {
        let ensemble = FakeEnsemble::default();
        let zk = ensemble.connect();
        put_topic(&zk, "t", 1).await;
        hold(&zk, "/consumers/g/ids/h:1", &wants("t", 1, Some("sticky"))).await;
        hold(&zk, "/consumers/g/planner", "h:1").await;
        let plan = ConsumerPlan {
            generation: 7,
            assignor: "sticky".into(),
            planner: "h:1".into(),
            timestamp_ms: 0,
            moved: 1,
            streams: [(partition("t", 0), "h:1-0".to_owned())].into(),
        };
        put(&zk, "/consumers/g/plan", &String::from_utf8(plan.encode()).unwrap()).await;
        let view = read(&zk, "g").await.unwrap().unwrap();
        assert_eq!(view.state(), "Rebalancing");
        ensemble.advance(310);
        hold(&zk, "/consumers/g/owners/t/0", "h:1-0").await;
        let view = read(&zk, "g").await.unwrap().unwrap();
        assert_eq!(
            state(&view, NOW).join("\n"),
            "\
GROUP  STATE   #MEMBERS  ASSIGNOR  GENERATION  PLANNER  LAST-REBALANCE                           TOOK    MOVED  #PARTITIONS
g      Stable  1         sticky    7           h:1      2023-11-14 22:13:20 UTC (1 min 5 s ago)  310 ms  1      1"
        );
        zk.close().await.unwrap();
        let view = read(&ensemble.connect(), "g").await.unwrap().unwrap();
        assert_eq!(view.state(), "Empty");
    }
}
