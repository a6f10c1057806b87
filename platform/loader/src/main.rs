// SPDX-License-Identifier: BSD-2-Clause
//! Brings the machine from reset (EL3 or EL2) to the kernel's entry.
//!
//! The firmware or the emulator puts the system image somewhere and jumps to its first byte (`start.s`). The loader
//! moves the image to its link address if needed, drops to EL2, puts the other cores to sleep where the firmware keeps
//! them in a loop, turns on translation and caches, copies the kernel and
//! the root task's image to where they belong, and enters the kernel at its virtual address with the registers of
//! seL4's boot protocol: x0, x1 user image start and end (physical); x2 physical minus virtual; x3 user entry; x4, x5
//! device tree address and size (0, 0 without one). A damaged image stops here silently: there is no console yet.
#![no_std]
#![no_main]

mod copy;
mod image;
mod mmu;
mod park;

/// Constants of the board description.
mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

use board::{GIC_CPU_INTERFACE, GIC_DISTRIBUTOR, KERNEL_PHYSICAL_BASE, LINK_ADDRESS};
use image::Header;

global_asm!(
    ".equ GIC_DISTRIBUTOR, {distributor}",
    ".equ GIC_CPU_INTERFACE, {cpu_interface}",
    ".equ LINK_ADDRESS, {link_address}",
    include_str!("start.s"),
    distributor = const GIC_DISTRIBUTOR,
    cpu_interface = const GIC_CPU_INTERFACE,
    link_address = const LINK_ADDRESS,
);

unsafe extern "C" {
    static _image_end: u8;
    fn enter_kernel(arguments: *const [u64; 6], entry: u64) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn loader_main() -> ! {
    // SAFETY: the tool puts the header right behind the loader; the linker script aligns the loader's end.
    let Some(header) = (unsafe { Header::read(&raw const _image_end as usize) }) else { stop() };
    park::park();
    // The kernel is the region that belongs at the board's kernel address.
    let Some(kernel) = header.regions().find(|region| region.load_address == KERNEL_PHYSICAL_BASE) else {
        stop()
    };
    mmu::enter_translated(header.kernel_entry, KERNEL_PHYSICAL_BASE, kernel.size);
    for region in header.regions() {
        let target = region.load_address as usize;
        // SAFETY: the tool lays regions out in RAM, apart from each other and from the loader; RAM is mapped.
        unsafe {
            copy::copy(region.source, target, region.size as usize);
            copy::clean(target, region.size as usize);
        }
    }
    copy::synchronise_instructions();
    let (tree, tree_size) = header
        .regions()
        .find(|region| region.is_device_tree)
        .map_or((0, 0), |region| (region.load_address, region.size));
    let arguments =
        [header.user_start, header.user_end, header.user_offset, header.user_entry, tree, tree_size];
    // SAFETY: the kernel is in place and mapped at its entry; it takes over stack and tables.
    unsafe { enter_kernel(&arguments, header.kernel_entry) }
}

fn stop() -> ! {
    loop {
        // SAFETY: waits; nothing else runs.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    stop()
}
