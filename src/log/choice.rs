//! When to roll a segment and which segments to delete: values in, a choice out. [`crate::Log`] carries the choices out.

use ottla_types::Offset;

use crate::config::LogConfig;

/// What is known when an append asks whether it still fits.
#[derive(Debug, Clone, Copy)]
pub struct RollFacts {
    /// Bytes in the active segment.
    pub segment_size: u64,
    /// Bytes to append.
    pub append_size: u64,
    /// Base offset of the active segment.
    pub base_offset: Offset,
    /// Last offset of what is to be appended.
    pub last_offset: Offset,
    /// Timestamp of the segment's first batch, if its first batch has one.
    pub first_timestamp: Option<i64>,
    /// When the segment was created or opened, wall clock.
    pub created_ms: i64,
    /// Largest timestamp of what is to be appended, -1 for none.
    pub append_max_timestamp: i64,
    /// Whether an index has no room for another entry.
    pub index_full: bool,
    /// Wall clock.
    pub now_ms: i64,
}

/// Why a segment is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollReason {
    /// `segment.bytes`.
    Size,
    /// `segment.ms`.
    Age,
    /// `segment.index.bytes`.
    IndexFull,
    /// Offsets relative to the base would not fit 31 bits (KAFKA-6264).
    OffsetSpan,
}

/// Whether the active segment must be rolled before the append (`LogSegment.shouldRoll`).
pub fn should_roll(facts: &RollFacts, config: &LogConfig) -> Option<RollReason> {
    if facts.last_offset - facts.base_offset > i64::from(i32::MAX) {
        return Some(RollReason::OffsetSpan);
    }
    if facts.segment_size == 0 {
        return None;
    }
    if facts.segment_size + facts.append_size > u64::from(config.segment_bytes) {
        return Some(RollReason::Size);
    }
    // Message time, so that mirrored old data rolls as it did at its source; wall clock for messages without.
    let waited = match facts.first_timestamp {
        Some(first) if facts.append_max_timestamp >= 0 => facts.append_max_timestamp.saturating_sub(first),
        _ => facts.now_ms.saturating_sub(facts.created_ms),
    };
    if waited > config.segment_ms.saturating_sub(config.segment_jitter_ms) {
        return Some(RollReason::Age);
    }
    facts.index_full.then_some(RollReason::IndexFull)
}

/// One segment, as retention sees it.
#[derive(Debug, Clone, Copy)]
pub struct SegmentFacts {
    /// Its first offset.
    pub base_offset: Offset,
    /// The next segment's first offset, or the log's end.
    pub end_offset: Offset,
    /// Bytes in its file.
    pub size: u64,
    /// Largest timestamp inside, or when the file was last written if there is none.
    pub largest_timestamp: i64,
}

/// Why a segment is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReason {
    /// All of it lies before the log's start.
    LogStart,
    /// `retention.ms`.
    Age,
    /// `retention.bytes`.
    Size,
}

