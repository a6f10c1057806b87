// SPDX-License-Identifier: BSD-2-Clause
//! A model of a virtio-mmio device for the tests of drivers: registers behind [`Registers`], and the device's side of the
//! virtqueues in [`Memory`]. Written from the specification, sharing no code with the driver's side. Panics where a
//! driver breaks a rule. Only in tests.

mod memory;

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use crate::registers::{Register, Registers};
use crate::request::{Buffer, Direction};

pub use memory::Memory;

/// A queue as the driver has set it up.
#[derive(Debug, Clone, Default)]
pub struct QueueState {
    /// Entries it may have.
    pub size_max: u32,
    /// Entries it has.
    pub size: u32,
    /// In use.
    pub ready: bool,
    /// Addresses of descriptors, available ring, used ring.
    pub areas: [u64; 3],
    /// Available entries taken.
    pub taken: u16,
    /// Used entries written.
    pub used: u16,
    /// Notifications since the reset.
    pub notified: usize,
}

/// The state of the modelled device; tests change and look at it.
#[derive(Debug, Default)]
pub struct State {
    /// `MagicValue`.
    pub magic: u32,
    /// `Version`.
    pub version: u32,
    /// `DeviceID`.
    pub kind: u32,
    /// Features it offers.
    pub offered: u64,
    /// Features the driver has accepted.
    pub accepted: u64,
    /// Refuse every selection of features.
    pub refuse_features: bool,
    /// Never finish a reset.
    pub never_resets: bool,
    /// `Status`.
    pub status: u32,
    /// `InterruptStatus`.
    pub interrupt: u32,
    /// `ConfigGeneration`.
    pub generation: u32,
    /// Change the generation at each of this many readings to come.
    pub unsettled: usize,
    /// Configuration space.
    pub config: Vec<u8>,
    /// The queues.
    pub queues: Vec<QueueState>,
    /// Number of resets.
    pub resets: usize,
    /// Called before each writing of a register by the driver.
    pub before_write: Option<fn()>,
    features_select: u32,
    driver_select: u32,
    queue_select: u32,
}

/// A request that the device has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The descriptor it began with: its identifier.
    pub head: u16,
    /// Its buffers in order.
    pub buffers: Vec<Buffer>,
    /// Whether they were in an indirect table.
    pub indirect: bool,
}

/// A model of a device; clones share it.
#[derive(Debug, Clone)]
pub struct MockDevice {
    state: Rc<RefCell<State>>,
    memory: Memory,
}

