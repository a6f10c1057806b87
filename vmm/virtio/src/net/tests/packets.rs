// SPDX-License-Identifier: BSD-2-Clause
//! Packets both ways (section 5.1.6).

use super::{Bench, DATA, Feature, PLAIN, RECEIVE, ROOM, TRANSMIT, frame, info};
use crate::mmio::registers::{self, Feature as Common};
use crate::mock::driver::{Buffer, write};
use crate::model::Progress;
use crate::net::{Counters, Offload, Segmentation};

#[test]
fn sent_frame_reaches_the_network() {
    let mut bench = Bench::new();
    bench.send(PLAIN, &frame(100));
    assert_eq!(bench.network.sent, [(Offload::default(), frame(100))]);
    assert_eq!(bench.transmit.take(&bench.ram).map(|(_, length)| length), Some(0));
    assert_eq!(bench.device.read(registers::INTERRUPT_STATUS, 4), 1);
}

#[test]
fn sent_frame_may_be_cut_anywhere() {
    let mut bench = Bench::new();
    let bytes = [&PLAIN[..], &frame(1514)].concat();
    bench.ram.poke(DATA, &bytes);
    let cuts = [0u64, 5, 12, 26, 27, 1000, 1526];
    let buffers: Vec<Buffer> =
        cuts.windows(2).map(|cut| Buffer::readable(DATA + cut[0], (cut[1] - cut[0]) as u32)).collect();
    bench.transmit.add(&bench.ram, &buffers);
    bench.transmit.show(&bench.ram);
    bench.kick(TRANSMIT);
    assert_eq!(bench.network.sent[0].1, frame(1514));
}

