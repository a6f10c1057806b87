// SPDX-License-Identifier: BSD-2-Clause
//! The event loop: receive, call the program's function for what came, reply if there is something to reply.

use core::arch::global_asm;

use sel4_sys::{seL4_CPtr, seL4_IPCBuffer, seL4_MessageInfo, seL4_Word};

use crate::variables::{
    __sel4_ipc_buffer, microkit_have_signal, microkit_irqs, microkit_name, microkit_passive,
    microkit_signal_cap, microkit_signal_msg,
};

/// Where the PD receives.
const INPUT: seL4_CPtr = 1;
/// Its reply object.
const REPLY: seL4_CPtr = 4;
/// The monitor, of a passive PD.
const MONITOR: seL4_CPtr = 5;
/// The first interrupt handler.
const IRQS: seL4_CPtr = 138;
/// Badge of a protected call; the low bits are the channel.
const CALL: seL4_Word = 1 << 63;
/// Badge of a fault; the low bits are the child.
const FAULT: seL4_Word = 1 << 62;

/// A message word as C passes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Info(seL4_Word);

impl Info {
    const fn of(info: seL4_MessageInfo) -> Self {
        Self(info.into_word())
    }
}

unsafe extern "C" {
    /// Notifications of the program's channels and interrupts, one channel a call.
    fn notified(channel: u32);
    /// A protected call.
    fn protected(channel: u32, info: Info) -> Info;
    /// A child's or vCPU's fault; whether to reply with what `reply` says.
    fn fault(child: u32, info: Info, reply: *mut Info) -> i8;
}

// Programs need not define these two.
global_asm!(
    ".section .text.missing, \"ax\", @progbits",
    ".weak protected",
    ".type protected, %function",
    "protected: b microkit_no_protected",
    ".size protected, . - protected",
    ".weak fault",
    ".type fault, %function",
    "fault: b microkit_no_fault",
    ".size fault, . - fault",
);

fn missing(what: &str) -> ! {
    crate::debug::puts(&microkit_name.get());
    crate::debug::text(" is missing the '");
    crate::debug::text(what);
    crate::debug::text("' entry point\n");
    crate::crash(0)
}

#[unsafe(no_mangle)]
extern "C" fn microkit_no_protected() -> ! {
    missing("protected")
}

#[unsafe(no_mangle)]
extern "C" fn microkit_no_fault() -> ! {
    missing("fault")
}

/// The IPC buffer. References to it never live across a call of the program's functions.
fn buffer<'a>() -> &'a mut seL4_IPCBuffer {
    // SAFETY: the tool maps the buffer of every PD there, the PD has one thread, and callers drop the reference before
    // anything else can make another.
    unsafe { &mut *__sel4_ipc_buffer.get() }
}

/// What the program deferred, if it did.
fn take_deferred() -> Option<(seL4_CPtr, seL4_MessageInfo)> {
    (microkit_have_signal.get() != 0).then(|| {
        microkit_have_signal.set(0);
        (microkit_signal_cap.get(), microkit_signal_msg.get())
    })
}

/// Bits of a word, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}

/// Handles events for ever.
pub fn run() -> ! {
    // An interrupt that came before this PD was ready waits for its acknowledgement (seL4 issue 1536).
    for irq in bits(microkit_irqs.get()) {
        // A failure is of no consequence: then there is nothing that waits.
        let _ = buffer().seL4_IRQHandler_Ack(IRQS + seL4_CPtr::from(irq));
    }
    if microkit_passive.get() {
        // Told together with the first receive, so that this PD waits already when it loses its scheduling context.
        microkit_signal_cap.set(MONITOR);
        microkit_signal_msg.set(seL4_MessageInfo::new(0, 0, 0, 0));
        microkit_have_signal.set(1);
    }
    let mut answer: Option<Info> = None;
    loop {
        let deferred = take_deferred();
        let (info, badge) = match (answer.take(), deferred) {
            (Some(reply), deferred) => {
                if let Some((cap, message)) = deferred {
                    buffer().seL4_Send(cap, message);
                }
                buffer().seL4_ReplyRecv(INPUT, seL4_MessageInfo::from_word(reply.0), REPLY)
            }
            (None, Some((cap, message))) => buffer().seL4_NBSendRecv(cap, message, INPUT, REPLY),
            (None, None) => buffer().seL4_Recv(INPUT, REPLY),
        };
        // SAFETY (of all three): functions of the program, with the types that the header declares.
        if badge & FAULT != 0 {
            let mut reply = Info(0);
            // SAFETY: see above; `reply` outlives the call.
            let resume = unsafe { fault((badge & 0xff) as u32, Info::of(info), &mut reply) };
            answer = (resume != 0).then_some(reply);
        } else if badge & CALL != 0 {
            // SAFETY: see above.
            answer = Some(unsafe { protected((badge & 0x3f) as u32, Info::of(info)) });
        } else {
            for channel in bits(badge) {
                // SAFETY: see above.
                unsafe { notified(channel) };
            }
        }
    }
}
