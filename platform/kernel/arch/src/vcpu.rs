// SPDX-License-Identifier: BSD-2-Clause
//! Virtual CPUs in hardware: EL1 system registers, virtual interrupt interface, virtual timer.
//!
//! At most one virtual CPU is *loaded*: its registers are in the hardware. While its thread runs it is also *active*.
//! Leaving it for a native thread only swaps what matters at EL0 ([`LAZY`], HCR_EL2, CNTHCTL_EL2, the interface's
//! enable bit); everything moves when another virtual CPU becomes active. Registers that guests can write are either
//! switched here or trapped by HCR_EL2, MDCR_EL2, CPTR_EL2 or CNTHCTL_EL2 (`sysreg.rs`), so nothing leaks from one to
//! another.
//!
//! Interfaces: virtual interrupts ([`gic`](crate::gic)), generic timer (Arm DDI 0487, D11).

use kernel_abi::extension::vcpu as state;
use kernel_abi::vcpu::VcpuReg;
use kernel_core::PhysAddr;
use kernel_core::layout::Vcpu;
use kernel_core::machine::{ListRegisterActive, VirtualInterrupt};

use crate::gic::{Controller as _, Gic, VirtualGic, VirtualInterface as _};
use crate::memory;
use crate::sysreg::{
    CNTHCTL_EL2_GUEST, CNTHCTL_EL2_NATIVE, CNTKCTL_EL1_NATIVE, CPACR_EL1_NATIVE, SCTLR_EL1_NATIVE,
    SCTLR_EL1_RESET, hcr, read, write,
};
use crate::{board, sysreg, translation};

/// Most list registers of a GIC.
const MAX_LIST_REGISTERS: u64 = 64;

/// CNTV_CTL_EL0: enabled; the condition is met.
const TIMER_ENABLE: u64 = 1;
const TIMER_STATUS: u64 = 1 << 2;

/// Where a virtual CPU object keeps its state (byte offsets; the first word is the core's).
mod field {
    use crate::gic::STATE_WORDS;
    /// Bit 0: the virtual timer's interrupt is masked until it is acknowledged.
    pub const FLAGS: u64 = 8;
    /// The registers, in the order of `VcpuReg`.
    pub const REGISTERS: u64 = 64;
    pub const CSSELR: u64 = 256;
    /// State of the virtual interrupt interface.
    pub const INTERFACE: [u64; STATE_WORDS] = [264, 272, 280];
    /// A word for each list register.
    pub const LIST_REGISTERS: u64 = 512;
}
const _: () = assert!(field::LIST_REGISTERS + 8 * MAX_LIST_REGISTERS <= 1 << kernel_abi::object::VCPU_BITS);

const VTIMER_MASKED: u64 = 1;

/// The registers whose hardware place a native thread needs: they are in the object unless the virtual CPU is active.
const LAZY: [VcpuReg; 4] = [VcpuReg::Sctlr, VcpuReg::Cpacr, VcpuReg::Cntkctl, VcpuReg::CntvCtl];

/// Straight code for each of [`LAZY`]: it is part of every exit.
#[inline(always)]
fn each_lazy(mut act: impl FnMut(VcpuReg)) {
    let [sctlr, cpacr, cntkctl, cntv_ctl] = LAZY;
    act(sctlr);
    act(cpacr);
    act(cntkctl);
    act(cntv_ctl);
}

/// The virtual CPU state of this CPU.
#[derive(Debug)]
pub struct VcpuSwitch {
    loaded: Option<Vcpu>,
    /// The same, once it has run, while [`enter`](Self::enter) is all that is needed for it to run again.
    ready: Option<Vcpu>,
    active: bool,
    interface: VirtualGic,
    list_registers: u64,
    /// Whether the virtual timer's interrupt is masked in the GIC.
    vtimer_masked: bool,
    /// The virtual CPU that last ran with each VMID, as an address. Guests keep private translations per CPU; when
    /// another virtual CPU of the same guest comes, those of the one before must go.
    last: [u64; 256],
}

