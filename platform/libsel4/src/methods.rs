// SPDX-License-Identifier: BSD-2-Clause
//! The invocations as data: reads `methods.txt`, and says where in a message each parameter travels.

/// Registers of `seL4_UserContext`, in the order of its fields.
pub const USER_CONTEXT: [&str; kernel_abi::context::WORDS] = [
    "pc",
    "sp",
    "spsr",
    "x0",
    "x1",
    "x2",
    "x3",
    "x4",
    "x5",
    "x6",
    "x7",
    "x8",
    "x16",
    "x17",
    "x18",
    "x29",
    "x30",
    "x9",
    "x10",
    "x11",
    "x12",
    "x13",
    "x14",
    "x15",
    "x19",
    "x20",
    "x21",
    "x22",
    "x23",
    "x24",
    "x25",
    "x26",
    "x27",
    "x28",
    "tpidr_el0",
    "tpidrro_el0",
];
/// Registers of `seL4_ARM_SMCContext`.
pub const SMC_CONTEXT: [&str; 8] = ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];

/// What a parameter is to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A capability, beside the message.
    Capability,
    /// So many bits of a word.
    Bits(u32),
    /// Capability rights: a word in a structure.
    Rights,
    /// A structure of words with these fields.
    Context(&'static [&'static str]),
}

/// A parameter or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its C type.
    pub ctype: &'static str,
    /// How it travels.
    pub kind: Kind,
}

impl Parameter {
    fn parse(text: &'static str) -> Self {
        let (name, ctype) = text.split_once(':').unwrap_or((text, "seL4_Word"));
        let kind = match ctype {
            "seL4_Word" | "seL4_Time" | "seL4_VCPUReg" | "seL4_ARM_VMAttributes" => Kind::Bits(64),
            "seL4_Bool" => Kind::Bits(1),
            "seL4_Uint8" => Kind::Bits(8),
            "seL4_Uint16" => Kind::Bits(16),
            "seL4_CapRights_t" => Kind::Rights,
            "seL4_UserContext" => Kind::Context(&USER_CONTEXT),
            "seL4_ARM_SMCContext" => Kind::Context(&SMC_CONTEXT),
            _ => Kind::Capability,
        };
        Self { name, ctype, kind }
    }
}

/// One invocation.
#[derive(Clone, Debug)]
pub struct Method {
    /// Type of the invoked capability.
    pub interface: &'static str,
    /// Name of the method.
    pub name: &'static str,
    /// Name of the label.
    pub label: &'static str,
    /// Parameters.
    pub parameters: Vec<Parameter>,
    /// Results.
    pub results: Vec<Parameter>,
}

/// A part of a word of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The message register.
    pub word: usize,
    /// The lowest bit in it.
    pub shift: u32,
}

/// Where values of these kinds travel, and how many words they take. Capabilities have no place.
pub fn places(values: &[Parameter]) -> (Vec<Option<Place>>, usize) {
    let (mut word, mut used) = (0, 0_u32);
    let mut places = Vec::new();
    for value in values {
        let (bits, words) = match value.kind {
            Kind::Capability => {
                places.push(None);
                continue;
            }
            Kind::Bits(bits) => (bits, 1),
            Kind::Rights => (64, 1),
            Kind::Context(fields) => (64, fields.len()),
        };
        let mut shift = used.next_multiple_of(bits);
        if shift + bits > 64 {
            word += 1;
            shift = 0;
        }
        places.push(Some(Place { word, shift }));
        word += words - 1;
        used = shift + bits;
    }
    (places, if used > 0 { word + 1 } else { 0 })
}

/// All invocations, in the order of the list.
pub fn all() -> Vec<Method> {
    let mut methods = Vec::new();
    let mut interface = "";
    for line in include_str!("methods.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("seL4_") {
            interface = line;
            continue;
        }
        let (parameters, results) = line.split_once(" -> ").unwrap_or((line, ""));
        let mut words = parameters.split(' ');
        methods.push(Method {
            interface,
            name: words.next().unwrap_or_default(),
            label: words.next().unwrap_or_default(),
            parameters: words.map(Parameter::parse).collect(),
            results: results.split_whitespace().map(Parameter::parse).collect(),
        });
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel_abi::Invocation;

    fn method(interface: &str, name: &str) -> Method {
        all().into_iter().find(|method| method.interface == interface && method.name == name).unwrap()
    }

    #[test]
    fn every_invocation_of_the_kernel_has_a_method() {
        let methods = all();
        for (_, label, _) in Invocation::ALL {
            assert_eq!(methods.iter().filter(|method| method.label == *label).count(), 1, "{label}");
        }
    }

    #[test]
    fn small_parameters_share_a_word() {
        let inject = method("seL4_ARM_VCPU", "InjectIRQ");
        let (places, words) = places(&inject.parameters);
        let shifts: Vec<u32> = places.into_iter().flatten().map(|place| place.shift).collect();
        assert_eq!((shifts, words), (vec![0, 16, 24, 32], 1));
    }

    #[test]
    fn flags_of_copied_registers_are_at_bit_eight() {
        let copy = method("seL4_TCB", "CopyRegisters");
        let (places, words) = places(&copy.parameters);
        assert_eq!(places[0], None);
        assert_eq!(places[5], Some(Place { word: 0, shift: 8 }));
        assert_eq!(words, 1);
    }

    #[test]
    fn registers_to_write_begin_at_the_third_word() {
        let write = method("seL4_TCB", "WriteRegisters");
        let (places, words) = places(&write.parameters);
        assert_eq!(places[3], Some(Place { word: 2, shift: 0 }));
        assert_eq!(words, 38);
    }

    #[test]
    fn an_index_behind_a_depth_has_its_own_word() {
        let copy = method("seL4_CNode", "Copy");
        let (places, words) = places(&copy.parameters);
        let order: Vec<usize> = places.into_iter().flatten().map(|place| place.word).collect();
        assert_eq!((order, words), (vec![0, 1, 2, 3, 4], 5));
    }
}
