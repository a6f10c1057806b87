// SPDX-License-Identifier: BSD-2-Clause
//! Both ends of a block link, while somebody writes over the region they share.

use crate::steps::Steps;
use core::sync::atomic::Ordering;
use heapless::Vec;
use ring::blk::{Client, Code, Request, Response, Segment, Server, Status};
use ring::link::State;
use ring::pages::{LocalPages, Memory};

type Region = LocalPages<512>;

/// More calls in a row than this that yield something would be endless.
const MOST: u32 = 4096;

pub fn block(data: &[u8]) {
    let region = Region::new();
    let mut steps = Steps(data);
    let mut client = Client::new(&region).expect("a region that is large enough");
    let mut server = Server::new(&region).expect("a region that is large enough");
    while !steps.is_empty() {
        match steps.byte() % 10 {
            0 => {
                let _ = client.poll();
                if server.poll() == State::PeerRestarted {
                    server.accept();
                }
                let _ = client.poll();
            }
            1 | 2 => submit(&mut client, &mut steps),
            3 => {
                let _ = client.commit();
                let _ = server.commit();
            }
            4 => take(&mut server, &mut steps),
            5 => {
                let limit = client.capacity();
                let mut count = 0;
                while client.response().is_some() {
                    count += 1;
                    assert!(count <= limit, "more answers than places");
                }
            }
            6 => {
                let _ = (client.wait(), server.wait());
                let _ = (client.take_error(), server.take_error());
            }
            7 => {
                if steps.byte() & 1 == 0 {
                    client.restart()
                } else {
                    server.restart()
                }
            }
            8 => {
                // Absurd limits are cut to what can be counted with.
                if let Some(info) = client.info() {
                    assert!(info.capacity.checked_mul(512).is_some() && info.block_size >= 512);
                }
            }
            _ => scribble(&region, &mut steps),
        }
        assert!(client.space() <= client.capacity() && server.outstanding() <= server.capacity());
    }
}

/// The peer's words most of the time, anything else otherwise.
pub(super) fn scribble<M: Memory>(region: M, steps: &mut Steps<'_>) {
    let offset = match steps.byte() % 4 {
        0 => 4 * usize::from(steps.byte() % 64),
        _ => 4 * (usize::from(steps.half()) % (region.size() / 4)),
    };
    let old = region.load(offset, Ordering::Relaxed);
    let value = match steps.byte() % 4 {
        0 => old.wrapping_add(u32::from(steps.byte() % 8)),
        1 => old.wrapping_sub(u32::from(steps.byte() % 8)),
        2 => steps.byte().into(),
        _ => steps.word(),
    };
    region.store(offset, value, Ordering::Relaxed);
}

fn submit(client: &mut Client<&Region>, steps: &mut Steps<'_>) {
    let code = Code::from(u16::from(steps.byte() % 7));
    let count = if code.has_data() { 1 + steps.byte() % 4 } else { 0 };
    let segments: std::vec::Vec<Segment> = (0..count)
        .map(|_| Segment { offset: steps.half().into(), length: 512 * (1 + u32::from(steps.byte() % 8)) })
        .collect();
    let length = segments.iter().map(|segment| u64::from(segment.length)).sum();
    let request =
        Request { id: steps.byte().into(), code, sector: steps.half().into(), length, unmap: false };
    let _ = client.submit(&request, &segments);
}

fn take(server: &mut Server<&Region>, steps: &mut Steps<'_>) {
    let mut segments = Vec::<Segment, 8>::new();
    for _ in 0..MOST {
        let Some(request) = server.request(&mut segments) else { return };
        assert!(segments.len() <= 8);
        if request.code.has_data() {
            let sum: u64 = segments.iter().map(|segment| u64::from(segment.length)).sum();
            assert_eq!(sum, request.length, "the parts are the whole");
            assert!(segments.iter().all(|it| it.length > 0 && it.length.is_multiple_of(512)));
        } else {
            assert!(segments.is_empty());
        }
        if steps.byte() & 1 != 0 {
            let _ = server.complete(Response { id: request.id, status: Status(steps.byte().into()) });
        }
    }
    panic!("requests without an end");
}
