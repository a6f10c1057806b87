// SPDX-License-Identifier: BSD-2-Clause
//! Packets are cut and completed as another implementation expects it.

use proptest::prelude::*;
use smoltcp::wire::{IpProtocol, TcpControl, TcpPacket};

use crate::frame::{Claim, Fragment, Fragments, Frame, MAX_FRAME, Malformed, Places, Work, write_whole};
use crate::headers::{MAX_HEADERS, Mac};
use crate::packets::{Tcp, check, network_headers, udp};
use crate::region::Region;
use crate::region::tests::region;
use crate::segment::{MAX_SEGMENTS, Segments, Version};

const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// Puts a packet into a region in pieces of these lengths, the rest in one.
fn scatter(bytes: &[u8], lengths: &[usize]) -> (Region, Fragments) {
    let region = region(2 * MAX_FRAME);
    let mut fragments = Fragments::new();
    let (mut rest, mut offset) = (bytes, 3);
    for length in lengths.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        assert!(region.write(offset, piece));
        fragments.push(Fragment { offset, length: piece.len() }).unwrap();
        offset += piece.len() + 5;
        rest = after;
    }
    (region, fragments)
}

fn partial(version: Version, checksum: u16) -> Option<(u16, u16)> {
    Some((network_headers(version) as u16, checksum))
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V4), Just(Version::V6)]
}

/// Writes the packet to places of 2048 bytes and gives what is there.
fn written(frame: &Frame<'_>, complete: bool) -> Vec<u8> {
    let to = region(80 * 2048);
    // Backwards, so that a place is not simply the next bytes.
    let offsets: Vec<usize> = (0..frame.length().div_ceil(2048)).map(|place| (79 - place) * 2048).collect();
    assert!(write_whole(frame, Places { region: to, offsets: &offsets, room: 2048 }, complete));
    let mut bytes = vec![0; offsets.len() * 2048];
    for (chunk, offset) in bytes.chunks_mut(2048).zip(offsets) {
        assert!(to.read(offset, chunk));
    }
    bytes.truncate(frame.length());
    bytes
}

