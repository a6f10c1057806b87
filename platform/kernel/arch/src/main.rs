// SPDX-License-Identifier: BSD-2-Clause
//! The kernel image: AArch64 at EL2, GICv2 or GICv3, generic timer, virtual CPUs.
//!
//! The loader enters at `_start` (`boot.s`) with the registers of seL4's boot protocol. [`kernel_main`] takes the
//! machine over, lets the core build the root task, and returns into it; from then on the kernel only runs in exceptions
//! (`vectors.s`, `traps.rs`). Everything that is not the machine is in `platform/kernel/core`.
#![no_std]
#![no_main]

mod board;
mod console;
mod cpu;
#[cfg(feature = "debug")]
mod debug;
mod fpu;
mod gic;
mod hardware;
mod memory;
mod paging;
mod sysreg;
mod translation;
mod traps;
mod vcpu;

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use board::{KERNEL_TIMER_IRQ, MAINTENANCE_IRQ, MAX_IRQ, PHYSICAL_BASE, VIRTUAL_TIMER_IRQ};
use hardware::Hardware;
use kernel_core::PhysAddr;
use kernel_core::boot::{BootLayout, Range};
use kernel_core::domain::PARKED_BYTES;
use kernel_core::kernel::KernelMemory;

global_asm!(include_str!("boot.s"));

/// The kernel of this CPU.
pub type Kernel = kernel_core::Kernel<Hardware>;

/// The one kernel. Only touched in the kernel, which is never re-entered and runs on one CPU.
struct KernelCell(UnsafeCell<MaybeUninit<Kernel>>);

// SAFETY: one CPU, and exceptions are masked in the kernel.
unsafe impl Sync for KernelCell {}

static KERNEL: KernelCell = KernelCell(UnsafeCell::new(MaybeUninit::uninit()));

/// The kernel, for the one exception that is being handled.
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the block is empty and accesses nothing")]
#[inline(always)]
fn kernel() -> &'static mut Kernel {
    let mut at = KERNEL.0.get();
    // SAFETY: computes nothing. The compiler no longer knows which static it is, and so reaches all of it from one base.
    unsafe { asm!("/* {0} */", inout(reg) at, options(nomem, nostack, preserves_flags, pure)) };
    // SAFETY: called once at the start of each exception handler, none of which is re-entered, after `kernel_main` has
    // made the kernel; so the reference is the only one.
    unsafe { (*at).assume_init_mut() }
}

/// Memory of the kernel's own objects, named by physical address like all others and never accessed otherwise.
#[repr(C, align(4096))]
struct OwnObjects {
    idle_tcb: [u64; 512],
    idle_sched_context: [u64; 16],
    irq_slots: [[u64; 4]; MAX_IRQ as usize + 1],
    parked_queues: [u64; PARKED_BYTES as usize / 8],
}

struct OwnObjectsCell(UnsafeCell<OwnObjects>);

// SAFETY: never accessed as a Rust value.
unsafe impl Sync for OwnObjectsCell {}

static OWN_OBJECTS: OwnObjectsCell = OwnObjectsCell(UnsafeCell::new(OwnObjects {
    idle_tcb: [0; 512],
    idle_sched_context: [0; 16],
    irq_slots: [[0; 4]; MAX_IRQ as usize + 1],
    parked_queues: [0; PARKED_BYTES as usize / 8],
}));

/// Everything after the first instructions; x0 to x5 are the loader's. Returns the root task's register area.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(
    user_start: u64,
    user_end: u64,
    user_offset: u64,
    user_entry: u64,
    device_tree: u64,
    device_tree_bytes: u64,
) -> u64 {
    paging::init();
    cpu::init();
    console::debug_println!("kernel: booting, root task image {user_start:#x}..{user_end:#x}");
    if !cpu::zeroes_by_line() {
        console::debug_println!("kernel: DC ZVA does not zero 64 bytes on this CPU");
        stop();
    }
    let own = OWN_OBJECTS.0.get();
    let physical = |address: u64| PhysAddr(paging::image_to_physical(address));
    // SAFETY: addresses of fields of a static; nothing is read.
    let (idle_tcb, idle_sched_context, irq_slots, parked_queues) = unsafe {
        (
            &raw const (*own).idle_tcb,
            &raw const (*own).idle_sched_context,
            &raw const (*own).irq_slots,
            &raw const (*own).parked_queues,
        )
    };
    let memory = KernelMemory {
        idle_tcb: physical(idle_tcb as u64),
        idle_sched_context: physical(idle_sched_context as u64),
        irq_slots: physical(irq_slots as u64),
        parked_queues: physical(parked_queues as u64),
    };
    let Some(new) = Kernel::new(Hardware::new(), memory) else { stop() };
    // SAFETY: booting; nobody else refers to it yet.
    let kernel = unsafe { (*KERNEL.0.get()).write(new) };

    let ram = board::MEMORY.map(|(start, end)| Range { start, end });
    let kernel_devices = board::KERNEL_DEVICES.map(|(start, end)| Range { start, end });
    let layout = BootLayout {
        ram: &ram,
        kernel_devices: &kernel_devices,
        device_top: translation::SHAPE.top() + 1,
        kernel: Range { start: PHYSICAL_BASE, end: paging::image_end() },
        boot: Range { start: PHYSICAL_BASE, end: paging::boot_end() },
        user_image: Range { start: user_start, end: user_end },
        user_vaddr: user_start.wrapping_sub(user_offset),
        user_entry,
        device_tree: Range { start: device_tree, end: device_tree.saturating_add(device_tree_bytes) },
        kernel_irqs: &[KERNEL_TIMER_IRQ, VIRTUAL_TIMER_IRQ, MAINTENANCE_IRQ],
    };
    paging::unmap_boot_code();
    if let Err(error) = kernel.boot(&layout) {
        console::debug_println!("kernel: cannot start the root task: {error:?}");
        stop();
    }
    traps::leave(kernel)
}

/// Stops the machine for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: waits; interrupts are masked and nothing is handled any more.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::debug_println!("kernel: {info}");
    stop()
}
