// SPDX-License-Identifier: BSD-2-Clause
//! A host that is plain memory and remembers what was asked of it.

use crate::boot::{BootError, Start};
use crate::device::DataRegion;
use crate::host::Memory;
use crate::vcpu::{Then, position};
use crate::{Console, Exit, Guest, Host, Links, Machine, REGISTERS, Reply, Slot, SystemRegister, Told, Vcpu};
use ring::memory::LocalMemory;
use ring::pages::LocalPages;
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use vgic::{InjectError, Injection, Version};
use vmm_arm::{Pstate, Syndrome};
use vmm_devices::Transmit;
use vmm_fdt::machine::map;
use vmm_virtio::GuestMemory;
use vmm_virtio::mock::Ram;

/// Where the guest's instruction is in most tests.
pub const PC: u64 = 0x4008_1000;
/// Its exception vectors.
pub const VBAR: u64 = 0x4010_0000;

/// What was asked of a vCPU.
#[derive(Default)]
pub struct CpuLog {
    pub registers: Vec<u64>,
    pub system: HashMap<u8, u64>,
    /// Counts of the loads and stores of registers.
    pub loads: Vec<usize>,
    pub stores: Vec<(usize, Then)>,
    pub injected: Vec<Injection>,
    /// List registers whose interrupt the guest has not taken: none, unless a test says so.
    pub pending: HashSet<u8>,
    pub rearmed: usize,
    pub stopped: usize,
}

impl CpuLog {
    pub fn pc(&self) -> u64 {
        self.registers[position::PC]
    }

    pub fn pstate(&self) -> u64 {
        self.registers[position::PSTATE]
    }

    pub fn x(&mut self, number: usize) -> &mut u64 {
        &mut self.registers[position::of(vmm_arm::Gpr::new(number as u32)).expect("not XZR")]
    }

    pub fn system(&mut self, register: SystemRegister) -> &mut u64 {
        self.system.entry(register as u8).or_insert(0)
    }
}

#[derive(Clone, Default)]
pub struct FakeVcpu(Rc<RefCell<CpuLog>>);

impl Vcpu for FakeVcpu {
    fn load(&self, registers: &mut [u64; REGISTERS], count: usize) {
        let mut log = self.0.borrow_mut();
        registers[..count].copy_from_slice(&log.registers[..count]);
        log.loads.push(count);
    }

    fn store(&self, registers: &[u64; REGISTERS], count: usize, then: Then) {
        let mut log = self.0.borrow_mut();
        log.registers[..count].copy_from_slice(&registers[..count]);
        log.stores.push((count, then));
    }

    fn read(&self, register: SystemRegister) -> u64 {
        *self.0.borrow_mut().system(register)
    }

    fn write(&self, register: SystemRegister, value: u64) {
        *self.0.borrow_mut().system(register) = value;
    }

    fn withdraw(&self, list_register: u8) -> bool {
        super::TELLS && self.0.borrow_mut().pending.remove(&list_register)
    }

    fn inject(&self, injection: &Injection) -> Result<(), InjectError> {
        self.0.borrow_mut().injected.push(*injection);
        Ok(())
    }

    fn rearm_virtual_timer(&self) {
        self.0.borrow_mut().rearmed += 1;
    }

    fn stop(&self) {
        self.0.borrow_mut().stopped += 1;
    }
}

pub struct FakeConsole {
    pub output: Vec<u8>,
    pub room: usize,
    pub input: Vec<u8>,
    pub flushes: usize,
}

impl Transmit for FakeConsole {
    fn put(&mut self, byte: u8) -> bool {
        let fits = self.output.len() < self.room;
        if fits {
            self.output.push(byte);
        }
        fits
    }
}

impl Console for FakeConsole {
    fn flush(&mut self) {
        self.flushes += 1;
    }

    fn has_input(&mut self) -> bool {
        !self.input.is_empty()
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.input.len());
        for (place, byte) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *place = byte;
        }
        count
    }
}

