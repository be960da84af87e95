//! The open connections of one worker, so that a drain can reach them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use foldhash::fast::RandomState;
use tokio::sync::{Notify, watch};

use super::watch::Watch;

/// One connection of so many ends, when there are nearly as many as there may be.
const EVICTED: usize = 256;

/// A worker's connections and whether it drains.
#[derive(Debug, Default)]
pub(super) struct Open {
    draining: Cell<bool>,
    tasks: RefCell<HashMap<u64, Option<Task>, RandomState>>,
    next: Cell<u64>,
    emptied: Notify,
    farewell: watch::Sender<bool>,
}

#[derive(Debug)]
struct Task {
    waker: Waker,
    watch: Arc<Watch>,
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
        for task in self.tasks.borrow().values().flatten() {
            task.waker.wake_by_ref();
        }
    }

    /// Tells those connections to end that have been idle for longest, a few at once, since it looks at all of
    /// them. How many it told.
    pub(super) fn evict_idle(&self) -> u64 {
        let tasks = self.tasks.borrow();
        let idle = tasks.values().flatten();
        let mut idle: Vec<_> = idle
            .filter_map(|task| Some((task.watch.idle_until()?, task)))
            .collect();
        let count = idle.len().min(1 + tasks.len() / EVICTED);
        idle.sort_unstable_by_key(|(until, _)| *until);
        for (_, task) in idle.iter().take(count) {
            task.watch.evict();
            task.waker.wake_by_ref();
        }
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Tells those connections to notice their client's end that have left it unnoticed until now. Called now and then.
    pub(super) fn listen(&self) {
        for task in self.tasks.borrow().values().flatten() {
            if task.watch.listen() {
                task.waker.wake_by_ref();
            }
        }
    }

    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Where a tunnel hears that the drain's time is up.
    pub(super) fn farewell(&self) -> watch::Receiver<bool> {
        self.farewell.subscribe()
    }

    /// Tells every tunnel that it ends, until each has passed it on.
    pub(super) async fn bid_farewell(&self) {
        self.farewell.send_replace(true);
        self.farewell.closed().await;
    }

    /// Until no connection is open.
    pub(super) async fn empty(&self) {
        while !self.tasks.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

impl Place {
    /// Who is to be woken when a drain begins, or when the connection is to make room. A task's waker does not change, so this is called once.
    pub(super) fn register(&self, waker: &Waker, watch: &Arc<Watch>) {
        let task = Task {
            waker: waker.clone(),
            watch: Arc::clone(watch),
        };
        self.open.tasks.borrow_mut().insert(self.number, Some(task));
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
