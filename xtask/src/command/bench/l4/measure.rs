//! The rounds: every case once, each right after the empty program it is held against, all of it checked.

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramFd;
use ingress_common::Reason;
use rustix::thread::CpuSet;

use super::{
    case::{Case, End, Mark, Program},
    frame::Frame,
    programs::{Agent, Harness, Outcome, action, run, run_steer},
    sockets::Sockets,
    tables,
};

/// What the rounds said of a case.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: &'static str,
    /// Median nanoseconds per packet.
    pub(super) gross: i64,
    /// Median of what they are above the empty program of the same round.
    pub(super) above: i64,
    /// Median of what of that is the harness's, giving the packet its length and bytes back.
    pub(super) restore: i64,
    /// The least nanoseconds per packet.
    pub(super) min: i64,
    pub(super) rounds: usize,
    pub(super) mark: Mark,
}

/// All cases, loaded and checked once.
pub(super) struct Bench {
    agent: Agent,
    cases: Vec<(Case, Loaded)>,
    listener_cookie: u64,
}

/// The programs of a case: the one that is measured, and the empty one.
enum Loaded {
    Behind {
        end: End,
        harness: Harness,
        empty: Harness,
        restoring: Harness,
        output: Frame,
    },
    Direct {
        end: End,
        empty: Harness,
    },
    Own {
        verdict: u32,
        harness: Harness,
        empty: Harness,
    },
    Steer {
        program: ProgramFd,
        empty: ProgramFd,
    },
}

impl Bench {
    pub(super) fn load(object: &[u8], harness: &[u8], sockets: &Sockets, cases: Vec<Case>) -> Result<Self> {
        let mut agent = Agent::load(object, sockets)?;
        let listener_cookie = rustix::net::sockopt::socket_cookie(&sockets.listener).context("SO_COOKIE")?;
        let cases = cases.into_iter().map(|case| {
            let loaded = load(&mut agent, harness, &case).with_context(|| case.name)?;
            Ok((case, loaded))
        });
        let cases = cases.collect::<Result<_>>()?;
        Ok(Self {
            agent,
            cases,
            listener_cookie,
        })
    }

    pub(super) fn run(&mut self, rounds: usize, repeat: u32) -> Result<Vec<Row>> {
        let mut samples = vec![Vec::with_capacity(rounds); self.cases.len()];
        for _ in 0..rounds {
            for ((case, loaded), samples) in self.cases.iter_mut().zip(&mut samples) {
                let sample = loaded.sample(&mut self.agent, case, repeat, self.listener_cookie);
                samples.push(sample.with_context(|| case.name)?);
            }
        }
        Ok(self
            .cases
            .iter()
            .zip(samples)
            .map(|((case, _), samples)| row(case, &samples))
            .collect())
    }
}

/// Loads a case's programs, and runs the one under test once, without the harness, to see what it does.
fn load(agent: &mut Agent, object: &[u8], case: &Case) -> Result<Loaded> {
    let tunnelled = matches!(case.program, Program::Behind(End::KeptTunnel));
    let harness = || Harness::load(object, case, tunnelled, false);
    Ok(match case.program {
        Program::Behind(end) => {
            let once = checked(agent, end, 1, |agent| run(agent.xdp()?, &case.input, 1))?;
            judge(end, &case.input, &once.output)?;
            let target = agent.xdp()?.fd()?.try_clone()?;
            let (harness, empty) = (harness()?.before(&target)?, harness()?.before_own("empty")?);
            let restores = once.output.bytes().len() != case.input.bytes().len();
            let restoring = Harness::load(object, case, tunnelled, restores)?.before_own("empty")?;
            Loaded::Behind {
                end,
                harness,
                empty,
                restoring,
                output: once.output,
            }
        }
        Program::Direct(end) => {
            let once = checked(agent, end, 1, |agent| run(agent.xdp()?, &case.input, 1))?;
            judge(end, &case.input, &once.output)?;
            Loaded::Direct {
                end,
                empty: harness()?,
            }
        }
        Program::Own(name, verdict) => Loaded::Own {
            verdict,
            harness: harness()?.before_own(name)?,
            empty: harness()?.before_own("empty")?,
        },
        Program::Steer => Loaded::Steer {
            program: agent.steer()?,
            empty: harness()?.empty_steer()?,
        },
    })
}

/// Nanoseconds per packet of the program under test, and of the empty one.
#[derive(Clone, Copy)]
struct Sample {
    gross: u32,
    empty: u32,
    /// Of the empty one, behind the harness that restores all the same.
    restoring: u32,
}

