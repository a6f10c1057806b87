// SPDX-License-Identifier: BSD-2-Clause
//! The driver's side against the model of a device.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;
use safe_mmio::UniqueMmioPointer;

use crate::mock::{Memory, MockDevice};
use crate::registers::{Layout, Mmio, Register, Registers};
use crate::*;

const DMA: u64 = 0x8000_0000;
const INDIRECT: u64 = Features::INDIRECT_DESC.bits();
const EVENT: u64 = Features::EVENT_IDX.bits();
const TABLE: usize = 4;
const ALL: [u64; 4] = [0, INDIRECT, EVENT, INDIRECT | EVENT];

struct Bench {
    model: MockDevice,
    device: Device<MockDevice>,
    queue: Queue<8>,
}

impl Bench {
    fn new(offered: u64, size: u32) -> Self {
        let mut memory = Memory::new();
        memory.add(DMA, Queue::<8>::memory_size(8, TABLE).next_multiple_of(8));
        let model = MockDevice::new(4, offered, &[size], memory);
        let mut device = Device::new(model.clone(), DeviceType::Entropy).unwrap();
        let features = device.negotiate(INDIRECT | EVENT).unwrap();
        let max = device.queue_size_max(0);
        let queue = Queue::new(&mut model.memory().dma(DMA), max, features, TABLE).unwrap();
        device.set_up_queue(0, &queue).unwrap();
        device.start();
        Self { model, device, queue }
    }

    fn publish(&mut self) {
        if self.queue.publish() {
            self.device.notify(0);
        }
    }
}

fn buffers(count: usize) -> Vec<Buffer> {
    let direction = |index| if index + 1 < count { Direction::ToDevice } else { Direction::FromDevice };
    let buffer =
        |index| Buffer { address: 0x1000 * index as u64, length: index as u32, direction: direction(index) };
    (0..count).map(buffer).collect()
}

#[test]
fn requests_reach_the_device_as_they_were_added() {
    for offered in ALL {
        let mut bench = Bench::new(offered, 8);
        for count in [1, 2, 4, 1] {
            let next = bench.queue.next_id();
            let id = bench.queue.add(&buffers(count)).unwrap();
            assert_eq!(id, next);
            assert_eq!(bench.model.take(0), None, "not before it is published");
            bench.publish();
            let chain = bench.model.take(0).unwrap();
            assert_eq!(chain.head, id);
            assert_eq!(chain.buffers, buffers(count));
            assert_eq!(chain.indirect, offered & INDIRECT != 0 && count > 1);
            bench.model.complete(0, id.into(), 7);
            assert_eq!(bench.queue.pop(), Ok(Some(Completion { id, written: 7 })));
            assert_eq!(bench.queue.pop(), Ok(None));
        }
    }
}

#[test]
fn request_longer_than_a_table_is_a_chain() {
    let mut bench = Bench::new(INDIRECT, 8);
    bench.queue.add(&buffers(TABLE + 1)).unwrap();
    bench.publish();
    let chain = bench.model.take(0).unwrap();
    assert!(!chain.indirect);
    assert_eq!(chain.buffers, buffers(TABLE + 1));
}

#[test]
fn full_queue_says_so_and_takes_more_after_completions() {
    for (offered, per_request) in [(0, 3), (INDIRECT, 1)] {
        let mut bench = Bench::new(offered, 8);
        let mut ids = Vec::new();
        while bench.queue.fits(3) {
            ids.push(bench.queue.add(&buffers(3)).unwrap());
        }
        assert_eq!(ids.len(), 8 / per_request);
        assert_eq!(bench.queue.add(&buffers(3)), Err(AddError::Full));
        bench.publish();
        bench.model.complete(0, ids[1].into(), 0);
        assert_eq!(bench.queue.pop().unwrap().unwrap().id, ids[1]);
        assert!(bench.queue.add(&buffers(3)).is_ok());
    }
}

#[test]
fn request_that_can_never_fit_is_refused_as_such() {
    let mut bench = Bench::new(0, 8);
    assert_eq!(bench.queue.add(&[]), Err(AddError::Length(0)));
    assert_eq!(bench.queue.add(&buffers(9)), Err(AddError::Length(9)));
}

