// SPDX-License-Identifier: BSD-2-Clause
//! The system as a capDL specification in JSON, in the form that Microkit 2.3's tool writes (rust-sel4,
//! `sel4-capdl-initializer-types`): a list of objects, which refer to each other by their place in it.
//!
//! Objects come in the order of allocation; behind them pages that are part of the initialiser's image, then what takes no
//! memory. Content of frames is given as bytes, also where the reference tool names a part of a program.

use std::collections::HashMap;

use sdf::{Duration, ScheduleEntry, System};
use serde_json::{Value, json};
use system_spec::record::{CapTo, Frame, Mapping, OWN_VSPACE, ObjectId, Source, Table, Thread};

use crate::layout::{SCHED_CONTEXT_BITS, rights};
use crate::model::{Kind, Model};

const PAGE_BITS: u8 = 12;
const TABLE_INDEX_BITS: u64 = 9;
/// Level of the tables that hold pages; levels count up from the root.
const LAST_LEVEL: u8 = 3;

/// Slots of a TCB in this form.
mod tcb_slot {
    pub const CSPACE: u32 = 0;
    pub const VSPACE: u32 = 1;
    pub const IPC_BUFFER: u32 = 4;
    pub const FAULT_ENDPOINT: u32 = 5;
    pub const SCHED_CONTEXT: u32 = 6;
    pub const NOTIFICATION: u32 = 8;
    pub const VCPU: u32 = 9;
}

/// The specification; `table_levels`: levels of page tables below the root.
#[must_use]
pub fn specification(system: &System, model: &Model, table_levels: u8) -> Value {
    let mut writer = Writer::new(model, LAST_LEVEL - table_levels);
    writer.address_spaces();
    let objects = writer.objects();
    let irqs: Vec<Value> = (0_u32..)
        .zip(&model.content.irqs)
        .map(|(index, irq)| json!({"irq": irq.number, "handler": writer.irq(index)}))
        .collect();
    let config = system.domains.as_ref();
    json!({
        "root_objects": {"start": 0, "end": objects.len()},
        "objects": objects,
        "irqs": irqs,
        "domain_schedule": config.map(|config| config.schedule.iter().map(schedule_entry).collect::<Vec<_>>()),
        "domain_set_start": config.map(|config| config.start_index),
        "domain_idx_shift": config.and_then(|config| config.index_shift),
        "asid_slots": [],
        "untyped_covers": [],
        "cached_orig_cap_slots": null,
        "log_level": null,
    })
}

fn schedule_entry(entry: &ScheduleEntry) -> Value {
    match entry {
        ScheduleEntry::Run { domain, duration: Duration::Microseconds(us) } => {
            json!({"domain": domain, "duration": {"Us": us}})
        }
        ScheduleEntry::Run { domain, duration: Duration::Ticks(ticks) } => {
            json!({"domain": domain, "duration": {"Ticks": ticks}})
        }
        ScheduleEntry::EndMarker => json!({"domain": 0, "duration": "EndMarker"}),
    }
}

fn rights_of(word: u8) -> Value {
    let has = |bit: u8| word & bit != 0;
    json!({"read": has(2), "write": has(1), "grant": has(4), "grant_reply": has(8)})
}

fn slot(index: impl Into<u64>, cap: Value) -> Value {
    json!({"slot": index.into(), "cap": cap})
}

struct Writer<'a> {
    model: &'a Model,
    root_level: u8,
    /// First object behind those that the initialiser makes: pages of its image.
    image_pages: ObjectId,
    /// What the tables of address spaces hold, by table, and their level.
    tables: HashMap<ObjectId, (u8, Vec<Value>)>,
    /// The table of a level below the root that serves an address: by address space, level, first address.
    below: HashMap<(ObjectId, u8, u64), ObjectId>,
}

impl<'a> Writer<'a> {
    fn new(model: &'a Model, root_level: u8) -> Self {
        let image_pages = model.objects.last().map_or(0, |last| last.first + last.count);
        Self { model, root_level, image_pages, tables: HashMap::new(), below: HashMap::new() }
    }

