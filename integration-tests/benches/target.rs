//! What Ottla has to reach, measured against the floor, Kafka, another client, itself or a plain number. Less is better everywhere.

use std::fmt::{self, Display, Formatter};

use crate::table::number;

/// A height that a figure of Ottla's may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// So many times the floor.
    Floor(f64),
    /// So many times Kafka's figure.
    Kafka(f64),
    /// So many times librdkafka's figure.
    Librdkafka(f64),
    /// So many times the figure of Kafka's client in Java.
    Java(f64),
    /// So many times Ottla's own figure of the same kind in another case.
    Own(f64, &'static str),
    /// This much.
    Fixed(f64),
}

/// When a row counts as reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Never: the row is there to be looked at.
    Shown,
    /// At most this.
    AtMost(Limit),
    /// At most the larger of the two.
    Larger(Limit, Limit),
    /// At most each of the two.
    Both(Limit, Limit),
}

/// The medians that a target is measured against; what was not measured is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Known {
    /// The floor's.
    pub(crate) floor: Option<f64>,
    /// Kafka's.
    pub(crate) kafka: Option<f64>,
    /// librdkafka's.
    pub(crate) librdkafka: Option<f64>,
    /// That of Kafka's client in Java.
    pub(crate) java: Option<f64>,
    /// Ottla's own in the case that [`Limit::Own`] names.
    pub(crate) own: Option<f64>,
}

/// Whether a target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes.
    Reached,
    /// No.
    Missed,
    /// What it is measured against is missing.
    Open,
    /// The row has no target.
    Unjudged,
}

impl Limit {
    fn value(self, known: &Known) -> Option<f64> {
        match self {
            Limit::Floor(times) => known.floor.map(|floor| floor * times),
            Limit::Kafka(times) => known.kafka.map(|kafka| kafka * times),
            Limit::Librdkafka(times) => known.librdkafka.map(|librdkafka| librdkafka * times),
            Limit::Java(times) => known.java.map(|java| java * times),
            Limit::Own(times, _) => known.own.map(|own| own * times),
            Limit::Fixed(value) => Some(value),
        }
    }
}

impl Target {
    /// The limits it is made of.
    pub(crate) fn limits(self) -> Vec<Limit> {
        match self {
            Target::Shown => vec![],
            Target::AtMost(limit) => vec![limit],
            Target::Larger(a, b) | Target::Both(a, b) => vec![a, b],
        }
    }

