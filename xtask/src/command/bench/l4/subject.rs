//! One case, loaded: the program that is measured, and the empty one that it is held against. Everything
//! that is timed is checked as well.

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramFd;
use ingress_common::Reason;

use super::{
    case::{Case, End, Program},
    frame::Frame,
    programs::{Agent, Harness, Outcome, action, run, run_steer},
    sockets::Sockets,
    tables,
};

/// A case and its programs.
pub(super) struct Subject {
    pub(super) case: &'static Case,
    input: Frame,
    programs: Programs,
}

enum Programs {
    Behind {
        end: End,
        tested: Harness,
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
        tested: Harness,
        empty: Harness,
    },
    Steer {
        listener: u64,
        tested: ProgramFd,
        empty: ProgramFd,
    },
}

/// Nanoseconds per packet in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Of the program under test.
    pub(super) gross: u32,
    /// Of the empty one.
    pub(super) empty: u32,
    /// Of the empty one behind a harness that restores the packet as it does for the one under test.
    pub(super) restoring: u32,
}

impl Subject {
    /// Loads a case's programs, and runs the one under test once, without the harness, to see that it does
    /// what it must.
    pub(super) fn load(
        case: &'static Case,
        agent: &mut Agent,
        harness: &[u8],
        sockets: &Sockets,
    ) -> Result<Self> {
        let input = case.input(sockets);
        let tunnelled = case.program == Program::Behind(End::KeptTunnel);
        let load = |always| Harness::load(harness, &input, case.flows, tunnelled, always);
        let programs = match case.program {
            Program::Behind(end) => {
                let output = once(agent, end, &input)?;
                let restores = output.bytes().len() != input.bytes().len();
                Programs::Behind {
                    end,
                    tested: load(false)?.before(&agent.xdp()?.fd()?.try_clone()?)?,
                    empty: load(false)?.before_own("empty")?,
                    restoring: load(restores)?.before_own("empty")?,
                    output,
                }
            }
            Program::Direct(end) => {
                once(agent, end, &input)?;
                Programs::Direct {
                    end,
                    empty: load(false)?,
                }
            }
            Program::Own(name, verdict) => Programs::Own {
                verdict,
                tested: load(false)?.before_own(name)?,
                empty: load(false)?.before_own("empty")?,
            },
            Program::Steer => Programs::Steer {
                listener: rustix::net::sockopt::socket_cookie(&sockets.listener).context("SO_COOKIE")?,
                tested: agent.steer()?,
                empty: load(false)?.empty_steer()?,
            },
        };
        Ok(Self {
            case,
            input,
            programs,
        })
    }

    /// Runs the empty program, and then the one under test.
    pub(super) fn sample(&mut self, agent: &mut Agent, repeat: u32) -> Result<Sample> {
        let input = &self.input;
        Ok(match &mut self.programs {
            Programs::Behind {
                end,
                tested,
                empty,
                restoring,
                output,
            } => {
                let empty = run(empty.xdp()?, input, repeat)?;
                let restoring = run(restoring.xdp()?, input, repeat)?;
                let tested = checked(agent, *end, repeat, |_| run(tested.xdp()?, input, repeat))?;
                // With several flows the last frame is another's: only its length is known.
                let same = if self.case.flows == 1 {
                    tested.output == *output
                } else {
                    tested.output.bytes().len() == output.bytes().len()
                };
                ensure!(
                    same,
                    "the last packet came out as {:x?}, the first as {output:x?}",
                    tested.output
                );
                Sample {
                    restoring: restoring.nanoseconds,
                    ..Sample::of(&tested, &empty)
                }
            }
            Programs::Direct { end, empty } => {
                let empty = run(empty.own("empty")?, input, repeat)?;
                let tested = checked(agent, *end, repeat, |agent| run(agent.xdp()?, input, repeat))?;
                ensure!(tested.output == *input, "the packet was changed");
                Sample::of(&tested, &empty)
            }
            Programs::Own {
                verdict,
                tested,
                empty,
            } => {
                let empty = run(empty.xdp()?, input, repeat)?;
                let tested = run(tested.xdp()?, input, repeat)?;
                ensure!(
                    tested.verdict == *verdict,
                    "the verdict was {}, not {verdict}",
                    tested.verdict
                );
                Sample::of(&tested, &empty)
            }
            Programs::Steer {
                listener,
                tested,
                empty,
            } => {
                let empty = run_steer(empty, repeat)?;
                ensure!(empty.cookie == 0, "the empty program chose a socket");
                let tested = run_steer(tested, repeat)?;
                let chosen = tested.cookie;
                ensure!(
                    chosen == *listener,
                    "the socket with cookie {chosen} was chosen, not {listener}"
                );
                Sample {
                    gross: tested.nanoseconds,
                    empty: empty.nanoseconds,
                    restoring: empty.nanoseconds,
                }
            }
        })
    }
}

impl Sample {
    const fn of(tested: &Outcome, empty: &Outcome) -> Self {
        Self {
            gross: tested.nanoseconds,
            empty: empty.nanoseconds,
            restoring: empty.nanoseconds,
        }
    }
}

/// Sends one packet through the program under test, without the harness, and holds what comes out against
/// what must, byte for byte.
fn once(agent: &mut Agent, end: End, input: &Frame) -> Result<Frame> {
    let Outcome { output, .. } = checked(agent, end, 1, |agent| run(agent.xdp()?, input, 1))?;
    let expected = match end {
        End::Forwarded => tables::forwarded(input, &output).to_vec(),
        End::KeptTunnel => vec![input.stripped()],
        End::Kept | End::NotVip => vec![input.clone()],
    };
    ensure!(
        expected.contains(&output),
        "came out as {output:x?}, not as one of {expected:x?}"
    );
    let port = output.outer_source_port();
    ensure!(
        end != End::Forwarded || port >= 0xc000,
        "the outer source port is {port}, below those of flows"
    );
    Ok(output)
}

/// Runs something and holds the verdict and all counters against what `repeat` packets that end like this
/// must make of them.
fn checked(
    agent: &mut Agent,
    end: End,
    repeat: u32,
    run: impl FnOnce(&mut Agent) -> Result<Outcome>,
) -> Result<Outcome> {
    let before = agent.reasons()?;
    let outcome = run(agent)?;
    let after = agent.reasons()?;
    for ((reason, before), after) in Reason::ALL.iter().zip(before).zip(after) {
        let expected = if *reason == end.reason() {
            u64::from(repeat)
        } else {
            0
        };
        let counted = after - before;
        ensure!(
            counted == expected,
            "{counted} packets ended as {}, not {expected} of {repeat}",
            reason.name()
        );
    }
    let expected = action(end.reason().verdict());
    ensure!(
        outcome.verdict == expected,
        "the verdict was {}, not {expected}",
        outcome.verdict
    );
    Ok(outcome)
}
