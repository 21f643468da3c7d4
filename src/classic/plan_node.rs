//! The plan as it was read last.

use zk_schema::{ConsumerPlan, consumer_plan};

use crate::effect::{Fatal, Report};
use crate::identity::Identity;
use crate::requests::{Ask, Step};
use ottla_znodes::Watched;
use ottla_znodes::{Failure, Refusal, Reply, Request};

/// The plan's node, watched by every member.
#[derive(Debug, Default)]
pub(crate) struct PlanNode {
    pub(crate) node: Watched,
    /// It is not there: looked at instead of read, since only that sets a watch.
    pub(crate) missing: bool,
    /// Its data version, when it is there.
    pub(crate) version: i32,
    /// What is there cannot be read.
    pub(crate) broken: bool,
    /// The last one that could be read. It holds on when the node is removed or broken.
    pub(crate) plan: Option<ConsumerPlan>,
}

impl PlanNode {
    pub(crate) fn settle(&mut self, step: &mut Step<'_>, me: &Identity) {
        if self.node.take_due() {
            let path = consumer_plan::path(&me.group);
            let watch = true;
            let request = if self.missing { Request::Exists { path, watch } } else { Request::Get { path, watch } };
            step.send(Ask::Plan, request);
        }
    }

    /// The answer; returns a plan that is new.
    pub(crate) fn answered(
        &mut self,
        step: &mut Step<'_>,
        me: &Identity,
        outcome: Result<Reply, Failure>,
    ) -> Result<Option<ConsumerPlan>, Fatal> {
        match outcome {
            Ok(Reply::Data(data, stat)) => {
                self.node.answered();
                (self.missing, self.version) = (false, stat.version);
                let path = consumer_plan::path(&me.group);
                match ConsumerPlan::decode(&path, &data) {
                    Ok(plan) => {
                        self.broken = false;
                        return Ok((self.plan.as_ref() != Some(&plan)).then_some(plan));
                    }
                    Err(error) => {
                        self.broken = true;
                        step.report(Report::Unreadable { path, problem: error.to_string() });
                    }
                }
            }
            Ok(Reply::Stat(None)) => {
                self.node.answered();
                self.missing = true;
            }
            Ok(_) => {
                self.missing = false;
                self.node.failed();
            }
            Err(Failure::Refused { why: Refusal::Other(code), .. }) => {
                return Err(Fatal::Refused { path: consumer_plan::path(&me.group), code });
            }
            Err(Failure::Refused { .. }) => {
                self.missing = true;
                self.node.failed();
            }
            Err(Failure::Unknown | Failure::Expired) => self.node.failed(),
        }
        Ok(None)
    }

    /// This member wrote it itself.
    pub(crate) fn written(&mut self, version: i32) {
        (self.missing, self.broken, self.version) = (false, false, version);
    }
}
