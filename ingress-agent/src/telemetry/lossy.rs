//! A log that never makes anybody wait: a bounded queue before a file descriptor. What finds it full is dropped and
//! counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait.
const QUEUE: usize = 8192;
/// How many bytes are gathered for one write.
const BATCH: usize = 64 * 1024;

/// The way into the queue. One write is one line or several, and is dropped as a whole.
#[derive(Clone, Debug)]
pub(super) struct Lossy {
    queue: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Lossy {
    /// Starts the thread that writes. `dropped` counts what is lost.
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
        dropped: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicU64::new(0));
        let (pending, lost) = (Arc::clone(&waiting), Arc::clone(dropped));
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_out(&lines, out, &pending, &lost))?;
        Ok(Self {
            queue,
            waiting,
            dropped: Arc::clone(dropped),
        })
    }

    /// Waits until what was queued is written, at most this long.
    pub(super) fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.waiting.load(Acquire) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.fetch_add(1, AcqRel);
        if self.queue.try_send(bytes.to_vec()).is_err() {
            self.waiting.fetch_sub(1, AcqRel);
            self.dropped.fetch_add(1, Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(lines: &Receiver<Vec<u8>>, mut out: impl Write, waiting: &AtomicU64, dropped: &AtomicU64) {
    while let Ok(mut batch) = lines.recv() {
        let mut count = 1;
        while batch.len() < BATCH
            && let Ok(line) = lines.try_recv()
        {
            batch.extend(line);
            count += 1;
        }
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            // Nobody reads any more, or the disk is full: there is nowhere to tell it but the counter.
            dropped.fetch_add(count, Relaxed);
        }
        waiting.fetch_sub(count, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_full_pipe_delays_nobody_and_what_is_lost_is_counted() {
        let (mut read, write) = io::pipe().unwrap();
        let dropped = Arc::new(AtomicU64::new(0));
        let mut log = Lossy::start("test-log", write, &dropped).unwrap();
        let line = [b'x'; 1000];
        let sent = 20_000_u64;
        let begin = Instant::now();
        for _ in 0..sent {
            log.write_all(&line).unwrap();
        }
        assert!(begin.elapsed() < Duration::from_secs(5));
        let lost = dropped.load(Relaxed);
        assert!(lost > 0 && lost < sent, "{lost}");
        let expected = usize::try_from(sent - lost).unwrap() * line.len();
        let mut bytes = vec![0; expected];
        read.read_exact(&mut bytes).unwrap();
        Lossy::flush(&log, Duration::from_secs(5));
        // And nobody there at all.
        drop(read);
        log.write_all(&line).unwrap();
        Lossy::flush(&log, Duration::from_secs(5));
        assert_eq!(dropped.load(Relaxed), lost + 1);
    }
}
