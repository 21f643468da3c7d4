//! The program itself.

use std::process::Command;
use std::time::Duration;

use ottla_integration_tests::broker::binary;

use super::{Case, Figures, MIB, Row, When};
use crate::bench::Bench;
use crate::failure::{During, Failure};
use crate::peer::System;
use crate::target::{Limit, Target};

/// Its size without symbols.
pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "binary",
        what: "size of the program, stripped".into(),
        when: When::Before,
        systems: &[System::Ottla],
        takes: Duration::ZERO,
        only_in_full: false,
        disk_bytes: 0,
        rows: vec![Row::new(MIB, Target::AtMost(Limit::Fixed(15.0)))],
        measure: Box::new(|bench, _| measure(bench)),
    }]
}

fn measure(bench: &mut Bench) -> Result<Figures, Failure> {
    let stripped = bench.folder.join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(binary()).status();
    let status = status.during("strip, of the package binutils")?;
    if !status.success() {
        return Err(Failure::new(format!("strip ended with {status}")));
    }
    let size = std::fs::metadata(&stripped)?.len();
    std::fs::remove_file(stripped)?;
    Ok(vec![(MIB, size as f64 / f64::from(1 << 20))])
}
