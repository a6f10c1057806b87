// SPDX-License-Identifier: BSD-2-Clause
//! The guest's disk on a link whose other side is a test.

use super::fake::*;
use super::virtio::*;
use crate::device::BlockLink;
use crate::host::Memory;
use crate::machine::Run;
use crate::virtio::{Links, Slot};
use crate::{Exit, Life, Machine, Reply};
use heapless::Vec as Bounded;
use ring::blk::{Abilities, Client, Code, Info, Request, Response, Segment, Server, Status};
use ring::link::State;
use ring::pages::LocalPages;
use vmm_fdt::machine::map;
use vmm_virtio::mmio::registers;
use vmm_virtio::mock::{Buffer, DriverQueue};

const DISK: Slot = Slot::Block;
const SECTORS: u64 = 1024;
type Pages = &'static LocalPages<LINK_WORDS>;

/// A disk's virtualiser.
struct Virtualiser {
    pages: Pages,
    server: Server<Pages>,
    data: Option<FakeData>,
    disk: Vec<u8>,
    taken: Vec<(Request, Vec<Segment>)>,
}

impl Virtualiser {
    fn new(pages: Pages, data: Option<FakeData>) -> Self {
        let disk = (0..SECTORS * 512).map(|byte| (byte / 512) as u8).collect();
        Self { pages, server: Server::new(pages).expect("fits"), data, disk, taken: Vec::new() }
    }

    /// What happens at a notification.
    fn look(&mut self) {
        if self.server.poll() == State::PeerRestarted {
            self.taken.clear();
            self.server.accept();
            self.server.poll();
        }
        let mut segments = Bounded::<Segment, 128>::new();
        while let Some(request) = self.server.request(&mut segments) {
            self.taken.push((request, segments.to_vec()));
        }
        let _ = self.server.commit();
        self.server.wait();
    }

    fn describe(&mut self) {
        let abilities = Abilities::PRESENT | Abilities::FLUSH;
        let limits =
            Info { max_segments: 126, max_segment_bytes: 1 << 20, max_bytes: 1 << 20, ..Info::default() };
        self.server.publish_info(&Info { capacity: SECTORS, abilities, ..limits });
    }

    fn restart(&mut self) {
        self.server = Server::new(self.pages).expect("fits");
        self.taken.clear();
        self.describe();
    }

    /// Performs the oldest request.
    fn complete(&mut self, guest: &TestGuest, status: Status) {
        let (request, segments) = self.taken.remove(0);
        let mut at = 512 * request.sector as usize;
        for segment in segments {
            let (offset, length) = (segment.offset as usize, segment.length as usize);
            let on_disk = &mut self.disk[at..at + length];
            at += length;
            let ram = guest.host().memory.0;
            match (&self.data, request.code) {
                (None, Code::Read) => ram.poke(map::RAM + segment.offset, on_disk),
                (None, _) => on_disk.copy_from_slice(&ram.peek_vec(map::RAM + segment.offset, length)),
                (Some(data), Code::Read) => {
                    data.0.borrow_mut()[offset..offset + length].copy_from_slice(on_disk)
                }
                (Some(data), _) => on_disk.copy_from_slice(&data.0.borrow()[offset..offset + length]),
            }
        }
        self.server.complete(Response { id: request.id, status }).expect("a place");
        let _ = self.server.commit();
    }
}

/// A guest with a disk that is described and up, started.
fn with_disk(isolated: bool) -> (TestGuest, Virtualiser, DriverQueue) {
    let (mut guest, mut virtualiser) = with_silent_disk(1, isolated);
    virtualiser.describe();
    guest.virtio_event(DISK);
    let queue = bring_up(&mut guest, DISK, 1).remove(0);
    (guest, virtualiser, queue)
}

/// The same before the virtualiser has described the disk.
fn with_silent_disk(vcpus: usize, isolated: bool) -> (TestGuest, Virtualiser) {
    let pages: Pages = leak(LocalPages::new());
    let client = Client::new(pages).expect("fits");
    let data = isolated.then(|| FakeData::new(1 << 20));
    let link = match data {
        Some(data) => BlockLink::isolated(client, data, 1 << 20),
        None => BlockLink::direct(client),
    };
    let mut guest = connected(vcpus, Links { block: Some(link), ..Links::none() });
    guest.start(Memory::Zeroed);
    cpu(&guest, 0).registers[0] = PC;
    let mut virtualiser = Virtualiser::new(pages, data);
    virtualiser.look();
    guest.virtio_event(DISK);
    virtualiser.look();
    (guest, virtualiser)
}

