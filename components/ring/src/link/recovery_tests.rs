// SPDX-License-Identifier: BSD-2-Clause
//! A side writes anything anywhere into the region, dies, and starts again: the link comes up, and everything that was asked
//! for is answered once. Each side looks only when it has been notified, as protection domains do.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use heapless::Vec as Fixed;
use proptest::prelude::*;

use super::header::{ACCEPTED, EPOCH, line};
use super::{Role, State};
use crate::blk::{Client, Code, Info, Request, Response, Segment, Server, Status};
use crate::inflight::InFlight;
use crate::net;
use crate::pages::{LocalPages, Memory};

/// Words in the region.
const WORDS: usize = 192;
type Region = LocalPages<WORDS>;

/// Most looks of a side in one go, and of both until they are to be done.
const LOOKS: usize = 12;

/// What a dying side writes into a word.
#[derive(Debug, Clone, Copy)]
enum Junk {
    Value(u32),
    /// So much more than what is there.
    Near(u32),
    /// So much more than the epoch that this side is really in.
    Epoch(Role, u32),
}

#[derive(Debug, Clone)]
enum Step {
    Submit,
    /// A side looks, if it has been notified.
    Look(Role),
    /// A side writes junk into some words or into all, does `looks` more rounds, and starts again.
    Die {
        side: Role,
        junk: Vec<(usize, Junk)>,
        all: Option<u32>,
        looks: u8,
    },
}

/// Both sides as their programs use them.
struct World<'a> {
    region: &'a Region,
    client: Client<&'a Region>,
    server: Server<&'a Region>,
    table: InFlight<(), 16>,
    /// Requests that had no place in the queue yet.
    waiting: Vec<u64>,
    /// Requests that the server has.
    taken: Vec<u64>,
    /// How often each request was answered.
    answered: BTreeMap<u64, u32>,
    /// Who has been notified: server, client.
    notified: [bool; 2],
    /// The epochs that the sides believe in.
    epochs: [u32; 2],
}

const fn index(role: Role) -> usize {
    role as usize
}

impl<'a> World<'a> {
    fn new(region: &'a Region) -> Self {
        let (client, server) = (Client::new(region).unwrap(), Server::new(region).unwrap());
        let mut this = Self {
            region,
            client,
            server,
            table: InFlight::new(),
            waiting: Vec::new(),
            taken: Vec::new(),
            answered: BTreeMap::new(),
            notified: [true, true],
            epochs: [0; 2],
        };
        this.server.publish_info(&INFO);
        this.settle();
        this
    }

    fn submit(&mut self) {
        if let Ok(id) = self.table.insert(()) {
            self.answered.insert(id, 0);
            self.waiting.push(id);
            self.notified[index(Role::Client)] = true;
        }
    }

    fn send(&mut self) {
        while let Some(&id) = self.waiting.first() {
            let request = Request { id, code: Code::Read, sector: 0, length: 512, unmap: false };
            if self.client.submit(&request, &[Segment { offset: 0, length: 512 }]).is_err() {
                return;
            }
            self.waiting.remove(0);
        }
    }

    fn look(&mut self, role: Role) {
        if !core::mem::take(&mut self.notified[index(role)]) {
            return;
        }
        for _ in 0..LOOKS {
            let (notify, sleep) = match role {
                Role::Client => self.client_round(),
                Role::Server => self.server_round(),
            };
            self.epochs[index(role)] = self.region.load(line(role) + EPOCH, Relaxed);
            self.notified[index(role.other())] |= notify;
            if sleep {
                return;
            }
        }
        // A peer that writes without end keeps it awake; it goes on when it is told of something.
        self.notified[index(role)] = true;
    }

    fn client_round(&mut self) -> (bool, bool) {
        if self.client.poll() == State::Fresh {
            self.waiting = self.table.iter().map(|(id, ())| id).collect();
        }
        while let Some(response) = self.client.response() {
            if self.table.remove(response.id).is_err() {
                self.client.restart();
                break;
            }
            *self.answered.entry(response.id).or_default() += 1;
            self.waiting.retain(|&id| id != response.id);
        }
        self.send();
        (self.client.commit(), self.client.wait())
    }

    fn server_round(&mut self) -> (bool, bool) {
        match self.server.poll() {
            State::PeerRestarted => {
                self.taken.clear();
                self.server.accept();
                self.server.poll();
            }
            State::Fresh => self.taken.clear(),
            State::Down | State::Up => {}
        }
        // Answered in the round after they were taken.
        for id in core::mem::take(&mut self.taken) {
            let _ = self.server.complete(Response { id, status: Status::OK });
        }
        let mut segments = Fixed::<Segment, 4>::new();
        while let Some(request) = self.server.request(&mut segments) {
            self.taken.push(request.id);
        }
        (self.server.commit(), self.server.wait() && self.taken.is_empty())
    }

    fn write(&mut self, word: usize, junk: Junk) {
        let value = match junk {
            Junk::Value(value) => value,
            Junk::Near(more) => self.region.load(4 * word, Relaxed).wrapping_add(more),
            Junk::Epoch(role, more) => self.epochs[index(role)].wrapping_add(more),
        };
        self.region.store(4 * word, value, Relaxed);
    }