/// Cuts the packet as the switch does.
fn cut(frame: &Frame<'_>) -> Vec<Vec<u8>> {
    let Work::Segments { layout, size, .. } = frame.work else { panic!("{:?}", frame.work) };
    let mut segments = Segments::new(frame.head(), layout, frame.length(), size).unwrap();
    let mut reader = frame.reader(segments.headers());
    let to = region(4096);
    let mut result = Vec::new();
    for index in 0..segments.count() {
        let length = segments.write(index, &mut reader, &to, 7).unwrap();
        let mut bytes = vec![0; length];
        assert!(to.read(7, &mut bytes));
        assert!(bytes.len() <= segments.longest());
        result.push(bytes);
    }
    assert_eq!(segments.payload(segments.count()), None);
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn segments_are_the_packet_with_right_checksums(
        version in version(),
        length in 1usize..60_000,
        size in 536u16..1500,
        lengths in prop::collection::vec(1usize..3000, 0..30),
        finishes in any::<bool>(),
        timestamp in any::<bool>(),
        seed in any::<u8>(),
    ) {
        let payload: Vec<u8> = (0..length).map(|index| (index * 7) as u8 ^ seed).collect();
        let control = if finishes { TcpControl::Fin } else { TcpControl::Psh };
        let tcp = Tcp { control, timestamp, ..Tcp::new(version, A, B, payload) };
        let (region, fragments) = scatter(&tcp.bytes(true), &lengths);
        let claim = Claim { partial: partial(version, 16), segments: Some((version, size)), ..Claim::default() };
        let frame = Frame::new(region, &fragments, claim).unwrap();
        let segments = cut(&frame);
        prop_assert_eq!(segments.len(), length.div_ceil(usize::from(size)));
        let mut stream = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let (protocol, transport) = check(segment);
            prop_assert_eq!(protocol, IpProtocol::Tcp);
            let packet = TcpPacket::new_checked(&transport[..]).unwrap();
            prop_assert_eq!(packet.seq_number().0, tcp.sequence.wrapping_add(stream.len() as i32));
            let last = index + 1 == segments.len();
            prop_assert_eq!(packet.fin(), last && finishes);
            prop_assert_eq!(packet.psh(), last && !finishes);
            prop_assert_eq!(packet.ack_number().0, 77);
            prop_assert!(packet.payload().len() <= usize::from(size));
            stream.extend_from_slice(packet.payload());
        }
        prop_assert_eq!(stream, tcp.payload);
    }

    #[test]
    fn partial_checksums_are_completed(
        version in version(),
        is_tcp in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..5000),
        lengths in prop::collection::vec(1usize..700, 0..8),
    ) {
        let (packet, whole, field) = if is_tcp {
            let tcp = Tcp::new(version, A, B, payload);
            (tcp.bytes(true), tcp.bytes(false), 16)
        } else {
            (udp(version, A, B, &payload, true), udp(version, A, B, &payload, false), 6)
        };
        let (region, fragments) = scatter(&packet, &lengths);
        let claim = Claim { partial: partial(version, field), ..Claim::default() };
        let frame = Frame::new(region, &fragments, claim).unwrap();
        let completed = written(&frame, true);
        check(&completed);
        prop_assert_eq!(completed, whole);
        // Who takes partial checksums gets what was sent.
        prop_assert_eq!(written(&frame, false), packet);
    }

    #[test]
    fn absurd_claims_are_refused_or_harmless(
        version in version(),
        length in 0usize..3000,
        start in 0u16..400,
        offset in prop_oneof![Just(16u16), any::<u16>()],
        segments in prop::option::of((version(), any::<u16>())),
        garbage in prop::collection::vec((0usize..80, any::<u8>()), 0..4),
    ) {
        let mut bytes = Tcp::new(version, A, B, vec![1; length]).bytes(true);
        for (place, byte) in garbage {
            if let Some(place) = bytes.get_mut(place) {
                *place = byte;
            }
        }
        let (region, fragments) = scatter(&bytes, &[40, 1000]);
        let claim = Claim { partial: Some((start, offset)), segments, ..Claim::default() };
        if let Ok(frame) = Frame::new(region, &fragments, claim) {
            match frame.work {
                Work::Segments { .. } => prop_assert!(cut(&frame).len() <= MAX_SEGMENTS),
                _ => prop_assert_eq!(written(&frame, true).len(), bytes.len()),
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (region, fragments) = scatter(&bytes, &[]);
        let frame = Frame::new(region, &fragments, Claim::default());
        prop_assert_eq!(frame.is_ok(), bytes.len() >= 14);
    }
}

#[test]
fn identification_counts_and_wraps() {
    let tcp = Tcp::new(Version::V4, A, B, vec![9; 4000]);
    let (region, fragments) = scatter(&tcp.bytes(true), &[]);
    let segments = Some((Version::V4, 1000));
    let claim = Claim { partial: partial(Version::V4, 16), segments, ..Claim::default() };
    let frame = Frame::new(region, &fragments, claim).unwrap();
    let found: Vec<[u8; 2]> = cut(&frame).iter().map(|bytes| [bytes[18], bytes[19]]).collect();
    assert_eq!(found, [[0xff, 0xfe], [0xff, 0xff], [0, 0], [0, 1]]);
}

#[test]
fn congestion_flag_is_on_the_first_segment_alone() {
    let tcp = Tcp::new(Version::V6, A, B, vec![9; 3000]);
    let mut bytes = tcp.bytes(true);
    bytes[network_headers(Version::V6) + 13] |= 0x80;
    let (region, fragments) = scatter(&bytes, &[]);
    let segments = Some((Version::V6, 1000));
    let claim = Claim { partial: partial(Version::V6, 16), segments, ..Claim::default() };
    let frame = Frame::new(region, &fragments, claim).unwrap();
    let flags: Vec<u8> = cut(&frame).iter().map(|bytes| bytes[network_headers(Version::V6) + 13]).collect();
    assert_eq!(flags, [0x90, 0x10, 0x18]);
}

#[test]
fn segmentation_needs_a_matching_tcp_packet() {
    let tcp = Tcp::new(Version::V4, A, B, vec![9; 3000]);
    let (region, fragments) = scatter(&tcp.bytes(true), &[]);
    let good =
        Claim { partial: partial(Version::V4, 16), segments: Some((Version::V4, 1000)), ..Claim::default() };
    assert!(Frame::new(region, &fragments, good).is_ok());
    for wrong in [
        Claim { segments: Some((Version::V6, 1000)), ..good },
        Claim { segments: Some((Version::V4, 0)), ..good },
        // More than 128 segments.
        Claim { segments: Some((Version::V4, 23)), ..good },
        Claim { partial: None, ..good },
        Claim { partial: partial(Version::V6, 16), ..good },
        Claim { partial: partial(Version::V4, 6), ..good },
    ] {
        assert_eq!(Frame::new(region, &fragments, wrong).unwrap_err(), Malformed::Segments, "{wrong:?}");
    }
    let beyond = Claim { partial: Some((MAX_HEADERS as u16, 16)), segments: None, ..good };
    assert_eq!(Frame::new(region, &fragments, beyond).unwrap_err(), Malformed::Checksum);
}

#[test]
fn fragments_outside_the_region_are_refused() {
    let region = region(4096);
    for (offset, length) in [(4097, 0), (4000, 97), (usize::MAX, 1), (0, usize::MAX)] {
        let fragments = [Fragment { offset: 0, length: 64 }, Fragment { offset, length }];
        let found = Frame::new(region, &fragments, Claim::default()).unwrap_err();
        assert_eq!(found, Malformed::Outside);
    }
    let long = [Fragment { offset: 0, length: 4096 }; 17];
    let found = Frame::new(region, &long, Claim::default()).unwrap_err();
    assert_eq!(found, Malformed::Length(17 * 4096));
}
