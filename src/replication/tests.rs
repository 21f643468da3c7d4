use ottla_types::{BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId};

use crate::*;

const RULES: IsrRules = IsrRules { lag_time_max_ms: 30_000, min_in_sync: 1 };
const ME: BrokerId = BrokerId(1);
const LIVES: fn(BrokerId) -> bool = |_| true;

fn ids(list: &[i32]) -> Vec<BrokerId> {
    list.iter().map(|b| BrokerId(*b)).collect()
}

fn change(leader: i32, epoch: i32, isr: &[i32]) -> PartitionChange {
    PartitionChange {
        topic_id: None,
        controller_epoch: ControllerEpoch(1),
        leader: (leader >= 0).then_some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(epoch),
        isr: ids(isr),
        partition_epoch: PartitionEpoch(epoch),
        replicas: ids(&[1, 2, 3]),
    }
}

/// A leader in epoch 5 with a log end offset of 10 and a high watermark of 4, at time 0.
fn leader(isr: &[i32]) -> Partition {
    let mut partition = Partition::new(ME, None, 4);
    let became = partition.apply_leader_and_isr(change(1, 5, isr), 10, 0);
    assert_eq!(became, Ok(RoleChange::BecameLeader { epoch_start_offset: 10 }));
    partition
}

fn fetch(partition: &mut Partition, follower: i32, offset: i64, end: i64, now_ms: i64) {
    partition.leader_mut().unwrap().record_fetch(BrokerId(follower), offset, end, now_ms).unwrap();
}

#[test]
fn only_a_higher_leader_epoch_changes_the_role() {
    let mut partition = leader(&[1]);
    let refused = LeaderAndIsrRefusal::StaleLeaderEpoch { given: LeaderEpoch(5), current: LeaderEpoch(5) };
    assert_eq!(partition.apply_leader_and_isr(change(2, 5, &[2]), 10, 0), Err(refused));
    assert!(partition.apply_leader_and_isr(change(2, 4, &[2]), 10, 0).is_err());
    assert!(partition.leader().is_ok());
    let became = partition.apply_leader_and_isr(change(2, 6, &[2]), 10, 0);
    assert_eq!(became, Ok(RoleChange::BecameFollower { leader: Some(BrokerId(2)) }));
    assert_eq!(partition.leader(), Err(NotLeader));
    let became = partition.apply_leader_and_isr(change(-1, 7, &[2]), 10, 0);
    assert_eq!(became, Ok(RoleChange::BecameFollower { leader: None }));
}

#[test]
fn a_broker_that_is_no_replica_refuses() {
    let mut partition = Partition::new(BrokerId(9), None, 0);
    assert_eq!(partition.apply_leader_and_isr(change(1, 0, &[1]), 0, 0), Err(LeaderAndIsrRefusal::NotAReplica));
    assert_eq!(partition.leader_epoch(), LeaderEpoch::NONE);
}

#[test]
fn an_older_state_node_is_ignored() {
    let mut partition = leader(&[1]);
    let old = PartitionChange { partition_epoch: PartitionEpoch(4), ..change(2, 6, &[2]) };
    assert_eq!(partition.apply_leader_and_isr(old, 10, 0), Ok(RoleChange::Nothing));
    assert_eq!(partition.leader_epoch(), LeaderEpoch(5));
}

#[test]
fn topic_ids_must_agree_and_may_come_late() {
    let (one, two) = (TopicId([1; 16]), TopicId([2; 16]));
    let mut partition = leader(&[1]);
    let with_id = |id, epoch| PartitionChange { topic_id: Some(id), ..change(1, epoch, &[1]) };
    assert_eq!(partition.apply_leader_and_isr(with_id(one, 5), 10, 0), Ok(RoleChange::TopicIdKnown(one)));
    // Known now, so the same request is no news.
    assert!(matches!(
        partition.apply_leader_and_isr(with_id(one, 5), 10, 0),
        Err(LeaderAndIsrRefusal::StaleLeaderEpoch { .. })
    ));
    let refused = LeaderAndIsrRefusal::InconsistentTopicId { given: two, current: one };
    assert_eq!(partition.apply_leader_and_isr(with_id(two, 6), 10, 0), Err(refused));
    // A sender that knows no ids takes none away.
    partition.apply_leader_and_isr(change(1, 6, &[1]), 10, 0).unwrap();
    assert_eq!(partition.topic_id(), Some(one));
}