fn load(vcpu: Vcpu, offset: u64) -> u64 {
    memory::load(PhysAddr(vcpu.addr().0 + offset))
}

fn store(vcpu: Vcpu, offset: u64, value: u64) {
    memory::store(PhysAddr(vcpu.addr().0 + offset), value);
}

fn offset_of(reg: VcpuReg) -> u64 {
    field::REGISTERS + 8 * reg as u64
}

/// Reads a register from the hardware.
#[inline]
fn read_hardware(reg: VcpuReg) -> u64 {
    use VcpuReg as R;
    match reg {
        R::Sctlr => read!("sctlr_el1"),
        R::Cpacr => read!("cpacr_el1"),
        R::Ttbr0 => read!("ttbr0_el1"),
        R::Ttbr1 => read!("ttbr1_el1"),
        R::Tcr => read!("tcr_el1"),
        R::Mair => read!("mair_el1"),
        R::Amair => read!("amair_el1"),
        R::Contextidr => read!("contextidr_el1"),
        R::Actlr => read!("actlr_el1"),
        R::Afsr0 => read!("afsr0_el1"),
        R::Afsr1 => read!("afsr1_el1"),
        R::Esr => read!("esr_el1"),
        R::Far => read!("far_el1"),
        R::Par => read!("par_el1"),
        R::Vbar => read!("vbar_el1"),
        R::Tpidr => read!("tpidr_el1"),
        R::Vmpidr => read!("vmpidr_el2"),
        R::SpEl1 => read!("sp_el1"),
        R::Elr => read!("elr_el1"),
        R::Spsr => read!("spsr_el1"),
        R::CntvCtl => read!("cntv_ctl_el0"),
        R::CntvCval => read!("cntv_cval_el0"),
        R::Cntvoff => read!("cntvoff_el2"),
        R::Cntkctl => read!("cntkctl_el1"),
    }
}

/// Writes a register into the hardware.
#[inline]
fn write_hardware(reg: VcpuReg, value: u64) {
    use VcpuReg as R;
    match reg {
        R::Sctlr => write!("sctlr_el1", value),
        R::Cpacr => write!("cpacr_el1", value),
        R::Ttbr0 => write!("ttbr0_el1", value),
        R::Ttbr1 => write!("ttbr1_el1", value),
        R::Tcr => write!("tcr_el1", value),
        R::Mair => write!("mair_el1", value),
        R::Amair => write!("amair_el1", value),
        R::Contextidr => write!("contextidr_el1", value),
        R::Actlr => write!("actlr_el1", value),
        R::Afsr0 => write!("afsr0_el1", value),
        R::Afsr1 => write!("afsr1_el1", value),
        R::Esr => write!("esr_el1", value),
        R::Far => write!("far_el1", value),
        R::Par => write!("par_el1", value),
        R::Vbar => write!("vbar_el1", value),
        R::Tpidr => write!("tpidr_el1", value),
        R::Vmpidr => write!("vmpidr_el2", value),
        R::SpEl1 => write!("sp_el1", value),
        R::Elr => write!("elr_el1", value),
        R::Spsr => write!("spsr_el1", value),
        R::CntvCtl => write!("cntv_ctl_el0", value),
        R::CntvCval => write!("cntv_cval_el0", value),
        R::Cntvoff => write!("cntvoff_el2", value),
        R::Cntkctl => write!("cntkctl_el1", value),
    }
}

impl VcpuSwitch {
    /// No virtual CPU. `cpu::init` has put the native state into the hardware.
    pub fn new() -> Self {
        let interface = VirtualGic::new();
        let list_registers = interface.list_registers();
        Self {
            loaded: None,
            ready: None,
            active: false,
            interface,
            list_registers,
            vtimer_masked: true,
            last: [0; 256],
        }
    }

    /// Number of list registers.
    pub fn list_registers(&self) -> u64 {
        self.list_registers
    }

