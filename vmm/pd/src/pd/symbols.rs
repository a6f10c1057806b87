// SPDX-License-Identifier: BSD-2-Clause
//! What the system description sets.

use sel4_microkit::{Channel, var};

/// A mapped region.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Address, 0 when it is not mapped.
    pub address: usize,
    /// Bytes.
    pub size: usize,
}

/// The rings to and from the console, and whom to notify.
#[derive(Clone, Copy, Debug)]
pub struct ConsoleSymbols {
    /// Queue page of output.
    pub tx_queue: usize,
    /// Bytes of output.
    pub tx_data: Region,
    /// Queue page of input.
    pub rx_queue: usize,
    /// Bytes of input.
    pub rx_data: Region,
    /// The console.
    pub channel: Channel,
}

/// All of it.
#[derive(Clone, Copy, Debug)]
pub struct Symbols {
    /// The guest's RAM.
    pub guest_ram: Region,
    /// Kernel image.
    pub kernel: Region,
    /// Initramfs.
    pub initrd: Region,
    /// Kernel command line.
    pub command_line: Region,
    /// Configuration text.
    pub config: Region,
    /// Console.
    pub console: ConsoleSymbols,
    /// Timer driver.
    pub timer: Channel,
    /// The driver of the board's real-time clock.
    pub wall_clock: Option<Channel>,
}

/// Reads the symbols.
pub fn read() -> Symbols {
    Symbols {
        guest_ram: Region { address: *var!(guest_ram: usize = 0), size: *var!(guest_ram_size: usize = 0) },
        kernel: Region { address: *var!(kernel_image: usize = 0), size: *var!(kernel_image_size: usize = 0) },
        initrd: Region { address: *var!(initrd_image: usize = 0), size: *var!(initrd_image_size: usize = 0) },
        command_line: Region { address: *var!(cmdline: usize = 0), size: *var!(cmdline_size: usize = 0) },
        config: Region { address: *var!(config: usize = 0), size: *var!(config_size: usize = 0) },
        console: ConsoleSymbols {
            tx_queue: *var!(console_tx_queue: usize = 0),
            tx_data: Region {
                address: *var!(console_tx_data: usize = 0),
                size: *var!(console_tx_data_size: usize = 0),
            },
            rx_queue: *var!(console_rx_queue: usize = 0),
            rx_data: Region {
                address: *var!(console_rx_data: usize = 0),
                size: *var!(console_rx_data_size: usize = 0),
            },
            channel: Channel::new(*var!(console_ch: usize = 0)),
        },
        timer: Channel::new(*var!(timer_ch: usize = 0)),
        wall_clock: {
            let _: &usize = var!(host_rtc: usize = 0);
            channel(*var!(rtc_ch: usize = usize::MAX))
        },
    }
}

/// The channel of a number that the system description has set.
fn channel(number: usize) -> Option<Channel> {
    (number != usize::MAX).then(|| Channel::new(number))
}
