//! Type information for the maps made at run time, so that tools show their fields by name.
//!
//! BTF's format is Documentation/bpf/btf.rst of the kernel: a header, then types numbered from 1, then names. In:
//! nothing. Out: a blob for the kernel, and the numbers of the types in it. The sizes come from the shared types, and
//! the kernel refuses a map whose sizes its types contradict.

use std::mem::offset_of;

use ingress_common::{Backend, SLOTS, Slot, SlotTable};

use super::sys::{Btf, SysError};

/// Type information that is loaded, and where in it our types are.
#[derive(Debug)]
pub struct Types {
    /// All types.
    pub btf: Btf,
    /// The key of every array.
    pub index: u32,
    /// [`Backend`].
    pub backend: u32,
    /// [`SlotTable`].
    pub slot_table: u32,
}

impl Types {
    /// Loads them.
    pub fn load() -> Result<Self, SysError> {
        let mut blob = Blob::default();
        let index = blob.integer("u32", 4);
        let half = blob.integer("u16", 2);
        let byte = blob.integer("u8", 1);
        let backend = blob.structure(
            "Backend",
            size_of::<Backend>(),
            &[
                ("node", half, offset_of!(Backend, node)),
                ("state", byte, offset_of!(Backend, state)),
                ("reserved", byte, offset_of!(Backend, reserved)),
            ],
        );
        let slot = blob.structure(
            "Slot",
            size_of::<Slot>(),
            &[
                ("owner", half, offset_of!(Slot, owner)),
                ("next1", half, offset_of!(Slot, next1)),
                ("next2", half, offset_of!(Slot, next2)),
            ],
        );
        let slots = blob.array(slot, index, SLOTS);
        let slot_table = blob.structure(
            "SlotTable",
            size_of::<SlotTable>(),
            &[("slots", slots, offset_of!(SlotTable, slots))],
        );
        Ok(Self {
            btf: Btf::load(&blob.finish())?,
            index,
            backend,
            slot_table,
        })
    }
}

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const HEADER_LENGTH: u32 = 24;

#[derive(Default)]
struct Blob {
    types: Vec<u32>,
    count: u32,
    names: Vec<u8>,
}

impl Blob {
    fn integer(&mut self, name: &str, size: u32) -> u32 {
        let id = self.begin(name, KIND_INT, 0, size);
        self.types.push(size * 8);
        id
    }

    fn array(&mut self, element: u32, index: u32, length: usize) -> u32 {
        let id = self.begin("", KIND_ARRAY, 0, 0);
        self.types.extend([element, index, number(length)]);
        id
    }

    /// Members are `(name, type, offset in bytes)`.
    fn structure(&mut self, name: &str, size: usize, members: &[(&str, u32, usize)]) -> u32 {
        let id = self.begin(name, KIND_STRUCT, number(members.len()), number(size));
        for (name, member, offset) in members {
            let name = self.name(name);
            self.types.extend([name, *member, number(*offset) * 8]);
        }
        id
    }

    fn begin(&mut self, name: &str, kind: u32, members: u32, size: u32) -> u32 {
        let name = self.name(name);
        self.types.extend([name, kind << 24 | members, size]);
        self.count += 1;
        self.count
    }

    /// The name's place among the names, which begin with the empty one.
    fn name(&mut self, name: &str) -> u32 {
        if self.names.is_empty() {
            self.names.push(0);
        }
        if name.is_empty() {
            return 0;
        }
        let place = number(self.names.len());
        self.names.extend(name.bytes().chain([0]));
        place
    }

    fn finish(self) -> Vec<u8> {
        let types = number(self.types.len() * 4);
        let header = [HEADER_LENGTH, 0, types, types, number(self.names.len())];
        let mut blob = Vec::new();
        blob.extend(0xeb9f_u16.to_ne_bytes());
        blob.extend([1, 0]);
        blob.extend(header.into_iter().chain(self.types).flat_map(u32::to_ne_bytes));
        blob.extend(self.names);
        blob
    }
}

/// Sizes of the types above, none of which comes near the limit.
fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_s_header_tells_its_parts() {
        let mut blob = Blob::default();
        assert_eq!(blob.integer("u32", 4), 1);
        assert_eq!(blob.structure("pair", 8, &[("a", 1, 0), ("b", 1, 4)]), 2);
        let bytes = blob.finish();
        let types = (3 + 1) * 4 + (3 + 2 * 3) * 4;
        assert_eq!(bytes.len(), 24 + types + b"\0u32\0pair\0a\0b\0".len());
        assert!(bytes.ends_with(b"\0u32\0pair\0a\0b\0"));
    }
}
