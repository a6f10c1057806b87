// SPDX-License-Identifier: BSD-2-Clause
//! The virtualiser finds out what the disk is like: reads its partition table, gives each client its part, and tells all.

use ring::blk::{Abilities, Code, Info, Request, Segment};
use ring::pages::Memory;

use crate::assign::{AssignError, assign};
use crate::config::Target;
use crate::disk::{self, Disk};
use crate::slots::{Mask, Owner, Slots};
use crate::table::{SECTOR, Step};

use super::{ChannelFlags, Event, Virtualiser};

/// A read of the partition table in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The next sector to read.
    sector: u64,
    /// How many are left.
    sectors: u64,
    /// Where they go in the buffer.
    offset: u64,
}

impl<M: Memory> Virtualiser<'_, M> {
    /// The driver describes its disk.
    #[cold]
    pub(super) fn described(&mut self, slots: &mut Slots, info: Info) {
        if !info.abilities.contains(Abilities::PRESENT) {
            self.disk = Disk::Absent;
            self.reading = None;
            self.report(Event::NoDisk);
            self.publish();
            return;
        }
        match self.disk {
            Disk::Ready(old) => {
                if old.capacity != info.capacity {
                    self.report(Event::Resized(info.capacity));
                }
                self.disk = Disk::Ready(info);
                self.resize(info);
                if old != info {
                    self.publish();
                }
            }
            Disk::Reading(_) => self.disk = Disk::Reading(info),
            Disk::Unknown | Disk::Absent => {
                self.disk = Disk::Reading(info);
                let step = self.probe.start(disk::geometry(&info));
                self.step(slots, step);
            }
        }
    }

    /// Parts that lie outside are gone; the whole disk stays the whole disk.
    fn resize(&mut self, info: Info) {
        let geometry = disk::geometry(&info);
        for (client, assignment) in self.clients.iter_mut().zip(&self.assignments) {
            let (Some(client), Some(Ok(assignment))) = (client, assignment) else { continue };
            let Ok(part) = &mut client.part else { continue };
            if assignment.target == Target::Disk {
                part.sectors = geometry.blocks().saturating_mul(geometry.block_sectors());
            }
            if !part.fits(geometry) {
                client.part = Err(AssignError::Outside);
            }
        }
    }

    fn step(&mut self, slots: &mut Slots, step: Step) {
        match step {
            Step::Read { sector, sectors } => {
                self.reading = Some(Reading { sector, sectors, offset: 0 });
                self.read_more(slots);
            }
            Step::Done => {
                self.reading = None;
                let Disk::Reading(info) = self.disk else { return };
                let parts = assign(&self.assignments, self.probe.geometry(), self.probe.table());
                for (client, part) in self.clients.iter_mut().zip(parts) {
                    if let Some(client) = client {
                        client.part = part;
                    }
                }
                self.disk = Disk::Ready(info);
                self.report(Event::Ready(info.capacity));
                self.publish();
            }
        }
    }

    /// Reads the next piece of what the probe wants.
    fn read_more(&mut self, slots: &mut Slots) {
        let (Disk::Reading(info), Some(reading)) = (self.disk, &mut self.reading) else { return };
        let block = u64::from(info.block_size);
        let most = u64::from(info.max_segment_bytes.min(info.max_bytes)) / block * block;
        let length = (reading.sectors * SECTOR).min(most.max(block));
        let offset = self.table_physical.saturating_add(reading.offset);
        let request = Request { id: 0, code: Code::Read, sector: reading.sector, length, unmap: false };
        reading.sector += length / SECTOR;
        reading.sectors = reading.sectors.saturating_sub(length / SECTOR);
        reading.offset += length;
        // No client has been served yet, so there is one.
        let Some((slot, entry)) = slots.vacant() else { return };
        (entry.owner, entry.request, entry.after) = (Owner::Table, request, Mask::EMPTY);
        entry.segments.clear();
        // At most the buffer's size, which fits; the vector is empty.
        let _ = entry.segments.push(Segment { offset, length: length as u32 });
        slots.occupy(slot);
        self.submit(slots, slot);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn table_read(&mut self, slots: &mut Slots, readable: bool) {
        let Some(reading) = self.reading else { return };
        if readable && reading.sectors > 0 {
            self.read_more(slots);
        } else {
            let step = self.probe.advance(readable);
            self.step(slots, step);
        }
    }

    /// Tells all clients what they have.
    pub(super) fn publish(&mut self) {
        self.changed = ChannelFlags::MAX;
        for client in self.clients.iter_mut().flatten() {
            let info = match &self.disk {
                Disk::Ready(info) => disk::describe(info, client.part),
                _ => Info::default(),
            };
            client.link.publish_info(&info);
        }
    }
}
