// SPDX-License-Identifier: BSD-2-Clause
//! Byte rings with the wire layout of sDDF 0.7's serial queues: free-running 32-bit indices in a queue page, bytes in a
//! separate region of a power-of-two size, position = index modulo size, empty when the indices are equal.
//!
//! # Signals
//!
//! Bytes: after a batch of writes the producer asks [`Producer::should_notify`] and notifies the consumer if told so. That is
//! the case unless the consumer still has older bytes to read: it then finds the new ones too, because a consumer
//! sleeps only after [`Consumer::read`] has given 0, and that looks at the producer's index after a fence. A peer that is
//! not known to do so is notified after every batch, as sDDF does it.
//!
//! Space: a producer that found the ring full calls [`Producer::request_space_signal`] and sleeps only if that says so; a
//! consumer asks [`Consumer::should_notify`] after a batch of reads.
//!
//! Both directions are the same pattern (write mine, fence, read yours), modelled in `loom_tests`.
//!
//! # Restarts
//!
//! The layout has no epochs: a side that begins anew goes on where the shared indices stand. If the one that died has left
//! nonsense there, the survivor cuts the ring off and moves its own index far away; the new side, which knows that it is one, takes
//! that index over, which empties the ring; the survivor goes on when it sees the new side there, or already further on. Each
//! does its part a bounded number of times, and asks for a notification of the other when it has.
//!
//! In the same way a producer that will never have anything [closes](Producer::close) the ring: its index goes as far away as it
//! can, which a consumer tells from bytes before it has read any.

mod consumer;
mod cut;
mod producer;

#[cfg(test)]
mod loom_tests;
#[cfg(test)]
mod tests;

pub use consumer::Consumer;
pub use producer::Producer;
