//! The controller as a value: one event in, effects out.

use ottla_types::{BrokerId, ControllerEpoch};

use crate::cluster::UncleanElection;
use crate::effect::Effect;
use crate::event::Event;
use crate::term::Term;

/// What the operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `delete.topic.enable`: otherwise marks for deletion are removed and nothing else.
    pub delete_topic_enable: bool,
    /// `auto.leader.rebalance.enable`: leadership goes back to the preferred replicas by itself.
    pub auto_leader_rebalance_enable: bool,
    /// `leader.imbalance.check.interval.seconds`, in milliseconds.
    pub leader_imbalance_check_interval_ms: i64,
    /// `leader.imbalance.per.broker.percentage`: how many of the partitions that a broker should lead others may lead.
    pub leader_imbalance_per_broker_percentage: i64,
}

impl Default for Settings {
    /// Kafka 3.9's defaults.
    fn default() -> Settings {
        Settings {
            delete_topic_enable: true,
            auto_leader_rebalance_enable: true,
            leader_imbalance_check_interval_ms: 300_000,
            leader_imbalance_per_broker_percentage: 10,
        }
    }
}

/// A broker's controller: idle until [`Event::Elected`], and again after [`Event::Resigned`].
#[derive(Debug)]
pub struct Controller {
    me: BrokerId,
    settings: Settings,
    unclean: UncleanElection,
    term: Option<Term>,
}

impl Controller {
    /// The controller of broker `me`, idle.
    pub fn new(me: BrokerId, settings: Settings) -> Controller {
        Controller { me, settings, unclean: UncleanElection::default(), term: None }
    }

    /// Takes in one event and appends what is to be done to `out`. `now_ms` is any clock that does not go back, ms.
    ///
    /// Events of an earlier term must not be passed on once [`Event::Elected`] began the next.
    pub fn step(&mut self, now_ms: i64, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Elected { epoch, cluster } => {
                let (settings, unclean) = (self.settings.clone(), self.unclean.clone());
                self.term = Some(Term::begin(now_ms, self.me, epoch, settings, unclean, *cluster));
            }
            Event::Resigned => self.term = None,
            Event::UncleanElectionConfigured(unclean) => {
                self.unclean = unclean.clone();
                if let Some(term) = &mut self.term {
                    term.unclean = unclean;
                    term.settle_all();
                }
            }
            event => {
                if let Some(term) = &mut self.term {
                    term.step(now_ms, event);
                }
            }
        }
        if let Some(term) = &mut self.term {
            term.finish(out);
        }
    }

    /// When [`Event::DeadlinePassed`] is due, on the clock of [`step`](Controller::step), ms.
    pub fn next_deadline(&self) -> Option<i64> {
        self.term.as_ref()?.next_deadline()
    }

    /// The epoch of the term of office, if this broker is controller.
    pub fn epoch(&self) -> Option<ControllerEpoch> {
        self.term.as_ref().map(|t| t.epoch)
    }

    /// How many partitions have no leader that lives, topics on their way out not counted (`OfflinePartitionsCount`).
    pub fn offline_partitions(&self) -> usize {
        self.term.as_ref().map_or(0, |t| t.cluster.offline_partitions())
    }
}
