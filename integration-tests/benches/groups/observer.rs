//! Who owns what, by what ZooKeeper says and when it says that it came to be, not by the members' word.
//!
//! While ownership changes two cheap requests are asked again and again: the list of members, and the `Stat` of the folder of
//! owners, which names the last change in it. Only when that has as many nodes as there are partitions all of them are read. The moment
//! that counts is the creation time in the youngest owner node, given by the server to the millisecond, on this machine's clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use ottla::consumer::{TopicName, TopicPartition};
use ottla::zk::live::{LiveOptions, LiveZnodes};
use ottla::zk::znodes::{Stat, ZkError, Znodes};
use tokio::runtime::Runtime;
use zk_schema::consumers;

use super::members::{Group, Side};
use crate::failure::{During, Failure};

/// How often to ask.
const PAUSE: Duration = Duration::from_millis(2);
/// What never comes to be is an error.
const LIMIT: Duration = Duration::from_secs(120);

/// Milliseconds since 1970, as ZooKeeper counts.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The thread id that owns each partition.
pub(crate) type Owners = BTreeMap<i32, String>;

/// A group that has come to rest.
#[derive(Debug, Clone)]
pub(crate) struct Stable {
    /// When the last owner node was made, or the moment from which it was waited for, if none was made since.
    pub(crate) at_ms: i64,
    /// Who owns what.
    pub(crate) owners: Owners,
    /// When each member registered.
    pub(crate) members: BTreeMap<String, i64>,
    /// Who registered before and is gone, and when that was seen.
    pub(crate) gone: BTreeMap<String, i64>,
}

/// A session that only reads.
pub(crate) struct Observer {
    runtime: Runtime,
    zk: LiveZnodes,
    group: String,
    topic: TopicName,
    partitions: i32,
}