    /// The case whose own figure it refers to.
    pub(crate) fn own_case(self) -> Option<&'static str> {
        self.limits().into_iter().find_map(|limit| match limit {
            Limit::Own(_, case) => Some(case),
            _ => None,
        })
    }

    /// The height of the target, when all that it needs is known.
    pub(crate) fn height(self, known: &Known) -> Option<f64> {
        match self {
            Target::Shown => None,
            Target::AtMost(limit) => limit.value(known),
            Target::Larger(a, b) => Some(a.value(known)?.max(b.value(known)?)),
            Target::Both(a, b) => Some(a.value(known)?.min(b.value(known)?)),
        }
    }

    /// Judges Ottla's median. A target of which one limit is unknown is still judged where the other one decides.
    pub(crate) fn judge(self, ottla: Option<f64>, known: &Known) -> Verdict {
        let Some(ottla) = ottla else {
            return if self == Target::Shown { Verdict::Unjudged } else { Verdict::Open };
        };
        let kept = |limit: Limit| limit.value(known).map(|height| ottla <= height);
        let decided = match self {
            Target::Shown => return Verdict::Unjudged,
            Target::AtMost(limit) => kept(limit),
            Target::Larger(a, b) => match (kept(a), kept(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Target::Both(a, b) => match (kept(a), kept(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
        };
        match decided {
            Some(true) => Verdict::Reached,
            Some(false) => Verdict::Missed,
            None => Verdict::Open,
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Floor(times) => write!(f, "{times} × floor"),
            Limit::Kafka(times) => part(f, *times, "Kafka"),
            Limit::Librdkafka(times) => part(f, *times, "librdkafka"),
            Limit::Java(times) => part(f, *times, "Java"),
            Limit::Own(times, case) => write!(f, "{times} × {case}"),
            Limit::Fixed(value) => write!(f, "{}", number(*value)),
        }
    }
}

fn part(f: &mut Formatter<'_>, times: f64, of: &str) -> fmt::Result {
    match times {
        1.0 => write!(f, "{of}"),
        times => write!(f, "1/{} {of}", number(1.0 / times)),
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Target::Shown => Ok(()),
            Target::AtMost(limit) => write!(f, "{limit}"),
            Target::Larger(a, b) => write!(f, "larger of {a}, {b}"),
            Target::Both(a, b) => write!(f, "{a} and {b}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known =
        Known { floor: Some(0.5), kafka: Some(4.0), librdkafka: Some(3.0), java: Some(20.0), own: Some(1.0) };

    #[test]
    fn the_larger_of_two_limits_counts() {
        let target = Target::Larger(Limit::Floor(2.0), Limit::Kafka(0.2));
        assert_eq!(target.height(&KNOWN), Some(1.0));
        assert_eq!(target.judge(Some(1.0), &KNOWN), Verdict::Reached);
        assert_eq!(target.judge(Some(1.01), &KNOWN), Verdict::Missed);
        let slow_kafka = Known { kafka: Some(10.0), ..KNOWN };
        assert_eq!(target.height(&slow_kafka), Some(2.0));
        assert_eq!(target.judge(Some(1.01), &slow_kafka), Verdict::Reached);
    }

    #[test]
    fn both_limits_have_to_be_kept() {
        let target = Target::Both(Limit::Floor(1.3), Limit::Kafka(1.0));
        assert_eq!(target.height(&KNOWN), Some(0.65));
        assert_eq!(target.judge(Some(0.65), &KNOWN), Verdict::Reached);
        assert_eq!(target.judge(Some(0.66), &KNOWN), Verdict::Missed);
        let light_kafka = Known { kafka: Some(0.4), ..KNOWN };
        assert_eq!(target.judge(Some(0.5), &light_kafka), Verdict::Missed);
    }

    #[test]
    fn other_clients_are_limits_too() {
        let target = Target::Both(Limit::Librdkafka(0.5), Limit::Java(0.1));
        assert_eq!(target.to_string(), "1/2 librdkafka and 1/10 Java");
        assert_eq!(target.height(&KNOWN), Some(1.5));
        assert_eq!(target.judge(Some(1.6), &KNOWN), Verdict::Missed);
        assert_eq!(target.judge(Some(1.6), &Known { java: None, ..KNOWN }), Verdict::Missed);
        assert_eq!(target.judge(Some(1.4), &Known { java: None, ..KNOWN }), Verdict::Open);
    }

    #[test]
    fn without_kafka_a_target_is_open_unless_the_floor_decides() {
        let alone = Known { kafka: None, ..KNOWN };
        let larger = Target::Larger(Limit::Floor(2.0), Limit::Kafka(0.2));
        assert_eq!(larger.judge(Some(0.9), &alone), Verdict::Reached);
        assert_eq!(larger.judge(Some(1.1), &alone), Verdict::Open);
        let both = Target::Both(Limit::Floor(1.3), Limit::Kafka(1.0));
        assert_eq!(both.judge(Some(0.7), &alone), Verdict::Missed);
        assert_eq!(both.judge(Some(0.6), &alone), Verdict::Open);
        assert_eq!(both.height(&alone), None);
    }

    #[test]
    fn its_own_figure_and_plain_numbers_are_limits_too() {
        assert_eq!(Target::AtMost(Limit::Own(1.2, "produce-1k")).judge(Some(1.21), &KNOWN), Verdict::Missed);
        assert_eq!(Target::AtMost(Limit::Own(1.2, "produce-1k")).own_case(), Some("produce-1k"));
        assert_eq!(Target::AtMost(Limit::Fixed(32.0)).judge(Some(32.0), &Known::default()), Verdict::Reached);
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        assert_eq!(Target::AtMost(Limit::Fixed(32.0)).judge(None, &KNOWN), Verdict::Open);
        assert_eq!(Target::Shown.judge(Some(1.0), &KNOWN), Verdict::Unjudged);
    }

    #[test]
    fn a_target_reads_as_the_issue_words_it() {
        let produce = Target::Larger(Limit::Floor(1.5), Limit::Kafka(0.5));
        assert_eq!(produce.to_string(), "larger of 1.5 × floor, 1/2 Kafka");
        let consume = Target::Both(Limit::Floor(1.3), Limit::Kafka(1.0));
        assert_eq!(consume.to_string(), "1.3 × floor and Kafka");
        assert_eq!(Target::AtMost(Limit::Kafka(1.0 / 3.0)).to_string(), "1/3 Kafka");
    }
}
