//! What the cases have at hand: the brokers, how much to do, and ways to take the cost of a load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{During, Failure};
use crate::load::cpu::Usage;
use crate::load::topic;
use crate::peer::{Peer, System};

/// The brokers of the turns and what the cases share.
pub(crate) struct Bench {
    /// A folder for whatever a case needs, on the file system of the brokers' data.
    pub(crate) folder: PathBuf,
    /// Small amounts, to see that everything works.
    pub(crate) quick: bool,
    ottla: Option<Peer>,
    kafka: Option<Peer>,
    topics: usize,
    /// Topics that were deleted and may still have files.
    leftovers: Vec<(System, String)>,
    /// Whether what is measured now counts for nothing.
    pub(crate) is_warm_up: bool,
    /// KiB in memory after the start and before any load.
    pub(crate) resident_idle: BTreeMap<System, u64>,
}

/// How long brokers are left alone before they count as idle.
pub(crate) const REST: Duration = Duration::from_secs(10);

impl Bench {
    /// Without brokers.
    pub(crate) fn new(folder: &Path, quick: bool) -> Bench {
        Bench {
            folder: folder.into(),
            quick,
            ottla: None,
            kafka: None,
            topics: 0,
            leftovers: Vec::new(),
            is_warm_up: false,
            resident_idle: BTreeMap::new(),
        }
    }

    /// Starts a broker that stays up.
    pub(crate) fn start(&mut self, system: System) -> Result<(), Failure> {
        match system {
            System::Floor => {}
            System::Ottla => self.ottla = Some(Peer::ottla(&self.folder.join("ottla"))?),
            System::Kafka => self.kafka = Some(Peer::kafka(&self.folder.join("kafka"))?),
        }
        Ok(())
    }

    /// Leaves the brokers to themselves until what they do after a start is done, and looks at their memory then.
    pub(crate) fn rest(&mut self) -> Result<(), Failure> {
        std::thread::sleep(self.duration(REST));
        for system in [System::Ottla, System::Kafka] {
            if let Ok(peer) = self.peer(system) {
                self.resident_idle.insert(system, peer.usage()?.resident_kib);
            }
        }
        Ok(())
    }

    /// Processor time of the ZooKeeper beside a broker of the turns since its start, in seconds.
    pub(crate) fn zookeeper_cpu_seconds(&self, system: System) -> Option<f64> {
        self.peer(system).ok()?.zookeeper_cpu_seconds()
    }

    /// Ends the brokers.
    pub(crate) fn stop(&mut self) {
        self.ottla.take().into_iter().chain(self.kafka.take()).for_each(Peer::stop);
    }

    /// The broker of that name.
    pub(crate) fn peer(&self, system: System) -> Result<&Peer, Failure> {
        let peer = match system {
            System::Floor => None,
            System::Ottla => self.ottla.as_ref(),
            System::Kafka => self.kafka.as_ref(),
        };
        peer.ok_or_else(|| Failure::new(format!("{} does not run", system.name())))
    }

    /// That many bytes, or a tenth if it is to be quick.
    pub(crate) fn bytes(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// That long, or a tenth if it is to be quick, or a quarter to warm up.
    pub(crate) fn duration(&self, full: Duration) -> Duration {
        match (self.quick, self.is_warm_up) {
            (true, _) => full / 10,
            (false, true) => full / 4,
            (false, false) => full,
        }
    }

    /// Waits until no file of a deleted topic is left, so that nothing is measured beside its removal.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        std::mem::take(&mut self.leftovers).iter().try_for_each(|(system, topic)| self.peer(*system)?.forget(topic))
    }

    /// Runs something with a new topic, which is deleted afterwards. Its files may stay for a while; before the same
    /// broker gets another topic they are gone.
    pub(crate) fn with_topic<T>(
        &mut self,
        system: System,
        (partitions, configs): (i32, &[(&str, &str)]),
        work: impl FnOnce(&Peer, &str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let is_own = |(other, _): &mut (System, String)| *other == system;
        let own: Vec<_> = self.leftovers.extract_if(.., is_own).collect();
        own.iter().try_for_each(|(_, topic)| self.peer(system)?.forget(topic))?;
        self.topics += 1;
        let name = format!("bench-{}", self.topics);
        let peer = self.peer(system)?;
        topic::create(&peer.bootstrap, &name, partitions, configs).during(format!("creating topic {name}"))?;
        let result = work(peer, &name);
        let deleted = topic::delete(&peer.bootstrap, &name).during(format!("deleting topic {name}"));
        let result = result?;
        deleted?;
        self.leftovers.push((system, name));
        Ok(result)
    }
}

/// What a process paid during something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Processor time, user and system, in seconds.
    pub(crate) cpu_seconds: f64,
}

/// Runs a load and takes what a process paid for it.
pub(crate) fn cost_of<T, E: std::fmt::Display>(
    pid: u32,
    doing: &str,
    load: impl FnOnce() -> Result<T, E>,
) -> Result<(T, Cost), Failure> {
    let before = Usage::of(pid).during("reading the processor time")?;
    let done = load().during(doing)?;
    let after = Usage::of(pid).during("reading the processor time")?;
    Ok((done, Cost { cpu_seconds: after.since(&before).cpu_seconds() }))
}

impl Cost {
    /// Processor seconds for 10^9 of these bytes.
    pub(crate) fn per_gb(&self, bytes: u64) -> f64 {
        self.cpu_seconds / (bytes as f64 / 1e9)
    }

    /// Processor seconds for a million of these.
    pub(crate) fn per_million(&self, count: u64) -> f64 {
        self.cpu_seconds / (count as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_for_the_unit_that_they_name() {
        let cost = Cost { cpu_seconds: 0.5 };
        assert_eq!(cost.per_gb(2_000_000_000), 0.25);
        assert_eq!(cost.per_million(500_000), 1.0);
    }
}
