//! Attaching the programs by pinned links, which are replaced in place and never detached while they are wanted.
//!
//! In: the interfaces as they are, and the pins. Out: every listed interface and the namespace's socket lookup with
//! our programs. What somebody else attached is never touched.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use super::load::{Entry, LoadError, Programs};
use super::netlink::Interface;
use super::pins::{Pins, Undo};
use super::sys::{self, AttachPoint, Link, LinkInfo, SysError};

/// Why a program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Somebody else's program is there.
    #[error(
        "interface {interface} has another XDP program, number {program}{}; it is left alone. Detach it where it comes \
         from, or leave the interface out of --interface",
        name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default()
    )]
    Foreign {
        /// The interface.
        interface: String,
        /// The program's number.
        program: u32,
        /// Its name, where the kernel tells.
        name: Option<String>,
    },
    /// The driver takes neither entry.
    #[error(
        "interface {interface} does not take XDP in its driver (native mode): {plain}; and as a program for frames in \
         several buffers: {frags}. XDP outside the driver is not used instead, because it runs after GRO, whose frames \
         are too large to send on. Use another interface or a driver with native XDP, or lower the MTU of {mtu}"
    )]
    NoNative {
        /// The interface.
        interface: String,
        /// Its MTU.
        mtu: u32,
        /// The answer to the plain program.
        plain: Box<SysError>,
        /// The answer to the other one.
        frags: Box<SysError>,
    },
    /// The pins are in use in another network namespace.
    #[error(
        "the socket lookup pinned at {pin} belongs to network namespace {namespace}, not to this one; give each network \
         namespace its own --pin-dir"
    )]
    Namespace {
        /// The link's pin.
        pin: String,
        /// The namespace's inode number.
        namespace: u32,
    },
    /// A program cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// A link that was pinned before.
struct Pinned {
    name: String,
    link: Link,
    info: LinkInfo,
}

/// Refuses interfaces that have somebody else's program. Changes nothing.
pub fn refuse_foreign(pins: &Pins, interfaces: &[Interface]) -> Result<(), AttachError> {
    let pinned = pinned(pins)?;
    for interface in interfaces {
        let ours = pinned.iter().find(|pinned| pinned.info.target == interface.index);
        if let Some(program) = interface.xdp
            && ours.is_none_or(|ours| ours.info.program != program)
        {
            return Err(foreign(interface, program));
        }
    }
    Ok(())
}

/// Attaches everything.
pub fn attach(
    programs: &mut Programs,
    pins: &Pins,
    interfaces: &[Interface],
    undo: &mut Undo,
) -> Result<(), AttachError> {
    let mut pinned = pinned(pins)?;
    steer(programs, pins, undo)?;
    for interface in interfaces {
        let ours = pinned
            .iter()
            .position(|pinned| pinned.info.target == interface.index);
        match ours.map(|index| pinned.swap_remove(index)) {
            Some(ours) => replace(programs, pins, interface, &ours)?,
            None => create(programs, pins, interface, undo)?,
        }
    }
    for left in pinned.iter().filter(|left| left.info.target != 0) {
        left.link.detach()?;
        tracing::info!(
            interface = left.name,
            "XDP program detached: the interface is no longer listed"
        );
    }
    for name in pins.linked_interfaces()? {
        if !interfaces.iter().any(|interface| interface.name == name) {
            sys::remove(&pins.xdp_link(&name))?;
        }
    }
    Ok(())
}

/// Attaches to interfaces that have nothing; those that have our program are left as they are.
pub fn attach_more(
    programs: &mut Programs,
    pins: &Pins,
    interfaces: &[Interface],
    undo: &mut Undo,
) -> Result<(), AttachError> {
    for interface in interfaces
        .iter()
        .filter(|interface| interface.xdp.is_none() && interface.up)
    {
        create(programs, pins, interface, undo)?;
    }
    Ok(())
}

/// Our links, with those whose interface is gone.
fn pinned(pins: &Pins) -> Result<Vec<Pinned>, SysError> {
    let mut pinned = Vec::new();
    for name in pins.linked_interfaces()? {
        let link = Link::open(&pins.xdp_link(&name))?;
        let info = link.info()?;
        pinned.push(Pinned { name, link, info });
    }
    Ok(pinned)
}

fn replace(
    programs: &mut Programs,
    pins: &Pins,
    interface: &Interface,
    ours: &Pinned,
) -> Result<(), AttachError> {
    let entry = first_that_works(interface, |entry| Ok(ours.link.update(programs.xdp(entry)?)))?;
    if ours.name != interface.name {
        // The interface was renamed. Its old name's pin is cleared at the end, unless it is another's by now.
        ours.link.pin(&pins.xdp_link(&interface.name))?;
    }
    tracing::info!(
        interface = interface.name,
        ?entry,
        link = ours.info.id,
        "XDP program replaced in place"
    );
    Ok(())
}

fn create(
    programs: &mut Programs,
    pins: &Pins,
    interface: &Interface,
    undo: &mut Undo,
) -> Result<(), AttachError> {
    let mut made = None;
    let entry = first_that_works(interface, |entry| {
        let point = AttachPoint::Interface(interface.index);
        Ok(Link::create(programs.xdp(entry)?, point).map(|link| made = Some(link)))
    })?;
    if let Some(link) = made {
        let pin = pins.xdp_link(&interface.name);
        link.pin(&pin)?;
        undo.made(pin);
    }
    tracing::info!(interface = interface.name, ?entry, "XDP program attached");
    Ok(())
}

/// Tries both entries on an interface.
fn first_that_works(
    interface: &Interface,
    mut attempt: impl FnMut(Entry) -> Result<Result<(), SysError>, LoadError>,
) -> Result<Entry, AttachError> {
    let Err(plain) = attempt(Entry::Plain)? else {
        return Ok(Entry::Plain);
    };
    if matches!(plain.errno(), Some(libc::EBUSY | libc::EEXIST)) {
        return Err(foreign(interface, interface.xdp.unwrap_or_default()));
    }
    let Err(frags) = attempt(Entry::Frags)? else {
        return Ok(Entry::Frags);
    };
    Err(AttachError::NoNative {
        interface: interface.name.clone(),
        mtu: interface.mtu,
        plain: Box::new(plain),
        frags: Box::new(frags),
    })
}

fn foreign(interface: &Interface, program: u32) -> AttachError {
    AttachError::Foreign {
        interface: interface.name.clone(),
        program,
        name: sys::program_name(program),
    }
}

fn steer(programs: &mut Programs, pins: &Pins, undo: &mut Undo) -> Result<(), AttachError> {
    let path = "/proc/thread-self/ns/net";
    let namespace = File::open(path).map_err(SysError::new("open", path))?;
    let inode = namespace.metadata().map_err(SysError::new("fstat", path))?.ino();
    let pin = pins.steer_link();
    if pin.is_symlink() || pin.exists() {
        let link = Link::open(&pin)?;
        let info = link.info()?;
        if u64::from(info.target) == inode {
            link.update(programs.steer()?)?;
            return Ok(());
        }
        if info.target != 0 {
            return Err(AttachError::Namespace {
                pin: pin.display().to_string(),
                namespace: info.target,
            });
        }
        sys::remove(&pin)?;
    }
    let link = Link::create(programs.steer()?, AttachPoint::Namespace(namespace.as_fd()))?;
    link.pin(&pin)?;
    undo.made(pin);
    Ok(())
}
