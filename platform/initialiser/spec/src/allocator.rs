// SPDX-License-Identifier: BSD-2-Clause
//! Which object is made from which untyped memory, run by the tool (to predict) and by the initialiser (to do).
//!
//! The kernel hands out an untyped from its start upwards, each object at the next multiple of its size. Objects with a
//! fixed address come first, ascending: the gap below each is split off as untypeds of their own. Whatever an untyped
//! with fixed objects has left behind the last one is split off too. Then all free pieces are naturally aligned powers
//! of two, used only from their start, and the remaining objects come in order of descending size: first fit, lowest
//! address first, loses no byte to alignment (`allocation_is_complete_and_wastes_nothing` in the tests).

use heapless::Vec;

use crate::Untyped;
use crate::format::FormatError;
use crate::record::Group;

/// Most untypeds, those of the kernel and those split off main memory.
pub const MAX_PIECES: usize = 512;

/// Most objects that one `Untyped_Retype` makes (seL4's fan-out limit).
pub const FAN_OUT: u32 = 256;

/// Smallest untyped that the kernel makes (seL4_MinUntypedBits).
const MIN_UNTYPED_BITS: u8 = 4;

/// One `Untyped_Retype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make `count` objects of `group`.
    Create {
        /// Index of the untyped: the kernel's first, in its order, then those split off, in order of splitting.
        piece: usize,
        /// Kind of object.
        group: Group,
        /// Number of the first.
        object: u32,
        /// How many, at most [`FAN_OUT`].
        count: u32,
        /// Physical address of the first.
        paddr: u64,
    },
    /// Split the next `1 << size_bits` bytes off as an untyped, with the next index.
    Split {
        /// Index of the untyped.
        piece: usize,
        /// log2 of the size.
        size_bits: u8,
        /// Physical address.
        paddr: u64,
    },
}

/// Why not every object gets memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError<E> {
    /// The records cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// They are in an order that the algorithm does not expect.
    #[error("objects are not in order of allocation, at object {0}")]
    Order(u32),
    /// More pieces of untyped memory than there is room for.
    #[error("more than {MAX_PIECES} pieces of untyped memory")]
    TooManyPieces,
    /// An object with a fixed address is not in untyped memory, or not within one untyped.
    #[error("object {object} cannot be at its address {paddr:#x}")]
    FixedAddress {
        /// Number of the object.
        object: u32,
        /// Its address.
        paddr: u64,
    },
    /// Memory ran out.
    #[error("out of memory at object {object}: {missing} objects of {} bytes do not fit", 1u64 << size_bits)]
    OutOfMemory {
        /// Number of the first object without memory.
        object: u32,
        /// log2 of its size.
        size_bits: u8,
        /// How many objects of its group have no memory.
        missing: u32,
    },
    /// The caller could not do a step.
    #[error("{0}")]
    Step(E),
}

/// An untyped and how much of it is used.
#[derive(Clone, Copy, Debug)]
struct Piece {
    index: u16,
    untyped: Untyped,
    /// First address not yet handed out.
    next: u64,
    /// A fixed object was made from it.
    pinned: bool,
}

impl Piece {
    const fn new(index: u16, untyped: Untyped) -> Self {
        Self { index, untyped, next: untyped.paddr, pinned: false }
    }

    const fn left(&self) -> u64 {
        self.untyped.end().saturating_sub(self.next)
    }

    /// log2 of the largest naturally aligned block that starts at `next` and does not pass `limit`.
    fn block_bits(&self, limit: u64) -> u8 {
        let room = limit.saturating_sub(self.next).checked_ilog2().unwrap_or(0);
        room.min(self.next.trailing_zeros()) as u8
    }
}

/// Plans the allocation of `groups` (in the order that [`crate::format::Spec::groups`] promises) from `untypeds`, and
/// calls `step` for each retype in the order in which they have to be done.
///
/// # Errors
/// When an object gets no memory, or `step` fails; steps before that were made.
pub fn plan<E>(
    untypeds: impl IntoIterator<Item = Untyped>,
    groups: impl IntoIterator<Item = Result<Group, FormatError>>,
    step: impl FnMut(Step) -> Result<(), E>,
) -> Result<(), PlanError<E>> {
    let mut pieces = Vec::new();
    for untyped in untypeds {
        pieces.push(Piece::new(pieces.len() as u16, untyped)).map_err(|_| PlanError::TooManyPieces)?;
    }
    let count = pieces.len() as u16;
    pieces.sort_unstable_by_key(|piece| piece.untyped.paddr);
    let mut planner = Planner { pieces, count, object: 0, step };
    let mut groups = groups.into_iter().peekable();
    let mut end = 0;
    while let Some(group) = groups.next_if(|group| !matches!(group, Ok(Group { paddr: None, .. }))) {
        let group = group?;
        let Some(paddr) = group.paddr else { break };
        if paddr < end {
            return Err(PlanError::Order(planner.object));
        }
        end = planner.fixed(group, paddr)?;
    }
    planner.split_rests()?;
    let (mut size_bits, mut cursor) = (u8::MAX, 0);
    for group in groups {
        let group = group?;
        if group.paddr.is_some() || group.size_bits > size_bits || group.size_bits > 63 {
            return Err(PlanError::Order(planner.object));
        }
        if group.size_bits < size_bits {
            (size_bits, cursor) = (group.size_bits, 0);
        }
        cursor = planner.free(group, cursor)?;
    }
    Ok(())
}

