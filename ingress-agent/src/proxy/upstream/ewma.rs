//! How quick an endpoint is: a moving average of the time to its answers that believes bad news at once and
//! good news slowly (peak EWMA, as in Finagle and linkerd; the decay is ingress-nginx's).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// In milliseconds: the weight of the past falls to 1/e in this time.
const DECAY: f32 = 10_000.0;

/// The average in microseconds and when it was taken in milliseconds, packed so that a reader never sees half
/// of each. Two workers that write at once lose one of the two samples, which an average can bear.
#[derive(Debug, Default)]
pub(super) struct Ewma(AtomicU64);

#[derive(Clone, Copy)]
struct Sample {
    micros: f32,
    at: u32,
}

impl Ewma {
    /// Adds an answer that took `micros`, at `now` in milliseconds of the caller's clock.
    pub(super) fn observe(&self, micros: f32, now: u32) {
        let micros = match self.get() {
            Some(old) if micros < old.micros => {
                let weight = weight(old, now);
                old.micros * weight + micros * (1.0 - weight)
            }
            Some(_) | None => micros,
        };
        // At least a microsecond, so that what was measured differs from what was not.
        let micros = micros.max(1.0);
        let packed = u64::from(micros.to_bits()) << 32 | u64::from(now);
        self.0.store(packed, Ordering::Relaxed);
    }

    /// The average at `now`, in microseconds; without news it falls, so that an endpoint that was slow once is
    /// tried again. `None`: there was no answer yet.
    pub(super) fn read(&self, now: u32) -> Option<f32> {
        self.get().map(|old| (old.micros * weight(old, now)).max(1.0))
    }

    fn get(&self) -> Option<Sample> {
        let packed = self.0.load(Ordering::Relaxed);
        let [a, b, c, d, at @ ..] = packed.to_be_bytes();
        (packed != 0).then(|| Sample {
            micros: f32::from_bits(u32::from_be_bytes([a, b, c, d])),
            at: u32::from_be_bytes(at),
        })
    }
}

/// What is left of a sample's weight. The clock wraps; a sample from another worker's instant after `now` has
/// all of its weight.
fn weight(sample: Sample, now: u32) -> f32 {
    let age = now.wrapping_sub(sample.at);
    let age = if age > u32::MAX / 2 { 0 } else { age };
    (-Duration::from_millis(age.into()).as_secs_f32() * 1000.0 / DECAY).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_news_count_at_once_and_good_news_slowly() {
        let ewma = Ewma::default();
        assert_eq!(ewma.read(5), None);
        ewma.observe(1000.0, 0);
        assert_eq!(ewma.read(0), Some(1000.0));
        ewma.observe(9000.0, 10);
        assert_eq!(ewma.read(10), Some(9000.0));
        // At the same instant the past weighs all, after a decay 1/e.
        ewma.observe(1000.0, 10);
        assert_eq!(ewma.read(10), Some(9000.0));
        ewma.observe(1000.0, 10_010);
        let read = ewma.read(10_010).unwrap();
        assert!((3900.0..4000.0).contains(&read), "{read}");
        let later = ewma.read(30_010).unwrap();
        assert!(later < read / 7.0, "{later}");
        let wrapped = Ewma::default();
        wrapped.observe(1000.0, u32::MAX - 5000);
        assert!((300.0..400.0).contains(&wrapped.read(5000).unwrap()));
    }

    proptest! {
        #[test]
        fn it_stays_within_what_was_seen(samples in proptest::collection::vec((1.0f32..1e7, 0u32..60_000), 1..20)) {
            let ewma = Ewma::default();
            let mut now = 0;
            for &(micros, pause) in &samples {
                now += pause;
                ewma.observe(micros, now);
            }
            let most = samples.iter().map(|&(micros, _)| micros).fold(0.0, f32::max);
            let read = ewma.read(now).unwrap();
            prop_assert!((1.0..=most * 1.001).contains(&read), "{} of {}", read, most);
        }
    }
}