    /// Whether one is running.
    #[inline(always)]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// The virtual CPU that is running.
    pub fn running(&self) -> Option<Vcpu> {
        if self.active { self.loaded } else { None }
    }

    /// Gives a zeroed object its reset state.
    pub fn init(vcpu: Vcpu) {
        store(vcpu, offset_of(VcpuReg::Sctlr), SCTLR_EL1_RESET);
        store(vcpu, offset_of(VcpuReg::Actlr), read!("actlr_el1"));
        // MPIDR_EL1 of CPU 0: bit 31 is RES1.
        store(vcpu, offset_of(VcpuReg::Vmpidr), 1 << 31);
    }

    /// The thread that runs next has this virtual CPU or none; its translation is in place.
    pub fn switch(&mut self, to: Option<Vcpu>, gic: Gic) {
        if self.active {
            if self.loaded == to {
                return;
            }
            self.deactivate();
        }
        if let Some(vcpu) = to {
            self.activate(vcpu, gic);
        }
    }

    #[inline(never)]
    fn activate(&mut self, vcpu: Vcpu, gic: Gic) {
        if self.loaded != Some(vcpu) {
            if let Some(old) = self.loaded {
                self.save(old);
            }
            self.restore(vcpu);
            self.loaded = Some(vcpu);
        }
        let last = &mut self.last[usize::from(translation::vmid())];
        if *last != vcpu.addr().0 {
            if *last != 0 {
                invalidate_stage1();
            }
            *last = vcpu.addr().0;
        }
        self.mask_vtimer(load(vcpu, field::FLAGS) & VTIMER_MASKED != 0, gic);
        self.ready = Some(vcpu);
        self.enter(vcpu);
    }

    /// Whether [`enter`](Self::enter) is all that is needed for `vcpu` to run; its translation is the one with which it ran
    /// last.
    #[inline(always)]
    pub fn can_enter(&self, vcpu: Vcpu) -> bool {
        self.ready == Some(vcpu)
    }

    /// Nobody runs; from now on `vcpu` does.
    #[inline(always)]
    pub fn enter(&mut self, vcpu: Vcpu) {
        each_lazy(|reg| write_hardware(reg, load(vcpu, offset_of(reg))));
        write!("hcr_el2", hcr::GUEST);
        write!("cnthctl_el2", CNTHCTL_EL2_GUEST);
        #[cfg(feature = "benchmark")]
        crate::cpu::export_counters(false);
        self.interface.set_enabled(true);
        self.active = true;
    }

    /// One runs; from now on a native thread does.
    #[inline(always)]
    pub fn deactivate(&mut self) {
        self.interface.set_enabled(false);
        if let Some(vcpu) = self.loaded {
            each_lazy(|reg| store(vcpu, offset_of(reg), read_hardware(reg)));
        }
        write!("hcr_el2", hcr::NATIVE);
        write!("cnthctl_el2", CNTHCTL_EL2_NATIVE);
        #[cfg(feature = "benchmark")]
        crate::cpu::export_counters(true);
        write!("sctlr_el1", SCTLR_EL1_NATIVE);
        write!("cpacr_el1", CPACR_EL1_NATIVE);
        write!("cntkctl_el1", CNTKCTL_EL1_NATIVE);
        // Its timer is silent while it does not run.
        write!("cntv_ctl_el0", 0);
        self.active = false;
    }

    fn mask_vtimer(&mut self, masked: bool, gic: Gic) {
        if self.vtimer_masked != masked {
            self.vtimer_masked = masked;
            gic.set_masked(board::VIRTUAL_TIMER_IRQ, masked);
        }
    }

    /// Everything but [`LAZY`] goes from the hardware to the object.
    fn save(&self, vcpu: Vcpu) {
        for &reg in VcpuReg::ALL {
            if !LAZY.contains(&reg) {
                store(vcpu, offset_of(reg), read_hardware(reg));
            }
        }
        store(vcpu, field::CSSELR, read!("csselr_el1"));
        for (offset, word) in field::INTERFACE.into_iter().zip(self.interface.state()) {
            store(vcpu, offset, word);
        }
        for index in 0..self.list_registers {
            store(vcpu, field::LIST_REGISTERS + 8 * index, self.interface.list_register(index));
        }
    }

