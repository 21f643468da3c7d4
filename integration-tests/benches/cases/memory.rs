//! Resident memory: before, during and after all the loads of the turns. Ottla's has its keeper in it, Kafka's does not
//! have its ZooKeeper.

use std::time::Duration;

use super::{BROKERS, Case, Figures, MIB, Row, When};
use crate::bench::{Bench, REST};
use crate::failure::Failure;
use crate::peer::System;
use crate::target::{Limit, Target};

/// How a case is measured: what it needs of the broker, in KiB.
type Kib = fn(&Bench, System) -> Result<u64, Failure>;

/// Idle, peak and quiet again.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, what: &str, (mib, takes), kib: Kib| Case {
        name,
        what: what.into(),
        when: When::AfterTurns,
        systems: BROKERS,
        takes,
        only_in_full: false,
        disk_bytes: 0,
        rows: vec![Row::new(MIB, Target::AtMost(Limit::Fixed(mib)))],
        measure: Box::new(move |bench, system| figures(kib(bench, system)?)),
    };
    vec![
        case("memory-idle", "resident 10 s after the start", (32.0, Duration::ZERO), |bench, system| {
            let resident = bench.resident_idle.get(&system).copied();
            resident.ok_or_else(|| Failure::new(format!("{} was never idle", system.name())))
        }),
        case(
            "memory-peak",
            "the most that was resident in all cases before",
            (96.0, Duration::ZERO),
            |bench, system| Ok(bench.peer(system)?.usage()?.peak_resident_kib),
        ),
        case("memory-quiet", "resident 10 s after the last load", (64.0, REST * 2), |bench, system| {
            std::thread::sleep(bench.duration(REST));
            Ok(bench.peer(system)?.usage()?.resident_kib)
        }),
    ]
}

fn figures(kib: u64) -> Result<Figures, Failure> {
    Ok(vec![(MIB, kib as f64 / 1024.0)])
}
