// SPDX-License-Identifier: BSD-2-Clause
//! Configuration `benchmark`: how many cycles threads run and spend in the kernel, and the system calls that tell
//! (`seL4_BenchmarkGetThreadUtilisation` and so on). As upstream's configuration, it tracks utilisation and has no log
//! buffer.
//!
//! The machine calls [`Kernel::count_entry`] first (again does no harm) and [`Kernel::count_exit`] last in every kernel entry. Between two
//! exits the cycles are those of the thread that runs then; what passes in the kernel is the thread's that entered it.

use crate::kernel::Kernel;
use crate::layout::Tcb;
use crate::machine::Machine;
use kernel_abi::Syscall;
use kernel_abi::context::stored;
use kernel_abi::{error, ipc};

/// What is counted of a thread, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cycles while it was scheduled.
    pub cycles: u64,
    /// How often it was scheduled.
    pub schedules: u64,
    /// Cycles in the kernel.
    pub kernel_cycles: u64,
    /// Kernel entries.
    pub kernel_entries: u64,
}

/// The state of the counting.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    enabled: bool,
    /// Cycles at the reset and at the end.
    start: u64,
    end: u64,
    /// Cycles when the kernel was entered, and when the current thread was scheduled.
    entered: u64,
    scheduled: u64,
    /// Who ran when the kernel was entered.
    running: Option<Tcb>,
    total: Counts,
}

impl Tcb {
    /// Byte offset of the counts.
    const COUNTS: u64 = Self::NAME + Self::NAME_BYTES;

    fn counts<M: Machine>(self, m: &M) -> Counts {
        let [cycles, schedules, kernel_cycles, kernel_entries] =
            [0, 8, 16, 24].map(|offset| m.load_at(self.addr(), Self::COUNTS + offset));
        Counts { cycles, schedules, kernel_cycles, kernel_entries }
    }

    fn set_counts<M: Machine>(self, m: &mut M, counts: Counts) {
        let words = [counts.cycles, counts.schedules, counts.kernel_cycles, counts.kernel_entries];
        for (offset, word) in [0, 8, 16, 24].into_iter().zip(words) {
            m.store_at(self.addr(), Self::COUNTS + offset, word);
        }
    }
}

impl<M: Machine> Kernel<M> {
    /// The kernel is entered.
    #[inline(always)]
    pub fn count_entry(&mut self) {
        if M::BENCHMARK && self.tracking.enabled && self.tracking.running.is_none() {
            self.tracking.entered = self.m.cycles();
            self.tracking.running = Some(self.current);
        }
    }

    /// The kernel is left.
    #[inline(always)]
    pub fn count_exit(&mut self) {
        if M::BENCHMARK && self.tracking.enabled {
            self.count();
        }
    }

    fn count(&mut self) {
        let now = self.m.cycles();
        // Tracking began in this very entry, or the thread that entered is gone.
        let Some(running) = self.tracking.running.take() else {
            self.tracking.scheduled = now;
            return;
        };
        let inside = now.wrapping_sub(self.tracking.entered);
        let mut counts = running.counts(&self.m);
        counts.kernel_cycles += inside;
        counts.kernel_entries += 1;
        let total = &mut self.tracking.total;
        total.kernel_cycles += inside;
        total.kernel_entries += 1;
        if running != self.current {
            counts.cycles += now.wrapping_sub(self.tracking.scheduled);
            self.tracking.scheduled = now;
            total.schedules += 1;
            let mut next = self.current.counts(&self.m);
            next.schedules += 1;
            self.current.set_counts(&mut self.m, next);
        }
        running.set_counts(&mut self.m, counts);
    }

    /// A thread goes away: it is not counted any more.
    pub(crate) fn forget_counts(&mut self, tcb: Tcb) {
        if self.tracking.running == Some(tcb) {
            self.tracking.running = None;
        }
    }

    /// One of the system calls of this configuration.
    pub(crate) fn benchmark_syscall(&mut self, call: Syscall) {
        let thread = self.current;
        let x0 = thread.reg(&self.m, stored::X0);
        match call {
            Syscall::BenchmarkFlushCaches => self.m.flush_caches(),
            Syscall::BenchmarkResetLog => {
                let now = self.m.cycles();
                self.tracking = Tracking { enabled: true, start: now, scheduled: now, ..Tracking::default() };
                thread.set_counts(&mut self.m, Counts::default());
                self.idle.set_counts(&mut self.m, Counts::default());
                thread.set_reg(&mut self.m, stored::X0, error::NONE);
            }
            Syscall::BenchmarkFinalizeLog => {
                self.tracking.end = self.m.cycles();
                self.tracking.enabled = false;
                thread.set_reg(&mut self.m, stored::X0, 0);
            }
            // There is no log.
            Syscall::BenchmarkSetLogBuffer => {
                thread.set_reg(&mut self.m, stored::X0, error::ILLEGAL_OPERATION);
            }
            Syscall::BenchmarkGetThreadUtilisation => {
                if let Some(tcb) = self.thread_at(x0) {
                    self.tell_utilisation(thread, tcb);
                }
            }
            Syscall::BenchmarkResetThreadUtilisation => {
                if let Some(tcb) = self.thread_at(x0) {
                    tcb.set_counts(&mut self.m, Counts::default());
                    if tcb == self.current {
                        self.tracking.scheduled = self.m.cycles();
                    }
                }
            }
            _ => {}
        }
    }

    fn thread_at(&self, address: u64) -> Option<Tcb> {
        match self.lookup_cap(self.current, address) {
            Ok((_, crate::Cap::Thread { at })) => Some(at),
            _ => None,
        }
    }

    /// Writes what is known of `tcb`, the idle thread and all to the caller's buffer, in the order of
    /// `benchmark_track_util_ipc_index`.
    fn tell_utilisation(&mut self, caller: Tcb, tcb: Tcb) {
        let Some(buffer) = self.ipc_buffer(caller, true) else { return };
        let tracking = &self.tracking;
        let now = if tracking.enabled { self.m.cycles() } else { tracking.end };
        let mut counts = tcb.counts(&self.m);
        if tcb == self.current && tracking.enabled {
            counts.cycles += now.wrapping_sub(tracking.scheduled);
        }
        let (idle, total) = (self.idle.counts(&self.m), tracking.total);
        let words = [
            counts.cycles,
            counts.schedules,
            counts.kernel_cycles,
            counts.kernel_entries,
            idle.cycles,
            idle.cycles,
            idle.schedules,
            idle.kernel_cycles,
            idle.kernel_entries,
            now.wrapping_sub(tracking.start),
            total.schedules,
            total.kernel_cycles,
            total.kernel_entries,
        ];
        for (index, word) in (0..).zip(words) {
            self.m.store(buffer.add(ipc::IPC_BUFFER_MSG + 8 * index), word);
        }
    }
}
