// SPDX-License-Identifier: BSD-2-Clause
//! Devices behind a link: what is the same of a disk and a network interface.

use crate::device::{BlockLink, DataRegion, NetLink};
use ring::link::{LinkError, State};
use ring::pages::Memory;
use vmm_virtio::block::Block;
use vmm_virtio::model::Progress;
use vmm_virtio::net::Net;
use vmm_virtio::{BlockDevice, GuestMemory, Mmio, Model, NetDevice, block, net};

/// How often a device works on in one event, when there is ever more to do. Then others have their turn.
const ROUNDS: usize = 8;

/// This side of a link with the device that it is the back end of, for a guest with memory of type `M`.
pub(super) trait DeviceLink<M> {
    /// The kind of device.
    type Model: Model;
    /// What the other side says of it.
    type Info;
    /// What the other side is called.
    const SERVER: &'static str;

    /// A look at the link. After [`State::Fresh`] the other side knows nothing of what went before.
    fn poll(&mut self) -> State;
    /// Why the other side was cut off, once.
    fn take_error(&mut self) -> Option<LinkError>;
    /// The device's description, if there is one and it is new.
    fn changed_info(&mut self) -> Option<Self::Info>;
    /// Shows the other side what was done. Gives whether to notify it.
    fn commit(&mut self) -> bool;
    /// Asks to be notified of what comes next for a device; `false`: something is there already.
    fn wait(&mut self, device: Option<&Mmio<Self::Model>>) -> bool;
    /// Whether to notify the other side afterwards, which it is anyway if `notified`: of what is waited for.
    fn tells(&mut self, device: &Mmio<Self::Model>, notified: bool) -> bool;
    /// The device is like this.
    fn describe(device: &mut Option<Mmio<Self::Model>>, info: Self::Info);
    /// The other side is a new one.
    fn replay(device: &mut Mmio<Self::Model>);
    /// Does what there is to do.
    fn run(&mut self, device: &mut Mmio<Self::Model>, memory: &M) -> Progress;
}

macro_rules! forward {
    () => {
        #[inline]
        fn poll(&mut self) -> State {
            self.poll()
        }

        fn take_error(&mut self) -> Option<LinkError> {
            self.take_error()
        }

        fn changed_info(&mut self) -> Option<Self::Info> {
            self.changed_info()
        }

        #[inline]
        fn commit(&mut self) -> bool {
            self.commit()
        }

        #[inline]
        fn replay(device: &mut Mmio<Self::Model>) {
            device.replay();
        }

        #[inline]
        fn run(&mut self, device: &mut Mmio<Self::Model>, memory: &M) -> Progress {
            device.run(memory, self)
        }
    };
}

impl<M: GuestMemory, P: Memory, D: DataRegion<M>> DeviceLink<M> for BlockLink<P, D> {
    type Model = Block;
    type Info = block::Info;
    const SERVER: &'static str = "virtualiser";

    forward!();

    #[inline]
    fn wait(&mut self, device: Option<&BlockDevice>) -> bool {
        self.wait_for(device.map_or(1, BlockDevice::awaited))
    }

    #[inline]
    fn tells(&mut self, device: &BlockDevice, notified: bool) -> bool {
        self.tells(notified, device.model().in_flight())
    }

    fn describe(device: &mut Option<BlockDevice>, info: block::Info) {
        match device {
            Some(device) => device.set_info(info),
            None => *device = Some(Mmio::new(Block::new(info))),
        }
    }
}

impl<M: GuestMemory, P: Memory, D: DataRegion<M>> DeviceLink<M> for NetLink<P, D> {
    type Model = Net;
    type Info = net::Info;
    const SERVER: &'static str = "switch";

    forward!();

    #[inline]
    fn wait(&mut self, _device: Option<&NetDevice>) -> bool {
        self.wait()
    }

    #[inline]
    fn tells(&mut self, _device: &NetDevice, notified: bool) -> bool {
        notified
    }

    fn describe(device: &mut Option<NetDevice>, info: net::Info) {
        match device {
            Some(device) => device.set_info(info),
            None => *device = Some(Mmio::new(Net::new(info))),
        }
    }
}

/// Looks for what is new about a link itself, and about the device that it describes.
pub(super) fn look<M, L: DeviceLink<M>>(
    link: Option<&mut L>,
    device: &mut Option<Mmio<L::Model>>,
    notify: impl FnOnce(),
) {
    let (Some(link), name) = (link, L::Model::NAME) else { return };
    match link.poll() {
        State::Fresh => {
            if let Some(device) = device {
                L::replay(device);
                log::info!("{name}: connected again");
            }
        }
        State::Up => {}
        State::Down | State::PeerRestarted => {
            if let Some(error) = link.take_error() {
                log::error!("{name}: {error}; it waits until its {} restarts", L::SERVER);
            }
        }
    }
    if let Some(info) = link.changed_info() {
        L::describe(device, info);
    }
    // While there is no device, nothing else does this.
    if device.is_none() {
        if link.commit() {
            notify();
        }
        // A description comes with a notification whether it was asked for or not.
        link.wait(None);
    }
}

/// Lets a device do what there is to do. True: there is more.
#[inline]
pub(super) fn work<M, L: DeviceLink<M>>(
    link: Option<&mut L>,
    device: Option<&mut Mmio<L::Model>>,
    memory: &M,
    mut notify: impl FnMut(),
) -> bool {
    let (Some(link), Some(device)) = (link, device) else { return false };
    for _ in 0..ROUNDS {
        if link.poll() == State::Fresh {
            L::replay(device);
        }
        let progress = link.run(device, memory);
        let notified = link.commit();
        let done = progress == Progress::Done && link.wait(Some(device));
        // The other side may run at once, and then knows already what is waited for.
        if link.tells(device, notified) {
            notify();
        }
        if done {
            return false;
        }
    }
    true
}
