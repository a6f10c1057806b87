// SPDX-License-Identifier: BSD-2-Clause
//! Requests and their answers (section 5.2.6), configuration (5.2.4).

use super::super::{Feature, Info, Operation, Outcome};
use super::{BASE, Bench, DATA, SECTORS, everything, kind};
use crate::mmio::registers;
use crate::mock::Disk;
use crate::mock::driver::{Buffer, write};

const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

#[test]
fn read_brings_the_sectors() {
    for mut bench in Bench::both() {
        let data = [Buffer::writable(DATA, 512), Buffer::writable(DATA + 0x3000, 1024)];
        let number = bench.ask(kind::IN, 7, &data);
        assert_eq!((bench.status(number), bench.used()), (0xff, None), "not before it is complete");
        bench.settle();
        assert_eq!((bench.status(number), bench.used()), (OK, Some(1537)));
        assert_eq!(bench.ram.peek_vec(DATA, 512), bench.disk.data[7 * 512..8 * 512]);
        assert_eq!(bench.ram.peek_vec(DATA + 0x3000, 1024), bench.disk.data[8 * 512..10 * 512]);
    }
}

#[test]
fn write_changes_the_sectors() {
    for mut bench in Bench::both() {
        let bytes: Vec<u8> = (0..1536u32).map(|at| ((at * 31) >> 3) as u8).collect();
        bench.ram.poke(DATA, &bytes);
        let data = [Buffer::readable(DATA, 1024), Buffer::readable(DATA + 1024, 512)];
        let number = bench.ask(kind::OUT, 250, &data);
        bench.settle();
        assert_eq!((bench.status(number), bench.used()), (OK, Some(1)));
        assert_eq!(bench.disk.data[250 * 512..253 * 512], bytes);
    }
}

#[test]
fn header_and_status_may_lie_in_the_same_buffers_as_data() {
    // Section 2.7.4.1: framing is the driver's business.
    for mut bench in Bench::both() {
        let header = crate::mock::hostile::block_header(kind::OUT, 3);
        bench.ram.poke(DATA, &header);
        bench.ram.poke(DATA + 16, &[0x5a; 512]);
        let buffers = [
            Buffer::readable(DATA, 9),
            Buffer::readable(DATA + 9, 300),
            Buffer::readable(DATA + 309, 219),
            Buffer::writable(DATA + 0x1000, 1),
        ];
        bench.queue.add(&bench.ram, &buffers);
        bench.show();
        bench.settle();
        assert_eq!(bench.used(), Some(1));
        assert_eq!(bench.disk.data[3 * 512..4 * 512], [0x5a; 512]);
        // A read whose status is the byte behind the data.
        bench.ram.poke(DATA, &crate::mock::hostile::block_header(kind::IN, 3));
        let buffers = [Buffer::readable(DATA, 16), Buffer::writable(DATA + 0x2000, 513)];
        bench.queue.add(&bench.ram, &buffers);
        bench.show();
        bench.settle();
        assert_eq!(bench.used(), Some(513));
        assert_eq!(bench.ram.peek(DATA + 0x2000), [0x5a; 512]);
        assert_eq!(bench.ram.peek(DATA + 0x2200), [OK]);
    }
}

#[test]
fn indirect_requests_of_many_segments() {
    for mut bench in Bench::both() {
        let table = BASE + 0x10_0000;
        bench.ram.poke(super::HEADERS, &crate::mock::hostile::block_header(kind::IN, 0));
        let mut buffers = vec![Buffer::readable(super::HEADERS, 16)];
        buffers.extend((0..200).map(|at| Buffer::writable(DATA + 1024 * at, 512)));
        buffers.push(Buffer::writable(super::HEADERS + 16, 1));
        bench.queue.add_indirect(&bench.ram, table, &buffers);
        bench.show();
        bench.settle();
        assert_eq!(bench.used(), Some(200 * 512 + 1));
        for at in 0..200 {
            let place = at as usize * 512;
            assert_eq!(bench.ram.peek_vec(DATA + 1024 * at, 512), bench.disk.data[place..place + 512]);
        }
    }
}