#[test]
fn queue_is_no_larger_than_the_device_allows_and_a_power_of_two() {
    for (max, size) in [(1, 1), (7, 4), (8, 8), (1024, 8)] {
        assert_eq!(Bench::new(0, max).queue.size(), size);
    }
    let mut memory = Memory::new();
    memory.add(DMA, 64);
    assert!(Queue::<8>::new(&mut memory.dma(DMA), 8, Features::empty(), 0).is_none(), "too little memory");
    assert!(Queue::<8>::new(&mut memory.dma(DMA), 0, Features::empty(), 0).is_none(), "no such queue");
}

#[test]
fn a_batch_is_one_notification_and_none_when_the_device_is_awake() {
    for offered in [0, EVENT] {
        let mut bench = Bench::new(offered, 8);
        for _ in 0..3 {
            bench.queue.add(&buffers(1)).unwrap();
        }
        bench.publish();
        bench.publish();
        assert_eq!(bench.model.state().queues[0].notified, 1);
        bench.model.suppress_notifications(0);
        bench.queue.add(&buffers(1)).unwrap();
        bench.publish();
        assert_eq!(bench.model.state().queues[0].notified, 1);
        for _ in 0..4 {
            assert!(bench.model.take(0).is_some());
        }
        if offered == EVENT {
            bench.queue.add(&buffers(1)).unwrap();
            bench.publish();
            assert_eq!(bench.model.state().queues[0].notified, 2, "all taken: asleep");
        }
    }
}

#[test]
fn interrupt_comes_when_asked_for_and_completions_before_that_are_seen() {
    for offered in [0, EVENT] {
        let mut bench = Bench::new(offered, 8);
        let ids: Vec<_> = (0..4).map(|_| bench.queue.add(&buffers(1)).unwrap()).collect();
        bench.publish();
        bench.queue.disable_interrupts();
        assert!(bench.queue.enable_interrupts(1));
        assert!(bench.model.complete(0, ids[0].into(), 0), "asked for");
        assert_eq!(bench.device.acknowledge_interrupt(), InterruptStatus::USED_BUFFER);
        assert_eq!(bench.model.state().interrupt, 0);
        bench.queue.disable_interrupts();
        assert!(!bench.model.complete(0, ids[1].into(), 0), "not asked for");
        assert!(bench.queue.pop().unwrap().is_some());
        assert!(!bench.queue.enable_interrupts(1), "one is there already");
        assert!(bench.queue.pop().unwrap().is_some());
        assert!(bench.queue.enable_interrupts(1));
    }
}

#[test]
fn interrupt_for_several_completions_comes_with_the_last_of_them() {
    let mut bench = Bench::new(EVENT, 8);
    let ids: Vec<_> = (0..3).map(|_| bench.queue.add(&buffers(1)).unwrap()).collect();
    bench.publish();
    assert!(bench.queue.enable_interrupts(100), "at most as many as are outstanding");
    let raised: Vec<_> = ids.iter().map(|id| bench.model.complete(0, (*id).into(), 0)).collect();
    assert_eq!(raised, [false, false, true]);
}

#[test]
fn completion_of_nothing_or_the_same_twice_ends_the_queue_until_the_reset() {
    for (first, second) in [(1u32, None), (8, None), (u32::MAX, None), (0, Some(0))] {
        let mut bench = Bench::new(0, 8);
        let id = bench.queue.add(&buffers(1)).unwrap();
        bench.queue.add(&buffers(2)).unwrap();
        bench.publish();
        assert_eq!(id, 0);
        // 1 and 2 are one chain; 2 is not its head.
        let first = if first == 1 { 2 } else { first };
        bench.model.complete(0, first, 0);
        if let Some(second) = second {
            assert!(bench.queue.pop().unwrap().is_some());
            bench.model.complete(0, second, 0);
        }
        assert!(matches!(bench.queue.pop(), Err(DeviceMisbehaved::Identifier(_))));
        bench.model.complete(0, 1, 0);
        assert!(bench.queue.pop().is_err());
        assert!(!bench.queue.enable_interrupts(1));

        bench.device.reset().unwrap();
        bench.queue.reset();
        bench.device.negotiate(0).unwrap();
        bench.device.set_up_queue(0, &bench.queue).unwrap();
        bench.device.start();
        let id = bench.queue.add(&buffers(8)).unwrap();
        bench.publish();
        assert_eq!(bench.model.take(0).unwrap().buffers, buffers(8));
        bench.model.complete(0, id.into(), 0);
        assert!(bench.queue.pop().unwrap().is_some());
    }
}

