//! Maps, by bytes: every key and value is checked against the sizes that the kernel tells.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_map_type};

use super::{SysError, bpf, bpf_fd, info, long_name, object, short_name};

/// What a map is made of: the beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Shape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// The map's own number; 0 in a description.
    pub id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// Its name in the kernel; empty in a description.
    pub name: [u8; 16],
}

/// Type information that the kernel has loaded.
#[derive(Debug)]
pub struct Btf {
    fd: OwnedFd,
}

impl Btf {
    /// Loads type information in BTF's own format (Documentation/bpf/btf.rst).
    pub fn load(blob: &[u8]) -> Result<Self, SysError> {
        let mut attributes = BtfAttributes {
            blob: blob.as_ptr() as u64,
            log: 0,
            size: u32::try_from(blob.len()).unwrap_or(u32::MAX),
            log_size: 0,
            log_level: 0,
            reserved: 0,
        };
        // SAFETY: the kernel reads `size` bytes of `blob`, which has that many; the command answers with a descriptor.
        let fd = unsafe { bpf_fd(bpf_cmd::BPF_BTF_LOAD, &mut attributes) }
            .map_err(SysError::new("BPF_BTF_LOAD", "of the maps made at run time"))?;
        Ok(Self { fd })
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct BtfAttributes {
    blob: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CreateAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
    interface: u32,
    btf: u32,
    btf_key: u32,
    btf_value: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ElementAttributes {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Keys and values for one call, each the map's size, one after the other.
#[derive(Debug, Default)]
pub struct Batch {
    /// The keys' bytes.
    pub keys: Vec<u8>,
    /// The values' bytes.
    pub values: Vec<u8>,
    /// How many.
    pub count: u32,
}

/// A map of the kernel's.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    shape: Shape,
    /// Bytes of a value as it is read and written: for a per-CPU map the values of all possible CPUs.
    value_length: usize,
}

impl Map {
    /// Makes a map; `btf` holds the numbers of its key's and its value's type.
    pub fn create(shape: Shape, name: &str, btf: Option<(&Btf, u32, u32)>) -> Result<Self, SysError> {
        let (btf, btf_key, btf_value) = match btf {
            Some((btf, key, value)) => (btf.fd.as_raw_fd().cast_unsigned(), key, value),
            None => (0, 0, 0),
        };
        let mut attributes = CreateAttributes {
            kind: shape.kind,
            key_size: shape.key_size,
            value_size: shape.value_size,
            max_entries: shape.max_entries,
            flags: shape.flags,
            inner: 0,
            numa_node: 0,
            name: short_name(name),
            interface: 0,
            btf,
            btf_key,
            btf_value,
        };
        // SAFETY: there is no pointer in the attributes; the command answers with a descriptor.
        let fd = unsafe { bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attributes) }
            .map_err(SysError::new("BPF_MAP_CREATE", name))?;
        Self::from_fd(fd)
    }

    /// Opens a pinned map.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        Self::from_fd(object::open(path, object::Kind::Map)?)
    }

    fn from_fd(fd: OwnedFd) -> Result<Self, SysError> {
        let shape: Shape = info(fd.as_raw_fd()).map_err(SysError::new("BPF_OBJ_GET_INFO_BY_FD", "a map"))?;
        let value_length = if shape.kind == bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY as u32 {
            (shape.value_size as usize).next_multiple_of(8) * cpus()?
        } else {
            shape.value_size as usize
        };
        Ok(Self {
            fd,
            shape,
            value_length,
        })
    }

    /// Another handle on the same map.
    pub fn try_clone(&self) -> Result<Self, SysError> {
        let fd = self.fd.try_clone().map_err(SysError::new("dup", self.name()))?;
        Ok(Self { fd, ..*self })
    }

    /// What it is made of.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its name in the kernel.
    pub fn name(&self) -> String {
        long_name(&self.shape.name)
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Bytes of a value as [`Map::lookup`] reads it.
    pub const fn value_length(&self) -> usize {
        self.value_length
    }

    /// Pins it, in place of what has this pin.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        object::pin_over(self.fd.as_fd(), path)
    }

    /// Reads a value; `false` when the key is not there.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> Result<bool, SysError> {
        self.fits(key, value.len())?;
        let mut attributes = self.element(key, value.as_mut_ptr() as u64);
        // SAFETY: the kernel reads a key and writes a value of the sizes that `fits` compared.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attributes) };
        self.unless_missing("BPF_MAP_LOOKUP_ELEM", result)
    }