#[test]
fn clients_epochs_are_compared() {
    let partition = leader(&[1]);
    let current = LeaderEpoch(5);
    assert_eq!(partition.check_leader_epoch(None), Ok(()));
    assert_eq!(partition.check_leader_epoch(Some(current)), Ok(()));
    let (old, new) = (LeaderEpoch(4), LeaderEpoch(6));
    assert_eq!(partition.check_leader_epoch(Some(old)), Err(EpochRefusal::Fenced { given: old, current }));
    assert_eq!(partition.check_leader_epoch(Some(new)), Err(EpochRefusal::Unknown { given: new, current }));
}

#[test]
fn a_reordered_stop_is_fenced() {
    // KAFKA-9539; an equal epoch passes (KAFKA-13972).
    let partition = leader(&[1]);
    assert!(partition.check_stop_replica(Some(LeaderEpoch(4))).is_err());
    for passes in [None, Some(LeaderEpoch(5)), Some(LeaderEpoch(6))] {
        assert!(partition.check_stop_replica(passes).is_ok());
    }
}

#[test]
fn a_sole_replica_commits_what_it_has() {
    let mut partition = Partition::new(ME, None, 0);
    let alone = PartitionChange { replicas: ids(&[1]), ..change(1, 0, &[1]) };
    partition.apply_leader_and_isr(alone, 0, 0).unwrap();
    // Of min.insync.replicas=2 one is all there can be.
    let rules = IsrRules { min_in_sync: 2, ..RULES };
    assert_eq!(partition.advance_high_watermark(7, rules, 0, LIVES), Some(7));
    assert_eq!(partition.advance_high_watermark(7, rules, 0, LIVES), None);
    assert_eq!(partition.advance_high_watermark(6, rules, 0, LIVES), None, "it never falls");
    assert_eq!(partition.high_watermark(), 7);
    assert_eq!(partition.check_append(true, rules), Ok(LeaderEpoch(0)));
}

#[test]
fn the_slowest_of_the_isr_holds_the_high_watermark() {
    let mut partition = leader(&[1, 2, 3]);
    assert_eq!(partition.advance_high_watermark(10, RULES, 0, LIVES), None, "nobody has fetched in this epoch");
    fetch(&mut partition, 2, 10, 10, 0);
    assert_eq!(partition.advance_high_watermark(10, RULES, 0, LIVES), None);
    fetch(&mut partition, 3, 6, 10, 0);
    assert_eq!(partition.advance_high_watermark(10, RULES, 0, LIVES), Some(6));
    fetch(&mut partition, 3, 10, 10, 1);
    assert_eq!(partition.advance_high_watermark(8, RULES, 1, LIVES), Some(8), "the leader has flushed less");
}

#[test]
fn a_joiner_is_not_overtaken() {
    // KAFKA-4485: broker 2 is caught up but not yet in the ISR.
    let mut partition = leader(&[1]);
    fetch(&mut partition, 2, 10, 10, 0);
    fetch(&mut partition, 3, 0, 10, 0);
    assert_eq!(partition.clone().advance_high_watermark(20, RULES, 1, LIVES), Some(10), "broker 3 never was");
    assert_eq!(partition.advance_high_watermark(20, RULES, 40_000, LIVES), Some(20), "it fell behind");
    let mut partition = leader(&[1]);
    fetch(&mut partition, 2, 10, 10, 100);
    assert_eq!(partition.clone().advance_high_watermark(20, RULES, 200, |b| b != BrokerId(2)), Some(20), "it is dead");
    assert_eq!(partition.advance_high_watermark(20, RULES, 200, LIVES), Some(10));
}

