// SPDX-License-Identifier: BSD-2-Clause
//! Entry, the symbols that the tool writes, and the order of the work.

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::ptr::read_volatile;

use sel4_sys::seL4_BootInfo;
use system_spec::Spec;

use crate::bootinfo::BootInfo;
use crate::console::print;
use crate::error::Failure;
use crate::kernel::Kernel;
use crate::{create, fill, install};

/// Address of the description, written by the tool.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.tool")]
static system_spec_address: u64 = 0;
/// Its size in bytes.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.tool")]
static system_spec_size: u64 = 0;
/// Address of the data that the description refers to.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.tool")]
static system_data_address: u64 = 0;
/// Its size in bytes.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.tool")]
static system_data_size: u64 = 0;

const PAGE: u64 = 0x1000;

/// Bytes of the stack: the allocator's list of untyped memory is the largest thing on it.
const STACK_SIZE: usize = 0x1_0000;

global_asm!(
    ".section .text.start, \"ax\"",
    ".global _start",
    "_start:",
    "adrp x1, initialiser_stack",
    "add x1, x1, :lo12:initialiser_stack",
    "add x1, x1, {size}",
    "mov sp, x1",
    "mov x29, xzr",
    "mov x30, xzr",
    "b initialiser_main",
    ".section .bss.stack, \"aw\", @nobits",
    ".balign 4096",
    "initialiser_stack:",
    ".zero {size}",
    size = const STACK_SIZE,
);

/// The bytes that the tool put at the address in `address`, as many as `size` says.
fn appended(address: &'static u64, size: &'static u64) -> &'static [u8] {
    // SAFETY: the statics are valid for reading; volatile, because the tool changes them after linking.
    let (address, size) = unsafe { (read_volatile(address), read_volatile(size)) };
    if address == 0 {
        return &[];
    }
    // SAFETY: the tool has put `size` bytes there, inside the image that the kernel has mapped; nobody writes to them.
    unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) }
}

/// Number of the image's page with which `data` begins.
fn data_page(data: &[u8]) -> u64 {
    unsafe extern "C" {
        static image_start: u8;
    }
    (data.as_ptr().addr() - (&raw const image_start).addr()) as u64 / PAGE
}

#[unsafe(no_mangle)]
extern "C" fn initialiser_main(bootinfo: *const seL4_BootInfo) -> ! {
    // SAFETY: the kernel passes the address of the boot information, which is mapped and which nobody writes any more.
    let (bootinfo, mut kernel) = unsafe { BootInfo::new(bootinfo) };
    let result = run(&bootinfo, &mut kernel);
    if let Err(failure) = result {
        print(format_args!("INITIALISER|ERROR: {failure}\n"));
        print(format_args!("INITIALISER|ERROR: the system was not started\n"));
    }
    kernel.stop()
}

fn run(bootinfo: &BootInfo, kernel: &mut Kernel) -> Result<(), Failure> {
    let spec = Spec::read(appended(&system_spec_address, &system_spec_size))?;
    let data = appended(&system_data_address, &system_data_size);
    let mut slots = create::create(&spec, bootinfo, kernel)?;
    install::irqs(&spec, &mut slots, kernel)?;
    install::page_tables(&spec, &slots, kernel)?;
    fill::fill(&spec, data, bootinfo, &slots, kernel)?;
    install::mappings(&spec, data_page(data), bootinfo, &mut slots, kernel)?;
    install::scheduling(&spec, &slots, bootinfo, kernel)?;
    install::capabilities(&spec, &slots, kernel)?;
    install::threads(&spec, &mut slots, kernel)?;
    install::resume(&spec, &slots, kernel)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("INITIALISER|ERROR: {info}\n"));
    Kernel::stop_now()
}
