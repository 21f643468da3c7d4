//! How long records may be handed out: until the session can have ended.

use crate::effect::Effect;

/// A lease by the local clock. The server counts the session's timeout from the receipt of a request, which is never
/// before it was sent: so the session lives until `sent_ms` of an answered request plus the timeout.
#[derive(Debug)]
pub(crate) struct Lease {
    length_ms: u64,
    /// Extensions by less are not told: a lease that ends earlier than it could is safe.
    grain_ms: u64,
    until_ms: Option<u64>,
}

impl Lease {
    pub(crate) fn new(timeout_ms: u64, margin_ms: u64) -> Lease {
        Lease { length_ms: timeout_ms.saturating_sub(margin_ms), grain_ms: timeout_ms / 20, until_ms: None }
    }

    /// A request was answered that was sent then.
    pub(crate) fn answered(&mut self, sent_ms: u64, out: &mut Vec<Effect>) {
        let until_ms = sent_ms.saturating_add(self.length_ms);
        if self.until_ms.is_none_or(|known| until_ms >= known.saturating_add(self.grain_ms.max(1))) {
            self.until_ms = Some(until_ms);
            out.push(Effect::Lease { until_ms: Some(until_ms) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_sending_and_never_shrinks() {
        let (mut lease, mut out) = (Lease::new(6000, 500), Vec::new());
        lease.answered(100, &mut out);
        lease.answered(90, &mut out);
        lease.answered(399, &mut out);
        lease.answered(400, &mut out);
        assert_eq!(out, [Effect::Lease { until_ms: Some(5600) }, Effect::Lease { until_ms: Some(5900) }]);
    }

    #[test]
    fn a_margin_over_the_timeout_leaves_no_lease() {
        let (mut lease, mut out) = (Lease::new(100, 500), Vec::new());
        lease.answered(7, &mut out);
        assert_eq!(out, [Effect::Lease { until_ms: Some(7) }]);
    }
}