/// Adds a request of `data` for `sector` with header and status at `at`, and returns where its status byte will be.
fn add(guest: &TestGuest, queue: &mut DriverQueue, at: u64, kind: u32, sector: u64, data: &[Buffer]) -> u64 {
    let ram = guest.host().memory.0;
    let mut header = kind.to_le_bytes().to_vec();
    header.extend([0; 4]);
    header.extend(sector.to_le_bytes());
    ram.poke(at, &header);
    ram.poke(at + 16, &[0xff]);
    let mut buffers = vec![Buffer::readable(at, 16)];
    buffers.extend(data);
    buffers.push(Buffer::writable(at + 16, 1));
    queue.add(ram, &buffers);
    at + 16
}

const READ: u32 = 0;
const WRITE: u32 = 1;
const DATA: u64 = BUFFERS + 0x1_0000;

#[test]
fn vcpu_that_looks_at_a_disk_nobody_has_described_waits_for_it() {
    let (mut guest, mut virtualiser) = with_silent_disk(1, false);
    let magic = register(DISK, registers::MAGIC);
    assert_eq!(memory(&mut guest, magic, access(1, false)), Reply::Hold);
    assert_eq!(guest.machine().cpus[0].run, Run::Held { pc: PC, deadline: None }, "at the same instruction");
    guest.virtio_event(DISK);
    assert_eq!(memory(&mut guest, magic, access(1, false)), Reply::Hold, "tried again in vain");
    virtualiser.describe();
    guest.virtio_event(DISK);
    assert_eq!(guest.machine().cpus[0].run, Run::Running);
    assert_eq!(read(&mut guest, DISK, registers::MAGIC), registers::MAGIC_VALUE);
    assert_eq!(read(&mut guest, DISK, registers::CONFIG), SECTORS as u32);
}

#[test]
fn disk_that_does_not_exist_is_an_empty_slot() {
    let (mut guest, mut virtualiser) = with_silent_disk(1, false);
    let magic = register(DISK, registers::MAGIC);
    assert_eq!(memory(&mut guest, magic, access(1, false)), Reply::Hold);
    virtualiser.server.publish_info(&Info::default());
    guest.virtio_event(DISK);
    assert_eq!(guest.machine().cpus[0].run, Run::Running);
    assert_eq!(read(&mut guest, DISK, registers::MAGIC), registers::MAGIC_VALUE);
    assert_eq!(read(&mut guest, DISK, registers::DEVICE_ID), 0);
    assert_eq!(write(&mut guest, DISK, registers::STATUS, 1), Reply::Resume);
    assert_eq!(read(&mut guest, DISK, registers::STATUS), 0);
}

#[test]
fn virtualiser_is_told_that_the_client_is_there() {
    let (guest, _) = with_silent_disk(1, false);
    assert_eq!(guest.host().notified.first(), Some(&DISK));
}

#[test]
fn direct_layout_names_guest_memory() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    let data =
        [Buffer::writable(DATA, 512), Buffer::writable(DATA + 512, 1024), Buffer::writable(DATA + 4096, 512)];
    let status = add(&guest, &mut queue, BUFFERS, READ, 7, &data);
    guest.host_mut().notified.clear();
    kick(&mut guest, DISK, &mut queue);
    assert_eq!(guest.host().notified, [DISK], "once");
    virtualiser.look();
    let segments = &virtualiser.taken[0].1;
    let offset = DATA - map::RAM;
    assert_eq!(
        segments[..],
        [Segment { offset, length: 1536 }, Segment { offset: offset + 4096, length: 512 }]
    );
    assert_eq!(interrupts(&guest, DISK), 0);
    queue.want_interrupt(guest.host().memory.0);
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    take(&mut guest, 0, Exit::Trapped(0x07e0_0000));
    assert_eq!(interrupts(&guest, DISK), 1);
    let ram = guest.host().memory.0;
    assert_eq!((queue.take(ram), ram.peek::<1>(status)), (Some((0, 2049)), [0]));
    assert_eq!([ram.peek::<1>(DATA), ram.peek(DATA + 512), ram.peek(DATA + 4096)], [[7], [8], [10]]);
    assert_eq!(acknowledge(&mut guest, DISK), 1);
    assert_eq!(read(&mut guest, DISK, registers::INTERRUPT_STATUS), 0);
}