impl Observer {
    /// Of a group that reads one topic.
    pub(crate) fn connect(group: &Group, partitions: i32) -> Result<Observer, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let zk = runtime.block_on(LiveZnodes::connect(LiveOptions::new(&group.connect))).during("connecting")?;
        let topic = TopicName::new(&group.topic).during(&group.topic)?;
        Ok(Observer { runtime, zk, group: group.name.clone(), topic, partitions })
    }

    /// Waits until so many members own everything: as range says, if they are of 2015, else each as much as any other or one
    /// less. `since_ms` is when that was begun.
    pub(crate) fn wait_until_stable(&self, side: Side, members: usize, since_ms: i64) -> Result<Stable, Failure> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut known: BTreeMap<String, i64> = BTreeMap::new();
            let mut gone = BTreeMap::new();
            let mut looked_at = None;
            loop {
                let ids = self.children(&format!("{}/ids", consumers::group_path(&self.group))).await?;
                known.retain(|id, _| ids.contains(id) || gone.insert(id.clone(), now_ms()).is_some());
                for id in &ids {
                    if !known.contains_key(id)
                        && let Some(stat) = self.exists(&consumers::member_path(&self.group, id)).await?
                    {
                        known.insert(id.clone(), stat.ctime);
                    }
                }
                let folder = self.exists(&consumers::owners_path(&self.group, &self.topic)).await?;
                let state = folder.map(|stat| (stat.pzxid, stat.num_children, ids.len()));
                if let Some((_, children, count)) = state
                    && state != looked_at
                    && children == self.partitions
                    && count == members
                {
                    looked_at = state;
                    let (owners, youngest) = self.owners().await?;
                    if is_stable(side, &owners, &ids, self.partitions) {
                        return Ok(Stable { at_ms: youngest.max(since_ms), owners, members: known, gone });
                    }
                }
                if start.elapsed() > LIMIT {
                    let text = format!(
                        "{} has not come to rest within {LIMIT:?}: {} of {members} members, {} of {} partitions owned",
                        self.group,
                        ids.len(),
                        folder.map_or(0, |stat| stat.num_children),
                        self.partitions
                    );
                    return Err(Failure::new(text));
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// Who owns what now.
    pub(crate) fn owned(&self) -> Result<Owners, Failure> {
        self.runtime.block_on(self.owners()).map(|(owners, _)| owners)
    }

    /// The members, each with the transaction that registered it.
    pub(crate) fn registrations(&self) -> Result<BTreeMap<String, i64>, Failure> {
        self.runtime.block_on(async {
            let mut registered = BTreeMap::new();
            for id in self.children(&format!("{}/ids", consumers::group_path(&self.group))).await? {
                if let Some(stat) = self.exists(&consumers::member_path(&self.group, &id)).await? {
                    registered.insert(id, stat.czxid);
                }
            }
            Ok(registered)
        })
    }

    /// The committed offset of each partition that has one, with the transaction that wrote it.
    pub(crate) fn offsets(&self) -> Result<BTreeMap<i32, (i64, i64)>, Failure> {
        let read = self.runtime.block_on(self.read_all(consumers::offset_path))?;
        let number = |(partition, (data, stat)): (i32, (Vec<u8>, Stat))| {
            let offset =
                String::from_utf8_lossy(&data).parse().during(format!("the offset of partition {partition}"))?;
            Ok((partition, (offset, stat.mzxid)))
        };
        read.into_iter().map(number).collect()
    }

    /// Owners and the creation time of the youngest node.
    async fn owners(&self) -> Result<(Owners, i64), Failure> {
        let read = self.read_all(consumers::owner_path).await?;
        let youngest = read.values().map(|(_, stat)| stat.ctime).max().unwrap_or(0);
        let text = |(partition, (data, _)): (i32, (Vec<u8>, Stat))| (partition, String::from_utf8_lossy(&data).into());
        Ok((read.into_iter().map(text).collect(), youngest))
    }

    async fn read_all(
        &self,
        path: impl Fn(&str, &TopicPartition) -> String,
    ) -> Result<BTreeMap<i32, (Vec<u8>, Stat)>, Failure> {
        let paths: Vec<(i32, String)> = (0..self.partitions)
            .map(|index| (index, path(&self.group, &TopicPartition::new(self.topic.clone(), index))))
            .collect();
        let mut read = BTreeMap::new();
        for (index, node) in join_all(paths.iter().map(async |(index, path)| (*index, self.zk.get(path).await))).await {
            match node {
                Ok(node) => _ = read.insert(index, node),
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error).during("reading a group's nodes"),
            }
        }
        Ok(read)
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, Failure> {
        match self.zk.children(path).await {
            Err(ZkError::NoNode) => Ok(Vec::new()),
            outcome => outcome.during(path),
        }
    }

    async fn exists(&self, path: &str) -> Result<Option<Stat>, Failure> {
        self.zk.exists(path).await.during(path)
    }
}

/// Whether these members, with one stream each, share everything in their side's way.
fn is_stable(side: Side, owners: &Owners, ids: &[String], partitions: i32) -> bool {
    let mut threads: Vec<String> = ids.iter().map(|id| format!("{id}-0")).collect();
    threads.sort();
    let count = threads.len();
    if owners.len() != partitions as usize || count == 0 {
        return false;
    }
    let (each, more) = (owners.len() / count, owners.len() % count);
    match side {
        Side::Kafka => {
            let shares = threads.iter().enumerate().map(|(place, thread)| (thread, each + usize::from(place < more)));
            let range = shares.flat_map(|(thread, share)| std::iter::repeat_n(thread, share));
            owners.values().eq(range)
        }
        Side::Ottla => {
            let mut shares: BTreeMap<&str, usize> = threads.iter().map(|thread| (thread.as_str(), 0)).collect();
            let known = owners.values().all(|owner| shares.get_mut(owner.as_str()).map(|share| *share += 1).is_some());
            known && shares.values().all(|share| *share == each || *share == each + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(names: &[&str]) -> Owners {
        (0..).zip(names.iter().map(|name| format!("{name}-0"))).collect()
    }

    #[test]
    fn what_counts_as_rest_is_each_sides_own_rule() {
        let ids = ["b".to_owned(), "a".to_owned()];
        let range = owners(&["a", "a", "a", "b", "b"]);
        assert!(is_stable(Side::Kafka, &range, &ids, 5) && is_stable(Side::Ottla, &range, &ids, 5));
        let even = owners(&["b", "a", "b", "a", "b"]);
        assert!(!is_stable(Side::Kafka, &even, &ids, 5) && is_stable(Side::Ottla, &even, &ids, 5));
        for wrong in
            [owners(&["a", "a", "a", "a", "b"]), owners(&["a", "b", "a", "b"]), owners(&["a", "b", "a", "b", "c"])]
        {
            assert!(!is_stable(Side::Kafka, &wrong, &ids, 5) && !is_stable(Side::Ottla, &wrong, &ids, 5), "{wrong:?}");
        }
        assert!(!is_stable(Side::Ottla, &owners(&["a"]), &[], 1));
    }
}