    /// Writes a value.
    pub fn update(&self, key: &[u8], value: &[u8]) -> Result<(), SysError> {
        self.fits(key, value.len())?;
        let mut attributes = self.element(key, value.as_ptr() as u64);
        // SAFETY: the kernel reads a key and a value of the sizes that `fits` compared.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes) }
            .map_err(SysError::new("BPF_MAP_UPDATE_ELEM", self.name()))?;
        Ok(())
    }

    /// Removes a key; `false` when it is not there.
    pub fn delete(&self, key: &[u8]) -> Result<bool, SysError> {
        self.fits(key, self.value_length)?;
        let mut attributes = self.element(key, 0);
        // SAFETY: the kernel reads a key of the size that `fits` compared.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attributes) };
        self.unless_missing("BPF_MAP_DELETE_ELEM", result)
    }

    /// The key after `key`, or the first one; `None` after the last.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, SysError> {
        let mut next = vec![0; self.shape.key_size as usize];
        if let Some(key) = key {
            self.fits(key, self.value_length)?;
        }
        let mut attributes = self.element(key.unwrap_or_default(), next.as_mut_ptr() as u64);
        if key.is_none() {
            attributes.key = 0;
        }
        // SAFETY: the kernel reads a key, or none from a null pointer, and writes one to `next`, which has its size.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attributes) };
        Ok(self
            .unless_missing("BPF_MAP_GET_NEXT_KEY", result)?
            .then_some(next))
    }

    /// Writes many values by one call, which for a map of maps waits for running programs once and not once per value.
    pub fn update_batch(&self, batch: &Batch) -> Result<(), SysError> {
        let count = batch.count as usize;
        if batch.keys.len() != count * self.shape.key_size as usize
            || batch.values.len() != count * self.value_length
        {
            return Err(self.misfit());
        }
        let mut attributes = BatchAttributes {
            in_batch: 0,
            out_batch: 0,
            keys: batch.keys.as_ptr() as u64,
            values: batch.values.as_ptr() as u64,
            count: batch.count,
            map: self.fd.as_raw_fd().cast_unsigned(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads `count` keys and values of the sizes that were compared above.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attributes) }
            .map_err(SysError::new("BPF_MAP_UPDATE_BATCH", self.name()))?;
        Ok(())
    }

    fn element(&self, key: &[u8], value: u64) -> ElementAttributes {
        let map = self.fd.as_raw_fd().cast_unsigned();
        ElementAttributes {
            map,
            reserved: 0,
            key: key.as_ptr() as u64,
            value,
            flags: 0,
        }
    }

    fn fits(&self, key: &[u8], value_length: usize) -> Result<(), SysError> {
        let fits = key.len() == self.shape.key_size as usize && value_length == self.value_length;
        if fits { Ok(()) } else { Err(self.misfit()) }
    }

    fn misfit(&self) -> SysError {
        let cause = io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "its keys have {} bytes and its values {}",
                self.shape.key_size, self.value_length
            ),
        );
        SysError {
            call: "bpf",
            object: self.name(),
            cause,
        }
    }

    fn unless_missing(&self, call: &'static str, result: io::Result<i32>) -> Result<bool, SysError> {
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(cause) => Err(SysError {
                call,
                object: self.name(),
                cause,
            }),
        }
    }
}

/// The number of possible CPUs, which per-CPU maps have a value for each.
pub fn cpus() -> Result<usize, SysError> {
    aya::util::nr_cpus().map_err(|(path, cause)| SysError {
        call: "read",
        object: path.to_owned(),
        cause,
    })
}
