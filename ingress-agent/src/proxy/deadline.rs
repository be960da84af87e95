//! A deadline that moves with every request and costs a timer only when it is near.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// A timer that is set again lazily: moving the deadline later touches no timer; only when the old time has
/// come is the timer set to the new one.
#[derive(Debug)]
pub(super) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
    at: Instant,
    /// The task that the timer holds a waker of, by its address; 0: none.
    wakes: usize,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self {
            sleep: Box::pin(sleep_until(at.into())),
            armed: at,
            at,
            wakes: 0,
        }
    }

    /// Moves the deadline.
    pub(super) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.armed {
            self.arm();
        }
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Handing the timer the same waker again would cost five locked operations. Nothing else has this address
        // while the timer holds the waker, which it does until it has elapsed.
        let task = cx.waker().data().addr();
        if self.wakes == task && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.wakes = 0;
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.armed >= self.at {
                return Poll::Ready(());
            }
            self.arm();
        }
        self.wakes = task;
        Poll::Pending
    }

    fn arm(&mut self) {
        self.wakes = 0;
        self.armed = self.at;
        self.sleep.as_mut().reset(self.at.into());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// The timer follows whoever polls it last.
    #[tokio::test]
    async fn it_wakes_the_last_task_that_polled() {
        let mut deadline = Deadline::new(Instant::now() + Duration::from_millis(30));
        let other = std::task::Waker::noop();
        for _ in 0..2 {
            assert!(deadline.poll(&mut Context::from_waker(other)).is_pending());
        }
        poll_fn(|cx| deadline.poll(cx)).await;
        deadline.set(Instant::now() + Duration::from_millis(30));
        poll_fn(|cx| deadline.poll(cx)).await;
    }

    #[tokio::test]
    async fn it_ends_at_the_last_deadline_set() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start + Duration::from_millis(10));
        deadline.set(start + Duration::from_millis(60));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert!(start.elapsed() >= Duration::from_millis(60));
        let again = Instant::now();
        deadline.set(again + Duration::from_secs(60));
        deadline.set(again + Duration::from_millis(10));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert!(again.elapsed() < Duration::from_secs(30));
    }
}
