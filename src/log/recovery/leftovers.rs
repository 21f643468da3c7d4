//! What a stop on the way may have left in a partition's folder: files about to be removed, and a compaction that was
//! complete but not yet in place (`LogLoader.removeTempFilesAndCollectSwapFiles`).

use std::path::{Path, PathBuf};

use ottla_types::Offset;

use crate::disk::{Disk, StorageError};
use crate::scan::HeaderScan;
use crate::segment::{LOG_SUFFIX, SUFFIXES, parse_file_name, segment_path};

/// Removes temporary files, puts complete `.swap` segments in the place of what they replace, and removes index files
/// without a log.
pub(super) fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    let names: Vec<String> = disk.list(dir)?.into_iter().filter(|e| !e.is_dir).map(|e| e.name).collect();
    // A swap at or behind an unfinished `.cleaned` file belongs to the same unfinished step: the originals are whole.
    let unfinished = names.iter().filter(|n| n.ends_with(".cleaned")).filter_map(|n| parse_file_name(n)).map(|p| p.0);
    let unfinished = unfinished.min().unwrap_or(Offset::MAX);
    let mut changed = false;
    let mut swaps: Vec<Offset> = Vec::new();
    for name in &names {
        let swap = name.strip_suffix(".swap").and_then(parse_file_name);
        let dropped = [".deleted", ".cleaned", ".tmp"].iter().any(|s| name.ends_with(s))
            || swap.is_some_and(|(base, _)| base >= unfinished);
        if dropped {
            disk.remove(&dir.join(name))?;
            changed = true;
        } else if let Some((base, LOG_SUFFIX)) = swap {
            swaps.push(base);
        }
    }
    for base in swaps {
        swap_in(disk, dir, base, &names)?;
        changed = true;
    }
    for entry in disk.list(dir)? {
        if let Some((base, suffix)) = parse_file_name(&entry.name)
            && SUFFIXES[1..].contains(&suffix)
            && !disk.exists(&segment_path(dir, base, LOG_SUFFIX))
        {
            disk.remove(&dir.join(&entry.name))?;
            changed = true;
        }
    }
    if changed { disk.sync_dir(dir) } else { Ok(()) }
}

fn swapped(path: PathBuf) -> PathBuf {
    let mut name = path.into_os_string();
    name.push(".swap");
    name.into()
}

fn swap_in(disk: &dyn Disk, dir: &Path, base: Offset, names: &[String]) -> Result<(), StorageError> {
    let path = swapped(segment_path(dir, base, LOG_SUFFIX));
    let file = disk.open(&path)?;
    let len = file.len().map_err(StorageError::of("measure", &path))?;
    let mut scan = HeaderScan::new(&*file, 0, len);
    let mut end = base;
    while let Some((_, header)) = scan.next().map_err(|e| e.into_storage(&path))? {
        end = header.next_offset();
    }
    for (original, suffix) in names.iter().filter_map(|n| parse_file_name(n)) {
        // Another swap's file is none of the originals: its suffix ends in `.swap`.
        if SUFFIXES.contains(&suffix) && (original == base || original > base && original < end) {
            disk.remove(&segment_path(dir, original, suffix))?;
        }
    }
    for suffix in SUFFIXES {
        let from = swapped(segment_path(dir, base, suffix));
        if disk.exists(&from) {
            disk.rename(&from, &segment_path(dir, base, suffix))?;
        }
    }
    Ok(())
}
