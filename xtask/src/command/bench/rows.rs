//! Figures as rows, for the benches that compare peers: as a table for people or as JSON.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) peer: String,
    pub(super) metric: String,
    pub(super) value: f64,
    pub(super) unit: String,
    pub(super) rounds: u64,
}

impl Row {
    /// A row as [`print`] writes it as JSON.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        let text = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.map(str::to_owned)
                .with_context(|| format!("a row without the text `{key}`: {value}"))
        };
        let number = value.get("value").and_then(Value::as_f64);
        let rounds = value.get("rounds").and_then(Value::as_u64);
        Ok(Self {
            case: text("case")?,
            peer: text("peer")?,
            metric: text("metric")?,
            value: number.with_context(|| format!("a row without `value`: {value}"))?,
            unit: text("unit")?,
            rounds: rounds.with_context(|| format!("a row without `rounds`: {value}"))?,
        })
    }
}

/// Prints the rows on standard output: the peers side by side, or JSON rows.
#[expect(clippy::print_stdout, reason = "this is the command's result")]
pub(super) fn print(rows: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        let rows: Vec<Value> = rows.iter().map(to_json).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print!("{}", table(rows));
    }
    Ok(())
}

fn to_json(row: &Row) -> Value {
    let Row {
        case,
        peer,
        metric,
        value,
        unit,
        rounds,
    } = row;
    json!({ "case": case, "peer": peer, "metric": metric, "value": value, "unit": unit, "rounds": rounds })
}

/// A line per case and metric, a column per peer, in the order they first come.
fn table(rows: &[Row]) -> String {
    let mut peers: Vec<&str> = Vec::new();
    let mut lines: Vec<(String, BTreeMap<&str, f64>)> = Vec::new();
    for row in rows {
        if !peers.contains(&&*row.peer) {
            peers.push(&row.peer);
        }
        let label = format!("{}: {} ({})", row.case, row.metric, row.unit);
        match lines.iter_mut().find(|(known, _)| *known == label) {
            Some((_, values)) => _ = values.insert(&row.peer, row.value),
            None => lines.push((label, BTreeMap::from([(&*row.peer, row.value)]))),
        }
    }
    let width = lines.iter().map(|(label, _)| label.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut out = format!("{:width$}", "");
    for peer in &peers {
        out += &format!(" {peer:>12}");
    }
    out.push('\n');
    for (label, values) in lines {
        out += &format!("{label:width$}");
        for peer in &peers {
            let value = values
                .get(peer)
                .map_or_else(|| "-".to_owned(), |value| figure(*value));
            out += &format!(" {value:>12}");
        }
        out.push('\n');
    }
    out
}

/// Three digits or so.
fn figure(value: f64) -> String {
    if value >= 1_000.0 {
        format!("{value:.0}")
    } else if value >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &str, metric: &str, value: f64) -> Row {
        Row {
            case: "plain".into(),
            peer: peer.into(),
            metric: metric.into(),
            value,
            unit: "us".into(),
            rounds: 7,
        }
    }

    #[test]
    fn peers_stand_side_by_side_and_what_is_not_measured_is_a_dash() {
        let rows = [
            row("ours", "cpu", 1.234),
            row("nginx", "cpu", 12_345.6),
            row("ours", "p50", 150.0),
        ];
        let lines: Vec<String> = table(&rows).lines().map(str::to_owned).collect();
        let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(0), ["ours", "nginx"]);
        assert_eq!(words(1), ["plain:", "cpu", "(us)", "1.23", "12346"]);
        assert_eq!(words(2), ["plain:", "p50", "(us)", "150.0", "-"]);
    }

    #[test]
    fn a_row_survives_json() {
        let row = row("ours", "cpu", 1.5);
        assert_eq!(to_json(&Row::parse(&to_json(&row)).unwrap()), to_json(&row));
        assert!(Row::parse(&json!({"case": "x"})).is_err());
    }
}
