//! The open connections of one worker, so that a drain can reach them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use foldhash::fast::RandomState;
use tokio::sync::Notify;

/// A worker's connections and whether it drains.
#[derive(Debug, Default)]
pub(super) struct Open {
    draining: Cell<bool>,
    tasks: RefCell<HashMap<u64, Option<Waker>, RandomState>>,
    next: Cell<u64>,
    emptied: Notify,
}

/// One connection's place among them; dropping it leaves.
#[derive(Debug)]
pub(super) struct Place {
    open: Rc<Open>,
    number: u64,
}

impl Open {
    pub(super) fn enter(self: &Rc<Self>) -> Place {
        let number = self.next.replace(self.next.get() + 1);
        self.tasks.borrow_mut().insert(number, None);
        Place {
            open: Rc::clone(self),
            number,
        }
    }

    /// Tells every connection, now and to come, to end after its current request.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        for waker in self.tasks.borrow().values().flatten() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Until no connection is open.
    pub(super) async fn empty(&self) {
        while !self.tasks.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

impl Place {
    /// Who is to be woken when a drain begins. A task's waker does not change, so this is called once.
    pub(super) fn register(&self, waker: &Waker) {
        self.open
            .tasks
            .borrow_mut()
            .insert(self.number, Some(waker.clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tasks = self.open.tasks.borrow_mut();
        tasks.remove(&self.number);
        if tasks.is_empty() {
            self.open.emptied.notify_one();
        }
    }
}

/// A worker's requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: Cell<usize>,
    ended: Cell<usize>,
}

impl Requests {
    pub(super) fn begin(&self) {
        self.open.set(self.open.get() + 1);
    }

    pub(super) fn end(&self) {
        self.open.set(self.open.get() - 1);
        self.ended.set(self.ended.get() + 1);
    }

    /// Under way now.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// Ended since the worker began.
    pub(super) fn ended(&self) -> usize {
        self.ended.get()
    }
}