#[test]
fn busy_guest_is_told_of_completions_together() {
    for end in 0..3 {
        let (mut guest, mut virtualiser, mut queue) = with_disk(false);
        queue.want_interrupt(guest.host().memory.0);
        for number in 0..3 {
            let data = [Buffer::writable(DATA + 0x1000 * number, 0x1000)];
            add(&guest, &mut queue, BUFFERS + 64 * number, READ, number, &data);
            kick(&mut guest, DISK, &mut queue);
        }
        virtualiser.look();
        while !virtualiser.taken.is_empty() {
            virtualiser.complete(&guest, Status::OK);
            guest.virtio_event(DISK);
        }
        assert_eq!(interrupts(&guest, DISK), 0, "it has something to do");
        assert_eq!(guest.host().timeouts.len(), 1, "not for ever");
        match end {
            0 => assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Resume),
            1 => assert_eq!(take(&mut guest, 0, Exit::PrivateInterrupt(27)), Reply::Resume),
            _ => guest.timeout(),
        }
        assert_eq!(interrupts(&guest, DISK), 1);
        assert_eq!(acknowledge(&mut guest, DISK), 1);
    }
}

#[test]
fn guest_that_waits_by_itself_is_looked_after_later() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    queue.want_interrupt(guest.host().memory.0);
    // A completion of a guest that runs; gives how late it may be.
    let mut complete = |guest: &mut TestGuest| {
        add(guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 0x1000)]);
        kick(guest, DISK, &mut queue);
        virtualiser.look();
        virtualiser.complete(guest, Status::OK);
        guest.virtio_event(DISK);
        virtualiser.look();
        assert!(queue.take(guest.host().memory.0).is_some());
        queue.want_interrupt(guest.host().memory.0);
        guest.late_until.expect("not for ever") - guest.host().now
    };
    let due = |guest: &mut TestGuest| {
        guest.host_mut().now = guest.timeout.expect("a time-out");
        guest.timeout();
    };
    let mut moments = Vec::new();
    for _ in 0..4 {
        moments.push(complete(&mut guest));
        assert_eq!(
            take(&mut guest, 0, Exit::Trapped(0x07e0_0000)),
            Reply::Resume,
            "it is told when it waits"
        );
        assert_eq!(acknowledge(&mut guest, DISK), 1);
        due(&mut guest);
    }
    let first = moments[0];
    assert_eq!(moments, [first, 2 * first, 4 * first, 4 * first]);
    let before = interrupts(&guest, DISK);
    assert_eq!(complete(&mut guest), 4 * first);
    due(&mut guest);
    assert_eq!(interrupts(&guest, DISK), before + 1);
    assert_eq!(acknowledge(&mut guest, DISK), 1);
    assert_eq!(complete(&mut guest), first, "it has not waited");
}

#[test]
fn requests_without_a_kick_are_found_even_if_nothing_is_at_work() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    let ram = guest.host().memory.0;
    queue.want_interrupt(ram);
    // All of them are answered at once.
    for number in 0..4 {
        let beyond = SECTORS + number;
        add(&guest, &mut queue, BUFFERS + 64 * number, READ, beyond, &[Buffer::writable(DATA, 512)]);
    }
    kick(&mut guest, DISK, &mut queue);
    assert_eq!(interrupts(&guest, DISK), 1);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    assert!(!queue.show(ram), "it goes on as before");
    guest.host_mut().now = guest.timeout.expect("but not for ever");
    guest.timeout();
    virtualiser.look();
    assert_eq!(virtualiser.taken.len(), 1);
}

