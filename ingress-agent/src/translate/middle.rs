//! Where two lists differ.

use std::ops::Range;

/// What is left of each of two lists between what both begin with and what both end with. One edit of a long
/// list leaves one element, and costs a comparison for each of the others.
pub(super) fn middle<A, B>(
    last: &[A],
    now: &[B],
    same: impl Fn(&A, &B) -> bool,
) -> (Range<usize>, Range<usize>) {
    let alike = |(last, now): &(&A, &B)| same(last, now);
    let begin = last.iter().zip(now).take_while(alike).count();
    let rest = last.iter().skip(begin).rev().zip(now.iter().skip(begin).rev());
    let end = rest.take_while(alike).count();
    (begin..last.len() - end, begin..now.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_that_are_alike_are_left_out() {
        for (last, now, expected) in [
            ("", "", (0..0, 0..0)),
            ("abc", "abc", (3..3, 3..3)),
            ("abc", "axc", (1..2, 1..2)),
            ("abc", "abxc", (2..2, 2..3)),
            ("abc", "ac", (1..2, 1..1)),
            ("aa", "a", (1..2, 1..1)),
            ("abcd", "xbcy", (0..4, 0..4)),
            ("", "ab", (0..0, 0..2)),
        ] {
            let middle = middle(last.as_bytes(), now.as_bytes(), |a, b| a == b);
            assert_eq!(middle, expected, "{last} {now}");
        }
    }
}
