//! The Internet checksum: RFC 1071, and its update in place, RFC 1624.
//!
//! All sums are of words as they lie in memory: the sum does not depend on the byte order
//! (RFC 1071 section 2 (B)), so nothing is swapped. A payload is never summed.

use ingress_common::{Be16, Be32};

/// A one's-complement sum that is still being added up. Room for more words than a header has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// A sum of nothing.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Continues a sum that was folded before.
    #[inline(always)]
    pub const fn from_folded(sum: u16) -> Self {
        Self(sum as u64)
    }

    /// Adds a 16-bit word.
    #[inline(always)]
    pub const fn add16(self, word: Be16) -> Self {
        Self(self.0 + word.to_wire() as u64)
    }

    /// Adds two 16-bit words.
    #[inline(always)]
    pub const fn add32(self, words: Be32) -> Self {
        Self(self.0 + words.to_wire() as u64)
    }

    /// Adds an IPv6 address.
    #[inline(always)]
    pub const fn add128(self, words: [Be32; 4]) -> Self {
        let [a, b, c, d] = words;
        self.add32(a).add32(b).add32(c).add32(d)
    }

    /// Adds another sum.
    #[inline(always)]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The sum in 16 bits.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the carries were added back until none is left"
    )]
    pub const fn fold(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        (sum + (sum >> 16)) as u16
    }

    /// What is to be added to this sum for a sum of zero.
    #[inline(always)]
    pub const fn negate(self) -> Self {
        Self(!self.fold() as u64)
    }

    /// The checksum field: the complement of the sum.
    #[inline(always)]
    pub const fn checksum(self) -> Be16 {
        Be16::from_wire(!self.fold())
    }

    /// The checksum field of UDP, where zero would mean that there is none (RFC 768).
    #[inline(always)]
    pub const fn udp_checksum(self) -> Be16 {
        match self.checksum().to_wire() {
            0 => Be16::from_wire(0xffff),
            sum => Be16::from_wire(sum),
        }
    }
}

/// A checksum field after a word of what it covers has become less by `amount`.
///
/// This is RFC 1624 section 3, equation 3, `~(~checksum + ~old + new)`: there `~old + new` is `~amount`, and the
/// complement of a sum of complements is the sum itself, with the carry added back for 0xffff as well.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the carry was added back, and there is no second one"
)]
pub const fn lessen(checksum: Be16, amount: Be16) -> Be16 {
    let sum = checksum.to_wire() as u32 + amount.to_wire() as u32;
    Be16::from_wire((sum + ((sum + 1) >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_example_of_rfc_1071() {
        // Section 3: 00 01 f2 03 f4 f5 f6 f7 sums to 2ddf0, folded ddf2.
        let sum = Sum::new().add16(Be16::new(0x0001)).add16(Be16::new(0xf203));
        let sum = sum.add32(Be32::new(0xf4f5_f6f7));
        assert_eq!(Be16::from_wire(sum.fold()).get(), 0xddf2);
        assert_eq!(sum.checksum().get(), 0x220d);
    }

    #[test]
    fn updates_the_example_of_rfc_1624() {
        // Section 4: the checksum DD2F, a word 5555 that becomes 3285, gives 0000 and not FFFF.
        let updated = lessen(Be16::new(0xdd2f), Be16::new(0x5555 - 0x3285));
        assert_eq!(updated.get(), 0x0000);
    }

    #[test]
    fn lessens_every_checksum_as_equation_3_of_rfc_1624_does() {
        for checksum in (0..=u16::MAX).map(Be16::from_wire) {
            let equation = Sum::from_folded(!checksum.to_wire())
                .add16(Be16::new(!0x4006))
                .add16(Be16::new(0x3f06))
                .checksum();
            assert_eq!(lessen(checksum, Be16::new(0x0100)), equation);
        }
    }

    #[test]
    fn folds_what_is_longest() {
        assert_eq!(Sum(u64::MAX >> 8).fold(), 0x00ff);
        assert_eq!(Sum(0xffff_ffff_0000_0001).fold(), 1);
        assert_eq!(Sum(0x0001_ffff_ffff).fold(), 1);
    }

    #[test]
    fn a_sum_and_its_negation_are_zero() {
        let sum = Sum::new().add32(Be32::new(0x1234_5678));
        assert_eq!(sum.add(sum.negate()).checksum().get(), 0);
        assert_eq!(sum.add(sum.negate()).udp_checksum().get(), 0xffff);
    }
}