#[test]
fn offloads_travel_beside_the_packet() {
    let mut bench = Bench::new();
    let header = [1, 0x81, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
    bench.send(header, &frame(9000));
    let offload = Offload {
        needs_checksum: true,
        data_valid: false,
        checksum_start: 34,
        checksum_offset: 16,
        segmentation: Segmentation::Tcp4,
        congestion: true,
        header_length: 54,
        segment_size: 1460,
    };
    assert_eq!(bench.network.sent, [(offload, frame(9000))]);
}

#[test]
fn packets_that_make_no_sense_are_dropped() {
    let tcp6 = [1, 4, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
    let with = |at: usize, value: u8| {
        let mut header = tcp6;
        header[at] = value;
        header
    };
    let dropped = |features: u64, header: [u8; 12], length: usize| {
        let mut bench = Bench::with(info(Feature::OFFLOADS), features, 64);
        bench.send(header, &frame(length));
        assert!(!bench.device.needs_reset());
        assert!(bench.transmit.take(&bench.ram).is_some(), "it is used all the same");
        let counters = *bench.device.model().counters();
        assert_eq!(counters.sent + counters.send_dropped, 1);
        counters.sent == 0 && bench.network.sent.is_empty()
    };
    let all = u64::MAX;
    assert!(!dropped(all, tcp6, 9000));
    assert!(dropped(all, with(0, 0), 9000), "segmentation without a checksum");
    assert!(dropped(all, with(1, 3), 9000), "UDP");
    assert!(dropped(all, with(1, 0x80), 100), "ECN of nothing");
    assert!(
        dropped(
            all,
            {
                let mut header = tcp6;
                (header[4], header[5]) = (0, 0);
                header
            },
            9000
        ),
        "segments of nothing"
    );
    assert!(dropped(all, with(7, 0xff), 9000), "checksum behind the packet");
    assert!(dropped(all, with(9, 0xff), 9000), "checksum behind the packet");
    assert!(dropped(all, with(3, 0xff), 9000), "headers longer than the packet");
    assert!(dropped(all, PLAIN, 13), "shorter than an Ethernet header");
    assert!(dropped(all, PLAIN, 1523), "longer than the network takes");
    assert!(!dropped(all, PLAIN, 1522));
    assert!(dropped(!Feature::HOST_TSO6, tcp6, 9000), "not negotiated");
    assert!(dropped(!(Feature::CSUM | Feature::TO_NETWORK), with(1, 0), 100), "not negotiated");
}

#[test]
fn packet_without_a_header_stops_the_device() {
    let mut bench = Bench::new();
    bench.transmit.add(&bench.ram, &[Buffer::readable(DATA, 11)]);
    bench.transmit.show(&bench.ram);
    bench.kick(TRANSMIT);
    assert!(bench.device.needs_reset());
}

#[test]
fn full_network_leaves_packets_in_the_queue() {
    let mut bench = Bench::new();
    bench.network.room = Some(2);
    for at in 0..5 {
        bench.send(PLAIN, &frame(60 + at));
    }
    assert_eq!(bench.network.sent.len(), 2);
    let kicks = bench.kicks;
    bench.send(PLAIN, &frame(65));
    assert_eq!(bench.kicks, kicks, "the network calls, the guest need not");
    bench.network.room = None;
    bench.run();
    let lengths: Vec<usize> = bench.network.sent.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [60, 61, 62, 63, 64, 65]);
}

#[test]
fn patient_network_saves_kicks() {
    let mut bench = Bench::new();
    bench.network.patience = 8;
    for _ in 0..36 {
        bench.send(PLAIN, &frame(60));
    }
    // One, and one more with every ninth that waits.
    assert_eq!(bench.kicks, 4);
    bench.network.patience = 0;
    bench.run();
    assert_eq!(bench.network.sent.len(), 36);
    bench.send(PLAIN, &frame(60));
    assert_eq!(bench.kicks, 5);
}

#[test]
fn received_packet_lies_behind_its_header() {
    let mut bench = Bench::new();
    bench.fill(&[2048, 2048]);
    let offload = Offload { data_valid: true, ..Offload::default() };
    bench.network.coming.push_back((offload, frame(100)));
    bench.run();
    assert_eq!(bench.receive.take(&bench.ram).map(|(_, length)| length), Some(112));
    // One buffer, checksum verified.
    assert_eq!(bench.received(0, 12), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(bench.received(0, 112)[12..], frame(100));
    assert!(bench.device.asserted() && bench.network.coming.is_empty());
}

#[test]
fn large_packet_is_spread_over_buffers() {
    // Section 5.1.6.4: num_buffers.
    let mut bench = Bench::new();
    bench.fill(&[1024, 2048, 512, 4096]);
    let offload = Offload {
        needs_checksum: true,
        checksum_start: 34,
        checksum_offset: 16,
        segmentation: Segmentation::Tcp6,
        segment_size: 1440,
        header_length: 74,
        ..Offload::default()
    };
    bench.network.coming.push_back((offload, frame(5000)));
    bench.run();
    let mut lengths = Vec::new();
    while let Some((_, length)) = bench.receive.take(&bench.ram) {
        lengths.push(length);
    }
    assert_eq!(lengths, [1024, 2048, 512, 5012 - 3584]);
    assert_eq!(bench.received(0, 12), [1, 4, 74, 0, 0xa0, 5, 34, 0, 16, 0, 4, 0]);
    let mut bytes = bench.received(0, 1024)[12..].to_vec();
    for (number, length) in [(1, 2048), (2, 512), (3, 5012 - 3584)] {
        bytes.extend(bench.received(number, length));
    }
    assert_eq!(bytes, frame(5000));
}

#[test]
fn header_of_a_received_packet_may_be_cut_anywhere() {
    let mut bench = Bench::new();
    let cuts = [(0u64, 3u32), (100, 8), (200, 4), (300, 40)];
    let buffers: Vec<Buffer> = cuts.iter().map(|&(at, length)| Buffer::writable(ROOM + at, length)).collect();
    bench.receive.add(&bench.ram, &buffers);
    bench.receive.add(&bench.ram, &[Buffer::writable(ROOM + 0x1000, 64)]);
    bench.receive.show(&bench.ram);
    bench.network.coming.push_back((Offload::default(), frame(60)));
    bench.run();
    // num_buffers, 2, has its low byte in the second piece and its high byte in the third.
    let header: Vec<u8> =
        [bench.ram.peek_vec(ROOM, 3), bench.ram.peek_vec(ROOM + 100, 8), bench.ram.peek_vec(ROOM + 200, 1)]
            .concat();
    assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    let bytes = [
        bench.ram.peek_vec(ROOM + 201, 3),
        bench.ram.peek_vec(ROOM + 300, 40),
        bench.ram.peek_vec(ROOM + 0x1000, 17),
    ]
    .concat();
    assert_eq!(bytes, frame(60));
}

#[test]
fn packet_waits_for_buffers() {
    let mut bench = Bench::new();
    bench.network.coming.push_back((Offload::default(), frame(3000)));
    bench.run();
    assert_eq!(bench.network.coming.len(), 1);
    bench.fill(&[1024, 1024]);
    assert_eq!(bench.receive.take(&bench.ram), None, "two are not enough");
    let kicks = bench.kicks;
    bench.fill(&[1024]);
    assert_eq!(bench.kicks, kicks + 1, "it was asked for");
    assert_eq!(bench.receive.take(&bench.ram).map(|(_, length)| length), Some(1024));
    assert_eq!(bench.received(0, 12)[10], 3);
}

#[test]
fn filling_an_idle_queue_needs_no_kicks() {
    let mut bench = Bench::new();
    bench.fill(&[2048; 8]);
    let kicks = bench.kicks;
    for _ in 0..100 {
        bench.network.coming.push_back((Offload::default(), frame(60)));
        bench.run();
        assert!(bench.receive.take(&bench.ram).is_some());
        bench.fill(&[2048]);
    }
    assert_eq!(bench.kicks, kicks);
}

#[test]
fn packet_larger_than_the_whole_queue_is_dropped() {
    let mut bench = Bench::with(info(Feature::OFFLOADS), u64::MAX, 4);
    bench.fill(&[512; 4]);
    bench.network.coming.push_back((Offload::default(), frame(3000)));
    bench.network.coming.push_back((Offload::default(), frame(60)));
    bench.run();
    assert_eq!(
        bench.receive.take(&bench.ram).map(|(_, length)| length),
        Some(72),
        "the next one gets through"
    );
    assert_eq!(bench.device.model().counters().receive_dropped, 1);
}

#[test]
fn without_mergeable_buffers_a_packet_has_one() {
    let mut bench = Bench::with(info(Feature::OFFLOADS), !Feature::MRG_RXBUF, 8);
    bench.fill(&[100, 2048]);
    for length in [89, 60, 1514] {
        bench.network.coming.push_back((Offload::default(), frame(length)));
    }
    bench.run();
    assert_eq!(bench.device.model().counters().receive_dropped, 1, "the first does not fit");
    let lengths: Vec<u32> =
        (0..2).map_while(|_| bench.receive.take(&bench.ram)).map(|(_, length)| length).collect();
    assert_eq!(lengths, [72, 1526]);
    assert_eq!(bench.received(1, 12)[10], 1);
}

#[test]
fn guest_gets_no_packet_in_a_form_that_it_does_not_take() {
    let mut bench = Bench::with(info(Feature::OFFLOADS), Common::VERSION_1 | Feature::MRG_RXBUF, 8);
    bench.fill(&[2048; 4]);
    let offloads = [
        Offload { needs_checksum: true, ..Offload::default() },
        Offload { segmentation: Segmentation::Tcp4, ..Offload::default() },
        Offload { data_valid: true, ..Offload::default() },
    ];
    bench.network.coming.extend(offloads.map(|offload| (offload, frame(60))));
    bench.run();
    let counters = Counters { received: 1, receive_dropped: 2, ..Counters::default() };
    assert_eq!(*bench.device.model().counters(), counters);
    assert_eq!(bench.received(0, 1), [0], "nor is it told what it did not ask for");
}

#[test]
fn receive_buffer_without_room_for_a_header_stops_the_device() {
    let mut bench = Bench::new();
    bench.fill(&[11]);
    bench.network.coming.push_back((Offload::default(), frame(60)));
    bench.run();
    assert!(bench.device.needs_reset());
    assert_eq!(bench.received(0, 11), [0; 11]);
}

#[test]
fn packets_for_nobody_are_lost() {
    // Back-pressure on the network would be worse.
    let mut bench = Bench::new();
    let _ = write(&mut bench.device, &bench.ram, registers::STATUS, 0);
    bench.network.coming.extend((0..300).map(|_| (Offload::default(), frame(60))));
    assert_eq!(bench.device.run(&bench.ram, &mut bench.network), Progress::More);
    bench.run();
    assert!(bench.network.coming.is_empty());
    assert_eq!(bench.ram.written(), 0);
}

#[test]
fn burst_is_one_signal_and_one_interrupt() {
    let mut bench = Bench::new();
    bench.fill(&[2048; 32]);
    bench.network.signals = 0;
    bench.network.coming.extend((0..32).map(|_| (Offload::default(), frame(1514))));
    bench.run();
    assert_eq!((bench.network.signals, bench.device.model().counters().received), (1, 32));
    let _ = write(&mut bench.device, &bench.ram, registers::INTERRUPT_ACK, 1);
    bench.run();
    assert!(!bench.device.asserted());
}

#[test]
fn queues_work_one_without_the_other() {
    let mut bench = Bench::new();
    let _ = write(&mut bench.device, &bench.ram, registers::QUEUE_SEL, RECEIVE as u32);
    let _ = write(&mut bench.device, &bench.ram, registers::QUEUE_RESET, 1);
    bench.send(PLAIN, &frame(60));
    assert_eq!(bench.network.sent.len(), 1);
    bench.network.coming.push_back((Offload::default(), frame(60)));
    bench.run();
    assert!(!bench.device.needs_reset());
}