#[test]
fn requests_of_a_busy_guest_wake_nobody_until_it_sleeps_or_all_are_done() {
    for end in 0..3 {
        let (mut guest, mut virtualiser, mut queue) = with_disk(false);
        queue.want_interrupt(guest.host().memory.0);
        for number in 0..3 {
            let data = [Buffer::writable(DATA + 0x1000 * number, 0x1000)];
            add(&guest, &mut queue, BUFFERS + 64 * number, READ, number, &data);
        }
        kick(&mut guest, DISK, &mut queue);
        virtualiser.look();
        assert_eq!(virtualiser.server.awaited(), Some(3), "all");
        virtualiser.complete(&guest, Status::OK);
        // One more that the guest is not asked to kick for.
        add(&guest, &mut queue, BUFFERS + 64 * 3, READ, 3, &[Buffer::writable(DATA + 0x3000, 0x1000)]);
        assert!(!queue.show(guest.host().memory.0));
        guest.host_mut().notified.clear();
        match end {
            0 => assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Hold),
            1 => assert_eq!(take(&mut guest, 0, Exit::PrivateInterrupt(27)), Reply::Resume),
            _ => {
                virtualiser.complete(&guest, Status::OK);
                virtualiser.complete(&guest, Status::OK);
                guest.virtio_event(DISK);
            }
        }
        assert_eq!(guest.host().notified, [DISK], "of the new request");
        virtualiser.look();
        assert_eq!(virtualiser.taken.last().unwrap().0.sector, 3);
        if end == 0 {
            assert_eq!((interrupts(&guest, DISK), virtualiser.server.awaited()), (0, Some(1)));
            virtualiser.complete(&guest, Status::OK);
            guest.virtio_event(DISK);
            assert_eq!((interrupts(&guest, DISK), guest.machine().cpus[0].run), (1, Run::Running));
        }
    }
}

#[test]
fn guest_that_waits_is_told_at_once() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    queue.want_interrupt(guest.host().memory.0);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    kick(&mut guest, DISK, &mut queue);
    virtualiser.look();
    assert_eq!(take(&mut guest, 0, Exit::Trapped(0x07e0_0000)), Reply::Hold);
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    assert_eq!((interrupts(&guest, DISK), guest.machine().cpus[0].run), (1, Run::Running));
}

#[test]
fn isolated_layout_copies_both_ways() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(true);
    let ram = guest.host().memory.0;
    let text: Vec<u8> = (0..5120u32).map(|byte| ((byte * 7) >> 3) as u8).collect();
    ram.poke(DATA + 3, &text);
    // Cut as no link could have it.
    let data = [Buffer::readable(DATA + 3, 1000), Buffer::readable(DATA + 1003, 4120)];
    let status = add(&guest, &mut queue, BUFFERS, WRITE, 20, &data);
    kick(&mut guest, DISK, &mut queue);
    // What the guest does to its buffer from here on does not matter.
    ram.poke(DATA + 3, &[0; 5120]);
    virtualiser.look();
    assert!(virtualiser.taken[0].1.iter().all(|segment| segment.length.is_multiple_of(512)));
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    assert_eq!(ram.peek(status), [0]);
    assert_eq!(virtualiser.disk[20 * 512..30 * 512], text);
    let data = [Buffer::writable(DATA + 0x8001, 4097), Buffer::writable(DATA + 0xa003, 1023)];
    let status = add(&guest, &mut queue, BUFFERS + 64, READ, 20, &data);
    kick(&mut guest, DISK, &mut queue);
    virtualiser.look();
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    assert_eq!(ram.peek(status), [0]);
    assert_eq!(ram.peek_vec(DATA + 0x8001, 4097), text[..4097]);
    assert_eq!(ram.peek_vec(DATA + 0xa003, 1023), text[4097..]);
}

#[test]
fn requests_wait_for_room_and_then_go_on() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(true);
    // Each takes a quarter of the room, and more than a quarter is asked for.
    let statuses: Vec<u64> = (0..5)
        .map(|number| {
            let data = [Buffer::writable(DATA + 0x4_0000 * number, 0x4_0000)];
            add(&guest, &mut queue, BUFFERS + 64 * number, READ, 100 * number, &data)
        })
        .collect();
    kick(&mut guest, DISK, &mut queue);
    virtualiser.look();
    assert_eq!(virtualiser.taken.len(), 4);
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    virtualiser.look();
    assert_eq!(virtualiser.taken.len(), 4);
    for _ in 0..4 {
        virtualiser.complete(&guest, Status::IO);
    }
    guest.virtio_event(DISK);
    let ram = guest.host().memory.0;
    assert_eq!(statuses.iter().map(|status| ram.peek::<1>(*status)[0]).collect::<Vec<_>>(), [0, 1, 1, 1, 1]);
}

