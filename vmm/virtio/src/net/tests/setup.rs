// SPDX-License-Identifier: BSD-2-Clause
//! Features and configuration (sections 5.1.3 and 5.1.4).

use super::{Bench, Feature, info};
use crate::mmio::Mmio;
use crate::mmio::registers::{self, Feature as Common};
use crate::mock::Ram;
use crate::mock::driver::{negotiate, offered};
use crate::net::{Info, Net};

#[test]
fn configuration_tells_address_link_and_mtu() {
    let mut bench = Bench::new();
    let bytes: Vec<u64> = (0..6).map(|at| bench.device.read(0x100 + at, 1)).collect();
    assert_eq!(bytes, [0x52, 0x54, 0, 0, 1, 2]);
    assert_eq!(bench.device.read(0x106, 2), 1);
    assert_eq!(bench.device.read(0x10a, 2), 1500);
    bench.device.set_info(Info { link: false, ..info(0) });
    assert_eq!(bench.device.read(0x106, 2), 0);
    assert_eq!(bench.device.read(registers::INTERRUPT_STATUS, 4), 2);
}

#[test]
fn only_what_the_network_does_is_offered() {
    let ram = Ram::new(0x4000_0000, 0x1_0000);
    for offloads in [0, Feature::CSUM | Feature::GUEST_CSUM, Feature::OFFLOADS] {
        let mut device = Mmio::new(Net::new(info(offloads)));
        let offered = offered(&mut device, &ram);
        assert_eq!(offered & Feature::OFFLOADS, offloads);
        assert_ne!(offered & Feature::MRG_RXBUF & Feature::MRG_RXBUF, 0);
        // Control queue, multiqueue and the like: not there.
        assert_eq!(offered & !Common::ALL & 0xffff_ffff_fffe_0000, 0);
    }
    let mut device = Mmio::new(Net::new(Info { mtu: 0, ..info(0) }));
    assert_eq!(offered(&mut device, &ram) & Feature::MTU, 0);
}

#[test]
fn features_that_need_others_are_refused_without_them() {
    // Section 5.1.3.1.
    let ram = Ram::new(0x4000_0000, 0x1_0000);
    for (feature, with) in [
        (Feature::GUEST_TSO4, Feature::GUEST_CSUM),
        (Feature::GUEST_TSO6, Feature::GUEST_CSUM),
        (Feature::HOST_TSO4, Feature::CSUM),
        (Feature::HOST_TSO6, Feature::CSUM),
        (Feature::GUEST_ECN, Feature::GUEST_CSUM | Feature::GUEST_TSO4),
        (Feature::HOST_ECN, Feature::CSUM | Feature::HOST_TSO6),
    ] {
        let mut device = Mmio::new(Net::new(info(Feature::OFFLOADS)));
        assert!(!negotiate(&mut device, &ram, Common::VERSION_1 | feature), "{feature:#x}");
        assert!(negotiate(&mut device, &ram, Common::VERSION_1 | feature | with), "{feature:#x}");
    }
}

#[test]
fn network_is_told_what_the_guest_takes() {
    let mut bench = Bench::new();
    bench.run();
    assert_eq!(bench.network.accepted, Feature::TO_GUEST);
    bench.network.accepted = 0;
    bench.run();
    assert_eq!(bench.network.accepted, 0, "once");
    bench.device.replay();
    bench.run();
    assert_eq!(bench.network.accepted, Feature::TO_GUEST, "a new one again");
    assert!(bench.device.reset());
    bench.run();
    assert_eq!(bench.network.accepted, 0);
    let mut bench = Bench::with(info(Feature::OFFLOADS), Common::VERSION_1 | Feature::GUEST_CSUM, 8);
    bench.run();
    assert_eq!(bench.network.accepted, Feature::GUEST_CSUM);
}
