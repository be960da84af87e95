//! The deadline of a head that comes in pieces (spec SL-1): from its first byte, whatever else is under way.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::proxy::client::Client;

/// The heads of a connection.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) client: Rc<Client>,
    /// What was waited for before the one under way.
    before: Option<Instant>,
}

impl Heads {
    pub(super) fn new(client: Rc<Client>) -> Self {
        Self { client, before: None }
    }

    /// A part of a head has come. The first head's deadline runs from the handshake.
    pub(super) fn begins(&mut self, now: Instant) {
        let watch = &self.client.watch;
        if !watch.head_begun() {
            self.before = watch.deadline();
        }
        watch.set_head_begun(true);
        if self.client.asked() > 0 {
            watch.expect_within(now, self.client.worker.options.head);
        }
    }

    /// The rest has come. It may be no request, so that what was waited for before is again.
    pub(super) fn ends(&mut self, now: Instant) {
        let watch = &self.client.watch;
        watch.set_head_begun(false);
        match self.before.take() {
            _ if self.client.is_asking() => watch.expect_nothing(),
            Some(due) => watch.expect_within(due, Duration::ZERO),
            None => self.client.becomes_idle(now),
        }
    }
}
