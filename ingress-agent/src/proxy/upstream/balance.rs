//! Which endpoint is next: round robin over the ready ones.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use crate::proxy::router::Upstream;

/// How often a request is tried, the first time included (ingress-nginx, `proxy-next-upstream-tries`).
const TRIES: usize = 3;
/// Backends beyond this many may share a cursor, which makes their round robin less even and no more.
const CURSORS: u64 = 1024;

/// A worker's place in every backend's round.
#[derive(Debug)]
pub(in crate::proxy) struct Cursors(Vec<Cell<usize>>);

/// The endpoints a request has been tried on.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Tried {
    endpoints: [Option<SocketAddr>; TRIES],
    count: usize,
}

impl Cursors {
    /// Each backend's round begins anywhere, so that workers and nodes do not march in step.
    pub(in crate::proxy) fn new() -> Self {
        let random = RandomState::new();
        let start = |index| usize::try_from(random.hash_one(index) >> 32).unwrap_or_default();
        Self((0..CURSORS).map(|index| Cell::new(start(index))).collect())
    }

    fn next(&self, upstream: &Upstream) -> usize {
        let index = usize::try_from(upstream.cursor % CURSORS).unwrap_or_default();
        let cursor = self.0.get(index);
        cursor.map_or(0, |cursor| cursor.replace(cursor.get().wrapping_add(1)))
    }

    /// The endpoint of the request's next try: a ready one it was not tried on, else a draining one, else one
    /// it was tried on. `None`: there is none, or the tries are used up.
    pub(in crate::proxy) fn pick(&self, upstream: &Upstream, tried: &mut Tried) -> Option<SocketAddr> {
        let slot = tried.count;
        if slot == TRIES {
            return None;
        }
        let start = self.next(upstream);
        let fresh = |endpoints| next_from(endpoints, start, |endpoint| !tried.contains(endpoint));
        let any = |endpoints| next_from(endpoints, start, |_| true);
        let picked = fresh(&upstream.ready)
            .or_else(|| fresh(&upstream.draining))
            .or_else(|| any(&upstream.ready))
            .or_else(|| any(&upstream.draining))?;
        if let Some(slot) = tried.endpoints.get_mut(slot) {
            *slot = Some(picked);
        }
        tried.count += 1;
        Some(picked)
    }
}

impl Tried {
    fn contains(&self, endpoint: SocketAddr) -> bool {
        self.endpoints.contains(&Some(endpoint))
    }
}

fn next_from(
    endpoints: &[SocketAddr],
    start: usize,
    fits: impl Fn(SocketAddr) -> bool,
) -> Option<SocketAddr> {
    let (before, after) = endpoints.split_at_checked(start.checked_rem(endpoints.len())?)?;
    after
        .iter()
        .chain(before)
        .copied()
        .find(|&endpoint| fits(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(ready: &[u16], draining: &[u16]) -> Upstream {
        let addresses = |ports: &[u16]| ports.iter().map(|&port| address(port)).collect();
        Upstream {
            ready: addresses(ready),
            draining: addresses(draining),
            cursor: 7,
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn every_ready_endpoint_gets_its_turn() {
        let cursors = Cursors::new();
        let upstream = upstream(&[1, 2, 3], &[4]);
        let mut counts = [0; 5];
        for _ in 0..30 {
            let picked = cursors.pick(&upstream, &mut Tried::default()).unwrap();
            counts[usize::from(picked.port())] += 1;
        }
        assert_eq!(counts, [0, 10, 10, 10, 0]);
    }

    #[test]
    fn a_try_goes_elsewhere_while_there_is_an_elsewhere() {
        let cursors = Cursors::new();
        let mut tried = Tried::default();
        let upstream = upstream(&[1], &[2]);
        let picks: Vec<_> = (0..4).map(|_| cursors.pick(&upstream, &mut tried)).collect();
        assert_eq!(
            picks,
            [Some(address(1)), Some(address(2)), Some(address(1)), None]
        );
    }

    #[test]
    fn draining_endpoints_serve_only_when_no_other_is_left() {
        let cursors = Cursors::new();
        assert_eq!(
            cursors.pick(&upstream(&[], &[2]), &mut Tried::default()),
            Some(address(2))
        );
        assert_eq!(cursors.pick(&upstream(&[], &[]), &mut Tried::default()), None);
    }
}
