// SPDX-License-Identifier: BSD-2-Clause
//! What the board's devices are for, as variables: how one description fits boards that have other devices.

use super::Variables;
use board::Board;

/// The variables with, for each role of the board, `BOARD_<ROLE>`: the driver's program, or `device` for one without a
/// driver of its own; and `BOARD_<ROLE>_REGISTERS` if the device has registers in memory. `BOARD_DMA_CACHED` is `true` or
/// `false`: whether devices see the processor's caches; `BOARD_GIC` the version of the interrupt controller; `BOARD_GUEST_RAM`
/// what a guest gets on a board with little memory. What the user sets goes first.
pub(super) fn variables(board: &Board, variables: &Variables) -> Variables {
    let mut all = Variables::new();
    for (name, role) in &board.roles {
        let name = format!("BOARD_{}", name.to_ascii_uppercase());
        if board.devices.get(&role.device).is_some_and(|device| device.registers().is_some()) {
            all.insert(format!("{name}_REGISTERS"), "yes".to_owned());
        }
        all.insert(name, role.driver.clone().unwrap_or_else(|| "device".to_owned()));
    }
    all.insert("BOARD_DMA_CACHED".to_owned(), (!board.dma.incoherent).to_string());
    all.insert("BOARD_GIC".to_owned(), board.gic.version.to_string());
    all.extend(board.guest_ram.iter().map(|size| ("BOARD_GUEST_RAM".to_owned(), size.clone())));
    all.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}
