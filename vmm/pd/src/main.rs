// SPDX-License-Identifier: BSD-2-Clause
//! The VMM protection domain of one guest: wires the guest's virtual machine to the kernel, console and timer.
//!
//! Symbols, set by the system description: `guest_ram`, `guest_ram_size`; `kernel_image`, `initrd_image`, `cmdline` and
//! `config` with their `_size`s (0: absent); `console_tx_queue`, `console_tx_data`, `console_rx_queue`, `console_rx_data`
//! with the data regions' `_size`s, `console_ch`; `timer_ch`; `rtc_ch`, the real-time clock's driver. The configuration text
//! knows `vcpus` (1) and `cpu` (`arm,cortex-a53`), the `compatible` of the processor.
#![no_std]
#![no_main]

mod pd;

use pd::console::{self, RingConsole};
use pd::host::PdHost;
use pd::{memory, symbols};
use sel4_microkit::{
    Channel, ChannelSet, Child, Fault, Handler, Infallible, MessageInfo, protection_domain, set_log_sink,
};
use vmm::boot::Description;
use vmm::{Config, Exit, Guest, Machine, REGISTERS, Reply};

struct Vmm {
    guest: Guest<PdHost>,
    /// Where an exit's registers go.
    registers: [u64; REGISTERS],
    console: Channel,
    timer: Channel,
}

impl Handler for Vmm {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        if channels.contains(self.console) {
            self.guest.console();
        }
        if channels.contains(self.timer) {
            self.guest.timeout();
        }
        Ok(())
    }

    #[inline]
    fn fault(&mut self, child: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        Ok(match self.guest.exit(&mut self.registers, child.index(), exit(&info.fault())) {
            Reply::Resume => Some(MessageInfo::new(0, 0)),
            Reply::Hold => None,
        })
    }
}

/// What a fault message of a vCPU means.
#[inline]
fn exit(fault: &Fault) -> Exit {
    match *fault {
        Fault::VmFault { ip, addr, prefetch, fsr } => {
            Exit::Memory { pc: ip, address: addr, fetch: prefetch, syndrome: fsr }
        }
        Fault::VcpuFault { hsr } => Exit::Trapped(hsr),
        Fault::VgicMaintenance { idx } => Exit::Maintenance(idx.map(|index| index as usize)),
        Fault::VppiEvent { irq } => Exit::PrivateInterrupt(irq),
        // An HVC whose X7 is the number of a system call arrives as that call's failure.
        Fault::UnknownSyscall { ip, .. } | Fault::CapFault { ip, .. } => Exit::Hypercall(ip),
        Fault::UserException { ip, .. } => Exit::Unknown(ip),
        Fault::DebugException { .. } => Exit::Unexpected("debug exception"),
        Fault::Timeout { .. } => Exit::Unexpected("time-out fault"),
        Fault::Null | Fault::Unknown { .. } => Exit::Unexpected("unknown fault message"),
    }
}

#[protection_domain]
fn init() -> impl Handler {
    let symbols = symbols::read();
    console::install(RingConsole::new(&symbols.console));
    set_log_sink(console::log_sink);
    // SAFETY: the system description maps these regions at these addresses with at least these sizes.
    let regions = unsafe { memory::Regions::new(&symbols) };
    let config = Config::new(regions.config);
    let vcpus = config.number("vcpus", 1);
    let machine = match Machine::new(vcpus, symbols.guest_ram.size as u64) {
        Ok(machine) => machine,
        Err(error) => panic!("{error}"),
    };
    let cpu = config.get("cpu").unwrap_or("arm,cortex-a53");
    let description = Description { vcpus: machine.vcpus(), cpu, virtio: 0 };
    let host = PdHost::new(regions, description, symbols.timer, symbols.wall_clock);
    let mut guest = Guest::new(host, machine);
    guest.start(memory::at_start());
    Vmm { guest, registers: [0; REGISTERS], console: symbols.console.channel, timer: symbols.timer }
}
