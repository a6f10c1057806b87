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
    pub channel: Option<Channel>,
}

/// A link, its data regions, and whom to notify.
#[derive(Clone, Copy, Debug)]
pub struct LinkSymbols {
    /// The link.
    pub link: Region,
    /// Bytes to the other side; of a disk, both ways. Size 0: none.
    pub tx_data: Region,
    /// Bytes from the other side.
    pub rx_data: Region,
    /// The virtualiser. Without it there is no such device.
    pub channel: Option<Channel>,
}

/// A ring of bytes from a driver.
#[derive(Clone, Copy, Debug)]
pub struct RingSymbols {
    /// Queue page.
    pub queue: usize,
    /// Bytes.
    pub data: Region,
    /// The driver. Without it there is no such device.
    pub channel: Option<Channel>,
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
    /// Virtio console; a device iff it has a channel.
    pub virtio_console: ConsoleSymbols,
    /// Disk.
    pub block: LinkSymbols,
    /// Network.
    pub net: LinkSymbols,
    /// Entropy.
    pub entropy: RingSymbols,
    /// Timer driver.
    pub timer: Channel,
    /// The driver of the board's real-time clock.
    pub wall_clock: Option<Channel>,
}

/// A region of two symbols: its address, and with `_size` its size.
macro_rules! region {
    ($address:ident, $size:ident) => {
        Region { address: *var!($address: usize = 0), size: *var!($size: usize = 0) }
    };
}

/// Reads the symbols.
pub fn read() -> Symbols {
    Symbols {
        guest_ram: region!(guest_ram, guest_ram_size),
        kernel: region!(kernel_image, kernel_image_size),
        initrd: region!(initrd_image, initrd_image_size),
        command_line: region!(cmdline, cmdline_size),
        config: region!(config, config_size),
        console: ConsoleSymbols {
            tx_queue: *var!(console_tx_queue: usize = 0),
            tx_data: region!(console_tx_data, console_tx_data_size),
            rx_queue: *var!(console_rx_queue: usize = 0),
            rx_data: region!(console_rx_data, console_rx_data_size),
            channel: channel(*var!(console_ch: usize = usize::MAX)),
        },
        virtio_console: ConsoleSymbols {
            tx_queue: *var!(vconsole_tx_queue: usize = 0),
            tx_data: region!(vconsole_tx_data, vconsole_tx_data_size),
            rx_queue: *var!(vconsole_rx_queue: usize = 0),
            rx_data: region!(vconsole_rx_data, vconsole_rx_data_size),
            channel: channel(*var!(vconsole_ch: usize = usize::MAX)),
        },
        block: LinkSymbols {
            link: region!(blk_link, blk_link_size),
            tx_data: region!(blk_data, blk_data_size),
            rx_data: Region { address: 0, size: 0 },
            channel: channel(*var!(blk_ch: usize = usize::MAX)),
        },
        net: LinkSymbols {
            link: region!(net_link, net_link_size),
            tx_data: region!(net_tx_data, net_tx_data_size),
            rx_data: region!(net_rx_data, net_rx_data_size),
            channel: channel(*var!(net_ch: usize = usize::MAX)),
        },
        entropy: RingSymbols {
            queue: *var!(rng_queue: usize = 0),
            data: region!(rng_data, rng_data_size),
            channel: channel(*var!(rng_ch: usize = usize::MAX)),
        },
        timer: Channel::new(*var!(timer_ch: usize = 0)),
        wall_clock: channel(*var!(rtc_ch: usize = usize::MAX)),
    }
}

/// The channel of a number that the system description has set.
fn channel(number: usize) -> Option<Channel> {
    (number != usize::MAX).then(|| Channel::new(number))
}
