// SPDX-License-Identifier: BSD-2-Clause
//! The side that asks.

use super::entry::{MORE, UNMAP};
use super::{
    Info, Layout, MAX_SEGMENTS, Request, RequestEntry, Response, ResponseEntry, SECTOR, Segment, Status,
};
use crate::link::{End, Kind, LayoutError, LinkError, Role, State};
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Full, Producer};

/// Requests and responses.
type Queues<M> = (Producer<RequestEntry, M>, Consumer<ResponseEntry, M>);

/// The client's end of a block link.
///
/// One round: [`poll`](Self::poll); [`response`](Self::response) until there is none; [`submit`](Self::submit) what is
/// there to do; notify the peer if [`commit`](Self::commit) says so; sleep if [`wait`](Self::wait) says so, else another round.
#[derive(Debug)]
pub struct Client<M = SharedPages> {
    end: End<M, Queues<M>>,
}

impl<M: Memory> Client<M> {
    /// The client's end in `memory`, beginning a new epoch. [`Self::commit`] then says that the peer is to be notified.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn new(memory: M) -> Result<Self, LayoutError> {
        let size = memory.size();
        let layout = Layout::of(size)?;
        let requests = Producer::new(memory.clone(), layout.requests, layout.capacity);
        let responses = Consumer::new(memory.clone(), layout.responses, layout.capacity);
        let (Some(requests), Some(responses)) = (requests, responses) else {
            return Err(LayoutError { size });
        };
        Ok(Self { end: End::open(memory, Role::Client, Kind::Block, (requests, responses)) })
    }

    /// A look at the link. Never [`State::PeerRestarted`]. After [`State::Fresh`] nothing submitted before is known to the
    /// server any more: submit again what has no response.
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// Whether the link was up at the last look.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.end.is_up()
    }

    /// Submits a request with the memory in `segments`: for reads and writes as many bytes as `request.length` says, for
    /// others none. All or nothing. The server sees it after [`Self::commit`].
    ///
    /// # Errors
    /// [`Full`] when there is no place (then [`Self::wait`] also waits for space), the link is down, or there are more
    /// segments than [`MAX_SEGMENTS`] or than the queue has places at all.
    #[inline]
    pub fn submit(&mut self, request: &Request, segments: &[Segment]) -> Result<(), Full> {
        self.submit_from(request, segments.iter().copied())
    }

    /// [`Self::submit`] of segments that are made on the way.
    ///
    /// # Errors
    /// See there.
    #[inline]
    pub fn submit_from(
        &mut self,
        request: &Request,
        segments: impl ExactSizeIterator<Item = Segment>,
    ) -> Result<(), Full> {
        let queue = &mut self.end.queues.0;
        let (id, code) = (request.id, request.code.into());
        let unmap = if request.unmap { UNMAP } else { 0 };
        let mut left = segments.len();
        let count = left.max(1) as u32;
        if left > MAX_SEGMENTS || count > queue.capacity() || !queue.has_space(count) {
            return Err(Full);
        }
        let mut sector = request.sector;
        if left == 0 {
            let length = u32::try_from(request.length).map_err(|_| Full)?;
            return queue.push(RequestEntry { id, offset: 0, sector, length, code, flags: unmap });
        }
        queue.push_all(segments.map(|Segment { offset, length }| {
            left = left.wrapping_sub(1);
            let flags = if left == 0 { unmap } else { unmap | MORE };
            let entry = RequestEntry { id, offset, sector, length, code, flags };
            sector = sector.wrapping_add(u64::from(length / SECTOR));
            entry
        }));
        Ok(())
    }

    /// Number of entries (segments, or requests without any) that can be submitted now.
    #[inline]
    pub fn space(&mut self) -> u32 {
        self.end.queues.0.space()
    }

    /// The next response. Its id is what the server wrote: look it up in a table of what is in flight
    /// ([`crate::inflight`]). At most as many come between two commits as the queue can hold.
    #[inline]
    pub fn response(&mut self) -> Option<Response> {
        let entry = self.end.queues.1.pop()?;
        Some(Response { id: entry.id, status: Status(entry.status) })
    }

    /// Shows the server what was submitted and taken. Gives whether to notify it.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// Asks to be notified of the next response, and of space if a submission failed for the lack of it. Gives whether the
    /// caller may sleep; `false`: there is something to do already.
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.wait_for(1)
    }

    /// [`Self::wait`] for `count` responses, which must be sure to come: no more than have been asked for.
    #[inline]
    pub fn wait_for(&mut self, count: u32) -> bool {
        self.end.queues.1.wait_for(count);
        self.end.wait()
    }

    /// Whether to notify the server after [`Self::wait_for`], which it is anyway if `notified` ([`Self::commit`] said so):
    /// when it expects this side, with `all` requests that have no response, to wait for more than it does.
    #[inline]
    pub fn tells(&mut self, notified: bool, all: u32) -> bool {
        self.end.queues.1.tells(notified, all)
    }

    /// The disk, if the link is up and the server has described it.
    pub fn info(&self) -> Option<Info> {
        self.end.info().map(Info::from_words)
    }

    /// The disk, if its description is new since the last call or since the link came up.
    pub fn changed_info(&mut self) -> Option<Info> {
        self.end.changed_info().map(Info::from_words)
    }

    /// The reason the server was cut off, once. It may come back by a restart of its or of this side.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.end.take_error()
    }

    /// Begins a new epoch, as if this side had restarted. The server drops everything in flight; [`State::Fresh`] follows.
    pub fn restart(&mut self) {
        self.end.restart();
    }

    /// Entries in each queue.
    pub fn capacity(&self) -> u32 {
        self.end.queues.0.capacity()
    }
}
