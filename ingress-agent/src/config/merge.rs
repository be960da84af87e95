//! What the agents' ConfigMap adds to a command line.
//!
//! A pure function. A key is a flag's long name, and its value goes to the flag's own parser, as if the flag stood at
//! the line's end. Each is tried by itself: one that is wrong is told, its flag stays as it would be without it, and no
//! other key suffers. A value that is empty is none.

mod remark;

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::{Cli, RunArgs};
use crate::digest::nearest::nearest;

pub use remark::{Outcome, Remark, Why};

/// The words of a command line, the program's first.
#[derive(Clone, Debug)]
pub struct Line(Vec<OsString>);

/// A command line with what a ConfigMap adds.
#[derive(Clone, Debug)]
pub struct Merged {
    /// What is to be done.
    pub args: RunArgs,
    /// The keys that have the effect that they should.
    pub in_effect: Vec<String>,
    /// Why the others do not.
    pub remarks: Vec<Remark>,
    /// The flags that take effect at the start alone, as texts.
    at_start: BTreeMap<&'static str, Vec<OsString>>,
}

/// When a flag's key takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    /// At once.
    Live,
    /// When the agent starts.
    Start,
    /// Never, for this reason.
    Never(&'static str),
}

const PLACE: Effect = Effect::Never("it says where this ConfigMap is");
const POD: Effect = Effect::Never("it goes with the Pod's capabilities");
const VOLUME: Effect = Effect::Never("it goes with the Pod's volumes");

/// Every flag of `run`.
const FLAGS: &[(&str, Effect)] = &[
    ("access-log-format", Effect::Live),
    ("drain-timeout", Effect::Live),
    ("log", Effect::Live),
    ("log-format", Effect::Live),
    ("max-connections", Effect::Live),
    ("max-connections-per-listener", Effect::Live),
    ("max-connections-per-source", Effect::Live),
    ("max-handshakes", Effect::Live),
    ("announce-table", Effect::Start),
    ("interface", Effect::Start),
    ("no-publish", Effect::Start),
    ("proxy-protocol-from", Effect::Start),
    ("take-over-ingress-nginx", Effect::Start),
    ("tunnel-port", Effect::Start),
    ("workers", Effect::Start),
    (
        "admin-listen",
        Effect::Never("the admin answers before this ConfigMap is read"),
    ),
    ("listen", POD),
    ("namespace", PLACE),
    ("no-xdp", POD),
    ("node", Effect::Never("it is another on each node")),
    ("pin-dir", VOLUME),
    ("run-dir", VOLUME),
    ("source", PLACE),
    ("state-dir", VOLUME),
    ("tls-listen", POD),
    (
        "watch-namespace",
        Effect::Never("it goes with the Roles of those namespaces"),
    ),
];

/// Keys of ingress-nginx's ConfigMap, and the flags here that do what they do.
const OF_INGRESS_NGINX: &[(&str, &str)] = &[
    ("disable-access-log", "access-log-format: 'off'"),
    ("error-log-level", "log"),
    ("log-format-upstream", "access-log-format"),
    ("max-worker-connections", "max-connections"),
    ("proxy-real-ip-cidr", "proxy-protocol-from"),
    ("use-proxy-protocol", "proxy-protocol-from"),
    ("worker-processes", "workers"),
    ("worker-shutdown-timeout", "drain-timeout"),
];

impl Line {
    /// Of words, the program's first.
    pub fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        Self(words.into_iter().collect())
    }

    /// With more words at its end.
    fn parse(&self, more: &[OsString]) -> Result<(RunArgs, ArgMatches), clap::Error> {
        let words = self.0.iter().chain(more);
        let mut matches = Cli::command().try_get_matches_from(words)?;
        match matches.remove_subcommand() {
            Some((name, run)) if name == "run" => Ok((RunArgs::from_arg_matches(&run)?, run)),
            _ => Err(clap::Error::new(ErrorKind::InvalidSubcommand)),
        }
    }
}