    /// Everything but [`LAZY`] goes from the object to the hardware.
    fn restore(&self, vcpu: Vcpu) {
        for &reg in VcpuReg::ALL {
            if !LAZY.contains(&reg) {
                write_hardware(reg, load(vcpu, offset_of(reg)));
            }
        }
        write!("csselr_el1", load(vcpu, field::CSSELR));
        self.interface.set_state(field::INTERFACE.map(|offset| load(vcpu, offset)));
        for index in 0..self.list_registers {
            self.interface.set_list_register(index, load(vcpu, field::LIST_REGISTERS + 8 * index));
        }
    }

    /// Brings everything to the object; with `forget`, the hardware no longer holds it.
    pub fn flush(&mut self, vcpu: Vcpu, forget: bool) {
        if self.loaded == Some(vcpu) {
            if self.active {
                self.deactivate();
            }
            self.save(vcpu);
            self.loaded = None;
            self.ready = None;
        }
        if forget {
            for last in self.last.iter_mut().filter(|last| **last == vcpu.addr().0) {
                // Its translations may still be there: whoever comes next has to drop them.
                *last = u64::MAX;
            }
        }
    }

    /// All translations of a VMID are gone.
    pub fn forget_vmid(&mut self, vmid: u8) {
        self.last[usize::from(vmid)] = 0;
        // The one that runs next with it has to be noted.
        self.ready = None;
    }

    fn in_hardware(&self, vcpu: Vcpu, reg: VcpuReg) -> bool {
        self.loaded == Some(vcpu) && (self.active || !LAZY.contains(&reg))
    }

    /// Reads a register, wherever it is.
    pub fn read(&self, vcpu: Vcpu, reg: VcpuReg) -> u64 {
        let get =
            |reg| if self.in_hardware(vcpu, reg) { read_hardware(reg) } else { load(vcpu, offset_of(reg)) };
        let value = get(reg);
        if reg == VcpuReg::CntvCtl && !self.in_hardware(vcpu, reg) {
            // The status bit of a timer that is not in the hardware goes on.
            let virtual_time = read!("cntpct_el0").wrapping_sub(get(VcpuReg::Cntvoff));
            let met = value & TIMER_ENABLE != 0 && virtual_time >= get(VcpuReg::CntvCval);
            return value & !TIMER_STATUS | if met { TIMER_STATUS } else { 0 };
        }
        value
    }

    /// Writes a register, wherever it is.
    pub fn write(&self, vcpu: Vcpu, reg: VcpuReg, value: u64) {
        if self.in_hardware(vcpu, reg) {
            write_hardware(reg, value);
        } else {
            store(vcpu, offset_of(reg), value);
        }
    }

    /// Puts a pending interrupt into a list register that holds no active one.
    pub fn inject(
        &self,
        vcpu: Vcpu,
        index: u64,
        interrupt: VirtualInterrupt,
    ) -> Result<(), ListRegisterActive> {
        if VirtualGic::is_active(self.list_register(vcpu, index)) {
            return Err(ListRegisterActive);
        }
        self.set_list_register(vcpu, index, VirtualGic::pending(interrupt));
        Ok(())
    }

    /// What list register `index` holds, and whether it is pending and active. With `withdraw`, one that is only pending is
    /// taken out.
    pub fn held(&self, vcpu: Vcpu, index: u64, withdraw: bool) -> (VirtualInterrupt, bool, bool) {
        let value = self.list_register(vcpu, index);
        let (pending, active) = (VirtualGic::is_pending(value), VirtualGic::is_active(value));
        if withdraw && pending && !active {
            self.set_list_register(vcpu, index, 0);
        }
        (VirtualGic::interrupt(value), pending, active)
    }