#[test]
fn nothing_is_committed_below_the_least_isr() {
    let mut partition = leader(&[1]);
    let rules = IsrRules { min_in_sync: 2, ..RULES };
    assert_eq!(partition.advance_high_watermark(10, rules, 0, LIVES), None);
    let refused = AppendRefusal::NotEnoughReplicas { in_sync: 1, required: 2 };
    assert_eq!(partition.check_append(true, rules), Err(refused));
    assert_eq!(partition.check_append(false, rules), Ok(LeaderEpoch(5)));
    partition.isr_written(ids(&[1, 2]), PartitionEpoch(6));
    assert_eq!(partition.check_append(true, rules), Ok(LeaderEpoch(5)));
}

#[test]
fn an_old_isr_is_not_taken_back() {
    let mut partition = leader(&[1, 2]);
    partition.isr_written(ids(&[1]), PartitionEpoch(5));
    assert_eq!(partition.leader().unwrap().isr(), ids(&[1, 2]));
}

#[test]
fn who_is_behind_for_long_leaves() {
    let mut partition = leader(&[1, 2, 3]);
    fetch(&mut partition, 2, 10, 10, 1_000);
    fetch(&mut partition, 3, 9, 10, 1_000);
    let out = |p: &Partition, end, now| p.leader().unwrap().out_of_sync(end, RULES, now);
    assert_eq!(out(&partition, 10, 30_000), ids(&[]));
    assert_eq!(out(&partition, 10, 30_001), ids(&[3]), "it counted as caught up at 0");
    assert_eq!(out(&partition, 10, 90_000), ids(&[3]), "who has everything stays however long ago it fetched");
    assert_eq!(out(&partition, 11, 31_001), ids(&[2, 3]));
}

#[test]
fn a_follower_of_a_growing_log_is_caught_up_at_its_fetch_before() {
    let mut partition = leader(&[1, 2]);
    fetch(&mut partition, 2, 10, 20, 50_000);
    fetch(&mut partition, 2, 20, 30, 60_000);
    assert_eq!(partition.leader().unwrap().followers()[&BrokerId(2)].last_caught_up_ms, Some(50_000));
    fetch(&mut partition, 2, 25, 40, 70_000);
    assert_eq!(partition.leader().unwrap().followers()[&BrokerId(2)].last_caught_up_ms, Some(50_000));
}

#[test]
fn joining_takes_everything_from_before_the_epoch() {
    // KAFKA-7128: the high watermark (4) lags behind the start of the epoch (10).
    let mut partition = leader(&[1]);
    let may = |p: &Partition, b| p.leader().unwrap().may_join(BrokerId(b), p.high_watermark());
    assert!(!may(&partition, 2), "it has not fetched");
    fetch(&mut partition, 2, 9, 12, 0);
    assert!(!may(&partition, 2));
    fetch(&mut partition, 2, 10, 12, 0);
    assert!(may(&partition, 2));
    partition.advance_high_watermark(12, RULES, 50_000, LIVES);
    assert!(!may(&partition, 2), "it lacks what is committed");
    assert!(!may(&partition, 1));
}

#[test]
fn strangers_fetches_are_refused() {
    let mut partition = leader(&[1]);
    let refused = partition.leader_mut().unwrap().record_fetch(BrokerId(7), 10, 10, 0);
    assert_eq!(refused, Err(UnknownReplica(BrokerId(7))));
}

#[test]
fn a_followers_high_watermark_stays_within_its_log() {
    let mut partition = Partition::new(ME, None, 0);
    partition.apply_leader_and_isr(change(2, 0, &[2, 1]), 5, 0).unwrap();
    partition.follow_high_watermark(9, 5);
    assert_eq!(partition.high_watermark(), 5);
    partition.follow_high_watermark(3, 5);
    assert_eq!(partition.high_watermark(), 5);
    partition.clamp_high_watermark(0, 2);
    assert_eq!(partition.high_watermark(), 2);
    partition.clamp_high_watermark(8, 8);
    assert_eq!(partition.high_watermark(), 8);
    assert_eq!(partition.advance_high_watermark(9, RULES, 0, LIVES), None, "only a leader commits");
}
