// SPDX-License-Identifier: BSD-2-Clause
//! The VMM protection domain of one guest: wires the guest's virtual machine to the kernel, console and timer.
//!
//! Symbols, set by the system description: `guest_ram`, `guest_ram_size`; `kernel_image`, `initrd_image`, `cmdline` and
//! `config` with their `_size`s (0: absent); `console_tx_queue`, `console_tx_data`, `console_rx_queue`, `console_rx_data`
//! with the data regions' `_size`s, `console_ch`; `timer_ch`; `rtc_ch`, the real-time clock's driver.
//! Each virtio device is there iff its channel is: `blk_ch`, `blk_link`, `blk_data` (without it requests name the guest's
//! RAM); `net_ch`, `net_link`, `net_tx_data`, `net_rx_data`; `rng_ch`, `rng_queue`, `rng_data`; `vconsole_ch` and the rings as
//! for the console; each region with its `_size`. The configuration text knows `vcpus` (1), `gic` (2, or 3: the version of
//! the board's interrupt controller) and `cpu` (`arm,cortex-a53`), the `compatible` of the processor.
#![no_std]
#![no_main]

mod pd;

use pd::console::{self, RingConsole};
use pd::host::PdHost;
use pd::{links, marks, memory, symbols};
use sel4_microkit::{
    Channel, ChannelSet, Child, Fault, Handler, Infallible, MessageInfo, Vcpu, VcpuExit, exit_answer,
    protection_domain, restarted, set_log_sink,
};
use vgic::Version;
use vmm::boot::Description;
use vmm::host::Memory;
use vmm::{Answer, Config, Exit, Guest, Machine, REGISTERS, Reply, Slot, Told};
use vmm_arm::{Class, DataAbort, Gpr, Pstate, Syndrome};

/// Bytes of an A64 instruction.
const A64_BYTES: u64 = 4;

struct Vmm {
    guest: Guest<PdHost>,
    /// Where an exit's registers go.
    registers: [u64; REGISTERS],
    console: Option<Channel>,
    back_ends: [(Option<Channel>, Slot); Slot::ALL.len()],
    timer: Channel,
}

impl Handler for Vmm {
    type Error = Infallible;

    fn notified(&mut self, channels: ChannelSet) -> Result<(), Infallible> {
        marks::notified();
        let notified = |channel: Option<Channel>| channel.is_some_and(|channel| channels.contains(channel));
        for (channel, slot) in self.back_ends {
            if notified(channel) {
                self.guest.virtio_event(slot);
            }
        }
        if notified(self.console) {
            self.guest.console();
        }
        if channels.contains(self.timer) {
            self.guest.timeout();
        }
        Ok(())
    }

    #[inline]
    fn fault(&mut self, child: Child, info: MessageInfo) -> Result<Option<MessageInfo>, Infallible> {
        marks::exit();
        if let Some(exit) = info.vcpu_exit() {
            let syndrome = Syndrome::new(exit.hsr);
            let told =
                self.guest.access(child.index(), exit.addr, syndrome, Pstate::new(exit.spsr), exit.value);
            if let Some(value) = told {
                let register = DataAbort::new(syndrome).register();
                return Ok(Some(exit_answer(exit.ip + A64_BYTES, register.number(), value)));
            }
        }
        let fault = info.fault();
        let (exit, told) = (exit(&fault), told(&fault));
        Ok(match self.guest.exit(&mut self.registers, child.index(), exit, told) {
            Reply::Resume => Some(MessageInfo::new(0, 0)),
            Reply::Answer(Answer { pc, register }) => {
                let (register, value) = register.unwrap_or((Gpr::XZR, 0));
                Some(exit_answer(pc, register.number(), value))
            }
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
        Fault::VcpuExit(VcpuExit { ip, addr, hsr, .. }) => match Syndrome::new(hsr).class() {
            Class::DataAbort => Exit::Memory { pc: ip, address: addr, fetch: false, syndrome: hsr },
            Class::InstructionAbort => Exit::Memory { pc: ip, address: addr, fetch: true, syndrome: hsr },
            _ => Exit::Trapped(hsr),
        },
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

/// The registers that a fault message told.
#[inline]
fn told(fault: &Fault) -> Option<Told> {
    let Fault::VcpuExit(VcpuExit { ip, hsr, spsr, value, .. }) = *fault else { return None };
    let register = Syndrome::new(hsr).register();
    Some(Told { pc: ip, pstate: spsr, register, value })
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
    let gic = match config.get("gic") {
        None | Some("2") => Version::V2,
        Some("3") => Version::V3,
        Some(other) => panic!("no guest can have a GIC of version {other}"),
    };
    let machine = match Machine::new(vcpus, gic, symbols.guest_ram.size as u64) {
        Ok(machine) => machine,
        Err(error) => panic!("{error}"),
    };
    let cpu = config.get("cpu").unwrap_or("arm,cortex-a53");
    // SAFETY: the system description maps them, and this function runs once.
    let links = unsafe { links::connect(&symbols, config.get("dma_cached") != Some("false")) };
    let description = Description { vcpus: machine.vcpus(), gic, cpu, virtio: links.slots() };
    let told = (0..machine.vcpus()).filter(|index| Vcpu::new(index % 64).tell_exits()).count();
    log::debug!("{told} vCPUs tell registers with their exits");
    let host = PdHost::new(regions, description, &symbols);
    let mut guest = Guest::new(host, machine, links);
    if restarted() {
        guest.recover();
    } else {
        guest.start(Memory::Zeroed);
    }
    Vmm {
        guest,
        registers: [0; REGISTERS],
        console: symbols.console.channel,
        back_ends: [
            (symbols.block.channel, Slot::Block),
            (symbols.net.channel, Slot::Net),
            (symbols.entropy.channel, Slot::Entropy),
            (symbols.virtio_console.channel, Slot::Console),
        ],
        timer: symbols.timer,
    }
}