#[test]
fn used_index_beyond_what_is_outstanding_is_refused() {
    for value in [3, 0x8000, 0xffff] {
        let mut bench = Bench::new(0, 8);
        bench.queue.add(&buffers(1)).unwrap();
        bench.queue.add(&buffers(1)).unwrap();
        bench.publish();
        bench.model.set_used_index(0, value);
        let error = DeviceMisbehaved::UsedIndex { found: value, last: 0, outstanding: 2 };
        assert_eq!(bench.queue.pop(), Err(error));
        assert_eq!(bench.queue.pop(), Err(error));
    }
}

#[test]
fn what_is_not_the_device_is_named() {
    let model = MockDevice::new(4, 0, &[8], Memory::new());
    assert!(matches!(Device::new(model.clone(), DeviceType::Block), Err(Error::Kind(4, DeviceType::Block))));
    model.state().version = 1;
    assert!(matches!(Device::new(model.clone(), DeviceType::Entropy), Err(Error::Version(1))));
    model.state().magic = 0;
    assert!(matches!(Device::new(model, DeviceType::Entropy), Err(Error::NoDevice(0))));
}

#[test]
fn device_that_does_not_reset_is_given_up() {
    let model = MockDevice::new(4, 0, &[8], Memory::new());
    model.state().never_resets = true;
    assert!(matches!(Device::new(model, DeviceType::Entropy), Err(Error::ResetTimeout(4))));
}

#[test]
fn features_are_those_both_have_and_a_refusal_is_an_error() {
    let model = MockDevice::new(4, EVENT | 1, &[8], Memory::new());
    let mut device = Device::new(model.clone(), DeviceType::Entropy).unwrap();
    let features = device.negotiate(EVENT | INDIRECT | 2).unwrap();
    assert_eq!(features, Features::EVENT_IDX | Features::VERSION_1);
    device.reset().unwrap();
    model.state().refuse_features = true;
    assert!(matches!(device.negotiate(EVENT), Err(Error::FeaturesRefused(_, _))));
    assert!(device.status().contains(Status::FAILED));
    device.reset().unwrap();
    model.state().refuse_features = false;
    model.state().offered = 1;
    assert!(device.negotiate(1).is_err(), "a legacy device");
}

#[test]
fn queue_that_the_device_does_not_have_is_an_error() {
    let mut bench = Bench::new(0, 8);
    bench.device.reset().unwrap();
    bench.device.negotiate(0).unwrap();
    assert_eq!(bench.device.set_up_queue(1, &bench.queue), Err(Error::Queue(1, 8, 0)));
}

#[test]
fn configuration_is_read_again_until_it_is_settled_and_not_for_ever() {
    let mut bench = Bench::new(0, 8);
    bench.model.state().config = vec![1, 2, 3, 4];
    bench.model.state().unsettled = 3;
    let mut reads = 0;
    let value = bench.device.config(|registers| {
        reads += 1;
        registers.config_u32(0)
    });
    assert_eq!((value, reads), (0x0403_0201, 3));
    bench.model.state().unsettled = usize::MAX;
    assert_eq!(bench.device.config(|registers| registers.config_u16(2)), 0x0403);
}

#[test]
fn registers_lie_where_the_specification_puts_them() {
    let mut words: Vec<u32> = (0..0x80).collect();
    let place = core::ptr::NonNull::from(words.as_mut_slice()).cast::<Layout>();
    #[allow(unsafe_code, reason = "registers in memory of the test")]
    // SAFETY: as many bytes as a layout has, aligned, used through the pointer alone until it is gone.
    let mut mmio = Mmio(unsafe { UniqueMmioPointer::new(place) });
    assert_eq!(mmio.read(Register::InterruptStatus), 0x60 / 4);
    assert_eq!(mmio.read(Register::ConfigGeneration), 0xfc / 4);
    mmio.write(Register::QueueDeviceHigh, 0x1234_5678);
    assert_eq!(mmio.config_u32(0), 0x40);
    assert_eq!(mmio.config_u32(0xfc), 0x7f);
    assert_eq!(mmio.config_u16(4), 0x41);
    assert_eq!(mmio.config_u8(8), 0x42);
    assert_eq!([mmio.config_u32(0x100), mmio.config_u32(2), mmio.config_u32(usize::MAX)], [0; 3], "outside");
    assert_eq!((mmio.config_u16(0xff), mmio.config_u8(0x100)), (0, 0));
    assert_eq!(words[0xa4 / 4], 0x1234_5678);
}