    fn smc(&self) -> ObjectId {
        self.image_pages + self.model.image_page_count() as ObjectId
    }

    /// Whether anybody has the capability for secure monitor calls.
    fn has_smc(&self) -> bool {
        self.model.content.slots.iter().any(|slot| slot.cap == CapTo::Smc)
    }

    fn irq(&self, index: u32) -> ObjectId {
        self.smc() + u32::from(self.has_smc()) + index
    }

    /// log2 of what an entry of a table at `level` covers.
    fn covers(level: u8) -> u64 {
        u64::from(PAGE_BITS) + TABLE_INDEX_BITS * u64::from(LAST_LEVEL - level)
    }

    /// Puts `cap` for `vaddr` into the table at `level` that serves it. The root's index has the rest of the address.
    fn enter(&mut self, vspace: ObjectId, level: u8, vaddr: u64, cap: Value) {
        let covers = Self::covers(level);
        let (table, index) = if level == self.root_level {
            (Some(vspace), vaddr >> covers)
        } else {
            let start = vaddr >> (covers + TABLE_INDEX_BITS);
            (self.below.get(&(vspace, level, start)).copied(), vaddr >> covers & 511)
        };
        if let Some(table) = table {
            self.tables.entry(table).or_insert((level, Vec::new())).1.push(slot(index, cap));
        }
    }

    /// Tables go where the kernel puts them: in the first level that has none for the address. Then the frames.
    fn address_spaces(&mut self) {
        let content = &self.model.content;
        for &Table { object, vspace, vaddr } in
            content.tables.iter().filter(|table| table.vspace != OWN_VSPACE)
        {
            let missing = (self.root_level + 1..=LAST_LEVEL).find(|&level| {
                !self.below.contains_key(&(vspace, level, vaddr >> (Self::covers(level) + TABLE_INDEX_BITS)))
            });
            let Some(level) = missing else { continue };
            self.below.insert((vspace, level, vaddr >> (Self::covers(level) + TABLE_INDEX_BITS)), object);
            self.tables.insert(object, (level, Vec::new()));
            self.enter(vspace, level - 1, vaddr, json!({"PageTable": {"object": object}}));
        }
        for mapping in &content.mappings {
            self.frames(mapping);
        }
        for (_, slots) in self.tables.values_mut() {
            slots.sort_by_key(|slot| slot["slot"].as_u64());
        }
    }

    fn frames(&mut self, mapping: &Mapping) {
        let first = match mapping.frame {
            Frame::Object(object) => object,
            Frame::Image(page) => self.image_pages + page,
        };
        let level = if mapping.frame_bits == PAGE_BITS { LAST_LEVEL } else { LAST_LEVEL - 1 };
        let rights = rights_of(2 | u8::from(mapping.write));
        for index in 0..mapping.count {
            let vaddr = mapping.vaddr + (u64::from(index) << mapping.frame_bits);
            let cap = json!({
                "object": first + index,
                "rights": rights,
                "cached": mapping.cached,
                "executable": mapping.execute,
            });
            self.enter(mapping.vspace, level, vaddr, json!({"Frame": cap}));
        }
    }