#[test]
fn restarted_virtualiser_gets_everything_again() {
    for isolated in [false, true] {
        let (mut guest, mut virtualiser, mut queue) = with_disk(isolated);
        let data = |number: u64| [Buffer::writable(DATA + 0x1000 * number, 0x1000)];
        let statuses: Vec<u64> =
            (0..3).map(|n| add(&guest, &mut queue, BUFFERS + 64 * n, READ, 10 * n, &data(n))).collect();
        kick(&mut guest, DISK, &mut queue);
        virtualiser.look();
        virtualiser.complete(&guest, Status::OK);
        guest.virtio_event(DISK);
        virtualiser.restart();
        guest.virtio_event(DISK);
        virtualiser.look();
        assert_eq!(virtualiser.taken.iter().map(|taken| taken.0.sector).collect::<Vec<_>>(), [10, 20]);
        virtualiser.complete(&guest, Status::OK);
        virtualiser.complete(&guest, Status::OK);
        guest.virtio_event(DISK);
        let ram = guest.host().memory.0;
        assert!(statuses.iter().all(|status| ram.peek(*status) == [0]), "the guest sees no error");
        assert_eq!(ram.peek(DATA + 0x2000), [20]);
    }
}

#[test]
fn reset_waits_until_the_disk_uses_no_memory() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    kick(&mut guest, DISK, &mut queue);
    virtualiser.look();
    let pc = log(&guest, 0).pc();
    assert_eq!(write(&mut guest, DISK, registers::STATUS, 0), Reply::Hold);
    assert_eq!(guest.machine().cpus[0].run, Run::Held { pc, deadline: None });
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    assert_eq!(guest.machine().cpus[0].run, Run::Running);
    assert_eq!(write(&mut guest, DISK, registers::STATUS, 0), Reply::Resume);
    assert_eq!(read(&mut guest, DISK, registers::STATUS), 0);
}

#[test]
fn reset_does_not_wait_for_requests_that_never_left() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    // The virtualiser is gone, and the request waits here.
    virtualiser.server.restart();
    ring::pages::Memory::store(&virtualiser.pages, 0x0c, 5, std::sync::atomic::Ordering::Relaxed);
    guest.virtio_event(DISK);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    kick(&mut guest, DISK, &mut queue);
    assert_eq!(write(&mut guest, DISK, registers::STATUS, 0), Reply::Resume);
}

#[test]
fn reboot_reuses_memory_only_when_the_disk_is_done_with_it() {
    let (mut guest, mut virtualiser, mut queue) = with_disk(false);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    kick(&mut guest, DISK, &mut queue);
    virtualiser.look();
    assert_eq!(smc(&mut guest, 0, [0x8400_0009, 0, 0, 0]).0, Reply::Hold);
    assert_eq!((guest.life(), guest.host().loads.len()), (Life::Rebooting, 1));
    virtualiser.complete(&guest, Status::OK);
    guest.virtio_event(DISK);
    assert_eq!((guest.life(), guest.host().loads.last()), (Life::Running, Some(&Memory::Used)));
    assert_eq!(read(&mut guest, DISK, registers::STATUS), 0);
}

#[test]
fn restarted_monitor_starts_the_guest_when_the_old_requests_are_over() {
    let pages: Pages = leak(LocalPages::new());
    let mut virtualiser = Virtualiser::new(pages, None);
    virtualiser.describe();
    virtualiser.look();
    let link = BlockLink::direct(Client::new(pages).expect("fits"));
    let mut guest = connected(2, Links { block: Some(link), ..Links::none() });
    guest.recover();
    for index in 0..2 {
        assert_eq!((log(&guest, index).stopped, log(&guest, index).rearmed), (1, 1));
        assert_eq!(log(&guest, index).pc(), map::RAM, "empties its list registers");
        assert_eq!(take(&mut guest, index, Exit::Trapped(0x07e0_0000)), Reply::Hold);
    }
    assert_eq!((guest.life(), guest.host().loads.len()), (Life::Rebooting, 0));
    virtualiser.look();
    guest.virtio_event(DISK);
    assert_eq!((guest.life(), guest.host().loads.last()), (Life::Running, Some(&Memory::Used)));
    bring_up(&mut guest, DISK, 1);
}

#[test]
fn state_with_a_disk_in_use_survives_serialisation() {
    let (mut guest, _, mut queue) = with_disk(false);
    add(&guest, &mut queue, BUFFERS, READ, 0, &[Buffer::writable(DATA, 512)]);
    kick(&mut guest, DISK, &mut queue);
    let bytes = postcard::to_allocvec(guest.machine()).expect("serialises");
    let machine: Machine = postcard::from_bytes(&bytes).expect("reads back");
    assert_eq!(&machine, guest.machine());
}