impl MockDevice {
    /// A device of this kind with these features (beside `VERSION_1`) and queues of these sizes, which reaches `memory`.
    #[must_use]
    pub fn new(kind: u32, offered: u64, queue_sizes: &[u32], memory: Memory) -> Self {
        let queues = queue_sizes.iter().map(|&size_max| QueueState { size_max, ..Default::default() });
        let state = State {
            magic: 0x7472_6976,
            version: 2,
            kind,
            offered: offered | 1 << 32,
            queues: queues.collect(),
            ..Default::default()
        };
        Self { state: Rc::new(RefCell::new(state)), memory }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The memory that it reaches.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes the next request of queue `index`, if there is one.
    ///
    /// # Panics
    /// When the driver has broken a rule.
    #[must_use]
    pub fn take(&self, index: usize) -> Option<Chain> {
        let mut state = self.state.borrow_mut();
        assert!(state.status & 4 != 0, "not before DRIVER_OK");
        let accepted = state.accepted;
        let queue = &mut state.queues[index];
        let [descriptors, available, used] = queue.areas;
        let published = self.memory.read_u16(available + 2);
        let waiting = published.wrapping_sub(queue.taken);
        assert!(u32::from(waiting) <= queue.size, "more available than entries");
        if waiting == 0 {
            return None;
        }
        let place = u64::from(queue.taken) % u64::from(queue.size);
        let head = self.memory.read_u16(available + 4 + 2 * place);
        queue.taken = queue.taken.wrapping_add(1);
        if accepted & 1 << 29 != 0 {
            // Wants to hear of the next one.
            self.memory.write(used + 4 + 8 * u64::from(queue.size), &queue.taken.to_le_bytes());
        }
        let size = u64::from(queue.size);
        let (buffers, indirect) = self.chain(descriptors, size, head, accepted);
        Some(Chain { head, buffers, indirect })
    }

    fn chain(&self, table: u64, size: u64, head: u16, accepted: u64) -> (Vec<Buffer>, bool) {
        let (mut buffers, mut next) = (Vec::new(), u64::from(head));
        loop {
            assert!(next < size && (buffers.len() as u64) < size, "descriptor chain broken");
            let address = self.memory.read_u64(table + 16 * next);
            let length = self.memory.read_u32(table + 16 * next + 8);
            let flags = self.memory.read_u16(table + 16 * next + 12);
            if flags & 4 != 0 {
                assert!(accepted & 1 << 28 != 0, "indirect descriptor without the feature");
                assert!(flags == 4 && buffers.is_empty() && length.is_multiple_of(16), "indirect descriptor");
                let (buffers, nested) = self.chain(address, u64::from(length / 16), 0, accepted & !(1 << 28));
                assert!(!nested);
                return (buffers, true);
            }
            let direction = if flags & 2 != 0 { Direction::FromDevice } else { Direction::ToDevice };
            let order = buffers.last().map(|buffer: &Buffer| buffer.direction);
            let wrong = order == Some(Direction::FromDevice) && direction == Direction::ToDevice;
            assert!(!wrong, "2.7.4.2: what the device writes comes last");
            buffers.push(Buffer { address, length, direction });
            if flags & 1 == 0 {
                return (buffers, false);
            }
            next = self.memory.read_u16(table + 16 * next + 14).into();
        }
    }

    /// Completes request `head` of queue `index`. Gives whether the device raises its interrupt.
    pub fn complete(&self, index: usize, head: u32, written: u32) -> bool {
        let mut state = self.state.borrow_mut();
        let event_index = state.accepted & 1 << 29 != 0;
        let queue = &mut state.queues[index];
        let [_, available, used] = queue.areas;
        let place = used + 4 + 8 * (u64::from(queue.used) % u64::from(queue.size));
        self.memory.write(place, &head.to_le_bytes());
        self.memory.write(place + 4, &written.to_le_bytes());
        let old = queue.used;
        queue.used = old.wrapping_add(1);
        self.memory.write(used + 2, &queue.used.to_le_bytes());
        let wanted = if event_index {
            let event = self.memory.read_u16(available + 4 + 2 * u64::from(queue.size));
            event == old
        } else {
            self.memory.read_u16(available) & 1 == 0
        };
        if wanted {
            state.interrupt |= 1;
        }
        wanted
    }

    /// The device wants no notification of requests that the driver adds from now on (until the next is taken).
    pub fn suppress_notifications(&self, index: usize) {
        let state = self.state.borrow();
        let queue = &state.queues[index];
        let used = queue.areas[2];
        if state.accepted & 1 << 29 != 0 {
            let far = queue.taken.wrapping_add(0x4000);
            self.memory.write(used + 4 + 8 * u64::from(queue.size), &far.to_le_bytes());
        } else {
            self.memory.write(used, &1u16.to_le_bytes());
        }
    }

    /// Writes the used index of queue `index` as it is given, as a broken device would.
    pub fn set_used_index(&self, index: usize, value: u16) {
        let used = self.state.borrow().queues[index].areas[2];
        self.memory.write(used + 2, &value.to_le_bytes());
    }
}

impl State {
    fn reset(&mut self) {
        self.resets += 1;
        (self.status, self.interrupt, self.accepted) = (0, 0, 0);
        for queue in &mut self.queues {
            *queue = QueueState { size_max: queue.size_max, ..Default::default() };
        }
    }