#[test]
fn requests_beyond_the_disk_fail() {
    let last = SECTORS as u64 - 1;
    for (sector, length, status) in [
        (last, 512, OK),
        (last, 1024, IO_ERROR),
        (last + 1, 512, IO_ERROR),
        (u64::MAX, 512, IO_ERROR),
        (u64::MAX - 1, 1024, IO_ERROR),
        (0, 511, IO_ERROR),
        (0, 513, IO_ERROR),
    ] {
        for (kind, write) in [(kind::IN, true), (kind::OUT, false)] {
            let mut bench = Bench::direct();
            let number = bench.ask(kind, sector, &[Buffer { address: DATA, length, write }]);
            bench.settle();
            assert_eq!(bench.status(number), status, "{length} bytes at {sector}");
            assert!(bench.used().is_some() && !bench.stopped());
        }
    }
}

#[test]
fn request_without_data_fails() {
    let mut bench = Bench::direct();
    let number = bench.ask(kind::IN, 0, &[]);
    assert_eq!((bench.status(number), bench.used()), (IO_ERROR, Some(1)));
}

#[test]
fn failed_read_says_that_no_data_was_written() {
    let mut bench = Bench::direct();
    bench.disk.outcome = Outcome::Failed;
    let number = bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.settle();
    assert_eq!((bench.status(number), bench.used()), (IO_ERROR, Some(0)));
    bench.disk.outcome = Outcome::Unsupported;
    let number = bench.ask(kind::OUT, 0, &[Buffer::readable(DATA, 512)]);
    bench.settle();
    assert_eq!((bench.status(number), bench.used()), (UNSUPPORTED, Some(1)));
}

#[test]
fn read_only_disk_is_not_written() {
    // Section 5.2.6.2.
    let info = Info { read_only: true, ..everything() };
    let mut bench = Bench::with(info, u64::MAX, 64, false);
    assert_ne!(bench.device.features() & Feature::READ_ONLY, 0);
    assert_eq!(bench.device.features() & (Feature::DISCARD | Feature::WRITE_ZEROES), 0);
    for kind in [kind::OUT, kind::DISCARD, kind::WRITE_ZEROES] {
        let number = bench.ask(kind, 0, &[Buffer::readable(DATA, 512)]);
        bench.settle();
        assert_eq!(bench.status(number), IO_ERROR, "type {kind}");
    }
    assert!(bench.disk.log.is_empty());
    let number = bench.ask(kind::IN, 0, &[Buffer::writable(DATA, 512)]);
    bench.settle();
    assert_eq!(bench.status(number), OK);
}

#[test]
fn unknown_types_are_unsupported() {
    let mut bench = Bench::direct();
    for kind in [2, 3, 5, 10, 14, 16, 0x8000_0000, u32::MAX] {
        let number = bench.ask(kind, 0, &[Buffer::writable(DATA, 512)]);
        assert_eq!(bench.status(number), UNSUPPORTED, "type {kind}");
        assert_eq!(bench.used(), Some(0));
        assert!(bench.interrupt().is_some());
    }
}

#[test]
fn get_id_brings_the_serial_number() {
    let mut bench = Bench::direct();
    let number = bench.ask(kind::GET_ID, 0, &[Buffer::writable(DATA, 20)]);
    assert_eq!((bench.status(number), bench.used()), (OK, Some(21)));
    assert_eq!(&bench.ram.peek::<20>(DATA), b"serial number\0\0\0\0\0\0\0");
    let number = bench.ask(kind::GET_ID, 0, &[Buffer::writable(DATA + 64, 6)]);
    assert_eq!((bench.status(number), bench.used()), (OK, Some(7)));
    assert_eq!(&bench.ram.peek(DATA + 64), b"serial\0\0");
}

#[test]
fn flush_reaches_the_back_end() {
    let mut bench = Bench::direct();
    let number = bench.ask(kind::FLUSH, 0, &[]);
    assert_eq!(bench.disk.log[0].operation, Operation::Flush);
    assert_eq!(bench.status(number), 0xff);
    bench.settle();
    assert_eq!((bench.status(number), bench.used()), (OK, Some(1)));
}

