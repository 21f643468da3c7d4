//! Who plans: the ephemeral node that the first comer holds.

use zk_schema::consumer_plan;

use crate::effect::{Fatal, Report};
use crate::identity::Identity;
use crate::registration::OwnRegistration;
use crate::requests::{Ask, Step};
use ottla_znodes::Watched;
use ottla_znodes::{CreateMode, Failure, Op, Refusal, Reply, Request};

/// Who holds the office, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    Unknown,
    Nobody,
    Other,
    Me,
}

/// The planner's node, watched by every member.
#[derive(Debug, Default)]
pub(crate) struct Office {
    node: Watched,
    holder: Holder,
    taking: bool,
}

impl Office {
    pub(crate) fn is_mine(&self) -> bool {
        self.holder == Holder::Me
    }

    /// The watch fired: most likely the planner is gone, so each tries to follow it at once.
    pub(crate) fn changed(&mut self) {
        if self.holder == Holder::Other && self.node.is_fresh() {
            self.holder = Holder::Nobody;
        } else {
            self.node.changed();
        }
    }

    /// Watches may have fired unseen.
    pub(crate) fn reconnected(&mut self) {
        self.node.changed();
    }

    pub(crate) fn settle(&mut self, step: &mut Step<'_>, me: &Identity, registration: &OwnRegistration) {
        let path = consumer_plan::planner_path(&me.group);
        if self.taking {
            return;
        }
        if self.holder == Holder::Nobody && self.node.is_fresh() {
            if let Some(version) = registration.version() {
                let data = me.consumer_id.clone().into_bytes();
                let ops = vec![me.check(version), Op::Create { path, data, mode: CreateMode::Ephemeral }];
                step.send(Ask::TakeOffice, Request::Write(ops));
                self.taking = true;
            }
        } else if self.node.take_due() {
            step.send(Ask::Office, Request::Exists { path, watch: true });
        }
    }

    /// The answer to the question who holds it.
    pub(crate) fn read(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        match outcome {
            Ok(Reply::Stat(found)) => {
                self.node.answered();
                let holder = match found {
                    None => Holder::Nobody,
                    Some(stat) if stat.ephemeral_owner == me.session_id => Holder::Me,
                    Some(_) => Holder::Other,
                };
                self.hold(step, holder);
            }
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                return Err(Fatal::Refused { path: consumer_plan::planner_path(&me.group), code });
            }
            _ => self.node.failed(),
        }
        Ok(())
    }

    fn hold(&mut self, step: &mut Step<'_>, holder: Holder) {
        if holder == Holder::Me && self.holder != Holder::Me {
            step.report(Report::BecamePlanner);
        }
        self.holder = holder;
    }

    /// The answer to the attempt to take it. In every case the node is looked at next, to watch it.
    pub(crate) fn taken(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        registration: &mut OwnRegistration,
        outcome: Result<Reply, Failure>,
    ) -> Result<(), Fatal> {
        self.taking = false;
        self.node.changed();
        match outcome {
            Ok(_) => self.hold(step, Holder::Me),
            Err(Failure::Refused { at: 0, .. }) => registration.doubt(),
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                return Err(Fatal::Refused { path: consumer_plan::planner_path(&me.group), code });
            }
            Err(_) => self.holder = Holder::Unknown,
        }
        Ok(())
    }
}
