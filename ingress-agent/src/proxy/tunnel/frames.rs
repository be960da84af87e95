//! Where a stream of WebSocket frames stands (RFC 6455 section 5.2): between two frames, or within one.

/// The longest head: two bytes, a length of eight, a mask.
const HEAD: usize = 14;

/// Close with status 1001, "going away" (RFC 6455 sections 5.5.1 and 7.4.1), as a server sends it.
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// One direction's frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have gone by.
    have: usize,
    /// Bytes until the next head.
    skip: u64,
}

impl Frames {
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= u64::try_from(skipped).unwrap_or_default();
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((first, rest)) = bytes.split_first() else {
                return;
            };
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = *first;
            }
            self.have += 1;
            bytes = rest;
            if let Some(payload) = self.payload() {
                self.skip = payload;
                self.have = 0;
            }
        }
    }

    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// The payload's length, once the head is whole.
    fn payload(&self) -> Option<u64> {
        let [_, second, long @ ..] = self.head;
        let short = second & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.have < 2 || self.have < 2 + extended + mask {
            return None;
        }
        let bytes = long.get(..extended).unwrap_or_default();
        let length = bytes
            .iter()
            .fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
        Some(if extended == 0 { u64::from(short) } else { length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_between_frames_only_after_whole_ones() {
        let mut stream = vec![0x81, 3, 1, 2, 3, 0x89, 0];
        stream.extend([0x82, 126, 1, 0]);
        stream.extend([9; 256]);
        stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend(vec![9; 65_536]);
        stream.extend([0x81, 0x82, 1, 2, 3, 4, 5, 6]);
        let ends = [5, 7, 7 + 260, 7 + 260 + 65_546, 7 + 260 + 65_546 + 8];
        let mut frames = Frames::default();
        for (index, byte) in stream.iter().enumerate() {
            frames.follow(&[*byte]);
            assert_eq!(frames.is_between(), ends.contains(&(index + 1)), "{index}");
        }
        let mut whole = Frames::default();
        whole.follow(&stream);
        assert!(whole.is_between());
    }
}
