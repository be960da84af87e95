//! How many frames of each kind a client may send beyond its requests.

use std::time::Instant;

const DATA: u8 = 0;
const END_STREAM: u8 = 1;
/// Bytes of an answer that buy a frame: a client opens its window as it reads, and may measure it by PINGs.
const PRICE: u64 = 1024;
/// Frames that a request buys: browsers say its priority, and change their mind.
const PER_REQUEST: u64 = 2;

/// Frames that cost an attacker nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A body's piece of no byte or of one.
    TinyData,
    Priority,
    Settings,
    Ping,
    WindowUpdate,
    /// Of a type that HTTP/2 does not know: to be ignored, which is work too.
    Unknown,
}

impl Kind {
    /// Of a frame's type (RFC 9113 section 6); `None`: counted elsewhere.
    pub(super) fn of(kind: u8, flags: u8, length: usize) -> Option<Self> {
        match kind {
            DATA => (length <= 1 && flags & END_STREAM == 0).then_some(Self::TinyData),
            2 => Some(Self::Priority),
            4 => Some(Self::Settings),
            6 => Some(Self::Ping),
            8 => Some(Self::WindowUpdate),
            // HEADERS, RST_STREAM, PUSH_PROMISE, GOAWAY, CONTINUATION.
            1 | 3 | 5 | 7 | 9 => None,
            _ => Some(Self::Unknown),
        }
    }

    fn limit(self) -> Limit {
        let limit = |burst, per_second, bought| Limit {
            burst,
            per_second,
            bought,
        };
        match self {
            Self::TinyData => limit(100, 10, false),
            Self::Priority | Self::Unknown => limit(100, 10, true),
            // For the connection's life.
            Self::Settings => limit(20, 0, false),
            Self::Ping => limit(100, 10, true),
            Self::WindowUpdate => limit(1_000, 100, true),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    burst: u64,
    per_second: u64,
    /// Whether requests and answers allow more.
    bought: bool,
}

/// What one connection may still send.
#[derive(Debug)]
pub(super) struct Allowances {
    kinds: [Bucket; 6],
    requests: u64,
    written: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    spent: u64,
    filled: Instant,
    /// What had been bought by then.
    bought: u64,
}

impl Allowances {
    pub(super) fn new() -> Self {
        let bucket = Bucket {
            spent: 0,
            filled: Instant::now(),
            bought: 0,
        };
        Self {
            kinds: [bucket; 6],
            requests: 0,
            written: 0,
        }
    }

    pub(super) fn request(&mut self) {
        self.requests += 1;
    }

    pub(super) fn answer(&mut self, bytes: usize) {
        self.written = self
            .written
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// A frame has come. The time is looked at only when a bucket is empty.
    pub(super) fn take(&mut self, kind: Kind) -> Result<(), ()> {
        let limit = kind.limit();
        let bought = if limit.bought {
            PER_REQUEST * self.requests + self.written / PRICE
        } else {
            0
        };
        let Some(bucket) = self.kinds.get_mut(kind as usize) else {
            return Ok(());
        };
        if bucket.spent >= limit.burst {
            bucket.fill(limit, bought, Instant::now());
        }
        bucket.spent += 1;
        if bucket.spent > limit.burst {
            Err(())
        } else {
            Ok(())
        }
    }
}

impl Bucket {
    fn fill(&mut self, limit: Limit, bought: u64, now: Instant) {
        let passed = u64::try_from((now - self.filled).as_millis()).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(limit.per_second) / 1000;
        if earned > 0 {
            // A part of a frame's worth is kept for the next time.
            self.filled = now;
        }
        let more = earned.saturating_add(bought - self.bought);
        self.bought = bought;
        self.spent = self.spent.saturating_sub(more);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn take(allowances: &mut Allowances, kind: Kind, count: u64) -> bool {
        (0..count).all(|_| allowances.take(kind).is_ok())
    }

    #[test]
    fn at_the_limit_and_one_more() {
        for (kind, burst) in [
            (Kind::TinyData, 100),
            (Kind::Priority, 100),
            (Kind::Settings, 20),
            (Kind::Unknown, 100),
        ] {
            let mut allowances = Allowances::new();
            assert!(take(&mut allowances, kind, burst), "{kind:?}");
            assert!(!take(&mut allowances, kind, 1), "{kind:?}");
        }
    }

    #[test]
    fn requests_answers_and_time_allow_more() {
        let mut allowances = Allowances::new();
        assert!(take(&mut allowances, Kind::Ping, 100));
        allowances.request();
        allowances.answer(3 * 1024);
        assert!(take(&mut allowances, Kind::Ping, 5));
        assert!(!take(&mut allowances, Kind::Ping, 1));

        let limit = Kind::Ping.limit();
        let start = Instant::now();
        let mut bucket = Bucket {
            spent: 100,
            filled: start,
            bought: 0,
        };
        bucket.fill(limit, 0, start + Duration::from_millis(99));
        assert_eq!(bucket.spent, 100);
        bucket.fill(limit, 0, start + Duration::from_millis(500));
        assert_eq!(bucket.spent, 95);
        // Never more than a burst.
        bucket.fill(limit, 0, start + Duration::from_secs(3600));
        assert_eq!(bucket.spent, 0);
        assert!(!take(&mut Allowances::new(), Kind::Settings, 21));
    }

    #[test]
    fn kinds() {
        assert_eq!(Kind::of(0, 0, 1), Some(Kind::TinyData));
        assert_eq!(Kind::of(0, 1, 0), None);
        assert_eq!(Kind::of(0, 0, 2), None);
        assert_eq!(Kind::of(0x10, 0, 9), Some(Kind::Unknown));
        assert_eq!(Kind::of(9, 0, 0), None);
    }
}
