// SPDX-License-Identifier: BSD-2-Clause
//! System call numbers (in x7 at `svc #0`).

macro_rules! syscalls {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A system call. The number is negative; numbers of absent groups are not reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i64)]
        pub enum Syscall { $($(#[$doc])* $name = $number,)* }

        impl Syscall {
            /// All system calls, in the order of their numbers.
            pub const ALL: &'static [Syscall] = &[$(Syscall::$name,)*];

            /// The system call with this number, if there is one.
            #[inline]
            pub const fn from_number(number: i64) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

syscalls! {
    /// Send and wait for the reply.
    Call = -1,
    /// Reply through a reply object and receive.
    ReplyRecv = -2,
    /// Non-blocking send, then receive.
    NBSendRecv = -3,
    /// Non-blocking send, then wait without a reply object.
    NBSendWait = -4,
    /// Blocking send.
    Send = -5,
    /// Non-blocking send.
    NBSend = -6,
    /// Receive with a reply object.
    Recv = -7,
    /// Non-blocking receive.
    NBRecv = -8,
    /// Receive without a reply object.
    Wait = -9,
    /// Poll without a reply object.
    NBWait = -10,
    /// Give up the rest of the current budget.
    Yield = -11,
    /// Print one character (printing kernels).
    DebugPutChar = -12,
    /// Print the scheduler's state (printing kernels).
    DebugDumpScheduler = -13,
    /// Stop the machine (debug kernels).
    DebugHalt = -14,
    /// Type of the capability in x0 (debug kernels).
    DebugCapIdentify = -15,
    /// Print a snapshot of the system (debug kernels).
    DebugSnapshot = -16,
    /// Name a thread (debug kernels).
    DebugNameThread = -17,
    /// Flush all caches (benchmark kernels).
    BenchmarkFlushCaches = -21,
    /// Start to track utilisation (benchmark kernels).
    BenchmarkResetLog = -22,
    /// Stop to track utilisation (benchmark kernels).
    BenchmarkFinalizeLog = -23,
    /// Give the kernel a log buffer (benchmark kernels; refused, they keep no log).
    BenchmarkSetLogBuffer = -24,
    /// Nothing (benchmark kernels).
    BenchmarkNullSyscall = -25,
    /// Utilisation of the thread in x0 (benchmark kernels).
    BenchmarkGetThreadUtilisation = -26,
    /// Count anew for the thread in x0 (benchmark kernels).
    BenchmarkResetThreadUtilisation = -27,
    /// Set TPIDR_EL0 of the caller (unused in these configurations).
    SetTLSBase = -33,
}