    fn start(&mut self, role: Role) {
        match role {
            Role::Client => {
                // Its requests die with it.
                for (id, ()) in self.table.iter() {
                    self.answered.remove(&id);
                }
                self.table.clear();
                self.waiting.clear();
                self.client = Client::new(self.region).unwrap();
            }
            Role::Server => {
                self.taken.clear();
                self.server = Server::new(self.region).unwrap();
                self.server.publish_info(&INFO);
            }
        }
        self.notified[index(role)] = true;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit => self.submit(),
            Step::Look(role) => self.look(role),
            Step::Die { side, junk, all, looks } => {
                for word in (0..WORDS).filter(|_| all.is_some()) {
                    self.write(word, Junk::Value(all.unwrap_or_default()));
                }
                junk.into_iter().for_each(|(word, junk)| self.write(word, junk));
                for look in 0..looks {
                    self.notified = [true; 2];
                    self.look(if look % 2 == 0 { side.other() } else { side });
                }
                self.start(side);
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..LOOKS {
            self.look(Role::Server);
            self.look(Role::Client);
        }
    }
}

const INFO: Info = Info { max_bytes: 1 << 20, capacity: 1234, ..SMALLEST };
const SMALLEST: Info = Info {
    capacity: 0,
    block_size: 512,
    max_segments: 1,
    max_segment_bytes: 4096,
    max_bytes: 4096,
    max_discard_sectors: 0,
    max_write_zeroes_sectors: 0,
    discard_alignment: 1,
    abilities: crate::blk::Abilities::PRESENT,
    serial: [0; 20],
};

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn junk() -> impl Strategy<Value = (usize, Junk)> {
    // Often an epoch or an index.
    let word = prop_oneof![
        prop::sample::select(vec![0x0c, 0x4c, 0x10, 0x100, 0x104, 0x140, 0x144])
            .prop_map(|offset| offset / 4),
        0..WORDS
    ];
    let few = prop_oneof![0u32..5, (0u32..5).prop_map(u32::wrapping_neg), Just(1 << 31), any::<u32>()];
    let junk = prop_oneof![
        any::<u32>().prop_map(Junk::Value),
        (0u32..12).prop_map(Junk::Value),
        few.clone().prop_map(Junk::Near),
        (role(), few).prop_map(|(role, more)| Junk::Epoch(role, more)),
    ];
    (word, junk)
}

fn step() -> impl Strategy<Value = Step> {
    let all = prop_oneof![
        3 => Just(None),
        1 => prop_oneof![Just(0), Just(u32::MAX), Just(u32::MAX - 1), Just(1 << 31), any::<u32>()].prop_map(Some),
    ];
    let die = (role(), prop::collection::vec(junk(), 0..6), all, 0u8..4);
    prop_oneof![
        2 => Just(Step::Submit),
        3 => role().prop_map(Step::Look),
        2 => die.prop_map(|(side, junk, all, looks)| Step::Die { side, junk, all, looks }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 400 }))]

    #[test]
    fn restart_brings_the_link_up_whatever_the_dead_side_has_written(steps in prop::collection::vec(step(), 0..30)) {
        let region = Region::new();
        let mut world = World::new(&region);
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();
        prop_assert_eq!((world.client.poll(), world.server.poll()), (State::Up, State::Up));
        prop_assert!(world.table.is_empty(), "{:?} never answered", world.table.iter().collect::<Vec<_>>());
        prop_assert!(world.answered.values().all(|&count| count == 1), "{:?}", world.answered);
        prop_assert_eq!(world.client.info(), Some(INFO));
        // And it goes on, with nobody cut off.
        let _ = (world.client.take_error(), world.server.take_error());
        world.submit();
        world.settle();
        prop_assert!(world.table.is_empty());
        prop_assert_eq!((world.client.take_error(), world.server.take_error()), (None, None));
    }

    /// The survivor writes its whole line again, also what it was told to write there.
    #[test]
    fn survivor_says_again_what_the_dead_side_has_overwritten(junk in prop::collection::vec(junk(), 0..6), all: u32) {
        let region = &LocalPages::<512>::new();
        let (mut client, mut server) = (net::Client::new(region).unwrap(), net::Server::new(region).unwrap());
        let settle = |client: &mut net::Client<_>, server: &mut net::Server<_>| {
            for _ in 0..LOOKS {
                if server.poll() == State::PeerRestarted {
                    server.accept();
                }
                client.poll();
            }
            (client.is_up(), server.is_up())
        };
        client.set_accepted(net::Abilities::TSO_ECN);
        prop_assert_eq!(settle(&mut client, &mut server), (true, true));
        (0..64).for_each(|word| region.store(4 * word, all, Relaxed));
        for (word, junk) in junk {
            region.store(4 * word, if let Junk::Value(value) = junk { value } else { all }, Relaxed);
        }
        let mut server = net::Server::new(region).unwrap();
        prop_assert_eq!(settle(&mut client, &mut server), (true, true));
        prop_assert_eq!(region.load(line(Role::Client) + ACCEPTED, Relaxed), net::Abilities::TSO_ECN.bits());
    }
}

/// As it was found: all ones leave an epoch of which the next is behind the one that the survivor is in.
#[test]
fn region_full_of_ones_is_no_end() {
    for side in [Role::Server, Role::Client] {
        for value in [u32::MAX, u32::MAX - 1, 0, 1, 2, 3, 4, 5, 1 << 31] {
            let region = Region::new();
            let mut world = World::new(&region);
            world.submit();
            world.step(Step::Die { side, junk: Vec::new(), all: Some(value), looks: 0 });
            world.settle();
            assert_eq!(
                (world.client.poll(), world.server.poll()),
                (State::Up, State::Up),
                "{side:?} {value:#x}"
            );
            assert!(world.table.is_empty(), "{side:?} {value:#x}");
        }
    }
}
