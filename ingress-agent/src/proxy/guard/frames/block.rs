//! A header block on its way: HEADERS and its CONTINUATIONs (RFC 9113 section 4.3), to the last byte of the frame
//! that ends it.

use super::{Event, FrameHead, HEADERS};

const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where a client is in its header blocks.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Whether one has begun, as far as the frames' heads tell.
    open: bool,
    /// Whether it ends with the payload of the last frame.
    ends: bool,
    /// Whether it began since [`Block::change`] was asked.
    is_new: bool,
    /// Whether its begin was told.
    told: bool,
}

impl Block {
    /// A frame begins. What h2 makes of one that has no place here is no matter.
    pub(super) fn frame(&mut self, head: FrameHead) {
        self.open = match head.kind {
            HEADERS => true,
            CONTINUATION => self.open,
            _ => false,
        };
        self.is_new |= head.kind == HEADERS;
        self.ends = head.flags & END_HEADERS != 0;
    }

    /// What has changed with the bytes that came, at whose end a payload is complete or not. A block that came
    /// whole changes nothing; a new one after another is told as such.
    pub(super) fn change(&mut self, complete: bool) -> Option<Event> {
        self.open &= !(self.ends && complete);
        let is_new = std::mem::take(&mut self.is_new);
        let was_told = std::mem::replace(&mut self.told, self.open);
        match (self.open, was_told) {
            (true, _) if is_new => Some(Event::HeadBegins),
            (false, true) => Some(Event::HeadEnds),
            (true | false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: u8 = 0;

    /// The frames whose heads have come, and whether the last one's payload has.
    fn changes(reads: &[(&[(u8, u8)], bool)]) -> Vec<Option<Event>> {
        let mut block = Block::default();
        let change = |(frames, complete): &(&[(u8, u8)], bool)| {
            for &(kind, flags) in *frames {
                block.frame(FrameHead {
                    length: 9,
                    kind,
                    flags,
                    stream: 1,
                });
            }
            block.change(*complete)
        };
        reads.iter().map(change).collect()
    }

    #[test]
    fn what_comes_whole_is_not_told() {
        let whole: &[(u8, u8)] = &[(HEADERS, END_HEADERS), (DATA, 0)];
        assert_eq!(changes(&[(whole, true), (&[(DATA, 0)], false)]), [None, None]);
        let continued: &[(u8, u8)] = &[(HEADERS, 0), (CONTINUATION, 0), (CONTINUATION, END_HEADERS)];
        assert_eq!(changes(&[(continued, true), (&[], true)]), [None, None]);
    }

    #[test]
    fn a_block_lasts_to_the_last_byte_of_its_last_frame() {
        use Event::{HeadBegins, HeadEnds};
        let reads: &[(&[(u8, u8)], bool)] = &[
            (&[(HEADERS, 0)], false),
            (&[], true),
            (&[(CONTINUATION, 0)], true),
            (&[(CONTINUATION, END_HEADERS)], false),
            (&[], true),
            (&[(DATA, 0)], false),
        ];
        let expected = [Some(HeadBegins), None, None, None, Some(HeadEnds), None];
        assert_eq!(changes(reads), expected);
    }

    #[test]
    fn the_next_one_begins_anew() {
        use Event::{HeadBegins, HeadEnds};
        let reads: &[(&[(u8, u8)], bool)] = &[
            (&[(HEADERS, END_HEADERS)], false),
            (&[(HEADERS, END_HEADERS)], false),
            (&[(DATA, 0)], false),
        ];
        assert_eq!(
            changes(reads),
            [Some(HeadBegins), Some(HeadBegins), Some(HeadEnds)]
        );
    }
}
