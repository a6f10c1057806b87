// SPDX-License-Identifier: BSD-2-Clause
//! Code for a vCPU that starts over: empties its list registers, in either version.
//!
//! A guest may reboot in an interrupt handler, as Linux does after a panic. Its list registers then hold active
//! interrupts that nobody will end, and no invocation of the standard kernel interface withdraws them. The virtual CPU
//! itself can: this code, run before the guest's entry point, acknowledges and ends what is pending and deactivates
//! what is active. The maintenance events that follow free the model's list registers ([`crate::Vgic::held`]). That the
//! vCPU then waits says that it is done.
//!
//! Ending what is not active is unpredictable in theory (IHI 0048B.b, GICC_EOIR; IHI 0069H, ICC_DIR_EL1); in practice it
//! drops a priority or does nothing, which is wanted. Tried on QEMU with two nested active and one pending interrupt.

use crate::model::Version;

impl Version {
    /// AArch64 instructions, position independent, to be run at EL1 with the MMU off and interrupts masked. Of a GICv2, X2
    /// holds the guest physical address of the CPU interface (two pages). Changes X3 to X5 and the flags; leaves the CPU
    /// interface disabled with all priorities masked, as after reset, and waits for interrupts for ever. Bounded until then:
    /// all 288 interrupts are ended, then at most 64 that were pending.
    pub const fn quiesce(self) -> &'static [u32] {
        match self {
            Self::V2 => &V2,
            Self::V3 => &V3,
        }
    }
}

const V2: [u32; 27] = [
    0xb900_d05f, //     str  wzr, [x2, #0xd0]   GICC_APR0
    0x5280_40e3, //     mov  w3, #0x207         EnableGrp0, EnableGrp1, AckCtl, EOImode
    0xb900_0043, //     str  w3, [x2]           GICC_CTLR
    0x5280_1fe3, //     mov  w3, #0xff
    0xb900_0443, //     str  w3, [x2, #4]       GICC_PMR: nothing is masked
    0x9140_0443, //     add  x3, x2, #0x1000    GICC_DIR
    0x5280_23e4, //     mov  w4, #287
    0xb900_1044, // 1:  str  w4, [x2, #0x10]    GICC_EOIR: drops a priority
    0xb900_0064, //     str  w4, [x3]           deactivates
    0x7100_0484, //     subs w4, w4, #1
    0x54ff_ffa5, //     b.pl 1b
    0x5280_0804, //     mov  w4, #64
    0xb940_0c43, // 2:  ldr  w3, [x2, #0x0c]    GICC_IAR
    0x1200_2465, //     and  w5, w3, #0x3ff
    0x710f_f0bf, //     cmp  w5, #1020          none left
    0x5400_00c2, //     b.hs 3f
    0xb900_1043, //     str  w3, [x2, #0x10]
    0x9140_0445, //     add  x5, x2, #0x1000
    0xb900_00a3, //     str  w3, [x5]
    0x7100_0484, //     subs w4, w4, #1
    0x54ff_ff01, //     b.ne 2b
    0xb900_005f, // 3:  str  wzr, [x2]
    0xb900_045f, //     str  wzr, [x2, #4]
    0xd503_3f9f, //     dsb  sy
    0xd503_3fdf, //     isb
    0xd503_207f, // 4:  wfi
    0x17ff_ffff, //     b    4b
];

const V3: [u32; 35] = [
    0xd280_0043, //     mov  x3, #2             EOImode
    0xd518_c89f, //     msr  ICC_AP0R0_EL1, xzr
    0xd518_c91f, //     msr  ICC_AP1R0_EL1, xzr
    0xd518_cc83, //     msr  ICC_CTLR_EL1, x3
    0x5280_1fe3, //     mov  w3, #0xff
    0xd518_4603, //     msr  ICC_PMR_EL1, x3    nothing is masked
    0x5280_0023, //     mov  w3, #1
    0xd518_ccc3, //     msr  ICC_IGRPEN0_EL1, x3
    0xd518_cce3, //     msr  ICC_IGRPEN1_EL1, x3
    0xd503_3fdf, //     isb
    0x5280_23e4, //     mov  w4, #287
    0xd518_cb24, // 1:  msr  ICC_DIR_EL1, x4    deactivates
    0x7100_0484, //     subs w4, w4, #1
    0x54ff_ffc5, //     b.pl 1b
    0x5280_0804, //     mov  w4, #64
    0xd503_3fdf, // 2:  isb
    0xd538_c803, //     mrs  x3, ICC_IAR0_EL1
    0x710f_f07f, //     cmp  w3, #1020          none left of group 0
    0x5400_0062, //     b.hs 3f
    0xd518_c823, //     msr  ICC_EOIR0_EL1, x3
    0x1400_0005, //     b    4f
    0xd538_cc03, // 3:  mrs  x3, ICC_IAR1_EL1
    0x710f_f07f, //     cmp  w3, #1020          none left
    0x5400_00a2, //     b.hs 5f
    0xd518_cc23, //     msr  ICC_EOIR1_EL1, x3
    0xd518_cb23, // 4:  msr  ICC_DIR_EL1, x3
    0x7100_0484, //     subs w4, w4, #1
    0x54ff_fe81, //     b.ne 2b
    0xd518_ccdf, // 5:  msr  ICC_IGRPEN0_EL1, xzr
    0xd518_ccff, //     msr  ICC_IGRPEN1_EL1, xzr
    0xd518_461f, //     msr  ICC_PMR_EL1, xzr
    0xd518_cc9f, //     msr  ICC_CTLR_EL1, xzr
    0xd503_3fdf, //     isb
    0xd503_207f, // 6:  wfi
    0x17ff_ffff, //     b    6b
];
