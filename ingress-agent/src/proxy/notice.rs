//! The word that a worker has ended.

use tokio::sync::watch as latest;

use super::Ended;

/// Tells when a worker's thread ends, also when it panics.
pub(super) struct Notice {
    worker: usize,
    tell: latest::Sender<Option<Ended>>,
    drained: bool,
}

impl Notice {
    pub(super) fn new(worker: usize, tell: latest::Sender<Option<Ended>>) -> Self {
        Self {
            worker,
            tell,
            drained: false,
        }
    }

    pub(super) fn watch(mut self, work: impl FnOnce() -> Result<(), String>) {
        match work() {
            Ok(()) => self.drained = true,
            Err(reason) => self.tell(&reason),
        }
    }

    fn tell(&mut self, reason: &str) {
        self.drained = true;
        let ended = Ended {
            worker: self.worker,
            reason: reason.into(),
        };
        // The receiver lives as long as the proxy; without it nobody needs to know.
        _ = self.tell.send(Some(ended));
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        if !self.drained {
            self.tell("it panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn told(work: impl FnOnce() -> Result<(), String> + Send + 'static) -> Option<Ended> {
        let (tell, told) = latest::channel(None);
        let notice = Notice::new(3, tell);
        // A panic is the thread's result, and expected.
        _ = thread::spawn(move || notice.watch(work)).join();
        told.borrow().clone()
    }

    #[test]
    fn a_worker_that_ends_is_told_unless_it_was_drained() {
        assert!(told(|| Ok(())).is_none());
        let ended = told(|| Err("no runtime".to_owned())).unwrap();
        assert_eq!(ended.to_string(), "worker 3 ended: no runtime");
        let ended = told(|| panic!("on purpose")).unwrap();
        assert_eq!(ended.to_string(), "worker 3 ended: it panicked");
    }
}
