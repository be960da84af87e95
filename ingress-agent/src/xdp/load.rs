//! Loading the programs, with maps that are pinned or adopted.
//!
//! In: the embedded object and the pins. Out: programs in the kernel. A pin is adopted only when it is what the object
//! asks for, because the loader itself takes any map of any size.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use aya::programs::{ProgramError, SkLookup, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

use super::maps::name;
use super::object::OBJECT;
use super::pins::{Pins, Undo};
use super::sys::{Map, Shape, SysError};

/// The programs, loaded when they are first asked for.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
}

/// The two XDP entries, in the order in which they are tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// For frames in one buffer.
    Plain,
    /// For frames in several buffers, which drivers ask for above some MTU.
    Frags,
}

/// Why the programs are not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A pin is another kind of map.
    #[error(
        "the pinned map {} has {field} {found} and this agent needs {expected}; if no agent uses it, remove the pins \
         with `rm -r {}`, or use another --pin-dir",
        pin.display(), pin.parent().unwrap_or(pin).display()
    )]
    Pin {
        /// The pin.
        pin: PathBuf,
        /// What differs.
        field: &'static str,
        /// What the pin has.
        found: u32,
        /// What the object asks for.
        expected: u32,
    },
    /// The embedded object is not what this agent was written for.
    #[error("the embedded eBPF object has no {what} called {name}; build the agent again")]
    Object {
        /// `map` or `program`.
        what: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The embedded object cannot be read.
    #[error("the embedded eBPF object cannot be read: {0}")]
    Parse(#[from] aya_obj::ParseError),
    /// The kernel refused a map.
    #[error("the kernel does not take the maps: {0}")]
    Maps(Box<EbpfError>),
    /// The kernel refused a program.
    #[error("the kernel does not take the program {name}: {cause}")]
    Program {
        /// The program.
        name: &'static str,
        /// What it says, with the verifier's log.
        cause: Box<ProgramError>,
    },
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl Programs {
    /// Checks the pins that are there, makes those that are not, and prepares the programs.
    pub fn load(pins: &Pins, undo: &mut Undo) -> Result<Self, LoadError> {
        let object = aya_obj::Object::parse(OBJECT)?;
        let mut loader = EbpfLoader::new();
        for name in name::ALL {
            let map = object
                .maps
                .get(name)
                .ok_or(LoadError::Object { what: "map", name })?;
            let pin = pins.map(name);
            if pin.exists() {
                compare(&pin, Map::open(&pin)?.shape(), map)?;
            } else {
                undo.made(pin.clone());
            }
            loader.map_pin_path(name, pin);
        }
        let mut ebpf = loader
            .load(OBJECT)
            .map_err(|error| LoadError::Maps(Box::new(error)))?;
        super::log::follow(&mut ebpf);
        Ok(Self { ebpf })
    }

    /// An XDP program.
    pub fn xdp(&mut self, entry: Entry) -> Result<BorrowedFd<'_>, LoadError> {
        let name = match entry {
            Entry::Plain => "ingress_xdp",
            Entry::Frags => "ingress_frags",
        };
        let program: &mut Xdp = self.program(name)?;
        if program.fd().is_err() {
            program.load().map_err(refused(name))?;
        }
        let fd = program.fd().map_err(refused(name))?;
        Ok(fd.as_fd())
    }

    /// The socket lookup's program.
    pub fn steer(&mut self) -> Result<BorrowedFd<'_>, LoadError> {
        let name = "ingress_steer";
        let program: &mut SkLookup = self.program(name)?;
        if program.fd().is_err() {
            program.load().map_err(refused(name))?;
        }
        let fd = program.fd().map_err(refused(name))?;
        Ok(fd.as_fd())
    }

    fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, LoadError>
    where
        &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        let program = self.ebpf.program_mut(name).ok_or(LoadError::Object {
            what: "program",
            name,
        })?;
        program.try_into().map_err(refused(name))
    }
}

fn refused(name: &'static str) -> impl FnOnce(ProgramError) -> LoadError {
    move |cause| LoadError::Program {
        name,
        cause: Box::new(cause),
    }
}

/// The shape of the inner maps of a map of maps, as the object asks for it.
pub fn inner_shape(name: &'static str) -> Result<Shape, LoadError> {
    let object = aya_obj::Object::parse(OBJECT)?;
    let inner = object.maps.get(name).and_then(aya_obj::Map::inner);
    inner.map(|inner| expected(&inner)).ok_or(LoadError::Object {
        what: "map of maps",
        name,
    })
}

fn expected(map: &aya_obj::Map) -> Shape {
    Shape {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
        ..Shape::default()
    }
}

fn compare(pin: &std::path::Path, found: &Shape, map: &aya_obj::Map) -> Result<(), LoadError> {
    let expected = expected(map);
    let fields = [
        ("type", found.kind, expected.kind),
        ("key size", found.key_size, expected.key_size),
        ("value size", found.value_size, expected.value_size),
        ("max_entries", found.max_entries, expected.max_entries),
        ("flags", found.flags, expected.flags),
    ];
    match fields.into_iter().find(|(_, found, expected)| found != expected) {
        None => Ok(()),
        Some((field, found, expected)) => Err(LoadError::Pin {
            pin: pin.to_owned(),
            field,
            found,
            expected,
        }),
    }
}
