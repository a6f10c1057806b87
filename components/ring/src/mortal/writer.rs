// SPDX-License-Identifier: BSD-2-Clause
//! A client of a disk: writes, flushes, reads back, and asks again for what has no answer when its server begins anew.

use super::std::vec;
use super::std::vec::Vec;

use crate::blk::{Client, Code, Request, SECTOR, Segment, Status};
use crate::link::State;
use crate::pages::Memory;

/// Sectors that are written, one a request, from number 1 on.
const SECTORS: u64 = 3;
/// The requests after those.
const FLUSH: u64 = SECTORS + 1;
const READ: u64 = SECTORS + 2;

/// The client's program. Its data lies at `data`: sector n is written from `n` times a sector behind that, and all are read back
/// to [`Self::READ_TO`] behind it.
#[derive(Debug)]
pub struct Writer {
    data: u64,
    /// What it has no answer to.
    waiting: Vec<u64>,
    has_read: bool,
}

impl Writer {
    /// Where it reads to, behind its data.
    pub const READ_TO: u64 = 0x8000;

    /// Bytes that are read back.
    pub const LENGTH: usize = (SECTORS * SECTOR as u64) as usize;

    /// Asks for what comes first.
    ///
    /// # Panics
    /// When the client has no room, like all methods here.
    pub fn start<M: Memory>(client: &mut Client<M>, data: u64) -> Self {
        let this = Self { data, waiting: (1..=FLUSH).collect(), has_read: false };
        this.waiting.iter().for_each(|&id| this.ask(client, id));
        this
    }

    /// Request number `id`.
    fn ask<M: Memory>(&self, client: &mut Client<M>, id: u64) {
        let (code, sector, offset, sectors) = match id {
            FLUSH => return client.submit(&Request::flush(id), &[]).expect("room"),
            READ => (Code::Read, 1, Self::READ_TO, SECTORS),
            sector => (Code::Write, sector, sector * u64::from(SECTOR), 1),
        };
        let length = sectors * u64::from(SECTOR);
        let segment = Segment { offset: self.data + offset, length: length as u32 };
        client.submit(&Request { id, code, sector, length, unmap: false }, &[segment]).expect("room");
    }

    /// Takes answers, each of which comes once, and goes on. Gives whether the server is to be notified.
    pub fn look<M: Memory>(&mut self, client: &mut Client<M>) -> bool {
        if client.poll() == State::Fresh {
            self.waiting.iter().for_each(|&id| self.ask(client, id));
        }
        while let Some(response) = client.response() {
            assert_eq!(response.status, Status::OK);
            let place = self.waiting.iter().position(|&id| id == response.id);
            self.waiting.remove(place.expect("answered once"));
            if self.waiting.is_empty() && !self.has_read {
                self.has_read = true;
                self.waiting = vec![READ];
                self.ask(client, READ);
            }
        }
        let notify = client.commit();
        // Whether it sleeps or not: it asks to be notified.
        let _ = client.wait();
        notify
    }

    /// Whether everything has been answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.has_read && self.waiting.is_empty()
    }
}
