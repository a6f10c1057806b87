// SPDX-License-Identifier: BSD-2-Clause
//! Both ends of a network link, while somebody writes over the region they share.

use super::block_link::scribble;
use crate::steps::Steps;
use heapless::Vec;
use ring::link::State;
use ring::net::{Buffer, Client, Offload, Server};
use ring::pages::LocalPages;

type Region = LocalPages<1024>;

/// More calls in a row than this that yield something would be endless.
const MOST: u32 = 4096;

pub fn net(data: &[u8]) {
    let region = Region::new();
    let mut steps = Steps(data);
    let mut client = Client::new(&region).expect("a region that is large enough");
    let mut server = Server::new(&region).expect("a region that is large enough");
    while !steps.is_empty() {
        let capacity = client.capacity();
        match steps.byte() % 12 {
            0 => {
                let _ = client.poll();
                if server.poll() == State::PeerRestarted {
                    server.accept();
                }
                let _ = client.poll();
            }
            1 => {
                let _ = client.transmit(&buffers(&mut steps), &Offload::default());
            }
            2 => {
                let _ = client.supply(Buffer { offset: steps.half().into(), length: 0 });
            }
            3 => {
                let _ = (client.commit(), server.commit());
            }
            4 => bounded(MOST, || server.packet(&mut Vec::<Buffer, 8>::new()).is_some()),
            5 => {
                let _ = server.give_back(Buffer { offset: steps.half().into(), length: 0 });
            }
            6 => {
                assert!(server.buffers() <= server.capacity());
                let _ = server.buffer();
            }
            7 => {
                let _ = server.deliver(&buffers(&mut steps), &Offload::default());
            }
            8 => {
                bounded(capacity, || client.transmitted().is_some());
                bounded(MOST, || client.receive(&mut Vec::<Buffer, 8>::new()).is_some());
            }
            9 => {
                let _ = (client.wait(), server.wait());
                let _ = (client.take_error(), server.take_error(), server.accepted(), client.info());
            }
            10 => {
                if steps.byte() & 1 == 0 {
                    client.restart()
                } else {
                    server.restart()
                }
            }
            _ => scribble(&region, &mut steps),
        }
        assert!(client.transmit_space() <= capacity && client.supply_space() <= capacity);
    }
}

fn buffers(steps: &mut Steps<'_>) -> std::vec::Vec<Buffer> {
    let count = 1 + steps.byte() % 4;
    (0..count).map(|_| Buffer { offset: steps.half().into(), length: steps.half() % 2049 }).collect()
}

/// Calls `next` while it yields something.
fn bounded(most: u32, mut next: impl FnMut() -> bool) {
    for _ in 0..=most {
        if !next() {
            return;
        }
    }
    panic!("no end");
}
