//! What the figures are held against: gates and goals, most of them ratios to the best peer of the same run.

use super::super::rows::Row;
use super::OURS;

/// A figure's bounds.
#[derive(Debug)]
struct Mark {
    case: &'static str,
    metric: &'static str,
    against: Against,
    /// An issue is not resolved beyond this.
    gate: Option<f64>,
    goal: Option<f64>,
}

/// What a bound is a multiple of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Against {
    /// The least of the peers'; less is better.
    Least,
    /// The most of the peers'; more is better.
    Most,
    /// One peer's; less is better.
    Peer(&'static str),
    /// The unit; less is better.
    Unit,
}

pub(super) const CPU: &str = "CPU per request";
pub(super) const USER: &str = "CPU per request, user";
pub(super) const P99: &str = "p99";
pub(super) const PER_CPU_SECOND: &str = "body bytes per CPU second";
pub(super) const MEMORY: &str = "memory per connection";
pub(super) const CALLS: &str = "system calls";
pub(super) const PLAIN_IDLE: &str = "plain idle";
pub(super) const TLS_IDLE: &str = "TLS idle";

const fn mark(
    case: &'static str,
    metric: &'static str,
    against: Against,
    gate: Option<f64>,
    goal: Option<f64>,
) -> Mark {
    Mark {
        case,
        metric,
        against,
        gate,
        goal,
    }
}

const MARKS: [Mark; 11] = [
    mark("plain keep-alive", CPU, Against::Least, Some(1.05), Some(0.95)),
    mark("plain keep-alive", USER, Against::Peer("nginx"), Some(1.25), None),
    mark("plain keep-alive", CALLS, Against::Unit, Some(4.1), None),
    mark("TLS keep-alive", CPU, Against::Least, Some(1.05), Some(0.95)),
    mark("HTTP/2", CPU, Against::Least, None, Some(0.95)),
    mark(
        "plain, new connection each",
        CPU,
        Against::Least,
        Some(1.15),
        Some(0.95),
    ),
    mark(
        "TLS, new connection each",
        CPU,
        Against::Least,
        Some(1.15),
        Some(0.95),
    ),
    mark("plain at 70 % load", P99, Against::Least, Some(1.0), None),
    mark(
        "plain, 1 MiB download",
        PER_CPU_SECOND,
        Against::Most,
        Some(1.0),
        None,
    ),
    mark(PLAIN_IDLE, MEMORY, Against::Unit, Some(20.0), Some(6.0)),
    mark(TLS_IDLE, MEMORY, Against::Unit, None, Some(16.0)),
];

/// How a figure stands to its bounds.
#[derive(Debug)]
pub(super) struct Verdict {
    case: &'static str,
    metric: &'static str,
    /// Ours by what it is held against.
    ratio: f64,
    /// What that is.
    against: String,
    gate: Option<f64>,
    goal: Option<f64>,
    result: &'static str,
}

/// The verdicts on the rows that have bounds.
pub(super) fn judge(rows: &[Row]) -> Vec<Verdict> {
    MARKS.iter().filter_map(|mark| verdict(mark, rows)).collect()
}

fn verdict(mark: &Mark, rows: &[Row]) -> Option<Verdict> {
    let of_mark = || {
        rows.iter()
            .filter(|row| row.case == mark.case && row.metric == mark.metric)
    };
    let ours = of_mark().find(|row| row.peer == OURS)?;
    let peers = || of_mark().filter(|row| row.peer != OURS);
    let by_value = |one: &&Row, other: &&Row| one.value.total_cmp(&other.value);
    let peer = match mark.against {
        Against::Least => Some(peers().min_by(by_value)?),
        Against::Most => Some(peers().max_by(by_value)?),
        Against::Peer(name) => Some(peers().find(|row| row.peer == name)?),
        Against::Unit => None,
    };
    let ratio = ours.value / peer.map_or(1.0, |peer| peer.value);
    let within = |bound: f64| match mark.against {
        Against::Most => ratio >= bound,
        Against::Least | Against::Peer(_) | Against::Unit => ratio <= bound,
    };
    let result = match (mark.gate, mark.goal) {
        (_, Some(goal)) if within(goal) => "goal reached",
        (Some(gate), _) if within(gate) => "within the gate",
        (Some(_), _) => "BEYOND THE GATE",
        (None, _) => "goal not reached",
    };
    Some(Verdict {
        case: mark.case,
        metric: mark.metric,
        ratio,
        against: peer.map_or_else(|| ours.unit.clone(), |peer| format!("of {}'s", peer.peer)),
        gate: mark.gate,
        goal: mark.goal,
        result,
    })
}

/// The verdicts as rows, for JSON.
pub(super) fn as_rows(verdicts: &[Verdict], rounds: u64) -> Vec<Row> {
    let row = |verdict: &Verdict| Row {
        case: verdict.case.to_owned(),
        peer: OURS.to_owned(),
        metric: format!("{}, by its mark: {}", verdict.metric, verdict.result),
        value: verdict.ratio,
        unit: verdict.against.clone(),
        rounds,
    };
    verdicts.iter().map(row).collect()
}

/// A line per verdict.
#[expect(clippy::print_stdout, reason = "this is the command's result")]
pub(super) fn print(verdicts: &[Verdict]) {
    let bound = |bound: Option<f64>| bound.map_or_else(|| "-".to_owned(), |bound| bound.to_string());
    println!("\n{:>7} {:<16} {:>5} {:>5}  result", "ours", "", "gate", "goal");
    for verdict in verdicts {
        let Verdict {
            case,
            metric,
            ratio,
            against,
            gate,
            goal,
            result,
        } = verdict;
        println!(
            "{ratio:>7.2} {against:<16} {:>5} {:>5}  {result}: {case}: {metric}",
            bound(*gate),
            bound(*goal)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, peer: &str, metric: &str, value: f64) -> Row {
        Row {
            case: case.into(),
            peer: peer.into(),
            metric: metric.into(),
            value,
            unit: "u".into(),
            rounds: 7,
        }
    }

    #[test]
    fn the_best_peer_is_the_bound_whichever_way_is_better() {
        let kept = "plain keep-alive";
        let download = "plain, 1 MiB download";
        let rows = [
            row(kept, OURS, CPU, 10.4),
            row(kept, "nginx", CPU, 12.0),
            row(kept, "haproxy", CPU, 10.0),
            row(kept, OURS, USER, 3.0),
            row(kept, "nginx", USER, 2.0),
            row(kept, OURS, CALLS, 4.0),
            row(download, OURS, PER_CPU_SECOND, 9.0),
            row(download, "nginx", PER_CPU_SECOND, 8.0),
            row(PLAIN_IDLE, OURS, MEMORY, 5.0),
        ];
        let verdicts: Vec<_> = judge(&rows).iter().map(|v| (v.metric, v.result)).collect();
        let expected = [
            (CPU, "within the gate"),
            (USER, "BEYOND THE GATE"),
            (CALLS, "within the gate"),
            (PER_CPU_SECOND, "within the gate"),
            (MEMORY, "goal reached"),
        ];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn every_mark_is_of_a_case_there_is() {
        let cases = super::super::case::CASES.map(|case| case.name);
        let is_known =
            |mark: &Mark| [PLAIN_IDLE, TLS_IDLE].contains(&mark.case) || cases.contains(&mark.case);
        assert!(MARKS.iter().all(is_known));
    }
}
