//! How many retries a backend may have at once, so that its pods' bad hour is not made worse.
//!
//! Retries of what no pod has seen cost nothing. What the budget does not allow at once waits for its turn: many
//! requests that fail in the same moment, as when a pod falls silent, are tried again one after the other.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Retries that are always allowed at once.
const AT_LEAST: u32 = 10;
/// And the part of the requests under way that may be retries: one of this many.
const ONE_OF: u32 = 5;
/// How long a retry waits for its turn before the failure is the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A backend's retries under way.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Budget {
    retrying: AtomicU32,
    freed: Notify,
}

/// A retry that is allowed, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket<'a>(&'a Budget);

/// Retries that are allowed at once beside `active` requests.
fn limit(active: u32) -> u32 {
    AT_LEAST.max(active / ONE_OF)
}

impl Budget {
    /// A ticket, if it can be had in time. `active`: the requests under way at the backend.
    pub(super) async fn ticket(&self, active: impl Fn() -> u32) -> Option<Ticket<'_>> {
        if let Some(ticket) = self.try_ticket(active()) {
            return Some(ticket);
        }
        let wait = async {
            loop {
                self.freed.notified().await;
                if let Some(ticket) = self.try_ticket(active()) {
                    return ticket;
                }
            }
        };
        timeout(PATIENCE, wait).await.ok()
    }

    fn try_ticket(&self, active: u32) -> Option<Ticket<'_>> {
        let limit = limit(active);
        let take = |retrying| (retrying < limit).then_some(retrying + 1);
        self.retrying
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some(Ticket(self))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
        // Without a waiter this leaves a permit, so that who failed to get a ticket just now does not wait for
        // the next one.
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fifth_and_at_least_ten(active in 0u32..10_000) {
            let budget = Budget::default();
            let tickets: Vec<_> = std::iter::from_fn(|| budget.try_ticket(active)).collect();
            prop_assert_eq!(tickets.len(), (active as usize / 5).max(10));
            drop(tickets);
            prop_assert_eq!(budget.retrying.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn what_is_too_much_waits_its_turn_and_not_for_ever() {
        let budget = Budget::default();
        let mut tickets = Vec::new();
        for _ in 0..10 {
            tickets.push(budget.ticket(|| 0).await.unwrap());
        }
        let (freed, waited) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                tickets.pop();
            },
            budget.ticket(|| 0)
        );
        assert!(waited.is_some(), "{freed:?}");
        let before = tokio::time::Instant::now();
        assert!(budget.ticket(|| 0).await.is_none());
        assert!(before.elapsed() >= PATIENCE);
        assert!(budget.ticket(|| 1000).await.is_some());
    }
}
