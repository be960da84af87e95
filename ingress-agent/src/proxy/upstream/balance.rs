//! Which endpoint is next.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::endpoint::Endpoint;
use super::health::HealthState;
use crate::model::policy::Balance;
use crate::proxy::router::Upstream;

/// Backends beyond this many may share a cursor, which makes their round robin less even and no more.
const CURSORS: u64 = 1024;
/// Endpoints a request remembers that it was tried on. With more tries than this the first are forgotten.
const REMEMBERED: usize = 4;

/// A worker's place in every backend's round, and its dice.
#[derive(Debug)]
pub(in crate::proxy) struct Balancer {
    cursors: Vec<Cell<usize>>,
    dice: Cell<u64>,
}

/// The endpoints a request has been tried on.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Tried {
    endpoints: [Option<*const Endpoint>; REMEMBERED],
    count: usize,
}

impl Balancer {
    /// Each backend's round begins anywhere, so that workers and nodes do not march in step.
    pub(in crate::proxy) fn new() -> Self {
        let random = RandomState::new();
        let start = |index| usize::try_from(random.hash_one(index) >> 32).unwrap_or_default();
        Self {
            cursors: (0..CURSORS).map(|index| Cell::new(start(index))).collect(),
            // Xorshift's state is never 0.
            dice: Cell::new(random.hash_one("dice") | 1),
        }
    }

    /// The endpoint of the request's next try; `None`: there is none, or none can be reached.
    ///
    /// A draining one serves only when no ready one is left, a silent one only when all are silent or
    /// unreachable. One the request was not tried on comes before one it was, but a silent one after both. One
    /// that is warming steps back for the others, now and then.
    pub(super) fn pick<'a>(
        &self,
        upstream: &'a Upstream,
        balance: Balance,
        tried: &Tried,
        now: Instant,
    ) -> Option<&'a Arc<Endpoint>> {
        let choose = |endpoints: &'a [Arc<Endpoint>], fits: &dyn Fn(&Arc<Endpoint>) -> bool| {
            self.choose(upstream.cursor, endpoints, balance, now, fits)
        };
        let eager = |endpoint: &Arc<Endpoint>| {
            let share = endpoint.share(now);
            !tried.contains(endpoint) && (share == 256 || self.roll() % 256 < share)
        };
        let in_use = |state: HealthState| !state.is_ejected();
        let silent = |state: HealthState| state == HealthState::Silent;
        let ranks: [(&dyn Fn(HealthState) -> bool, bool); 4] = [
            (&in_use, true),
            (&in_use, false),
            (&silent, true),
            (&silent, false),
        ];
        choose(&upstream.ready, &eager).or_else(|| {
            ranks.iter().find_map(|&(is_wanted, untried)| {
                let fits = |endpoint: &Arc<Endpoint>| {
                    is_wanted(endpoint.state()) && !(untried && tried.contains(endpoint))
                };
                choose(&upstream.ready, &fits).or_else(|| choose(&upstream.draining, &fits))
            })
        })
    }

    /// Whether [`Balancer::pick`] has an endpoint in use that the request was not tried on.
    pub(super) fn has_another(upstream: &Upstream, tried: &Tried) -> bool {
        let mut all = upstream.ready.iter().chain(&upstream.draining);
        all.any(|endpoint| !endpoint.state().is_ejected() && !tried.contains(endpoint))
    }

    fn choose<'a>(
        &self,
        cursor: u64,
        endpoints: &'a [Arc<Endpoint>],
        balance: Balance,
        now: Instant,
        fits: &dyn Fn(&Arc<Endpoint>) -> bool,
    ) -> Option<&'a Arc<Endpoint>> {
        match balance {
            // Who does not fit has had its turn, so that its neighbour does not get two.
            Balance::RoundRobin => (0..endpoints.len())
                .filter_map(|_| endpoints.get(self.turn(cursor).checked_rem(endpoints.len())?))
                .find(|endpoint| fits(endpoint)),
            Balance::LeastRequest => {
                let (one, other) = self.draw_two(endpoints, fits)?;
                Some(if one.in_flight() <= other.in_flight() {
                    one
                } else {
                    other
                })
            }
            Balance::PeakEwma => {
                let (one, other) = self.draw_two(endpoints, fits)?;
                let (a, b) = (one.latency(now), other.latency(now));
                // What was never measured is taken to be as quick as what it is compared with.
                let cost = |latency: Option<f32>, as_well_as: Option<f32>, endpoint: &Endpoint| {
                    let waiting = f64::from(endpoint.in_flight()) + 1.0;
                    f64::from(latency.or(as_well_as).unwrap_or(1.0)) * waiting
                };
                Some(if cost(a, b, one) <= cost(b, a, other) {
                    one
                } else {
                    other
                })
            }
        }
    }

    /// Two that fit, not the same one if there are two.
    fn draw_two<'a>(
        &self,
        endpoints: &'a [Arc<Endpoint>],
        fits: &dyn Fn(&Arc<Endpoint>) -> bool,
    ) -> Option<(&'a Arc<Endpoint>, &'a Arc<Endpoint>)> {
        let one = self.draw(endpoints, fits)?;
        let other = self.draw(endpoints, &|endpoint| {
            !Arc::ptr_eq(endpoint, one) && fits(endpoint)
        });
        Some((one, other.unwrap_or(one)))
    }

    fn draw<'a>(
        &self,
        endpoints: &'a [Arc<Endpoint>],
        fits: &dyn Fn(&Arc<Endpoint>) -> bool,
    ) -> Option<&'a Arc<Endpoint>> {
        let roll = usize::try_from(self.roll() >> 32).unwrap_or_default();
        let (before, after) = endpoints.split_at_checked(roll.checked_rem(endpoints.len())?)?;
        after.iter().chain(before).find(|endpoint| fits(endpoint))
    }

    fn turn(&self, cursor: u64) -> usize {
        let index = usize::try_from(cursor % CURSORS).unwrap_or_default();
        let cursor = self.cursors.get(index);
        cursor.map_or(0, |cursor| cursor.replace(cursor.get().wrapping_add(1)))
    }

    /// Xorshift (Marsaglia 2003) with a multiplication after it: even enough, and nobody's secret.
    fn roll(&self) -> u64 {
        let mut state = self.dice.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.dice.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

impl Tried {
    pub(super) fn add(&mut self, endpoint: &Arc<Endpoint>) {
        if let Some(slot) = self.endpoints.get_mut(self.count % REMEMBERED) {
            *slot = Some(Arc::as_ptr(endpoint));
        }
        self.count += 1;
    }

    fn contains(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints.contains(&Some(Arc::as_ptr(endpoint)))
    }
}

#[cfg(test)]
mod tests;
