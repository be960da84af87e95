//! A value that may be another while requests are served.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Shared by its clones: whoever reads it finds what was set last.
#[derive(Debug)]
pub struct Setting<T>(Arc<ArcSwap<T>>);

impl<T> Setting<T> {
    /// Puts a value in the place of the one before.
    pub fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }

    /// The value now.
    pub fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }
}

impl<T> From<T> for Setting<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }
}

impl<T> Clone for Setting<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Setting<T> {
    fn default() -> Self {
        T::default().into()
    }
}
