//! The TLS handshakes of one worker that have begun and not ended.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;

/// In the order of their beginning.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Handshaking {
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, Rc<Notify>>>,
}

/// One handshake; dropping it ends it.
#[derive(Debug)]
pub(in crate::proxy) struct Handshake<'a> {
    all: &'a Handshaking,
    number: u64,
    displaced: Rc<Notify>,
}

impl Handshaking {
    /// Begins one. With `cap` (0: none) under way, the one that has taken longest ends for it.
    pub(in crate::proxy) fn begin(&self, cap: usize) -> Handshake<'_> {
        let mut open = self.open.borrow_mut();
        if cap > 0
            && open.len() >= cap
            && let Some((_, oldest)) = open.pop_first()
        {
            oldest.notify_one();
        }
        let number = self.next.replace(self.next.get() + 1);
        let displaced = Rc::new(Notify::new());
        open.insert(number, Rc::clone(&displaced));
        Handshake {
            all: self,
            number,
            displaced,
        }
    }
}

impl Handshake<'_> {
    /// When it is to end for another.
    pub(in crate::proxy) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.all.open.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let all = Handshaking::default();
        let displaced = |handshake: &Handshake<'_>| handshake.displaced().now_or_never().is_some();
        let (first, second) = (all.begin(2), all.begin(2));
        assert!(!displaced(&first) && !displaced(&second));
        let third = all.begin(2);
        assert!(displaced(&first) && !displaced(&second));
        drop(second);
        let fourth = all.begin(2);
        assert!(!displaced(&third) && !displaced(&fourth));
        drop((first, third, fourth));
        assert!(all.open.borrow().is_empty());
    }
}
