//! The link layer: the Ethernet header and up to two VLAN tags.
//!
//! What is sent goes out with the tags that came in: the node it goes to is expected in the same VLAN, since
//! it is behind the same interface.

use ingress_common::Be16;

use crate::Cursor;
use crate::header::{EthHeader, Macs, VlanTag, ethertype, length_of};

/// What stands before the IP header of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    /// Its bytes: 14, 18 or 22.
    pub(crate) length: u16,
    /// What follows it.
    pub(crate) ethertype: Be16,
}

/// The VLAN tags of a frame, each with the type number that announces it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tags {
    /// No tag.
    None,
    /// One tag.
    One(u32),
    /// Two tags.
    Two([u32; 2]),
}

impl Link {
    const TAG: u16 = length_of::<VlanTag>();
    const BARE: u16 = length_of::<EthHeader>();

    /// Reads up to the IP header. `None`: the frame ends before.
    #[inline(always)]
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut link = Self {
            length: Self::BARE,
            ethertype: cursor.read::<EthHeader>()?.ethertype,
        };
        for _ in 0..2 {
            if link.ethertype != ethertype::VLAN && link.ethertype != ethertype::SERVICE_VLAN {
                break;
            }
            link.ethertype = cursor.read::<VlanTag>()?.ethertype;
            link.length += Self::TAG;
        }
        Some(link)
    }

    /// The tags of the frame that starts at `cursor`.
    #[inline(always)]
    pub(crate) fn tags(self, cursor: &mut Cursor<'_>) -> Option<Tags> {
        if self.length == Self::BARE {
            return Some(Tags::None);
        }
        cursor.take::<Macs>()?;
        if self.length == Self::BARE + Self::TAG {
            return cursor.read().map(Tags::One);
        }
        cursor.read().map(Tags::Two)
    }
}

impl Tags {
    /// Writes a link layer with these tags.
    #[inline(always)]
    pub(crate) fn write(self, cursor: &mut Cursor<'_>, eth: EthHeader) -> Option<()> {
        match self {
            Self::None => cursor.write(eth),
            Self::One(tag) => {
                cursor.write(eth.macs)?;
                cursor.write(tag)?;
                cursor.write(eth.ethertype)
            }
            Self::Two(tags) => {
                cursor.write(eth.macs)?;
                cursor.write(tags)?;
                cursor.write(eth.ethertype)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(bytes: &mut [u8]) -> Option<Link> {
        Link::parse(&mut Cursor::new(bytes))
    }

    #[test]
    fn reads_two_tags_and_no_third() {
        let mut frame = [0_u8; 26];
        for tags in 0..4_usize {
            for tag in 0..3 {
                frame[12 + 4 * tag..14 + 4 * tag].copy_from_slice(&[0x81, 0]);
            }
            frame[12 + 4 * tags..][..2].copy_from_slice(if tags < 3 { &[0x08, 0] } else { &[0, 0] });
            let found = link(&mut frame).unwrap();
            assert_eq!(usize::from(found.length), 14 + 4 * tags.min(2));
            assert_eq!(
                found.ethertype,
                if tags < 3 {
                    ethertype::IPV4
                } else {
                    ethertype::VLAN
                }
            );
        }
    }

    #[test]
    fn ends_with_the_frame() {
        let mut frame = [0_u8; 18];
        frame[12] = 0x81;
        for length in 0..18 {
            assert_eq!(link(&mut frame[..length]), None);
        }
        assert!(link(&mut frame).is_some());
    }

    #[test]
    fn tags_come_back_as_they_were() {
        let mut frame: [u8; 24] = core::array::from_fn(|index| u8::try_from(index).unwrap());
        let eth = EthHeader {
            macs: bytemuck::cast([[1_u8; 6], [2; 6]]),
            ethertype: ethertype::IPV6,
        };
        for length in [14, 18, 22] {
            let before = frame;
            let link = Link {
                length,
                ethertype: ethertype::IPV4,
            };
            let tags = link.tags(&mut Cursor::new(&mut frame)).unwrap();
            tags.write(&mut Cursor::new(&mut frame), eth).unwrap();
            let end = usize::from(length);
            assert_eq!(frame[..12], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
            assert_eq!(frame[12..end - 2], before[12..end - 2]);
            assert_eq!(frame[end - 2..end], [0x86, 0xdd]);
            assert_eq!(frame[end..], before[end..]);
        }
    }
}
