// SPDX-License-Identifier: BSD-2-Clause
//! Models of the epoch handshake, with both ends of a block link: the last life of a client gets the answer to its own
//! request from the last life of the server, whoever restarts when, and nobody sleeps through it.

use core::sync::atomic::Ordering;

use heapless::Vec;
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Client, Code, Layout, Request, Response, Segment, Server, Status};
use crate::link::{Role, State, offset_of_epoch};
use crate::loom_pages::LoomPages;
use crate::pages::Memory;

/// What each side sleeps on.
#[derive(Clone)]
struct Wakes {
    client: Arc<Notify>,
    server: Arc<Notify>,
}

/// The id of the request of a client's last life.
const LAST: u64 = 9;

/// A region with queues of two entries.
fn region() -> LoomPages {
    let layout = Layout::of(0x260).unwrap();
    assert_eq!(layout, Layout { capacity: 2, requests: 0x100, responses: 0x1c0 });
    // Modelled are the epochs and the words of both queues. The others are written before an epoch, like the zeroes of
    // the indices.
    LoomPages::new(0x260, &[0x08, 0x48, 0x100, 0x140, 0x1c0, 0x200], &[0x180..0x1c0, 0x240..0x260])
}

/// A life of a client that asks `ids` one after the other, the next one again whenever the link comes up or the server is
/// about to die. It ends with the last answer, or after `rounds` rounds.
fn client(memory: &LoomPages, wakes: &Wakes, ids: &[u64], rounds: usize) {
    let mut client = Client::new(memory.clone()).unwrap();
    let mut ids = ids.iter();
    let mut next = ids.next();
    for _ in 0..rounds {
        let mut ask = client.poll() == State::Fresh;
        while let Some(response) = client.response() {
            assert_eq!(Some(&response.id), next, "an answer from an earlier life");
            if response.status == Status::OK {
                next = ids.next();
            }
            ask = true;
        }
        if let Some(&id) = next
            && ask
        {
            let request = Request { id, code: Code::Read, sector: 0, length: 512, unmap: false };
            client.submit(&request, &[Segment { offset: 0, length: 512 }]).unwrap();
        }
        if client.commit() {
            wakes.server.notify();
        }
        assert_eq!(client.take_error(), None);
        if next.is_none() {
            return;
        }
        if client.wait() && rounds == usize::MAX {
            wakes.client.wait();
        }
    }
}

/// A life of a server that answers `status`, each request in the round after it was taken. It ends when it has
/// answered [`LAST`] with OK, or after `rounds` rounds.
fn server(memory: &LoomPages, wakes: &Wakes, status: Status, rounds: usize) {
    let mut server = Server::new(memory.clone()).unwrap();
    let mut taken = None;
    for _ in 0..rounds {
        let mut finished = false;
        match server.poll() {
            State::PeerRestarted => {
                taken = None;
                server.accept();
            }
            State::Down | State::Fresh => taken = None,
            State::Up => {}
        }
        if let Some(id) = taken.take() {
            // The client may have restarted meanwhile; then this goes nowhere.
            let sent = server.complete(Response { id, status }).is_ok();
            finished = sent && id == LAST && status == Status::OK;
        }
        let mut segments = Vec::<Segment, 2>::new();
        if let Some(request) = server.request(&mut segments) {
            assert_eq!(
                (request.code, segments.as_slice()),
                (Code::Read, &[Segment { offset: 0, length: 512 }][..])
            );
            taken = Some(request.id);
        }
        if server.commit() {
            wakes.client.notify();
        }
        assert_eq!(server.take_error(), None);
        if finished {
            return;
        }
        if rounds == usize::MAX && taken.is_none() && server.wait() {
            wakes.server.wait();
        }
    }
}

/// What a dying side leaves in both epochs, whatever the other does meanwhile.
fn scribble(memory: &LoomPages, junk: u32) {
    for role in [Role::Client, Role::Server] {
        memory.store(offset_of_epoch(role), junk, Ordering::Relaxed);
    }
}

/// As [`model`], with nothing left behind by who dies.
fn model(ids: &'static [u64], clients: &'static [usize], servers: &'static [usize]) {
    model_with(ids, clients, servers, None);
}

/// Runs a client with one life for each of `clients` (its number of rounds) before its last one, which asks `ids`, against
/// such a server. Who dies leaves `junk`.
fn model_with(ids: &'static [u64], clients: &'static [usize], servers: &'static [usize], junk: Option<u32>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let memory = region();
        let wakes = Wakes { client: Arc::new(Notify::new()), server: Arc::new(Notify::new()) };
        let thread = {
            let (memory, wakes) = (memory.clone(), wakes.clone());
            thread::spawn(move || {
                for &rounds in servers {
                    server(&memory, &wakes, Status::IO, rounds);
                    junk.into_iter().for_each(|junk| scribble(&memory, junk));
                }
                server(&memory, &wakes, Status::OK, usize::MAX);
            })
        };
        for (id, &rounds) in (1..).zip(clients) {
            client(&memory, &wakes, &[id], rounds);
            junk.into_iter().for_each(|junk| scribble(&memory, junk));
        }
        client(&memory, &wakes, ids, usize::MAX);
        thread.join().unwrap();
    });
}

#[test]
fn link_comes_up_and_answers() {
    model(&[LAST], &[], &[]);
}

#[test]
fn no_wake_up_is_lost_from_one_request_to_the_next() {
    // A side is told of the first entry of an epoch without having asked; from the second on it depends on asking.
    model(&[8, LAST], &[], &[]);
}

#[test]
fn client_that_restarts_gets_only_the_answer_of_its_own_life() {
    model(&[LAST], &[1], &[]);
}

#[test]
fn client_survives_a_restart_of_the_server() {
    model(&[LAST], &[], &[1]);
}

#[test]
fn both_restart_at_once() {
    model(&[LAST], &[1], &[1]);
}

#[test]
fn client_survives_a_server_that_leaves_epochs_behind_its_own() {
    model_with(&[LAST], &[], &[1], Some(u32::MAX));
}

#[test]
fn server_survives_a_client_that_leaves_the_epoch_that_comes_before_its_own() {
    model_with(&[LAST], &[1], &[], Some(2));
}