    /// A list register, wherever it is.
    #[inline]
    fn list_register(&self, vcpu: Vcpu, index: u64) -> u64 {
        if self.loaded == Some(vcpu) {
            self.interface.list_register(index)
        } else {
            load(vcpu, field::LIST_REGISTERS + 8 * index)
        }
    }

    #[inline]
    fn set_list_register(&self, vcpu: Vcpu, index: u64, value: u64) {
        if self.loaded == Some(vcpu) {
            self.interface.set_list_register(index, value);
        } else {
            store(vcpu, field::LIST_REGISTERS + 8 * index, value);
        }
    }

    /// A word of the state behind the registers ([`kernel_abi::extension::vcpu`]); 0 for one that there is not.
    pub fn read_more(&self, vcpu: Vcpu, index: u64) -> u64 {
        let loaded = self.loaded == Some(vcpu);
        match index {
            state::FLAGS => load(vcpu, field::FLAGS) & VTIMER_MASKED,
            state::CSSELR if loaded => read!("csselr_el1"),
            state::CSSELR => load(vcpu, field::CSSELR),
            _ => {
                let place = index.wrapping_sub(state::INTERFACE) as usize;
                let words = if loaded {
                    self.interface.state()
                } else {
                    field::INTERFACE.map(|offset| load(vcpu, offset))
                };
                words.get(place).copied().unwrap_or(0)
            }
        }
    }

    /// Writes such a word.
    pub fn write_more(&mut self, vcpu: Vcpu, index: u64, value: u64, gic: Gic) {
        let loaded = self.loaded == Some(vcpu);
        match index {
            state::FLAGS => {
                store(vcpu, field::FLAGS, value & VTIMER_MASKED);
                if loaded {
                    self.mask_vtimer(value & VTIMER_MASKED != 0, gic);
                }
            }
            state::CSSELR if loaded => write!("csselr_el1", value),
            state::CSSELR => store(vcpu, field::CSSELR, value),
            _ => {
                let place = index.wrapping_sub(state::INTERFACE) as usize;
                if loaded {
                    let mut words = self.interface.state();
                    if let Some(word) = words.get_mut(place) {
                        *word = value;
                    }
                    self.interface.set_state(words);
                } else if let Some(&offset) = field::INTERFACE.get(place) {
                    store(vcpu, offset, value);
                }
            }
        }
    }

    /// A list register of the running virtual CPU whose interrupt has ended; it is emptied, so that each end is told
    /// once. The maintenance interrupt stays up while there are more.
    pub fn take_ended(&self) -> Option<u64> {
        if !self.active {
            return None;
        }
        let ended = self.interface.ended();
        if ended == 0 {
            return None;
        }
        let index = u64::from(ended.trailing_zeros());
        self.interface.set_list_register(index, 0);
        Some(index)
    }

    /// The virtual timer of the running virtual CPU has fired: it is masked until acknowledged. Returns whether there
    /// is one to tell.
    pub fn vtimer_fired(&mut self, gic: Gic) -> bool {
        self.mask_vtimer(true, gic);
        let Some(vcpu) = self.running() else {
            self.ready = None;
            return false;
        };
        store(vcpu, field::FLAGS, load(vcpu, field::FLAGS) | VTIMER_MASKED);
        true
    }

    /// The virtual timer's interrupt is acknowledged: it may fire again.
    pub fn ack_vtimer(&mut self, vcpu: Vcpu, gic: Gic) {
        store(vcpu, field::FLAGS, load(vcpu, field::FLAGS) & !VTIMER_MASKED);
        if self.loaded == Some(vcpu) {
            // While it does not run its timer is silent.
            self.mask_vtimer(false, gic);
        }
    }
}

/// Drops the guest's own translations of the current VMID.
fn invalidate_stage1() {
    // The VMID in VTTBR_EL2 has to be in effect.
    sysreg::isb();
    // SAFETY: drops cached translations of the guest; they are walked anew.
    unsafe { core::arch::asm!("tlbi vmalle1", "ic iallu", options(nostack, preserves_flags)) };
    sysreg::dsb();
}