/// How many of the oldest segments go, and why the last of them does. The active one is the last of `segments`; it goes
/// only with all others, and only if it holds something: the caller rolls first.
///
/// Each rule is followed from the oldest on until a segment breaks none (log start before age before size,
/// KAFKA-12177), and none reaches above the high watermark: what is not replicated is not old.
pub fn deletable(
    segments: &[SegmentFacts],
    log_start_offset: Offset,
    high_watermark: Offset,
    now_ms: i64,
    config: &LogConfig,
) -> Option<(usize, DeleteReason)> {
    let mut chosen = None;
    let mut surplus = match config.retention_bytes {
        Some(limit) if config.cleanup_policy.delete => {
            segments.iter().map(|s| s.size).sum::<u64>().saturating_sub(limit)
        }
        _ => 0,
    };
    let old = |segment: &SegmentFacts| {
        config.cleanup_policy.delete
            && config.retention_ms.is_some_and(|limit| now_ms.saturating_sub(segment.largest_timestamp) > limit)
    };
    for (index, segment) in segments.iter().enumerate() {
        let active = index + 1 == segments.len();
        if segment.end_offset > high_watermark || active && segment.size == 0 {
            break;
        }
        let reason = if !active && segment.end_offset <= log_start_offset {
            DeleteReason::LogStart
        } else if old(segment) {
            DeleteReason::Age
        } else if surplus > 0 && surplus >= segment.size {
            DeleteReason::Size
        } else {
            break;
        };
        surplus = surplus.saturating_sub(segment.size);
        chosen = Some((index + 1, reason));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CleanupPolicy;

    const ROLL: RollFacts = RollFacts {
        segment_size: 900,
        append_size: 100,
        base_offset: 10,
        last_offset: 20,
        first_timestamp: Some(1000),
        created_ms: 5000,
        append_max_timestamp: 1500,
        index_full: false,
        now_ms: 5100,
    };

    fn roll(facts: RollFacts) -> Option<RollReason> {
        should_roll(&facts, &LogConfig { segment_bytes: 1000, segment_ms: 500, ..LogConfig::default() })
    }

    #[test]
    fn rolls() {
        assert_eq!(roll(ROLL), None);
        assert_eq!(roll(RollFacts { append_size: 101, ..ROLL }), Some(RollReason::Size));
        assert_eq!(roll(RollFacts { segment_size: 0, append_size: 5000, ..ROLL }), None);
        assert_eq!(roll(RollFacts { append_max_timestamp: 1501, ..ROLL }), Some(RollReason::Age));
        // Message time rules even when the wall clock has moved on; without it the wall clock does.
        assert_eq!(roll(RollFacts { now_ms: 9999, ..ROLL }), None);
        assert_eq!(roll(RollFacts { now_ms: 9999, first_timestamp: None, ..ROLL }), Some(RollReason::Age));
        assert_eq!(roll(RollFacts { index_full: true, ..ROLL }), Some(RollReason::IndexFull));
        let far = 11 + i64::from(i32::MAX);
        assert_eq!(roll(RollFacts { last_offset: far, segment_size: 0, ..ROLL }), Some(RollReason::OffsetSpan));
        assert_eq!(roll(RollFacts { last_offset: far - 1, ..ROLL }), None);
    }

    /// Three segments of 100 bytes: 0-10, 10-20, 20-30, written at 1000, 2000, 3000.
    fn three() -> [SegmentFacts; 3] {
        [1, 2, 3].map(|i| SegmentFacts {
            base_offset: (i - 1) * 10,
            end_offset: i * 10,
            size: 100,
            largest_timestamp: i * 1000,
        })
    }

    fn keep_all() -> LogConfig {
        LogConfig { retention_ms: None, retention_bytes: None, ..LogConfig::default() }
    }

    #[test]
    fn deletes_by_log_start() {
        let choose = |start| deletable(&three(), start, 30, 0, &keep_all());
        assert_eq!(choose(9), None);
        assert_eq!(choose(10), Some((1, DeleteReason::LogStart)));
        assert_eq!(choose(30), Some((2, DeleteReason::LogStart)));
        let compact = CleanupPolicy { delete: false, compact: true };
        let config =
            LogConfig { cleanup_policy: compact, retention_ms: Some(1), retention_bytes: Some(0), ..keep_all() };
        assert_eq!(deletable(&three(), 10, 30, 99_999, &config), Some((1, DeleteReason::LogStart)));
    }

    #[test]
    fn deletes_by_age_up_to_the_high_watermark() {
        let config = LogConfig { retention_ms: Some(500), ..keep_all() };
        let choose = |now, hw| deletable(&three(), 0, hw, now, &config);
        assert_eq!(choose(1500, 30), None);
        assert_eq!(choose(1501, 30), Some((1, DeleteReason::Age)));
        assert_eq!(choose(9999, 30), Some((3, DeleteReason::Age)));
        assert_eq!(choose(9999, 29), Some((2, DeleteReason::Age)));
        assert_eq!(choose(9999, 9), None);
        let mut empty_end = three();
        empty_end[2].size = 0;
        assert_eq!(deletable(&empty_end, 0, 30, 9999, &config), Some((2, DeleteReason::Age)));
    }

    #[test]
    fn deletes_by_size_only_whole_segments_of_surplus() {
        let choose = |limit| deletable(&three(), 0, 30, 0, &LogConfig { retention_bytes: Some(limit), ..keep_all() });
        assert_eq!(choose(300), None);
        assert_eq!(choose(201), None);
        assert_eq!(choose(200), Some((1, DeleteReason::Size)));
        assert_eq!(choose(100), Some((2, DeleteReason::Size)));
    }
}
