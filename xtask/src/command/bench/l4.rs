//! `cargo xtask bench l4`: nanoseconds per packet, by `BPF_PROG_TEST_RUN`.
//!
//! Each case is one frame and the program it is given to, behind the harness of `ingress-ebpf`'s
//! `bin/harness.rs`, and is held against an empty program behind the same harness, run right before it in
//! the same round. Everything timed is also checked: the verdict, the counters of all reasons, and the
//! frame that comes out, byte for byte.
//!
//! The programs and maps belong to this process, and so does its network namespace, which has no name:
//! all of it ends with the process, however that ends.

mod case;
mod frame;
mod measure;
mod programs;
mod report;
mod sockets;
mod subject;
mod tables;

use anyhow::{Context, Result, ensure};

use self::{
    case::{CASES, Case},
    measure::Bench,
    sockets::Sockets,
};
use xtask::recipe::{self, Object, Tools};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each runs every case once, and the medians are over the rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Packets of one case in one round.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Only these cases, by name; may be given more than once.
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Prints JSON rows {case, gross_ns, above_ns, min_ns, rounds} in place of the table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.rounds > 0, "--rounds 0 measures nothing");
    let cases = selected(&arguments.cases)?;

    let tools = Tools::find_or_install(&mut |line| eprintln!("{line}"))?;
    let (root, target_dir) = (crate::command::root()?, crate::command::target_dir()?);
    let build = |object| {
        let path = recipe::build(&tools, object, root, &target_dir, std::env::consts::ARCH)?;
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (object, harness) = (build(Object::Plain)?, build(Object::Harness)?);

    let cpu = measure::stay_on_one_cpu()?;
    let sockets = Sockets::in_a_namespace_of_our_own()?;
    let mut bench = Bench::load(&object, &harness, &sockets, &cases)?;
    eprintln!(
        "{} rounds of {} packets each, on CPU {cpu}",
        arguments.rounds, arguments.repeat
    );
    let rows = bench.run(arguments.rounds, arguments.repeat)?;
    report::print(&rows, arguments.json)
}

/// The cases of these names; all of them when none is named.
fn selected(names: &[String]) -> Result<Vec<&'static Case>> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| {
        CASES.iter().find(|case| case.name == name).with_context(|| {
            let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            format!("there is no case {name:?}; the cases are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}
