//! Where threads of the request path are started from.
//!
//! A thread begins with the priority of the one that starts it, and a process without privilege cannot raise it
//! again. The control thread gives way to the request path, so it starts none of its threads itself.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A thread with the priority that the process was given.
#[derive(Debug)]
pub(super) struct Starter(Sender<Job>);

impl Starter {
    /// To be had before the control thread gives way.
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, received) = channel::<Job>();
        thread::Builder::new().name("starter".into()).spawn(move || {
            for job in received {
                job();
            }
        })?;
        Ok(Self(jobs))
    }

    /// What `start` gives, called on that thread.
    pub(super) async fn start<T: Send + 'static>(
        &self,
        start: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (give, given) = oneshot::channel();
        let job = Box::new(move || {
            // Who asked may have gone.
            give.send(start()).ok();
        });
        let gone = || io::Error::other("the thread that starts others has ended");
        self.0.send(job).map_err(|_| gone())?;
        given.await.map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpriority_process, setpriority_process};
    use rustix::thread::gettid;

    /// Each test has a thread of its own, whose priority it may lower.
    #[tokio::test]
    async fn what_it_starts_does_not_give_way() {
        let starter = Starter::new().unwrap();
        let own = || getpriority_process(Some(gettid())).unwrap();
        let before = own();
        setpriority_process(Some(gettid()), before + 1).unwrap();
        let started = move || thread::spawn(own).join().unwrap();
        assert_eq!((own(), started()), (before + 1, before + 1));
        assert_eq!(starter.start(started).await.unwrap(), before);
    }
}
