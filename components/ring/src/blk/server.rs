// SPDX-License-Identifier: BSD-2-Clause
//! The side near the device.

use heapless::Vec;

use super::entry::{MORE, UNMAP};
use super::{Code, Info, Layout, Request, RequestEntry, Response, ResponseEntry, SECTOR, Segment};
use crate::link::{End, Kind, LayoutError, LinkError, Role, State};
use crate::pages::{Memory, SharedPages};
use crate::queue::{Consumer, Full, Producer};

/// Requests and responses.
type Queues<M> = (Consumer<RequestEntry, M>, Producer<ResponseEntry, M>);

/// The server's end of a block link.
///
/// One round: [`poll`](Self::poll) (and [`accept`](Self::accept) when asked and drained); [`request`](Self::request) until
/// there is none; [`complete`](Self::complete) what is done; notify the peer if [`commit`](Self::commit) says so; sleep if
/// [`wait`](Self::wait) says so, else another round.
#[derive(Debug)]
pub struct Server<M = SharedPages> {
    end: End<M, Queues<M>>,
    /// Requests taken and not completed.
    outstanding: u32,
}

impl<M: Memory> Server<M> {
    /// The server's end in `memory`, beginning a new epoch. [`Self::commit`] then says that the peer is to be notified.
    ///
    /// # Errors
    /// [`LayoutError`] when the region is too small.
    pub fn new(memory: M) -> Result<Self, LayoutError> {
        let size = memory.size();
        let layout = Layout::of(size)?;
        let requests = Consumer::new(memory.clone(), layout.requests, layout.capacity);
        let responses = Producer::new(memory.clone(), layout.responses, layout.capacity);
        let (Some(requests), Some(responses)) = (requests, responses) else {
            return Err(LayoutError { size });
        };
        Ok(Self { end: End::open(memory, Role::Server, Kind::Block, (requests, responses)), outstanding: 0 })
    }

    /// A look at the link. [`State::PeerRestarted`] is told until [`Self::accept`]: drop or drain what the client had
    /// asked for; its responses go nowhere any more. So it is with [`State::Down`].
    #[inline]
    pub fn poll(&mut self) -> State {
        self.end.poll()
    }

    /// Whether the link was up at the last look.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.end.is_up()
    }

    /// Nothing of the client's old requests is in flight any more: follows it into its new epoch. The next
    /// [`Self::poll`] tells [`State::Fresh`]. Does nothing when the client has not restarted.
    pub fn accept(&mut self) {
        if self.end.accept() {
            self.outstanding = 0;
        }
    }

    /// The next request; its memory goes to `segments`, which has at most `N`. `None` when there is none, or when
    /// so many are outstanding that the response might not have a place. Numbers in it are the client's claims: only chain,
    /// lengths and wrap-around of sectors are checked. A malformed chain, or one longer than `N`, cuts the client off.
    #[inline]
    pub fn request<const N: usize>(&mut self, segments: &mut Vec<Segment, N>) -> Option<Request> {
        let (requests, responses) = &mut self.end.queues;
        let answerable = responses.has_space(self.outstanding + 1);
        // Requests that cannot be taken do not keep the caller awake; space for the response does.
        requests.ask(answerable);
        if !answerable {
            return None;
        }
        let first = requests.pop()?;
        let Some(request) = gather(requests, first, segments) else {
            self.end.cut(LinkError::Chain { id: first.id });
            return None;
        };
        self.outstanding += 1;
        Some(request)
    }

    /// Answers a request taken before. The client sees it after [`Self::commit`].
    ///
    /// # Errors
    /// [`Full`] when the link is down or more is answered than was taken. A response for an earlier epoch must be dropped.
    #[inline]
    pub fn complete(&mut self, response: Response) -> Result<(), Full> {
        let outstanding = self.outstanding.checked_sub(1).ok_or(Full)?;
        self.end.queues.1.push(ResponseEntry {
            id: response.id,
            status: response.status.0,
            reserved: [0; 3],
        })?;
        self.outstanding = outstanding;
        Ok(())
    }

    /// Requests taken and not completed in this epoch.
    #[inline]
    pub fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Shows the client what was completed and taken. Gives whether to notify it.
    #[inline]
    #[must_use = "the peer may be asleep"]
    pub fn commit(&mut self) -> bool {
        self.end.commit()
    }

    /// Asks to be notified of the next request. Gives whether the caller may sleep; `false`: there is one already.
    #[inline]
    pub fn wait(&mut self) -> bool {
        self.end.wait()
    }

    /// How many more responses the client waits for before it looks at any. `None`: it does not wait, having been
    /// notified; what it will want then is not known. A client that then wants fewer than was passed on notifies.
    #[inline]
    pub fn awaited(&self) -> Option<u32> {
        self.end.queues.1.awaited()
    }

    /// Describes the disk to the client. To be called in each life of this side; again when something changes.
    pub fn publish_info(&mut self, info: &Info) {
        self.end.publish_info(info.to_words());
    }

    /// The reason the client was cut off, once. It may come back by a restart of its or of this side.
    pub fn take_error(&mut self) -> Option<LinkError> {
        self.end.take_error()
    }

    /// Begins a new epoch, as if this side had restarted. Only when nothing is in flight. Information is to be published
    /// again.
    pub fn restart(&mut self) {
        self.outstanding = 0;
        self.end.restart();
    }

    /// Entries in each queue.
    pub fn capacity(&self) -> u32 {
        self.end.queues.1.capacity()
    }
}

/// Collects the chain that begins with `first`. A chain is published as a whole, so its entries are all known.
#[inline]
fn gather<M: Memory, const N: usize>(
    queue: &mut Consumer<RequestEntry, M>,
    first: RequestEntry,
    segments: &mut Vec<Segment, N>,
) -> Option<Request> {
    segments.clear();
    let code = Code::from(first.code);
    let unmap = first.flags & UNMAP != 0;
    let length = u64::from(first.length);
    let request = |length| Request { id: first.id, code, sector: first.sector, length, unmap };
    if !code.has_data() {
        let single = first.flags & MORE == 0 && first.length.is_multiple_of(SECTOR);
        first.sector.checked_add(length / u64::from(SECTOR))?;
        return single.then(|| request(length));
    }
    let mut sectors = 0;
    let (mut sound, mut more) = (true, true);
    let mut take = |entry: RequestEntry| {
        let length = entry.length;
        sound = length != 0
            && length.is_multiple_of(SECTOR)
            && (entry.id, entry.code) == (first.id, first.code)
            // Nothing wraps around unless the sum does, which is looked at in the end.
            && entry.sector == first.sector.wrapping_add(sectors)
            && segments.push(Segment { offset: entry.offset, length }).is_ok();
        sectors += u64::from(length / SECTOR);
        more = entry.flags & MORE != 0;
        sound && more
    };
    if take(first) {
        queue.pop_while(take);
    }
    first.sector.checked_add(sectors)?;
    (sound && !more).then(|| request(sectors * u64::from(SECTOR)))
}
