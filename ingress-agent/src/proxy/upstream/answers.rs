//! Whether an endpoint answers anybody: what one request's failure says of it depends on the others.
//!
//! A pod that takes too long over one request while it answers others is slow there and not out of order; so is
//! one whose handler of one path breaks the connection off. Out of order is who answered nobody all that time.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Connections that end in a row without an answer to the request they were made for, before the endpoint is
/// held to be out of order. Each costs its request a retry and no time.
const LOSSES: u32 = 3;

/// How often an endpoint has answered. Two workers that count at once may count one: what matters is whether
/// there were any.
#[derive(Debug, Default)]
pub(super) struct Answers {
    count: AtomicU32,
    /// The count at the last lost connection, and how many were lost at it.
    lost_at: AtomicU32,
    lost: AtomicU32,
}

/// A count, to be compared with a later one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen(u32);

impl Answers {
    /// The head of an answer has come.
    pub(super) fn add(&self) {
        self.count
            .store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// What has come until now.
    pub(super) fn seen(&self) -> Seen {
        Seen(self.count.load(Relaxed))
    }

    /// A connection was lost. Whether there were enough of them, and no answer between.
    pub(super) fn lose(&self) -> bool {
        let Seen(count) = self.seen();
        let again = self.lost_at.swap(count, Relaxed) == count;
        let lost = if again { self.lost.load(Relaxed) + 1 } else { 1 };
        // It stops there, so that it never overflows.
        self.lost.store(lost.min(LOSSES), Relaxed);
        lost >= LOSSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_between_two_losses_excuses_the_first() {
        let answers = Answers::default();
        let lose = || answers.lose();
        assert_eq!([lose(), lose(), lose(), lose()], [false, false, true, true]);
        let before = answers.seen();
        answers.add();
        assert_ne!(answers.seen(), before);
        assert_eq!([lose(), lose()], [false, false]);
        answers.add();
        assert_eq!([lose(), lose(), lose()], [false, false, true]);
    }
}
