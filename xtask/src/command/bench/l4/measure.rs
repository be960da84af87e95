//! The rounds, and what they say.

use anyhow::{Context, Result};
use rustix::thread::CpuSet;

use super::{
    case::{Case, Mark},
    programs::Agent,
    sockets::Sockets,
    subject::{Sample, Subject},
};

/// What the rounds said of a case, in nanoseconds per packet.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static str,
    /// The median.
    pub(super) gross: i64,
    /// The median of what it is above the empty program of the same round.
    pub(super) above: i64,
    /// The median of what of that is the harness's, giving the packet its length and bytes back.
    pub(super) restore: i64,
    /// The least.
    pub(super) min: i64,
    pub(super) rounds: usize,
    pub(super) mark: Mark,
}

/// All cases, loaded and checked once.
pub(super) struct Bench {
    agent: Agent,
    subjects: Vec<Subject>,
}

impl Bench {
    pub(super) fn load(
        object: &[u8],
        harness: &[u8],
        sockets: &Sockets,
        cases: &[&'static Case],
    ) -> Result<Self> {
        let mut agent = Agent::load(object, sockets)?;
        let load = |case: &&'static Case| {
            Subject::load(case, &mut agent, harness, sockets).with_context(|| case.name)
        };
        let subjects = cases.iter().map(load).collect::<Result<_>>()?;
        Ok(Self { agent, subjects })
    }

    /// Runs every case once in each round.
    pub(super) fn run(&mut self, rounds: usize, repeat: u32) -> Result<Vec<Row>> {
        let mut samples = vec![Vec::with_capacity(rounds); self.subjects.len()];
        for _ in 0..rounds {
            for (subject, samples) in self.subjects.iter_mut().zip(&mut samples) {
                let name = subject.case.name;
                samples.push(subject.sample(&mut self.agent, repeat).with_context(|| name)?);
            }
        }
        Ok(self
            .subjects
            .iter()
            .zip(samples)
            .map(|(subject, samples)| row(subject.case, &samples))
            .collect())
    }
}

fn row(case: &Case, samples: &[Sample]) -> Row {
    let median_of = |figure: fn(&Sample) -> i64| median(samples.iter().map(figure).collect());
    Row {
        case: case.name,
        gross: median_of(|sample| sample.gross.into()),
        above: median_of(|sample| i64::from(sample.gross) - i64::from(sample.empty)),
        restore: median_of(|sample| i64::from(sample.restoring) - i64::from(sample.empty)),
        min: samples
            .iter()
            .map(|sample| sample.gross.into())
            .min()
            .unwrap_or_default(),
        rounds: samples.len(),
        mark: case.mark,
    }
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Keeps this thread on the last CPU that it may run on, and says which that is.
pub(super) fn stay_on_one_cpu() -> Result<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).context("sched_getaffinity")?;
    let cpu = (0..CpuSet::MAX_CPU)
        .rev()
        .find(|cpu| allowed.is_set(*cpu))
        .context("there is no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu);
    rustix::thread::sched_setaffinity(None, &one).context("sched_setaffinity")?;
    Ok(cpu)
}

#[cfg(test)]
mod tests {
    use super::super::case::CASES;
    use super::*;

    #[test]
    fn a_row_is_medians_of_the_differences_within_rounds() {
        let sample = |gross, empty| Sample {
            gross,
            empty,
            restoring: empty + 9,
        };
        let row = row(&CASES[0], &[sample(100, 20), sample(130, 60), sample(90, 25)]);
        assert_eq!(
            (row.gross, row.above, row.restore, row.min, row.rounds),
            (100, 70, 9, 90, 3)
        );
    }
}
