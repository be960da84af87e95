//! What a backend's endpoints are now, for requests that began when they were others.
//!
//! A request keeps the endpoints of the table that it began with. One that has waited for a pod that has gone
//! meanwhile would go on to the next that has gone: those that came instead are only here.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::proxy::router::Upstream;

/// One per backend and transport, whatever table speaks of it. Locked by a table's making and by retries.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Newest(Mutex<Weak<Upstream>>);

impl Newest {
    /// The backend in the newest table, as long as that has it.
    pub(super) fn get(&self) -> Option<Arc<Upstream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Has later retries go there.
    pub(in crate::proxy) fn set(&self, upstream: &Arc<Upstream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(upstream);
    }
}
