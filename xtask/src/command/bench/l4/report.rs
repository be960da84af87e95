//! The figures, as a table or as JSON.

use anyhow::Result;
use serde_json::json;

use super::measure::Row;

/// Prints the rows on standard output.
#[expect(clippy::print_stdout, reason = "this is the command's result")]
pub(super) fn print(rows: &[Row], as_json: bool) -> Result<()> {
    if as_json {
        let rows: Vec<_> = rows.iter().map(json).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    println!(
        "{:<20} {:>6} {:>6} {:>8} {:>5} {:>6} {:>6} {:>8}  result",
        "case, ns per packet", "gross", "above", "restore", "min", "gate", "goal", "katran*"
    );
    for row in rows {
        let Row {
            case,
            gross,
            above,
            restore,
            min,
            mark,
            ..
        } = row;
        println!(
            "{case:<20} {gross:>6} {above:>6} {restore:>8} {min:>5} {:>6} {:>6} {:>8}  {}",
            figure(mark.gate),
            figure(mark.goal),
            figure(mark.katran),
            result(row)
        );
    }
    println!("above: above an empty program behind the same harness in the same round; medians");
    println!("restore: what of `above` is the harness's, which gives the packet its length and bytes back");
    println!("gate and goal: for `above`");
    println!("* quoted from the project's marks, not rerun: Katran's `above`, default build, IPIP");
    Ok(())
}

fn json(row: &Row) -> serde_json::Value {
    let Row {
        case,
        gross,
        above,
        min,
        rounds,
        ..
    } = row;
    json!({ "case": case, "gross_ns": gross, "above_ns": above, "min_ns": min, "rounds": rounds })
}

fn figure(figure: Option<u32>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

fn result(row: &Row) -> &'static str {
    let within = |limit: u32| row.above <= i64::from(limit);
    match (row.mark.gate, row.mark.goal) {
        (None, None) => "reported",
        (_, Some(goal)) if within(goal) => "goal reached",
        (Some(gate), _) if within(gate) => "within the gate",
        (Some(_), _) => "ABOVE THE GATE",
        (None, Some(_)) => "above the goal",
    }
}