/// The guest's memory: 4 MiB.
#[derive(Clone, Copy)]
pub struct FakeMemory(pub &'static Ram);

impl GuestMemory for FakeMemory {
    fn contains(&self, address: u64, length: u64) -> bool {
        self.0.contains(address, length)
    }

    fn load16(&self, address: u64) -> Option<u16> {
        self.0.load16(address)
    }

    fn store16(&self, address: u64, value: u16) -> Option<()> {
        self.0.store16(address, value)
    }

    fn store64(&self, address: u64, value: u64) -> Option<()> {
        self.0.store64(address, value)
    }

    fn load_pair(&self, address: u64) -> Option<[u64; 2]> {
        self.0.load_pair(address)
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        self.0.read(address, to)
    }

    fn write(&self, address: u64, from: &[u8]) -> Option<()> {
        self.0.write(address, from)
    }

    fn acquire(&self) {
        self.0.acquire();
    }

    fn release(&self) {
        self.0.release();
    }

    fn fence(&self) {
        self.0.fence();
    }
}

/// A data region.
#[derive(Clone, Copy)]
pub struct FakeData(pub &'static RefCell<Vec<u8>>);

impl FakeData {
    pub fn new(size: usize) -> Self {
        Self(leak(RefCell::new(vec![0; size])))
    }
}

impl DataRegion<FakeMemory> for FakeData {
    fn fill(&self, offset: u64, memory: &FakeMemory, address: u64, length: u32) -> Option<()> {
        memory.read(address, self.0.borrow_mut().get_mut(offset as usize..)?.get_mut(..length as usize)?)
    }

    fn drain(&self, offset: u64, memory: &FakeMemory, address: u64, length: u32) -> Option<()> {
        memory.write(address, self.0.borrow().get(offset as usize..)?.get(..length as usize)?)
    }
}

/// Memory that lives as long as the test.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Words of a link's region.
pub const LINK_WORDS: usize = 2048;

pub struct FakeHost {
    cpus: Vec<FakeVcpu>,
    pub console: FakeConsole,
    pub now: u64,
    pub timeouts: Vec<Option<u64>>,
    pub loads: Vec<Memory>,
    pub placed: Vec<u32>,
    pub memory: FakeMemory,
    pub notified: Vec<Slot>,
    pub scrubs: Vec<u64>,
    pub to_scrub: u64,
    pub broken: bool,
}

impl Host for FakeHost {
    type Vcpu = FakeVcpu;
    type Console = FakeConsole;
    type Memory = FakeMemory;
    type Pages = &'static LocalPages<LINK_WORDS>;
    type Data = FakeData;
    type Bytes = &'static LocalMemory<4096>;

    fn vcpu(&self, index: usize) -> FakeVcpu {
        self.cpus[index].clone()
    }

    fn console(&mut self) -> &mut FakeConsole {
        &mut self.console
    }

    fn memory(&self) -> FakeMemory {
        self.memory
    }

    fn notify(&mut self, slot: Slot) {
        self.notified.push(slot);
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn wall_clock(&self) -> u32 {
        (self.now / self.frequency_hz()) as u32
    }

    fn frequency_hz(&self) -> u64 {
        1000
    }

    fn set_timeout(&mut self, deadline: Option<u64>) {
        self.timeouts.push(deadline);
    }

    fn place(&mut self, code: &[u32]) {
        self.placed = code.to_vec();
    }

    fn scrub(&mut self, offset: u64, _length: u64) -> bool {
        self.scrubs.push(offset);
        offset < self.to_scrub
    }

    fn load(&mut self, memory: Memory) -> Result<Start, BootError> {
        self.loads.push(memory);
        if self.broken {
            return Err(BootError::Image(vmm_fdt::ImageError::Empty));
        }
        Ok(Start { entry: map::RAM, device_tree: map::RAM + 0x20_0000 })
    }
}

pub type TestGuest = Guest<FakeHost>;

/// A started guest whose vCPU 0 is at [`PC`] at EL1 with its MMU off and vectors at [`VBAR`].
pub fn guest(vcpus: usize) -> TestGuest {
    started(vcpus, Version::V2)
}

/// The same, with a GIC of this version.
pub fn started(vcpus: usize, gic: Version) -> TestGuest {
    let mut guest = with_gic(vcpus, gic, Links::none());
    guest.start(Memory::Zeroed);
    {
        let mut cpu = cpu(&guest, 0);
        cpu.registers[position::PC] = PC;
        *cpu.system(SystemRegister::Vbar) = VBAR;
        cpu.loads.clear();
        cpu.stores.clear();
    }
    guest
}

pub fn unstarted(vcpus: usize) -> TestGuest {
    connected(vcpus, Links::none())
}

/// A guest that is not started, with devices.
pub fn connected(vcpus: usize, links: Links<FakeHost>) -> TestGuest {
    with_gic(vcpus, Version::V2, links)
}

/// The same, with a GIC of this version.
pub fn with_gic(vcpus: usize, gic: Version, links: Links<FakeHost>) -> TestGuest {
    let cpus = (0..8)
        .map(|_| {
            FakeVcpu(Rc::new(RefCell::new(CpuLog { registers: vec![0; REGISTERS], ..CpuLog::default() })))
        })
        .collect();
    let console = FakeConsole { output: Vec::new(), room: usize::MAX, input: Vec::new(), flushes: 0 };
    let host = FakeHost {
        cpus,
        console,
        now: 0,
        timeouts: Vec::new(),
        loads: Vec::new(),
        placed: Vec::new(),
        memory: FakeMemory(leak(Ram::new(map::RAM, 4 << 20))),
        notified: Vec::new(),
        scrubs: Vec::new(),
        to_scrub: 0,
        broken: false,
    };
    Guest::new(host, Machine::new(vcpus, gic, 512 << 20).expect("possible"), links)
}

pub fn cpu(guest: &TestGuest, index: usize) -> RefMut<'_, CpuLog> {
    guest.host.cpus[index].0.borrow_mut()
}

pub fn log(guest: &TestGuest, index: usize) -> Ref<'_, CpuLog> {
    guest.host.cpus[index].0.borrow()
}

/// ESR_EL2 of a 32-bit load or store of register `register`.
pub fn access(register: u32, write: bool) -> u64 {
    u64::from(0x9200_0007 | 1 << 24 | 2 << 22 | register << 16 | u32::from(write) << 6)
}

/// A store of `value` from x1 at the current PC.
pub fn store(guest: &mut TestGuest, address: u64, value: u64) -> Reply {
    *cpu(guest, 0).x(1) = value;
    memory(guest, address, access(1, true))
}

/// A load to x1 at the current PC.
pub fn load(guest: &mut TestGuest, address: u64) -> u64 {
    assert_eq!(memory(guest, address, access(1, false)), Reply::Resume);
    *cpu(guest, 0).x(1)
}

pub fn memory(guest: &mut TestGuest, address: u64, syndrome: u64) -> Reply {
    let pc = log(guest, 0).pc();
    take(guest, 0, Exit::Memory { pc, address, fetch: false, syndrome })
}

/// Calls by SMC on vCPU `index`; the result is X0.
pub fn smc(guest: &mut TestGuest, index: usize, arguments: [u64; 4]) -> (Reply, u64) {
    for (number, value) in arguments.into_iter().enumerate() {
        *cpu(guest, index).x(number) = value;
    }
    let reply = take(guest, index, Exit::Trapped(0x5e00_0000));
    (reply, *cpu(guest, index).x(0))
}

/// Lets interrupt `intid` through to vCPU 0.
pub fn enable(guest: &mut TestGuest, intid: u64) {
    assert_eq!(store(guest, map::GICD, 1), Reply::Resume);
    assert_eq!(store(guest, map::GICD + 0x100 + 4 * (intid / 32), 1 << (intid % 32)), Reply::Resume);
    if intid >= 32 {
        let (word, shift) = (intid / 4, 8 * (intid % 4));
        assert_eq!(store(guest, map::GICD + 0x800 + 4 * word, 1 << shift), Reply::Resume);
    }
}

pub fn take(guest: &mut TestGuest, index: usize, exit: Exit) -> Reply {
    let told = match exit {
        Exit::Memory { syndrome, .. } | Exit::Trapped(syndrome) if super::TELLS => {
            let register = Syndrome::new(syndrome).register();
            let mut cpu = cpu(guest, index);
            let (pc, pstate) = (cpu.pc(), cpu.pstate());
            let value = register.index().map_or(0, |number| *cpu.x(number));
            Some(Told {
                pc: if let Exit::Memory { pc, .. } = exit { pc } else { pc },
                pstate,
                register,
                value,
            })
        }
        _ => None,
    };
    // As the PD does.
    if let (Some(told), Exit::Memory { address, fetch: false, syndrome, .. }) = (told, exit) {
        let syndrome = Syndrome::new(syndrome);
        let pstate = Pstate::new(told.pstate);
        if let Some(value) = guest.access(index, address, syndrome, pstate, told.value) {
            let mut cpu = cpu(guest, index);
            cpu.registers[position::PC] = told.pc + syndrome.instruction_bytes();
            if let Some(number) = told.register.index() {
                *cpu.x(number) = value;
            }
            return Reply::Resume;
        }
    }
    // Whatever is in there must not matter.
    let reply = guest.exit(&mut [0x5555_5555_5555_5555; REGISTERS], index, exit, told);
    let Reply::Answer(answer) = reply else { return reply };
    let mut cpu = cpu(guest, index);
    cpu.registers[position::PC] = answer.pc;
    if let Some((number, value)) =
        answer.register.and_then(|(register, value)| Some((register.index()?, value)))
    {
        *cpu.x(number) = value;
    }
    Reply::Resume
}