#[test]
fn disk_without_a_cache_has_nothing_to_flush() {
    let mut bench = Bench::with(Info::new(64), u64::MAX, 64, false);
    assert_eq!(bench.device.features() & (Feature::FLUSH | Feature::CONFIG_WCE), 0);
    let number = bench.ask(kind::FLUSH, 0, &[]);
    assert_eq!((bench.status(number), bench.used()), (OK, Some(1)));
    assert!(bench.disk.log.is_empty());
}

/// A range to discard or to zero.
fn range(sector: u64, sectors: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&sector.to_le_bytes());
    bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
    bytes[12..].copy_from_slice(&flags.to_le_bytes());
    bytes
}

#[test]
fn discard_and_write_zeroes() {
    for mut bench in Bench::both() {
        bench.ram.poke(DATA, &range(8, 64, 0));
        let number = bench.ask(kind::DISCARD, 0, &[Buffer::readable(DATA, 16)]);
        assert_eq!(bench.disk.log[0].operation, Operation::Discard);
        assert_eq!((bench.disk.log[0].sector, bench.disk.log[0].sectors), (8, 64));
        bench.settle();
        assert_eq!((bench.status(number), bench.used()), (OK, Some(1)));
        for (flags, unmap) in [(0, false), (1, true)] {
            bench.ram.poke(DATA, &range(16, 2, flags));
            let number = bench.ask(kind::WRITE_ZEROES, 0, &[Buffer::readable(DATA, 16)]);
            bench.settle();
            assert_eq!(bench.status(number), OK);
            assert_eq!(bench.disk.log.last().unwrap().operation, Operation::WriteZeroes { unmap });
            assert_eq!(bench.disk.data[16 * 512..18 * 512], [0; 1024]);
        }
    }
}

#[test]
fn odd_ranges_are_refused() {
    let mut bench = Bench::direct();
    for (kind, bytes, status) in [
        (kind::DISCARD, range(0, 65, 0), IO_ERROR),
        (kind::DISCARD, range(255, 2, 0), IO_ERROR),
        (kind::DISCARD, range(u64::MAX, 1, 0), IO_ERROR),
        (kind::DISCARD, range(0, 1, 1), UNSUPPORTED),
        (kind::WRITE_ZEROES, range(0, 1, 2), UNSUPPORTED),
        (kind::WRITE_ZEROES, range(0, u32::MAX, 0), IO_ERROR),
        (kind::WRITE_ZEROES, range(0, 0, 0), OK),
    ] {
        bench.ram.poke(DATA, &bytes);
        let number = bench.ask(kind, 0, &[Buffer::readable(DATA, 16)]);
        assert_eq!((bench.status(number), bench.used()), (status, Some(1)), "{kind} {bytes:?}");
        assert!(bench.interrupt().is_some());
    }
    for length in [15, 17, 32] {
        let number = bench.ask(kind::DISCARD, 0, &[Buffer::readable(DATA, length)]);
        assert_eq!((bench.status(number), bench.used()), (IO_ERROR, Some(1)), "{length} bytes");
        assert!(bench.interrupt().is_some());
    }
    assert!(bench.disk.log.is_empty());
}

#[test]
fn what_the_disk_cannot_do_is_not_offered() {
    let mut bench = Bench::with(Info::new(64), u64::MAX, 64, false);
    assert_eq!(bench.device.features() & (Feature::DISCARD | Feature::WRITE_ZEROES | Feature::SIZE_MAX), 0);
    for kind in [kind::DISCARD, kind::WRITE_ZEROES] {
        bench.ram.poke(DATA, &range(0, 1, 0));
        let number = bench.ask(kind, 0, &[Buffer::readable(DATA, 16)]);
        assert_eq!(bench.status(number), UNSUPPORTED);
    }
}

#[test]
fn more_segments_than_allowed_fail() {
    let mut bench = Bench::with(Info { max_segments: 4, ..everything() }, u64::MAX, 64, false);
    assert_eq!(bench.device.read(0x10c, 4), 4);
    for (segments, status) in [(4u64, OK), (5, IO_ERROR)] {
        let data: Vec<Buffer> = (0..segments).map(|at| Buffer::writable(DATA + 1024 * at, 512)).collect();
        let number = bench.ask(kind::IN, 0, &data);
        bench.settle();
        assert_eq!(bench.status(number), status);
    }
}

