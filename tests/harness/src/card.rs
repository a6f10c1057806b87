// SPDX-License-Identifier: BSD-2-Clause
//! Cards for a board that starts from one, partitioned as `docs/raspberry-pi.md` says: the firmware's, then one for each guest.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use emulator::gpt::{self, Partition, SECTOR};

use crate::disk::{GUEST_SECTORS, copy_into};

/// Sectors of the firmware's partition: 64 MiB, which is enough for a FAT32.
const FIRMWARE: u64 = (64 << 20) / SECTOR;

/// Where the guests' partitions begin, in sectors.
pub const GUESTS: u64 = gpt::FIRST + FIRMWARE;

/// Makes a card whose first partition has these files, and whose second and third are those of `guests`, the guests' disk.
///
/// # Panics
/// It cannot be made.
pub fn make(card: &Path, files: &[&Path], guests: Option<&Path>) {
    let mut partitions = vec![(String::new(), FIRMWARE)];
    partitions
        .extend(guests.iter().flat_map(|_| (0..2).map(|number| (format!("guest{number}"), GUEST_SECTORS))));
    let mut first = gpt::FIRST;
    let partitions: Vec<Partition> = (1..)
        .zip(partitions)
        .map(|(number, (label, sectors))| {
            let partition = Partition { label, guid: [number; 16], first, sectors };
            first += sectors;
            partition
        })
        .collect();
    let file = File::create(card).expect("the card's file");
    // A card's size is a power of two, in the emulator.
    let size = (first + gpt::FIRST).next_power_of_two();
    file.set_len(size * SECTOR).expect("the card's size");
    gpt::write(&file, size, [0xca; 16], &partitions).expect("the partition table");

    let firmware = card.with_extension("fat");
    fill(&firmware, files);
    copy_into(&firmware, 0, card, gpt::FIRST, FIRMWARE);
    fs::remove_file(firmware).expect("the partition's file");
    if let Some(disk) = guests {
        copy_into(disk, gpt::FIRST, card, GUESTS, 2 * GUEST_SECTORS);
    }
}

/// Makes the firmware's partition.
fn fill(partition: &Path, files: &[&Path]) {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(partition);
    let mut file = file.expect("the partition's file");
    file.set_len(FIRMWARE * SECTOR).expect("the partition's size");
    let options = fatfs::FormatVolumeOptions::new().fat_type(fatfs::FatType::Fat32);
    fatfs::format_volume(&mut file, options).expect("an empty file system");
    let volume = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).expect("the file system");
    for from in files {
        let name = from.file_name().expect("a file's name").to_string_lossy();
        let mut to = volume.root_dir().create_file(&name).expect("a new file");
        to.write_all(&fs::read(from).expect("the file's content")).expect("room for the file");
    }
}
