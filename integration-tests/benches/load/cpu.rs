//! What a process has used: processor, memory, changes of context.

use std::fs::read_to_string;
use std::io;

use super::connection::invalid;

/// What a process has used since it began, and what it uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of processor time in user mode, of all threads there ever were; the kernel counts in 1/100 s.
    pub(crate) user_seconds: f64,
    /// The same in the kernel.
    pub(crate) system_seconds: f64,
    /// Changes of context, voluntary and not, of the threads there are now.
    pub(crate) context_switches: u64,
    /// Resident memory in KiB.
    pub(crate) resident_kib: u64,
    /// The most it ever was, in KiB.
    pub(crate) peak_resident_kib: u64,
}

impl Usage {
    /// Of a process.
    ///
    /// # Errors
    /// There is no such process; `/proc` is not what Linux has.
    pub(crate) fn of(pid: u32) -> io::Result<Usage> {
        let (user, system) = ticks(&read_to_string(format!("/proc/{pid}/stat"))?)
            .ok_or_else(|| invalid(format!("/proc/{pid}/stat is not understood")))?;
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let status = read_to_string(format!("/proc/{pid}/status"))?;
        let mut context_switches = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end while we look.
            let Ok(status) = read_to_string(task?.path().join("status")) else { continue };
            context_switches += field(&status, "voluntary_ctxt_switches:");
            context_switches += field(&status, "nonvoluntary_ctxt_switches:");
        }
        Ok(Usage {
            user_seconds: user as f64 / per_second,
            system_seconds: system as f64 / per_second,
            context_switches,
            resident_kib: field(&status, "VmRSS:"),
            peak_resident_kib: field(&status, "VmHWM:"),
        })
    }

    /// Seconds of processor time in both modes.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// Processor time and changes of context since `earlier`; memory is that of now.
    pub(crate) fn since(&self, earlier: &Usage) -> Usage {
        Usage {
            user_seconds: self.user_seconds - earlier.user_seconds,
            system_seconds: self.system_seconds - earlier.system_seconds,
            context_switches: self.context_switches.saturating_sub(earlier.context_switches),
            ..*self
        }
    }
}

/// User and system time in ticks: fields 14 and 15 of `/proc/PID/stat`, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The number in a line of `/proc/PID/status`; 0 if there is none.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_moves_no_field() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 140 150 160 170 20 0";
        assert_eq!(ticks(stat), Some((140, 150)));
        assert_eq!(ticks("12 (ottla) S 1"), None);
    }

    #[test]
    fn work_is_seen() {
        let before = Usage::of(std::process::id()).unwrap();
        let mut n = 0u64;
        while Usage::of(std::process::id()).unwrap().since(&before).cpu_seconds() < 0.1 {
            n = std::hint::black_box(n) + 1;
        }
        let after = Usage::of(std::process::id()).unwrap();
        assert!(after.peak_resident_kib >= after.resident_kib && after.resident_kib > 1000);
        assert_eq!(
            field("voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n", "nonvoluntary_ctxt_switches:"),
            7
        );
    }
}