struct Planner<S> {
    /// By address.
    pieces: Vec<Piece, MAX_PIECES>,
    /// How many indices were given out.
    count: u16,
    /// Number of the next object.
    object: u32,
    step: S,
}

impl<S> Planner<S> {
    /// Makes as many of `wanted` objects from `pieces[at]` as fit; tells how many.
    fn create<E>(&mut self, at: usize, group: Group, wanted: u32) -> Result<u32, PlanError<E>>
    where
        S: FnMut(Step) -> Result<(), E>,
    {
        let Some(piece) = self.pieces.get_mut(at) else { return Ok(0) };
        let fits = (piece.left() >> group.size_bits).min(wanted.into()) as u32;
        let mut made = 0;
        while made < fits {
            let count = (fits - made).min(FAN_OUT);
            let step = Step::Create {
                piece: piece.index.into(),
                group,
                object: self.object,
                count,
                paddr: piece.next,
            };
            (self.step)(step).map_err(PlanError::Step)?;
            piece.next += u64::from(count) << group.size_bits;
            self.object += count;
            made += count;
        }
        Ok(made)
    }

    /// Splits `pieces[at]` from its first free byte up to `limit`. Pieces of RAM are kept for later objects; device
    /// memory in between is of no use to anybody.
    fn split<E>(&mut self, at: usize, limit: u64) -> Result<(), PlanError<E>>
    where
        S: FnMut(Step) -> Result<(), E>,
    {
        while let Some(piece) = self.pieces.get_mut(at)
            && piece.next < limit
        {
            let size_bits = piece.block_bits(limit);
            if size_bits < MIN_UNTYPED_BITS {
                return Err(PlanError::FixedAddress { object: self.object, paddr: limit });
            }
            let untyped = Untyped { paddr: piece.next, size_bits, device: piece.untyped.device };
            let step = Step::Split { piece: piece.index.into(), size_bits, paddr: piece.next };
            (self.step)(step).map_err(PlanError::Step)?;
            piece.next += 1 << size_bits;
            let index = self.count;
            self.count = index.checked_add(1).ok_or(PlanError::TooManyPieces)?;
            if !untyped.device {
                self.pieces.push(Piece::new(index, untyped)).map_err(|_| PlanError::TooManyPieces)?;
            }
        }
        Ok(())
    }

    /// Makes objects at fixed addresses from `paddr` on; gives the address behind them.
    fn fixed<E>(&mut self, group: Group, mut paddr: u64) -> Result<u64, PlanError<E>>
    where
        S: FnMut(Step) -> Result<(), E>,
    {
        if group.size_bits > 63 || paddr.trailing_zeros() < group.size_bits.into() {
            return Err(PlanError::FixedAddress { object: self.object, paddr });
        }
        let mut left = group.count;
        while left > 0 {
            let error = PlanError::FixedAddress { object: self.object, paddr };
            let at =
                self.pieces.iter().position(|p| p.next <= paddr && paddr < p.untyped.end()).ok_or(error)?;
            self.split(at, paddr)?;
            if let Some(piece) = self.pieces.get_mut(at) {
                piece.pinned = true;
            }
            let made = self.create(at, group, left)?;
            if made == 0 {
                return Err(PlanError::FixedAddress { object: self.object, paddr });
            }
            left -= made;
            paddr += u64::from(made) << group.size_bits;
        }
        Ok(paddr)
    }

    /// Splits what untypeds with fixed objects have left into aligned pieces.
    fn split_rests<E>(&mut self) -> Result<(), PlanError<E>>
    where
        S: FnMut(Step) -> Result<(), E>,
    {
        for at in 0..self.pieces.len() {
            let Some(piece) = self.pieces.get(at) else { break };
            if piece.pinned && !piece.untyped.device {
                self.split(at, piece.untyped.end())?;
            }
        }
        self.pieces.sort_unstable_by_key(|piece| piece.untyped.paddr);
        Ok(())
    }

    /// Makes objects anywhere. `cursor` is the first piece that may have room; gives the next one.
    fn free<E>(&mut self, group: Group, mut cursor: usize) -> Result<usize, PlanError<E>>
    where
        S: FnMut(Step) -> Result<(), E>,
    {
        let mut left = group.count;
        while left > 0 {
            let Some(piece) = self.pieces.get(cursor) else {
                return Err(PlanError::OutOfMemory {
                    object: self.object,
                    size_bits: group.size_bits,
                    missing: left,
                });
            };
            if !piece.untyped.device {
                left -= self.create(cursor, group, left)?;
            }
            if left > 0 {
                cursor += 1;
            }
        }
        Ok(cursor)
    }
}

#[cfg(test)]
#[path = "allocator_tests.rs"]
mod tests;
