//! Sees that sockets and timers are attended to while a write is slow.
//!
//! One of the runtime's threads waits for sockets and timers; when a request comes it serves it itself, and no other takes
//! its place as long as there is nothing more to do. If the request's write then waits for the disk, nobody looks at the
//! sockets: all requests of all partitions would wait with it. So a thread of its own watches: a write that has not ended
//! after [`TICK`] gets the runtime an empty task, which wakes another thread, which then waits for the sockets.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// How long a write may take before somebody looks after the sockets. The thread sleeps where nothing is written.
const TICK: Duration = Duration::from_millis(5);

/// Counts writes, and watches them.
#[derive(Default)]
pub(super) struct Attendance {
    begun: AtomicU64,
    under_way: AtomicUsize,
    asleep: AtomicBool,
    closed: AtomicBool,
    watcher: OnceLock<Thread>,
}

/// A write that is under way.
pub struct Write<'a>(&'a Attendance);

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Release);
    }
}

impl Attendance {
    /// Starts the watch, if there is a runtime that it could wake.
    pub(super) fn start() -> std::io::Result<Arc<Attendance>> {
        let attendance = Arc::new(Attendance::default());
        if let Ok(runtime) = Handle::try_current() {
            let watched = attendance.clone();
            let watch: JoinHandle<()> =
                std::thread::Builder::new().name("attendance".into()).spawn(move || watched.watch(&runtime))?;
            // Nobody else sets it.
            let _ = attendance.watcher.set(watch.thread().clone());
        }
        Ok(attendance)
    }

    /// A write begins; it ends with the guard.
    pub(super) fn begin(&self) -> Write<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        // Orders the count before the look at the sleeper; `watch` has the other half.
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
        Write(self)
    }

    /// Ends the watch.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }

    fn watch(&self, runtime: &Handle) {
        while !self.closed.load(Ordering::SeqCst) {
            let begun = self.begun.load(Ordering::SeqCst);
            std::thread::sleep(TICK);
            if self.begun.load(Ordering::SeqCst) != begun {
                continue;
            }
            if self.under_way.load(Ordering::Acquire) > 0 {
                runtime.spawn(async {});
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            if self.begun.load(Ordering::SeqCst) == begun && !self.closed.load(Ordering::SeqCst) {
                std::thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}