#[test]
fn arrays_are_aligned_as_the_device_sees_them_and_do_not_overlap() {
    use core::sync::atomic::{AtomicU8, AtomicU64};
    let mut memory = Memory::new();
    memory.add(DMA + 8, 64);
    let mut dma = memory.dma(DMA + 8);
    let bytes: DmaArray<AtomicU8> = dma.take(3, 1).unwrap();
    let words: DmaArray<AtomicU64> = dma.take(2, 16).unwrap();
    assert_eq!((bytes.physical(0), words.physical(0)), (DMA + 8, DMA + 16));
    words.set(1, u64::MAX);
    words.set(2, 1);
    assert_eq!(memory.read_u64(DMA + 24), u64::MAX);
    assert_eq!((words.get(1), words.get(2)), (u64::MAX, 0));
    assert_eq!(dma.left(), 64 - 24);
    assert!(dma.take::<AtomicU64>(6, 8).is_none());
    assert!(dma.take::<AtomicU64>(usize::MAX, 8).is_none());
    assert!(dma.take::<AtomicU64>(5, 8).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random adding and completing: every request comes out once, with its own buffers, whatever the order.
    #[test]
    fn every_request_is_completed_once(
        offered in prop::sample::select(ALL.to_vec()),
        steps in prop::collection::vec((1usize..7, any::<prop::sample::Index>(), any::<bool>()), 1..200),
    ) {
        let mut bench = Bench::new(offered, 8);
        let mut outstanding = HashMap::new();
        let mut taken = VecDeque::new();
        for (count, which, complete) in steps {
            if !complete {
                let fits = bench.queue.fits(count);
                let added = bench.queue.add(&buffers(count));
                prop_assert_eq!(fits, added.is_ok());
                if let Ok(id) = added {
                    prop_assert!(outstanding.insert(id, count).is_none());
                }
                continue;
            }
            bench.publish();
            while let Some(chain) = bench.model.take(0) {
                prop_assert_eq!(Some(&chain.buffers.len()), outstanding.get(&chain.head));
                taken.push_back(chain.head);
            }
            if !taken.is_empty() {
                let head = taken.remove(which.index(taken.len())).unwrap();
                bench.model.complete(0, head.into(), 0);
                prop_assert_eq!(bench.queue.pop().unwrap().map(|done| done.id), Some(head));
                outstanding.remove(&head);
            }
            prop_assert_eq!(bench.queue.pop(), Ok(None));
            prop_assert_eq!(usize::from(bench.queue.outstanding()), outstanding.len());
        }
    }

    /// Whatever a device writes into the used ring: no panic, no more completions than requests, bounded work.
    #[test]
    fn hostile_device_gets_no_further_than_an_error(
        offered in prop::sample::select(ALL.to_vec()),
        noise in prop::collection::vec((any::<u16>(), 0u32..10), 1..50),
    ) {
        let mut bench = Bench::new(offered, 8);
        let mut added = 0;
        let mut completed = 0;
        for (index, id) in noise {
            while bench.queue.add(&buffers(2)).is_ok() {
                added += 1;
            }
            bench.publish();
            if index % 3 == 0 {
                bench.model.set_used_index(0, index);
            } else {
                bench.model.complete(0, id, index.into());
            }
            for _ in 0..100 {
                match bench.queue.pop() {
                    Ok(Some(_)) => completed += 1,
                    Ok(None) => break,
                    Err(_) => {
                        prop_assert!(bench.queue.pop().is_err());
                        break;
                    }
                }
            }
            prop_assert!(completed <= added);
            prop_assert_eq!(usize::from(bench.queue.outstanding()), added - completed);
        }
    }
}
