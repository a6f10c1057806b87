// SPDX-License-Identifier: BSD-2-Clause
//! Changed and arbitrary tables.

use proptest::prelude::*;

use super::*;

/// What holds for every table, whatever the disk says.
fn check(disk: &Disk) -> Result<(), TestCaseError> {
    let (table, _) = disk.probe_with(|_| true);
    for partition in &table.partitions {
        prop_assert!(partition.first > 0 && partition.sectors > 0 && partition.number > 0);
        let end = partition.first.checked_add(partition.sectors);
        prop_assert!(end.is_some_and(|end| end <= disk.geometry().sectors));
    }
    prop_assert!(table.kind != TableKind::None || table.partitions.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Good tables with some bytes changed; with the checksums made right again or not.
    #[test]
    fn mutated_gpt_never_leads_outside_the_disk(
        changes in prop::collection::vec((0usize..34 * 512, any::<u8>()), 1..20),
        headers in prop::collection::vec((0usize..92, any::<u8>()), 0..4),
        seal in any::<bool>(),
        truncate in prop::option::of(0u64..DISK),
    ) {
        let mut disk = Disk::gpt(TWO, 512);
        for (at, value) in changes {
            disk.bytes[at] = value;
        }
        for (at, value) in headers {
            disk.bytes[512 + at] = value;
        }
        disk.put(0, 510, &[0x55, 0xaa]);
        if seal {
            // Only while the header is plausible enough for the test's own arithmetic.
            let plausible = Disk::gpt(TWO, 512);
            disk.bytes[512 + 12..512 + 16].copy_from_slice(&plausible.bytes[512 + 12..512 + 16]);
            disk.bytes[512 + 80..512 + 88].copy_from_slice(&plausible.bytes[512 + 80..512 + 88]);
            disk.bytes[512 + 74..512 + 80].fill(0);
            disk.seal(1);
        }
        if let Some(blocks) = truncate {
            disk.bytes.truncate(blocks as usize * 512);
        }
        check(&disk)?;
    }

    /// Arbitrary boot records and a chain of arbitrary ones.
    #[test]
    fn arbitrary_records_never_lead_outside_the_disk(
        records in prop::collection::vec((0u64..64, 0usize..4, prop::sample::select(vec![0u8, 5, 0xf, 0x83, 0x85, 0xee]),
            prop_oneof![0u32..70, any::<u32>()], prop_oneof![0u32..70, any::<u32>()]), 1..60),
        block in prop::sample::select(vec![512usize, 4096]),
    ) {
        let mut disk = Disk::new(64, block);
        for (at, index, kind, first, blocks) in records {
            disk.record(at, index, kind, first, blocks);
        }
        check(&disk)?;
    }

    /// A disk of noise.
    #[test]
    fn noise_never_leads_outside_the_disk(seed in prop::collection::vec(any::<u8>(), 512 * 4), efi in any::<bool>()) {
        let mut disk = Disk::new(40, 512);
        disk.bytes[..seed.len()].copy_from_slice(&seed);
        disk.put(0, 510, &[0x55, 0xaa]);
        if efi {
            disk.put(0, 450, &[0xee]);
            disk.put(1, 0, b"EFI PART");
        }
        check(&disk)?;
    }
}