    fn objects(&mut self) -> Vec<Value> {
        let data: Vec<u8> = self.model.data().flatten().copied().collect();
        let mut objects = Vec::new();
        for group in &self.model.objects {
            for number in 0..group.count {
                let id = group.first + number;
                let name =
                    if group.count > 1 { format!("{}_{number:09}", group.name) } else { group.name.clone() };
                let paddr = group.paddr.map(|start| {
                    let bits = if group.kind == Kind::LargePage { 21 } else { PAGE_BITS };
                    start + (u64::from(number) << bits)
                });
                objects.push(json!({"name": name, "object": self.object(id, group.kind, paddr, &data)}));
            }
        }
        for (number, page) in data.chunks(1 << PAGE_BITS).take(self.model.image_page_count()).enumerate() {
            let entries: Vec<Value> = bytes_at(0, page).into_iter().collect();
            let frame = json!({"size_bits": PAGE_BITS, "paddr": null, "init": {"entries": entries}});
            objects.push(json!({"name": format!("image_{number:09}"), "object": {"Frame": frame}}));
        }
        if self.has_smc() {
            objects.push(json!({"name": "arm_smc", "object": "ArmSmc"}));
        }
        for irq in &self.model.content.irqs {
            let cap = json!({"object": irq.notification, "badge": irq.badge, "rights": rights_of(rights::READ_WRITE)});
            let extra = json!({"trigger": u8::from(irq.edge), "target": irq.core});
            let object = json!({"slots": [slot(0_u32, json!({"Notification": cap}))], "extra": extra});
            objects.push(json!({"name": format!("irq_{}", irq.number), "object": {"ArmIrq": object}}));
        }
        objects
    }

    fn object(&mut self, id: ObjectId, kind: Kind, paddr: Option<u64>, data: &[u8]) -> Value {
        let is_root = kind == Kind::VSpace;
        match kind {
            Kind::Endpoint => "Endpoint".into(),
            Kind::Notification => "Notification".into(),
            Kind::Reply => "Reply".into(),
            Kind::Vcpu => "VCpu".into(),
            Kind::CNode { radix } => json!({"CNode": {"size_bits": radix, "slots": self.cnode_slots(id)}}),
            Kind::Tcb => json!({"Tcb": self.tcb(id)}),
            Kind::SchedContext => json!({"SchedContext": self.sched_context(id)}),
            Kind::SmallPage | Kind::LargePage => {
                let bits = if kind == Kind::LargePage { 21 } else { PAGE_BITS };
                let entries = self.fills(id, bits, data);
                json!({"Frame": {"size_bits": bits, "paddr": paddr, "init": {"entries": entries}}})
            }
            Kind::VSpace | Kind::PageTable => {
                let unused = (if is_root { self.root_level } else { LAST_LEVEL }, Vec::new());
                let (level, slots) = self.tables.remove(&id).unwrap_or(unused);
                json!({"PageTable": {"x86_ept": false, "is_root": is_root, "level": level, "slots": slots}})
            }
        }
    }

    fn cnode_slots(&self, cnode: ObjectId) -> Vec<Value> {
        let mut slots: Vec<_> = self.model.content.slots.iter().filter(|slot| slot.cnode == cnode).collect();
        slots.sort_unstable_by_key(|slot| slot.index);
        slots.iter().map(|entry| slot(entry.index, self.cap(entry.cap, entry.rights, entry.data))).collect()
    }

    fn cap(&self, cap: CapTo, rights: u8, word: u64) -> Value {
        let object = match cap {
            CapTo::Object(object) => object,
            CapTo::Irq(index) => return json!({"ArmIrqHandler": {"object": self.irq(index)}}),
            CapTo::Smc => return json!({"ArmSmc": {"object": self.smc()}}),
        };
        let plain = json!({"object": object});
        let sending = json!({"object": object, "badge": word, "rights": rights_of(rights)});
        match self.model.objects_of(object).map(|objects| objects.kind) {
            Some(Kind::Endpoint) => json!({"Endpoint": sending}),
            Some(Kind::Notification) => json!({"Notification": sending}),
            Some(Kind::CNode { .. }) => {
                json!({"CNode": {"object": object, "guard": word >> 6, "guard_size": word & 63}})
            }
            Some(Kind::Tcb) => json!({"Tcb": plain}),
            Some(Kind::SchedContext) => json!({"SchedContext": plain}),
            Some(Kind::Reply) => json!({"Reply": plain}),
            Some(Kind::Vcpu) => json!({"VCpu": plain}),
            Some(Kind::VSpace | Kind::PageTable) => json!({"PageTable": plain}),
            Some(Kind::SmallPage | Kind::LargePage) => {
                json!({"Frame": {"object": object, "rights": rights_of(rights), "cached": true, "executable": false}})
            }
            None => Value::Null,
        }
    }