    fn queue(&mut self) -> Option<&mut QueueState> {
        self.queues.get_mut(self.queue_select as usize)
    }
}

impl Registers for MockDevice {
    fn read(&mut self, register: Register) -> u32 {
        let mut state = self.state.borrow_mut();
        match register {
            Register::Magic => state.magic,
            Register::Version => state.version,
            Register::DeviceId => state.kind,
            Register::DeviceFeatures if state.features_select < 2 => {
                (state.offered >> (32 * state.features_select)) as u32
            }
            Register::DeviceFeatures => 0,
            Register::QueueSizeMax => state.queue().map_or(0, |queue| queue.size_max),
            Register::QueueReady => state.queue().map_or(0, |queue| queue.ready.into()),
            Register::InterruptStatus => state.interrupt,
            Register::Status => state.status,
            Register::ConfigGeneration => {
                if state.unsettled > 0 {
                    state.unsettled -= 1;
                    state.generation += 1;
                }
                state.generation
            }
            other => panic!("{other:?} is write-only"),
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        let before = self.state.borrow().before_write;
        if let Some(before) = before {
            before();
        }
        let mut state = self.state.borrow_mut();
        let started = state.status & 4 != 0;
        let half = |old: u64, high: bool| match high {
            true => old & 0xffff_ffff | u64::from(value) << 32,
            false => old & !0xffff_ffff | u64::from(value),
        };
        match register {
            Register::DeviceFeaturesSel => state.features_select = value,
            Register::DriverFeaturesSel => state.driver_select = value,
            Register::DriverFeatures => {
                assert_eq!(state.status & 8, 0, "features are written before FEATURES_OK");
                state.accepted = half(state.accepted, state.driver_select == 1);
            }
            Register::QueueSel => state.queue_select = value,
            Register::QueueNotify => {
                assert!(started, "notified before DRIVER_OK");
                state.queues[value as usize].notified += 1;
            }
            Register::InterruptAck => state.interrupt &= !value,
            Register::Status if value == 0 => {
                state.reset();
                if state.never_resets {
                    state.status = 4;
                }
            }
            Register::Status => {
                assert_eq!(value & state.status, state.status, "status bits are only added");
                state.status = value;
                let ok = state.accepted & !state.offered == 0 && !state.refuse_features;
                if value & 8 != 0 && !started && !ok {
                    state.status &= !8;
                }
            }
            _ => {
                assert!(!started, "queues are set up before DRIVER_OK");
                assert!(state.status & 8 != 0, "queues are set up after FEATURES_OK");
                let Some(queue) = state.queue() else { return };
                match register {
                    Register::QueueSize => queue.size = value,
                    Register::QueueReady => {
                        assert!(queue.size.is_power_of_two() && queue.size <= queue.size_max);
                        let aligned = queue.areas.iter().zip([16, 2, 4]).all(|(at, to)| at % to == 0);
                        assert!(aligned, "2.7: alignment of the areas");
                        queue.ready = value != 0;
                    }
                    Register::QueueDescLow => queue.areas[0] = half(queue.areas[0], false),
                    Register::QueueDescHigh => queue.areas[0] = half(queue.areas[0], true),
                    Register::QueueDriverLow => queue.areas[1] = half(queue.areas[1], false),
                    Register::QueueDriverHigh => queue.areas[1] = half(queue.areas[1], true),
                    Register::QueueDeviceLow => queue.areas[2] = half(queue.areas[2], false),
                    Register::QueueDeviceHigh => queue.areas[2] = half(queue.areas[2], true),
                    other => panic!("{other:?} is read-only"),
                }
            }
        }
    }

    fn config_u8(&mut self, offset: usize) -> u8 {
        self.state.borrow().config.get(offset).copied().unwrap_or(0)
    }

    fn config_u16(&mut self, offset: usize) -> u16 {
        assert!(offset.is_multiple_of(2), "2.5: aligned");
        u16::from_le_bytes([self.config_u8(offset), self.config_u8(offset + 1)])
    }

    fn config_u32(&mut self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4), "2.5: aligned");
        u32::from(self.config_u16(offset)) | u32::from(self.config_u16(offset + 2)) << 16
    }
}
