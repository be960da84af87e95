//! How many connections there may be: in all, of one source, at one listener.
//!
//! Counted exactly, over all workers, once per connection and never per request: a total, and a count per key in
//! maps behind sixteen locks. A connection beyond a cap is accepted and reset at once, since the kernel has
//! answered its SYN by then. An IPv6 source is its /64, which is what one client has.

mod handshakes;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use rustix::process::{Resource, getrlimit};

use super::setting::Setting;

pub(super) use self::handshakes::Handshaking;

/// What is assumed where the process may open any number of files.
const MANY: usize = 1 << 20;
const SHARDS: usize = 16;

/// The caps; 0 is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caps {
    /// Connections in all.
    pub total: usize,
    /// Connections of one source: an IPv4 address, or the /64 of an IPv6 one.
    pub source: usize,
    /// Connections to one listener.
    pub listener: usize,
    /// TLS handshakes under way, per worker. The one that has taken longest makes room for the next, so that who
    /// begins many and ends none cannot keep others out.
    pub handshakes: usize,
}

impl Default for Caps {
    /// In all half of what this process may open, so that each has a connection to a pod.
    fn default() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files
            .and_then(|files| usize::try_from(files).ok())
            .unwrap_or(MANY);
        Self {
            total: files / 2,
            source: 1_000,
            listener: 10_000,
            handshakes: 2_000,
        }
    }
}

/// Which cap a connection is beyond.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beyond {
    Total,
    Source,
    Listener,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Key {
    Source(IpAddr),
    Listener(SocketAddr),
}

/// Seeded, so that nobody can choose addresses that meet in one place.
type Shard = Mutex<HashMap<Key, usize, RandomState>>;

/// The connections of all workers.
#[derive(Debug)]
pub(super) struct Admission {
    caps: Setting<Caps>,
    total: AtomicUsize,
    hasher: RandomState,
    shards: [Shard; SHARDS],
}

/// A connection's place under the caps; dropping it leaves.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    keys: [Option<Key>; 2],
}

impl Admission {
    pub(super) fn new(caps: Setting<Caps>) -> Self {
        Self {
            caps,
            total: AtomicUsize::new(0),
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Admits a connection to the listener at `local`.
    pub(super) fn admit(self: &Arc<Self>, local: SocketAddr) -> Result<Admitted, Beyond> {
        let caps = self.caps.get();
        let open = self.total.fetch_add(1, Relaxed);
        let mut admitted = Admitted {
            admission: Arc::clone(self),
            keys: [None; 2],
        };
        if caps.total > 0 && open >= caps.total {
            return Err(Beyond::Total);
        }
        admitted.enter(0, Key::Listener(local), caps.listener, Beyond::Listener)?;
        Ok(admitted)
    }

    /// Whether nine tenths of all connections that there may be are there.
    pub(super) fn is_nearly_full(&self) -> bool {
        let cap = self.caps.get().total;
        cap > 0 && self.total.load(Relaxed) >= cap - cap / 10
    }

    fn shard(&self, key: &Key) -> Option<MutexGuard<'_, HashMap<Key, usize, RandomState>>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        let shard = self.shards.get(hash)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Admitted {
    /// Counts the connection to its source, once that is known.
    pub(super) fn of(&mut self, source: IpAddr) -> Result<(), Beyond> {
        let cap = self.admission.caps.get().source;
        self.enter(1, Key::Source(network(source)), cap, Beyond::Source)
    }

    fn enter(&mut self, place: usize, key: Key, cap: usize, beyond: Beyond) -> Result<(), Beyond> {
        if cap == 0 {
            return Ok(());
        }
        let Some(mut shard) = self.admission.shard(&key) else {
            return Ok(());
        };
        let count = shard.entry(key).or_default();
        if *count >= cap {
            return Err(beyond);
        }
        *count += 1;
        drop(shard);
        if let Some(place) = self.keys.get_mut(place) {
            *place = Some(key);
        }
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.total.fetch_sub(1, Relaxed);
        for key in self.keys.into_iter().flatten() {
            if let Some(mut shard) = self.admission.shard(&key)
                && let Some(count) = shard.get_mut(&key)
            {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&key);
                }
            }
        }
    }
}

fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(total: usize, source: usize, listener: usize) -> Arc<Admission> {
        let caps = Caps {
            total,
            source,
            listener,
            handshakes: 0,
        };
        Arc::new(Admission::new(caps.into()))
    }

    fn come(admission: &Arc<Admission>, source: &str, local: &str) -> Result<Admitted, Beyond> {
        let mut admitted = admission.admit(local.parse().unwrap())?;
        admitted.of(source.parse().unwrap())?;
        Ok(admitted)
    }

    #[test]
    fn each_cap_holds_and_who_leaves_makes_room() {
        for (admission, beyond) in [
            (caps(2, 0, 0), Beyond::Total),
            (caps(0, 2, 0), Beyond::Source),
            (caps(0, 0, 2), Beyond::Listener),
        ] {
            let a = come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap();
            let _b = come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap();
            for _ in 0..2 {
                let refused = come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap_err();
                assert_eq!(refused, beyond);
            }
            drop(a);
            drop(come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap());
            let other = come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap();
            let elsewhere = come(&admission, "192.0.2.2", "10.0.0.1:443");
            assert_eq!(elsewhere.is_ok(), beyond != Beyond::Total);
            drop((other, elsewhere));
            assert_eq!(admission.total.load(Relaxed), 1);
        }
    }

    #[test]
    fn other_caps_hold_for_who_comes_from_then_on() {
        let admission = caps(0, 2, 0);
        let come = || come(&admission, "192.0.2.1", "10.0.0.1:80");
        let both = [come().unwrap(), come().unwrap()];
        let set = |source| {
            admission.caps.set(Caps {
                source,
                ..**admission.caps.get()
            });
        };
        set(3);
        let third = come().unwrap();
        set(1);
        assert_eq!(come().unwrap_err(), Beyond::Source);
        set(0);
        drop((both, third, come().unwrap()));
        assert_eq!(admission.total.load(Relaxed), 0);
        set(1);
        let _one = come().unwrap();
        assert_eq!(come().unwrap_err(), Beyond::Source);
    }

    #[test]
    fn nothing_is_kept_of_who_has_left() {
        let admission = caps(10, 10, 10);
        drop(come(&admission, "192.0.2.1", "10.0.0.1:80").unwrap());
        let kept = admission.shards.iter().map(|shard| shard.lock().unwrap().len());
        assert_eq!((kept.sum::<usize>(), admission.total.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_source_of_ipv6_is_its_64() {
        let admission = caps(0, 1, 0);
        let _first = come(&admission, "2001:db8:0:1::1", "[::1]:80").unwrap();
        assert!(come(&admission, "2001:db8:0:1:ffff::2", "[::1]:80").is_err());
        assert!(come(&admission, "2001:db8:0:2::1", "[::1]:80").is_ok());
    }

    #[test]
    fn nine_tenths_are_nearly_all() {
        let admission = caps(10, 0, 0);
        let mut open: Vec<_> = (0..8)
            .map(|_| come(&admission, "::1", "[::1]:80").unwrap())
            .collect();
        assert!(!admission.is_nearly_full());
        open.push(come(&admission, "::1", "[::1]:80").unwrap());
        assert!(admission.is_nearly_full());
    }
}
