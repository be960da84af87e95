use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::LogFormat;
use crate::proxy::Caps;

fn merged(flags: &[&str], data: &[(&str, &str)]) -> Merged {
    let words = ["ingress-agent", "run", "--source", "kube"].iter().chain(flags);
    let line = Line::new(words.map(OsString::from));
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Merged::new(&line, &data.iter().map(owned).collect()).unwrap()
}

fn told(merged: &Merged) -> Vec<String> {
    merged.remarks.iter().map(ToString::to_string).collect()
}

fn flags() -> Vec<clap::Arg> {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let flags = run.get_arguments().cloned();
    flags
        .filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version"))
        .collect()
}

#[test]
fn of_every_flag_it_is_known_when_its_key_takes_effect() {
    let flags = flags();
    let names: BTreeSet<_> = flags.iter().map(|flag| flag.get_long().unwrap()).collect();
    assert_eq!(names, FLAGS.iter().map(|(flag, _)| *flag).collect());
    assert_eq!(names.len(), FLAGS.len());
    for flag in flags {
        assert_eq!(flag.get_id().as_str(), id(flag.get_long().unwrap()));
    }
}

#[test]
fn the_help_says_it_too() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("run").unwrap().render_long_help();
    let help = help.to_string();
    let of = |begin: &str, end: &str| -> BTreeSet<String> {
        let (_, rest) = help.split_once(begin).unwrap();
        let (names, _) = rest.split_once(end).unwrap();
        let names = names.split(|c: char| c.is_whitespace() || c == ',');
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let have = |wanted: Effect| -> BTreeSet<String> {
        let flags = FLAGS.iter().filter(|(_, effect)| *effect == wanted);
        flags.map(|(flag, _)| (*flag).to_owned()).collect()
    };
    assert_eq!(
        of("at once: ", "\n  at the agent's next start: "),
        have(Effect::Live)
    );
    assert_eq!(of("next start: ", "\n  never"), have(Effect::Start));
}

#[test]
fn a_key_is_as_good_as_its_flag() {
    let merged = merged(
        &[],
        &[
            ("access-log-format", "json\n"),
            ("drain-timeout", "1m"),
            ("interface", "eth0,eth1"),
            ("log-format", "json"),
            ("max-connections-per-source", "7"),
            ("no-publish", "yes"),
            ("take-over-ingress-nginx", "false"),
            ("workers", ""),
        ],
    );
    assert_eq!(told(&merged), [""; 0]);
    let args = merged.args;
    assert_eq!(args.drain_timeout, Duration::from_mins(1));
    assert_eq!(args.interface, ["eth0", "eth1"]);
    assert_eq!(args.log.log_format, LogFormat::Json);
    assert_eq!(
        args.limits.caps(),
        Caps {
            source: 7,
            ..Caps::default()
        }
    );
    assert!(args.no_publish && !args.take_over.take_over_ingress_nginx);
    assert!(args.workers.is_none(), "an empty value is none");
    assert_eq!(merged.in_effect.len(), 7);
}

#[test]
fn a_flag_wins() {
    let merged = merged(
        &["--drain-timeout", "5s", "--no-publish"],
        &[("drain-timeout", "1m"), ("log", "debug"), ("no-publish", "false")],
    );
    assert_eq!(merged.args.drain_timeout, Duration::from_secs(5));
    assert!(merged.args.no_publish);
    assert_eq!(merged.args.log.log.to_string(), "debug");
    let expected = [
        "key drain-timeout: the flag --drain-timeout is given, and wins",
        "key no-publish: the flag --no-publish is given, and wins",
    ];
    assert_eq!(told(&merged), expected);
    assert!(
        merged
            .remarks
            .iter()
            .all(|remark| remark.why.outcome() == Outcome::Overruled)
    );
}

#[test]
fn what_is_wrong_is_told_and_harms_nothing_else() {
    for (key, value, words) in [
        ("max-conections", "1", "did you mean max-connections?"),
        ("MAX_HANDSHAKES", "1", "did you mean max-handshakes?"),
        ("INGRESS_AGENT_LOG", "debug", "did you mean log?"),
        ("proxy-body-size", "1m", "`ingress-agent run --help`"),
        (
            "worker-shutdown-timeout",
            "240s",
            "it is ingress-nginx's; here it is drain-timeout",
        ),
        ("source", "kube", "it says where this ConfigMap is: give the flag"),
        ("state-dir", "/x", "the Pod's volumes"),
        ("admin-listen", "127.0.0.1:1", "before this ConfigMap is read"),
        (
            "drain-timeout",
            "10 x",
            "'10 x' for '--drain-timeout <DURATION>': unknown time unit",
        ),
        (
            "max-handshakes",
            "many",
            "'many' for '--max-handshakes <N>': expected a number",
        ),
        ("no-publish", "perhaps", "found 'perhaps', expected true or false"),
        ("log-format", "xml", "[possible values: text, json]"),
        ("log", "info,,=", "expected a level"),
        ("access-log-format", "$stats", "did you mean `$status`?"),
        ("tunnel-port", "0", "0 is not in 1..=65535"),
        ("proxy-protocol-from", "10.0.0.0/8", "--no-xdp"),
    ] {
        let merged = merged(&[], &[("a", "b"), (key, value), ("workers", "3")]);
        let told = told(&merged);
        assert!(told.iter().any(|remark| remark.contains(words)), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            merged
                .remarks
                .iter()
                .all(|remark| remark.why.outcome() == Outcome::Refused)
        );
        assert_eq!(merged.args.workers.map(usize::from), Some(3), "{key}");
        assert_eq!(merged.in_effect, ["workers"]);
    }
}

#[test]
fn what_cannot_change_while_it_runs_waits_for_the_next_start() {
    let started = merged(&[], &[("workers", "3"), ("tunnel-port", "6080")]);
    let now = |data: &[(&str, &str)]| merged(&[], data).since(&started);
    let waits = |merged: &Merged| -> Vec<String> {
        let waiting = merged.remarks.iter().filter(|remark| remark.why == Why::Waits);
        waiting.map(|remark| remark.key.clone()).collect()
    };
    // The port's default is what it was.
    assert_eq!(waits(&now(&[("workers", "3"), ("log", "debug")])), [""; 0]);
    let other = now(&[("workers", "4"), ("interface", "eth1"), ("log", "debug")]);
    assert_eq!(waits(&other), ["interface", "workers"]);
    assert_eq!(other.in_effect, ["log"]);
    assert_eq!(waits(&now(&[])), ["workers"], "without the key it is another too");
}