impl Sample {
    const fn of(gross: u32, empty: u32) -> Self {
        Self {
            gross,
            empty,
            restoring: empty,
        }
    }
}

impl Loaded {
    fn sample(&mut self, agent: &mut Agent, case: &Case, repeat: u32, cookie: u64) -> Result<Sample> {
        match self {
            Self::Behind {
                end,
                harness,
                empty,
                restoring,
                output,
            } => {
                let empty = run(empty.xdp()?, &case.input, repeat)?;
                let restoring = run(restoring.xdp()?, &case.input, repeat)?;
                let tested = checked(agent, *end, repeat, |_| run(harness.xdp()?, &case.input, repeat))?;
                // With several flows the last frame is another's: only its length is known.
                let same = if case.flows == 1 {
                    tested.output == *output
                } else {
                    tested.output.bytes().len() == output.bytes().len()
                };
                ensure!(
                    same,
                    "the last packet came out as {:?}, the first as {output:?}",
                    tested.output
                );
                Ok(Sample {
                    restoring: restoring.nanoseconds,
                    ..Sample::of(tested.nanoseconds, empty.nanoseconds)
                })
            }
            Self::Direct { end, empty } => {
                let empty = run(empty.own("empty")?, &case.input, repeat)?;
                let tested = checked(agent, *end, repeat, |agent| {
                    run(agent.xdp()?, &case.input, repeat)
                })?;
                ensure!(tested.output == case.input, "the packet was changed");
                Ok(Sample::of(tested.nanoseconds, empty.nanoseconds))
            }
            Self::Own {
                verdict,
                harness,
                empty,
            } => {
                let empty = run(empty.xdp()?, &case.input, repeat)?;
                let tested = run(harness.xdp()?, &case.input, repeat)?;
                ensure!(
                    tested.verdict == *verdict,
                    "the verdict was {}, not {verdict}",
                    tested.verdict
                );
                Ok(Sample::of(tested.nanoseconds, empty.nanoseconds))
            }
            Self::Steer { program, empty } => {
                let empty = run_steer(empty, repeat)?;
                ensure!(empty.cookie == 0, "the empty program chose a socket");
                let tested = run_steer(program, repeat)?;
                ensure!(
                    tested.cookie == cookie,
                    "the chosen socket is {}, the listener {cookie}",
                    tested.cookie
                );
                Ok(Sample::of(tested.nanoseconds, empty.nanoseconds))
            }
        }
    }
}

/// Runs something and holds the verdict and all counters against what `repeat` packets that end like this
/// must make of them.
fn checked(
    agent: &mut Agent,
    end: End,
    repeat: u32,
    run: impl FnOnce(&mut Agent) -> Result<Outcome>,
) -> Result<Outcome> {
    let reason = end.reason();
    let before = agent.reasons()?;
    let outcome = run(agent)?;
    let after = agent.reasons()?;
    for ((each, before), after) in Reason::ALL.iter().zip(before).zip(after) {
        let expected = if *each == reason { u64::from(repeat) } else { 0 };
        let counted = after - before;
        ensure!(
            counted == expected,
            "{counted} packets ended as {}, not {expected} of {repeat}",
            each.name()
        );
    }
    let expected = action(reason.verdict());
    ensure!(
        outcome.verdict == expected,
        "the verdict was {}, not {expected}",
        outcome.verdict
    );
    Ok(outcome)
}

/// Holds the frame that came out against the one that must, byte for byte.
fn judge(end: End, input: &Frame, output: &Frame) -> Result<()> {
    let expected = match end {
        End::Forwarded => tables::forwarded(input, output).to_vec(),
        End::KeptTunnel => vec![input.stripped()],
        End::Kept | End::NotVip => vec![input.clone()],
    };
    ensure!(
        expected.contains(output),
        "came out as {output:x?}, not as one of {expected:x?}"
    );
    let port = output.outer_source_port();
    ensure!(
        end != End::Forwarded || port >= 0xc000,
        "the outer source port is {port}, below those of flows"
    );
    Ok(())
}

fn row(case: &Case, samples: &[Sample]) -> Row {
    let gross: Vec<i64> = samples.iter().map(|sample| sample.gross.into()).collect();
    let above: Vec<i64> = samples
        .iter()
        .map(|sample| i64::from(sample.gross) - i64::from(sample.empty))
        .collect();
    let restore = samples
        .iter()
        .map(|sample| i64::from(sample.restoring) - i64::from(sample.empty));
    Row {
        case: case.name,
        restore: median(restore.collect()),
        min: gross.iter().copied().min().unwrap_or_default(),
        gross: median(gross),
        above: median(above),
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
