// SPDX-License-Identifier: BSD-2-Clause
//! A bare-metal guest that does what no sane guest does. README.md tells how to build, run and read it.
#![no_std]
#![no_main]

#[cfg(target_feature = "neon")]
compile_error!("build for aarch64-unknown-none-softfloat: SIMD registers are part of what is tested");

mod bench;
mod boot;
mod conduit;
mod console;
mod cpu;
mod die;
mod exception;
mod gic;
mod instructions;
mod leak;
mod machine;
mod memory;
mod psci;
mod random;
mod registers;
mod report;
mod smccc;
mod sysreg;
mod timer;
mod virtio;

use conduit::Conduit;
use core::fmt;
use machine::Machine;

impl Machine {
    /// How this machine takes PSCI calls.
    fn conduit(&self) -> Conduit {
        if self.psci_by_smc { Conduit::Smc } else { Conduit::Hvc }
    }
}

/// Random x7 values of the sweep.
const SHORT_SWEEP: u64 = 16;
const LONG_SWEEP: u64 = 300;

#[unsafe(no_mangle)]
extern "C" fn main(device_tree: u64) -> ! {
    console::init();
    let machine = Machine::from_device_tree(device_tree);
    let mode = machine.option("mode").unwrap_or("all");
    println!("HOSTILE START mode={mode} memory up to {:#x}", machine.memory_end);
    gic::init();
    die::run(&machine);
    let part = |name| mode == name || mode == "all";
    if part("memory") {
        memory::run(&machine);
    }
    if part("cpu") {
        instructions::run();
    }
    if part("sysreg") {
        sysreg::run(&machine);
    }
    if part("gic") {
        gic::run(&machine);
    }
    if part("psci") {
        psci::run(&machine);
    }
    if part("virtio") {
        virtio::run(&machine);
    }
    match mode {
        "all" => smccc::run(&machine, SHORT_SWEEP),
        "sweep" => smccc::run(&machine, LONG_SWEEP),
        "leak-write" => leak::write(&machine),
        "leak-read" => leak::read(&machine),
        "leak-self" => {
            leak::leave();
            leak::read(&machine);
        }
        "bench" => bench::run(),
        "scrub" => die::scrub(&machine),
        "reset-active" => die::reset_with_active_interrupts(&machine),
        _ => {}
    }
    report::done();
    psci::system_off(&machine)
}

/// Says why it cannot go on, and turns the guest off.
fn hopeless(reason: fmt::Arguments<'_>) -> ! {
    println!("TEST hopeless FAIL {reason}");
    println!("HOSTILE DIED");
    // Bare QEMU takes HVC; where SMC is right, it came first.
    let _ = exception::probe(|| {
        for conduit in [Conduit::Smc, Conduit::Hvc] {
            conduit.function(psci::function::SYSTEM_OFF, [0; 3]);
        }
    });
    loop {
        cpu::wait_for_interrupt();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hopeless(format_args!("{info}"))
}
