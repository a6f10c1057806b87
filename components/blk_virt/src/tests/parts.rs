// SPDX-License-Identifier: BSD-2-Clause
//! Who gets which part of the disk, and that it is that part.

use super::*;
use crate::{AssignError, Event};

/// An MBR with these partitions: number, first, sectors.
fn mbr(driver: &mut ModelDriver, partitions: &[(usize, u32, u32)]) {
    for (number, first, sectors) in partitions {
        let place = 446 + 16 * (number - 1);
        driver.disk.cached[place + 4] = 0x83;
        driver.disk.cached[place + 8..place + 12].copy_from_slice(&first.to_le_bytes());
        driver.disk.cached[place + 12..place + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    driver.disk.cached[510..512].copy_from_slice(&[0x55, 0xaa]);
}

#[test]
fn each_client_has_its_partition_and_what_it_writes_is_there() {
    let mut bench = Bench::with_disk(&["partition:2", "extent:200+10"], |driver| {
        mbr(driver, &[(1, 8, 40), (2, 100, 50)]);
    });
    assert_eq!(bench.clients[0].info().unwrap().capacity, 50);
    assert_eq!(bench.clients[1].info().unwrap().capacity, 10);
    bench.write(0, 1, 49, 0xaaaa);
    bench.write(1, 1, 0, 0xbbbb);
    assert_eq!(bench.settle(), [vec![ok(1)], vec![ok(1)]]);
    assert_eq!(Disk::number(&bench.driver.disk.cached, 149), 0xaaaa);
    assert_eq!(Disk::number(&bench.driver.disk.cached, 200), 0xbbbb);
}

#[test]
fn client_without_a_part_sees_no_device_and_the_others_go_on() {
    let mut bench = Bench::new(&["partition:1", "nonsense", "extent:0+300", "disk"]);
    let errors = [AssignError::NoPartition, AssignError::Syntax, AssignError::Outside];
    for (number, error) in errors.into_iter().enumerate() {
        assert_eq!(bench.virt.part(number), Some(Err(error)));
        let info = bench.clients[number].info().unwrap();
        assert_eq!((info.capacity, info.abilities), (0, Abilities::empty()));
        bench.submit(number, 1, Code::Read, 0, 1, 0);
        bench.flush(number, 2);
    }
    bench.write(3, 1, 255, 7);
    let none = vec![failed(1, Status::NO_DEVICE), failed(2, Status::NO_DEVICE)];
    assert_eq!(bench.settle(), [none.clone(), none.clone(), none, vec![ok(1)]]);
}

#[test]
fn shared_sectors_are_read_only_for_all_or_nobody_gets_them() {
    let bench = Bench::new(&["extent:0+10", "extent:9+10", "extent:30+5", "extent:40+5,ro", "extent:44+5"]);
    assert_eq!(bench.virt.part(0), Some(Err(AssignError::Overlap(1))));
    assert_eq!(bench.virt.part(1), Some(Err(AssignError::Overlap(0))));
    assert!(bench.virt.part(2).unwrap().is_ok());
    assert_eq!(bench.virt.part(3), Some(Err(AssignError::Overlap(4))));
    assert_eq!(bench.virt.part(4), Some(Err(AssignError::Overlap(3))));
    let bench = Bench::new(&["disk,ro", "extent:9+10,ro", "extent:9+10,ro"]);
    assert!((0..3).all(|number| bench.virt.part(number).unwrap().is_ok()));
    assert_eq!(bench.virt.part(3), None);
}

#[test]
fn read_only_part_takes_no_writes_and_says_so() {
    let mut bench = Bench::new(&["disk,ro", "extent:0+8,ro"]);
    let info = bench.clients[0].info().unwrap();
    assert_eq!(info.abilities, Abilities::PRESENT | Abilities::READ_ONLY | Abilities::FLUSH);
    bench.write(0, 1, 0, 1);
    bench.submit(0, 2, Code::Discard, 0, 8, 0);
    bench.submit(0, 3, Code::WriteZeroes, 0, 8, 0);
    bench.submit(0, 4, Code::Read, 0, 8, 0);
    bench.flush(0, 5);
    let refused = |id| failed(id, Status::READ_ONLY);
    let mut answers = bench.settle().remove(0);
    answers.sort_by_key(|answer| answer.id);
    // A discard is not among the abilities, but the disk can do it: it is refused for what it is.
    assert_eq!(answers, [refused(1), refused(2), refused(3), ok(4), ok(5)]);
}

#[test]
fn blocks_of_4096_bytes_are_whole_or_refused() {
    let mut bench = Bench::with_disk(&["extent:8+80", "extent:100+8"], |driver| {
        driver.info.block_size = 4096;
    });
    assert_eq!(bench.virt.part(1), Some(Err(AssignError::Outside)));
    bench.submit(0, 1, Code::Read, 0, 1, 0);
    bench.submit(0, 2, Code::Read, 4, 8, 0);
    bench.submit(0, 3, Code::Read, 8, 8, 0);
    let invalid = |id| failed(id, Status::INVALID);
    assert_eq!(bench.settle()[0], [invalid(1), invalid(2), ok(3)]);
}

#[test]
fn table_that_needs_several_reads_is_read_in_pieces() {
    let bench = Bench::with_disk(&["disk"], |driver| {
        // A GPT whose primary header is fine: 32 blocks of entries, in pieces of 8 KiB.
        let entries = vec![0; 16384];
        let sum = |bytes: &[u8]| {
            let mut crc = crate::table::crc::Crc32::new();
            crc.update(bytes);
            crc.value().to_le_bytes()
        };
        let mut header = [0; 92];
        header[..16].copy_from_slice(b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00");
        for (offset, value) in [(24, 1u64), (32, 255), (40, 34), (48, 222), (72, 2), (80, 128 | 128 << 32)] {
            header[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[88..].copy_from_slice(&sum(&entries));
        let checksum = sum(&header);
        header[16..20].copy_from_slice(&checksum);
        driver.disk.cached[512..512 + 92].copy_from_slice(&header);
        mbr(driver, &[(1, 1, 255)]);
        driver.disk.cached[450] = 0xee;
    });
    assert_eq!(bench.virt.table().kind, crate::table::TableKind::Gpt(crate::table::Copy::Primary));
    let lengths: Vec<_> = bench.driver.log.iter().map(|request| request.length).collect();
    assert_eq!(lengths, [512, 512, 8192, 8192]);
}

#[test]
fn no_disk_is_told_and_requests_are_answered_so() {
    let mut bench = Bench::with_disk(&["disk"], |driver| driver.info.abilities = Abilities::empty());
    assert_eq!(bench.virt.take_event(), Some(Event::NoDisk));
    bench.submit(0, 1, Code::Read, 0, 1, 0);
    assert_eq!(bench.settle()[0], [failed(1, Status::NO_DEVICE)]);
}

#[test]
fn disk_that_shrinks_takes_what_lies_behind_its_end() {
    let mut bench = Bench::new(&["extent:10+10", "extent:250+6"]);
    bench.driver.info.capacity = 200;
    bench.driver.link.publish_info(&bench.driver.info);
    bench.drive();
    assert_eq!(bench.service(), 0b11, "both are told");
    assert!(bench.virt.part(0).unwrap().is_ok());
    assert_eq!(bench.virt.part(1), Some(Err(AssignError::Outside)));
    assert_eq!(bench.clients[1].info().unwrap().capacity, 0);
    let mut bench = Bench::new(&["disk"]);
    bench.driver.info.capacity = 200;
    bench.driver.link.publish_info(&bench.driver.info);
    bench.settle();
    assert_eq!(bench.clients[0].info().unwrap().capacity, 200);
}

#[test]
fn table_that_cannot_be_read_leaves_the_parts_that_need_none() {
    let mut bench = Bench::with_disk(&["partition:1", "extent:10+10"], |_| {});
    assert!(bench.virt.part(0).unwrap().is_err());
    bench.write(1, 1, 0, 1);
    assert_eq!(bench.settle()[1], [ok(1)]);
}
