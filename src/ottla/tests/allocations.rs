//! How often a request asks for memory once everything that is made once is there: on the paths that carry the records,
//! each call of the allocator is time and a lock. The bounds may only go down.
//!
//! Memory of the codecs written in C is not seen.

#[path = "../benches/served/mod.rs"]
mod served;

use served::{PATHS, Served};

/// The most calls of the allocator for a request, by path.
const BOUNDS: &[(&str, u64)] = &[
    ("produce-100", 8),
    ("produce-1k", 8),
    ("produce-lz4", 8),
    ("produce-single", 8),
    ("produce-old", 28),
    ("fetch-batch", 10),
    ("fetch-empty", 8),
    ("fetch-down", 23),
];

/// So many that what is asked for now and then, as a log's index grows, disappears in the division.
const REQUESTS: u64 = 100;

#[test]
fn requests_ask_for_memory_no_more_often_than_they_did() {
    let mut over = Vec::new();
    for path in PATHS {
        let served = Served::new(path);
        let frames = served.frames(REQUESTS as usize);
        let used = allocation_counter::measure(|| served.serve_all(frames));
        let (count, bytes) = (used.count_total / REQUESTS, used.bytes_total / REQUESTS);
        println!("{:<16}{count:>6} allocations of {bytes:>9} bytes", path.name);
        let (_, bound) = BOUNDS.iter().find(|(name, _)| *name == path.name).expect("each path has a bound");
        if count > *bound {
            over.push(format!("{}: {count} allocations for a request, {bound} are allowed", path.name));
        }
    }
    assert!(over.is_empty(), "\n{}\n", over.join("\n"));
}
