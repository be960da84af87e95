//! A write that waits for its client, judged by what the client acknowledges.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use libc::{TIOCOUTQ, c_int, ioctl};

/// What a client is to take within its limit, as of a stream of HTTP/2.
const LEAST: usize = 16 * 1024;
/// Looks within a limit.
const LOOKS: u32 = 4;

/// Since when a client has taken too little.
#[derive(Debug)]
pub(super) struct Stall {
    since: Instant,
    /// What was unacknowledged then.
    left: usize,
    looked: Instant,
}

impl Stall {
    /// A write finds no room at `now`, with `left` bytes before it.
    pub(super) fn begin(now: Instant, left: usize) -> Self {
        Self {
            since: now,
            left,
            looked: now,
        }
    }

    /// When to look again.
    pub(super) fn due(&self, limit: Duration) -> Instant {
        (self.since + limit).min(self.looked + limit / LOOKS)
    }

    /// Whether the client has taken too little for `limit`, with `left` bytes unacknowledged at `now`.
    pub(super) fn is_over(&mut self, now: Instant, left: usize, limit: Duration) -> bool {
        self.looked = now;
        if self.left.saturating_sub(left) >= LEAST {
            (self.since, self.left) = (now, left);
        }
        now - self.since >= limit
    }
}

/// Bytes that were written to a socket and are not acknowledged by its peer (tcp(7), `SIOCOUTQ`).
pub(super) fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    let mut bytes: c_int = 0;
    // SAFETY: the borrowed descriptor is open for the call, and `TIOCOUTQ`, which is `SIOCOUTQ`, writes one int there.
    let outcome = unsafe { ioctl(socket.as_fd().as_raw_fd(), TIOCOUTQ, &raw mut bytes) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn who_takes_nothing_is_given_up_at_the_limit() {
        let start = Instant::now();
        let mut stall = Stall::begin(start, 100_000);
        let mut now = start;
        for _ in 0..3 {
            now = stall.due(LIMIT);
            assert!(!stall.is_over(now, 100_000, LIMIT));
        }
        assert_eq!(now - start, LIMIT * 3 / 4);
        assert_eq!(stall.due(LIMIT), start + LIMIT);
        assert!(stall.is_over(start + LIMIT, 100_000, LIMIT));
    }

    #[test]
    fn slow_is_let_be_and_byte_by_byte_is_not() {
        // Bytes a second.
        for (rate, honest) in [(2048, true), (600, true), (100, false), (1, false)] {
            let start = Instant::now();
            let whole = 4 << 20;
            let mut stall = Stall::begin(start, whole);
            let mut over = false;
            while !over && stall.looked - start < LIMIT * 10 {
                let now = stall.due(LIMIT);
                let taken = usize::try_from((now - start).as_secs()).unwrap() * rate;
                over = stall.is_over(now, whole - taken, LIMIT);
            }
            assert_eq!(over, !honest, "{rate}");
            assert!(!over || stall.looked - start <= LIMIT * 2);
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&server).unwrap(), 0);
        server.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = server.write(&[0; 65_536]) {
            written += count;
        }
        let left = unacknowledged(&server).unwrap();
        assert!(0 < left && left <= written);
        client.read_exact(&mut vec![0; written]).unwrap();
        while unacknowledged(&server).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}