#[test]
fn configuration_tells_the_disk() {
    // Section 5.2.4.
    let info = Info {
        block_size: 4096,
        max_segment_bytes: 0x1_0000,
        max_segments: 126,
        discard_alignment: 8,
        ..everything()
    };
    let bench = Bench::with(info, u64::MAX, 64, false);
    assert_ne!(bench.device.features() & Feature::SIZE_MAX, 0);
    let field = |offset: u64, width| bench.device.read(0x100 + offset, width);
    assert_eq!(field(0, 8), SECTORS as u64);
    assert_eq!((field(8, 4), field(12, 4), field(20, 4)), (0x1_0000, 126, 512));
    assert_eq!((field(24, 1), field(25, 1), field(26, 2), field(28, 4)), (3, 0, 1, 0));
    assert_eq!((field(32, 1), field(34, 2)), (1, 1));
    assert_eq!((field(36, 4), field(40, 4), field(44, 4)), (64, 1, 8));
    assert_eq!((field(48, 4), field(52, 4), field(56, 1)), (64, 1, 1));
}

#[test]
fn write_through_is_flushed_before_it_is_told() {
    // Section 5.2.6.2: without FLUSH, or with writeback 0, a completed write is stable.
    for negotiated in [false, true] {
        let features = if negotiated { u64::MAX } else { !(Feature::FLUSH | Feature::CONFIG_WCE) };
        let mut bench = Bench::with(everything(), features, 64, false);
        if negotiated {
            assert_eq!(bench.device.read(0x120, 1), 1);
            let _ = bench.device.write(0x120, 1, 0, &bench.ram);
        }
        assert_eq!(bench.device.read(0x120, 1), 0);
        let number = bench.ask(kind::OUT, 5, &[Buffer::readable(DATA, 512)]);
        bench.disk.complete_all(&bench.ram);
        bench.run();
        assert_eq!((bench.status(number), bench.used()), (0xff, None), "written, not yet flushed");
        assert_eq!(bench.disk.pending[0].0.operation, Operation::Flush);
        bench.disk.complete_all(&bench.ram);
        bench.run();
        assert_eq!((bench.status(number), bench.used()), (OK, Some(1)));
        // Reads are as ever.
        bench.ask(kind::IN, 5, &[Buffer::writable(DATA, 512)]);
        bench.disk.complete_all(&bench.ram);
        bench.run();
        assert_eq!(bench.used(), Some(513));
    }
}

#[test]
fn write_through_fails_when_its_flush_does() {
    let mut bench = Bench::with(everything(), !Feature::FLUSH, 64, false);
    let number = bench.ask(kind::OUT, 5, &[Buffer::readable(DATA, 512)]);
    bench.disk.complete_all(&bench.ram);
    bench.run();
    bench.disk.outcome = Outcome::Failed;
    bench.settle();
    assert_eq!(bench.status(number), IO_ERROR);
}

#[test]
fn writeback_cannot_be_set_without_its_feature() {
    let mut bench = Bench::with(everything(), !Feature::CONFIG_WCE, 64, false);
    let _ = bench.device.write(0x120, 1, 0, &bench.ram);
    assert_eq!(bench.device.read(0x120, 1), 1);
}

#[test]
fn capacity_may_change() {
    let mut bench = Bench::direct();
    bench.device.set_info(Info { capacity: 512, ..everything() });
    assert_eq!(bench.device.read(0x100, 8), 512);
    assert_eq!(bench.device.read(registers::INTERRUPT_STATUS, 4), 2);
    bench.disk = Disk::new(512, false);
    let number = bench.ask(kind::IN, 511, &[Buffer::writable(DATA, 512)]);
    bench.settle();
    assert_eq!(bench.status(number), OK);
    let _ = write(&mut bench.device, &bench.ram, registers::INTERRUPT_ACK, 3);
}
