// SPDX-License-Identifier: BSD-2-Clause
//! Makes all objects, as the allocator plans it.

use sel4_sys::seL4_CPtr;
use sel4_sys::seL4_ObjectType::seL4_UntypedObject;
use sel4_sys::seL4_RootCNodeCapSlots::seL4_CapInitThreadCNode;
use system_spec::allocator::{Step, plan};
use system_spec::record::ObjectId;
use system_spec::{Spec, fingerprint};

use crate::bootinfo::BootInfo;
use crate::console::print;
use crate::error::Failure;
use crate::kernel::Kernel;

/// Slots of the initialiser's CNode: objects, interrupt handlers, split untypeds, then whatever is needed.
pub struct Slots {
    first: seL4_CPtr,
    objects: u32,
    irqs: u32,
    next: seL4_CPtr,
    end: seL4_CPtr,
}

impl Slots {
    /// The slot of an object.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn object(&self, id: ObjectId) -> Result<seL4_CPtr, Failure> {
        if id < self.objects { Ok(self.first + u64::from(id)) } else { Err(Failure::Reference("an object")) }
    }

    /// The slots of consecutive objects.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn run(&self, first: ObjectId, count: u32) -> Result<core::ops::Range<seL4_CPtr>, Failure> {
        let start = self.object(first)?;
        if count > self.objects - first {
            return Err(Failure::Reference("an object"));
        }
        Ok(start..start + u64::from(count))
    }

    /// The slot of an interrupt handler.
    ///
    /// # Errors
    /// When there is no such handler.
    pub fn irq(&self, index: u32) -> Result<seL4_CPtr, Failure> {
        if index < self.irqs {
            Ok(self.first + u64::from(self.objects) + u64::from(index))
        } else {
            Err(Failure::Reference("an interrupt handler"))
        }
    }

    /// An empty slot.
    ///
    /// # Errors
    /// When there is none left.
    pub fn take(&mut self) -> Result<seL4_CPtr, Failure> {
        let slot = self.next;
        if slot >= self.end {
            return Err(Failure::Slots(slot + 1 - self.first));
        }
        self.next += 1;
        Ok(slot)
    }
}

/// Makes all objects.
///
/// # Errors
/// When memory is not where the tool has promised it to a program, there is too little, or the kernel refuses.
pub fn create(spec: &Spec<'_>, bootinfo: &BootInfo, kernel: &mut Kernel) -> Result<Slots, Failure> {
    if fingerprint(bootinfo.untypeds()).to_le_bytes() != spec.header.prediction {
        print(format_args!("INITIALISER|WARN: memory is not as predicted; objects will be elsewhere\n"));
    }
    let empty = bootinfo.empty();
    let (objects, irqs) = (spec.header.objects, spec.header.irqs);
    let splits = empty.start + u64::from(objects) + u64::from(irqs);
    let mut slots = Slots { first: empty.start, objects, irqs, next: splits, end: empty.end };
    if splits > slots.end {
        return Err(Failure::Slots(splits - empty.start));
    }
    let given = bootinfo.untyped_count();
    let mut split_count = 0;
    plan(bootinfo.untypeds(), spec.groups(), |step| {
        let piece = match step {
            Step::Create { piece, .. } | Step::Split { piece, .. } => piece,
        };
        let untyped = match piece.checked_sub(given) {
            None => bootinfo.first_untyped() + piece as u64,
            Some(split) => splits + split as u64,
        };
        let (object_type, user_size, slot, count, operation) = match step {
            Step::Create { group, object, count, .. } => {
                let slot = empty.start + u64::from(object);
                (group.object_type.into(), group.user_size.into(), slot, count, "making objects")
            }
            Step::Split { size_bits, .. } => {
                split_count += 1;
                let slot = splits + split_count - 1;
                (seL4_UntypedObject, size_bits.into(), slot, 1, "splitting untyped memory")
            }
        };
        let cnode = seL4_CapInitThreadCNode;
        kernel.invoke(operation, slot, |buffer| {
            buffer.seL4_Untyped_Retype(untyped, object_type, user_size, cnode, 0, 0, slot, count.into())
        })
    })?;
    slots.next += split_count;
    Ok(slots)
}