    fn tcb(&self, id: ObjectId) -> Value {
        let Some(thread) = self.model.content.threads.iter().find(|thread| thread.tcb == id) else {
            return Value::Null;
        };
        let Thread { ipc_buffer_vaddr, priority, domain, fpu, pc, sp, resume, .. } = *thread;
        let to = |object: ObjectId, rights: u8, word: u64| self.cap(CapTo::Object(object), rights, word);
        let mut slots = vec![
            slot(tcb_slot::CSPACE, to(thread.cspace, rights::ALL, thread.cspace_data)),
            slot(tcb_slot::VSPACE, to(thread.vspace, rights::ALL, 0)),
            slot(tcb_slot::IPC_BUFFER, to(thread.ipc_buffer, rights::READ_WRITE, 0)),
        ];
        if let Some(handler) = thread.fault_handler {
            slots.push(slot(
                tcb_slot::FAULT_ENDPOINT,
                to(handler.endpoint, rights::READ_WRITE_GRANT, handler.badge),
            ));
        }
        slots.push(slot(tcb_slot::SCHED_CONTEXT, to(thread.sched_context, rights::ALL, 0)));
        slots.extend(
            thread.notification.map(|object| slot(tcb_slot::NOTIFICATION, to(object, rights::READ_WRITE, 0))),
        );
        slots.extend(thread.vcpu.map(|object| slot(tcb_slot::VCPU, to(object, rights::ALL, 0))));
        let core = self.model.content.scheds.iter().find(|sched| sched.object == thread.sched_context);
        json!({"slots": slots, "extra": {
            "ipc_buffer_addr": ipc_buffer_vaddr,
            "affinity": core.map_or(0, |sched| sched.core),
            "prio": priority,
            "max_prio": priority,
            "fpu_disabled": !fpu,
            "resume": resume,
            "domain": domain,
            "ip": pc,
            "sp": sp,
            "gprs": [],
            "master_fault_ep": null,
        }})
    }

    fn sched_context(&self, id: ObjectId) -> Value {
        let sched = self.model.content.scheds.iter().find(|sched| sched.object == id);
        let extra = sched
            .map(|sched| json!({"period": sched.period_us, "budget": sched.budget_us, "badge": sched.badge}));
        json!({"size_bits": SCHED_CONTEXT_BITS, "extra": extra})
    }

    /// What is written into a frame at first. A fill goes over consecutive frames.
    fn fills(&self, id: ObjectId, bits: u8, data: &[u8]) -> Vec<Value> {
        let size = 1 << bits;
        let fills = self.model.content.fills.iter().filter(|fill| fill.frame <= id);
        fills
            .filter_map(|fill| {
                let start = u64::from(id - fill.frame) << bits;
                let from = fill.offset.max(start);
                let to = (fill.offset + fill.len).min(start + size);
                if from >= to {
                    return None;
                }
                match fill.source {
                    Source::Data(at) => {
                        let at = (at + from - fill.offset) as usize;
                        bytes_at((from - start) as usize, data.get(at..at + (to - from) as usize)?)
                    }
                    Source::BootInfo(_) => Some(json!({
                        "range": {"start": from - start, "end": to - start},
                        "content": {"BootInfo": {"id": "Fdt", "offset": from - fill.offset}},
                    })),
                }
            })
            .collect()
    }
}

/// An entry that writes `bytes` at `start`, without the zeros at their end; none if they are nothing else.
fn bytes_at(start: usize, bytes: &[u8]) -> Option<Value> {
    let len = bytes.iter().rposition(|&byte| byte != 0)? + 1;
    Some(json!({
        "range": {"start": start, "end": start + len},
        "content": {"Data": {"BytesContent": {"bytes": &bytes[..len]}}},
    }))
}