impl Merged {
    /// What a ConfigMap's `data` adds to a command line.
    ///
    /// # Errors
    ///
    /// The line is none of `ingress-agent run`.
    pub fn new(line: &Line, data: &BTreeMap<String, String>) -> Result<Self, clap::Error> {
        let (mut args, mut matches) = line.parse(&[])?;
        let given = matches.clone();
        let mut words = Vec::new();
        let (mut in_effect, mut remarks) = (Vec::new(), Vec::new());
        for (key, value) in data {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let tried = word(key, value, &given).and_then(|word| {
                let with: Vec<_> = words.iter().cloned().chain(word).collect();
                match line.parse(&with) {
                    Ok(parsed) => Ok((parsed, with)),
                    Err(error) => Err(Why::malformed(&error)),
                }
            });
            match tried {
                Ok((parsed, with)) => {
                    (args, matches) = parsed;
                    words = with;
                    in_effect.push(key.clone());
                }
                Err(why) => remarks.push(Remark {
                    key: key.clone(),
                    why,
                }),
            }
        }
        let text = |flag: &str| -> Vec<OsString> {
            let texts = matches.get_raw(&id(flag)).into_iter().flatten();
            texts.map(OsString::from).collect()
        };
        let at_start = FLAGS.iter().filter(|(_, effect)| *effect == Effect::Start);
        Ok(Self {
            at_start: at_start.map(|(flag, _)| (*flag, text(flag))).collect(),
            args,
            in_effect,
            remarks,
        })
    }

    /// The same in an agent that has `started` with another: what waits for its next start is told.
    pub fn since(mut self, started: &Self) -> Self {
        let texts = self.at_start.iter();
        let others = texts.filter(|(flag, text)| started.at_start.get(*flag) != Some(text));
        let others: Vec<_> = others.map(|(flag, _)| *flag).collect();
        self.in_effect.retain(|key| !others.contains(&&**key));
        self.remarks.extend(others.into_iter().map(|flag| Remark {
            key: flag.to_owned(),
            why: Why::Waits,
        }));
        self
    }
}

/// What a key adds to the command line `given`, which may be nothing.
fn word(key: &str, value: &str, given: &ArgMatches) -> Result<Option<OsString>, Why> {
    let effect = FLAGS.iter().find(|(flag, _)| *flag == key);
    match effect.map(|(_, effect)| effect) {
        None => return Err(unknown(key)),
        Some(Effect::Never(reason)) => return Err(Why::Elsewhere(reason)),
        Some(Effect::Live | Effect::Start) => {}
    }
    match given.value_source(&id(key)) {
        Some(ValueSource::CommandLine) => return Err(Why::Flag),
        Some(ValueSource::EnvVariable) => return Err(Why::Environment),
        Some(_) | None => {}
    }
    let command = Cli::command();
    let run = command.find_subcommand("run");
    let mut flags = run.into_iter().flat_map(clap::Command::get_arguments);
    let is_switch = |flag: &clap::Arg| matches!(flag.get_action(), ArgAction::SetTrue);
    if flags.any(|flag| flag.get_long() == Some(key) && is_switch(flag)) {
        // On the line it has no value; in the environment it has.
        let is_set = BoolishValueParser::new().parse_ref(&command, None, value.as_ref());
        let is_set = is_set.map_err(|_| Why::NoBoolean(value.to_owned()))?;
        return Ok(is_set.then(|| format!("--{key}").into()));
    }
    Ok(Some(format!("--{key}={value}").into()))
}

fn unknown(key: &str) -> Why {
    if let Some((_, flag)) = OF_INGRESS_NGINX.iter().find(|(theirs, _)| *theirs == key) {
        return Why::OfIngressNginx(flag);
    }
    // As the variable is written, or nearly so.
    let written = key.to_lowercase().replace('_', "-");
    let written = written.strip_prefix("ingress-agent-").unwrap_or(&written);
    Why::Unknown(nearest(written, FLAGS.iter().map(|(flag, _)| *flag)))
}

/// By what clap finds a flag's values.
fn id(flag: &str) -> String {
    flag.replace('-', "_")
}

#[cfg(test)]
mod tests;
