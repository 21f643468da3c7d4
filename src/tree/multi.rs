//! multi: all operations or none, each seeing those before it.

use crate::apply::Journal;
use crate::outcome::{Caller, Outcome};
use crate::tree::Tree;
use ottla_jute::{Create2Response, ErrorCode, Op, OpResult, Response, Txn};

impl Tree {
    pub(crate) fn multi(&mut self, now_ms: i64, caller: Caller, ops: &[Op]) -> Outcome {
        let header = self.header(now_ms, caller);
        let mut journal = Journal::default();
        let (mut txns, mut results) = (Vec::with_capacity(ops.len()), Vec::with_capacity(ops.len()));
        let mut failure = None;
        for op in ops {
            match self.decide(caller.session_id, op) {
                Ok(txn) => {
                    self.apply_to(&header, &txn, &mut journal);
                    results.push(self.result(&txn));
                    txns.push(txn);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failure {
            self.undo(std::mem::take(&mut journal));
            results = vec![OpResult::Error(0); txns.len()];
            let codes = std::iter::once(error.code()).chain(std::iter::repeat(ErrorCode::RuntimeInconsistency.code()));
            for code in codes.take(ops.len() - txns.len()) {
                results.push(OpResult::Error(code));
                txns.push(Txn::Error(code));
            }
        }
        let events = self.settle(&header, journal);
        let entry = self.entry(header, Txn::Multi(txns));
        Outcome { entry: Some(entry), events, ..Outcome::answer(caller, header.zxid, Response::Multi(results)) }
    }

    /// The result of an operation that was just applied.
    fn result(&self, txn: &Txn) -> OpResult {
        match txn {
            Txn::Create(create) => OpResult::Create(create.path.clone()),
            Txn::Create2(create) => self.created_result(&create.path),
            Txn::CreateTtl(create) => self.created_result(&create.path),
            Txn::CreateContainer(create) => self.created_result(&create.path),
            Txn::SetData(set) => OpResult::SetData(self.stat_of(&set.path)),
            Txn::Delete(_) => OpResult::Delete,
            _ => OpResult::Check,
        }
    }

    fn created_result(&self, path: &str) -> OpResult {
        OpResult::Create2(Create2Response { path: path.to_owned(), stat: self.stat_of(path) })
    }
}
