//! A status for people.

use std::fmt;

use super::{Cluster, Lease, MapState, Settings, State, Status};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Starting => "starting: nothing is served yet",
            State::Unready => "not ready",
            State::Serving => "serving",
            State::Draining => "draining: nothing new is taken",
        };
        writeln!(f, "agent     {state}, version {}", self.version)?;
        if let Some(why) = self.unready.as_ref().filter(|_| self.state == State::Unready) {
            writeln!(f, "because   {why}")?;
        }
        let source = &self.source;
        let changed = ago(source.changed_seconds_ago);
        let applied = ago(source.applied_seconds_ago);
        writeln!(f, "source    last change {changed}, last in effect {applied}")?;
        if !source.answered_seconds_ago.is_empty() {
            let kinds = source.answered_seconds_ago.iter();
            let kinds: Vec<_> = kinds
                .map(|(kind, seconds)| format!("{kind} {}", ago(*seconds)))
                .collect();
            writeln!(f, "answered  {}", names(&kinds))?;
        }
        writeln!(
            f,
            "findings  {} refused, {} degraded",
            source.refused, source.degraded
        )?;
        if let Some(map) = &self.settings {
            settings(map, f)?;
        }
        match &self.cluster {
            Some(cluster) => self.cluster(cluster, f)?,
            None => writeln!(f, "cluster   none: this agent tells the API server nothing")?,
        }
        if !self.nodes.is_empty() {
            let mut rows = vec![["NODE", "NUMBER", "TAKEN FOR"].map(str::to_owned).to_vec()];
            rows.extend(self.nodes.iter().map(|node| {
                vec![
                    node.name.clone(),
                    node.number.to_string(),
                    node.state.as_str().to_owned(),
                ]
            }));
            table(&rows, f)?;
        }
        let mut rows = vec![["VIP", "TLS", "POOL", "ANNOUNCED BY"].map(str::to_owned).to_vec()];
        rows.extend(self.vips.iter().map(|vip| {
            vec![
                vip.vip.clone(),
                if vip.tls { "yes" } else { "no" }.to_owned(),
                vip.pool.clone().unwrap_or_else(|| "-".to_owned()),
                names(&vip.announced_by),
            ]
        }));
        table(&rows, f)
    }
}

impl Status {
    fn cluster(&self, cluster: &Cluster, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cluster {
            node,
            leads,
            answered_seconds_ago,
            leader,
            leases,
            error,
        } = cluster;
        let answered = ago(*answered_seconds_ago);
        writeln!(f, "node      {node}; the API server answered {answered}")?;
        if let Some(error) = error {
            let itself = if *leads { "this agent leads; " } else { "" };
            return writeln!(f, "leader    {itself}the API server does not say: {error}");
        }
        let leader = leader.as_deref().unwrap_or("none");
        let itself = if *leads { " (this agent)" } else { "" };
        writeln!(f, "leader    {leader}{itself}")?;
        let head = ["LEASE OF", "NUMBER", "SAYS", "GENERATION", "RENEWED", "ADDRESSES"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(leases.iter().map(row));
        table(&rows, f)?;
        for lease in leases {
            for fault in &lease.faults {
                writeln!(f, "node {} is no member: {fault}", lease.node)?;
            }
        }
        Ok(())
    }
}

fn settings(settings: &Settings, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Settings {
        config_map,
        state,
        error,
        in_effect,
        remarks,
    } = settings;
    let what = match state {
        MapState::Unread => "is not read",
        MapState::Saved => "is as a former agent read it",
        MapState::Absent => "is not there",
        MapState::Read => "is read",
    };
    let in_effect = names(in_effect);
    writeln!(
        f,
        "settings  ConfigMap {config_map} {what}; in effect: {in_effect}"
    )?;
    for line in error.iter().chain(remarks) {
        writeln!(f, "          {line}")?;
    }
    Ok(())
}

fn row(lease: &Lease) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        lease.node.clone(),
        lease.number.map_or_else(none, |number| number.to_string()),
        lease.state.as_str().to_owned(),
        lease.generation.clone().unwrap_or_else(none),
        ago(lease.renewed_seconds_ago),
        names(
            &lease
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
    ]
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    }
}

fn ago(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s ago"))
}

/// Columns as wide as their widest cell, after an empty line.
fn table(rows: &[Vec<String>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f)?;
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    for row in rows {
        let (last, cells) = row
            .split_last()
            .map_or(("", &[][..]), |(last, cells)| (last.as_str(), cells));
        for (column, cell) in cells.iter().enumerate() {
            write!(f, "{cell:<width$}  ", width = width(column).unwrap_or_default())?;
        }
        writeln!(f, "{last}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::status::{Node, NodeState, Source, Vip};

    use super::*;

    fn status() -> Status {
        let number = std::num::NonZeroU16::new(1);
        Status {
            version: "1.2.3".to_owned(),
            state: State::Serving,
            unready: None,
            source: Source {
                changed_seconds_ago: Some(7),
                applied_seconds_ago: Some(6),
                answered_seconds_ago: [("Ingress", Some(12)), ("Service", None)]
                    .map(|(kind, seconds)| (kind.to_owned(), seconds))
                    .into(),
                refused: 1,
                degraded: 0,
            },
            settings: Some(Settings {
                config_map: "ours/ingress-agent".to_owned(),
                state: MapState::Read,
                error: None,
                in_effect: vec!["log".to_owned(), "workers".to_owned()],
                remarks: vec!["key x: a remark".to_owned()],
            }),
            cluster: Some(Cluster {
                node: "edge-1".to_owned(),
                leads: true,
                answered_seconds_ago: Some(2),
                leader: Some("edge-1".to_owned()),
                leases: vec![
                    Lease {
                        node: "edge-1".to_owned(),
                        number,
                        state: NodeState::Active,
                        addresses: vec!["192.0.2.1".parse().unwrap()],
                        generation: Some("0123456789abcdef".to_owned()),
                        renewed_seconds_ago: Some(3),
                        ..Lease::default()
                    },
                    Lease {
                        node: "edge-10".to_owned(),
                        faults: vec!["a fault".to_owned()],
                        ..Lease::default()
                    },
                ],
                error: None,
            }),
            nodes: vec![Node {
                name: "edge-1".to_owned(),
                number: number.unwrap(),
                state: NodeState::Active,
            }],
            vips: vec![Vip {
                vip: "192.0.2.10-80-tcp".to_owned(),
                tls: false,
                pool: Some("edge".to_owned()),
                announced_by: vec!["edge-1".to_owned()],
            }],
        }
    }

    #[test]
    fn as_people_read_it() {
        let expected = "\
agent     serving, version 1.2.3
source    last change 7 s ago, last in effect 6 s ago
answered  Ingress 12 s ago, Service never
findings  1 refused, 0 degraded
settings  ConfigMap ours/ingress-agent is read; in effect: log, workers
          key x: a remark
node      edge-1; the API server answered 2 s ago
leader    edge-1 (this agent)

LEASE OF  NUMBER  SAYS    GENERATION        RENEWED  ADDRESSES
edge-1    1       active  0123456789abcdef  3 s ago  192.0.2.1
edge-10   -       idle    -                 never    -
node edge-10 is no member: a fault

NODE    NUMBER  TAKEN FOR
edge-1  1       active

VIP                TLS  POOL  ANNOUNCED BY
192.0.2.10-80-tcp  no   edge  edge-1
";
        assert_eq!(status().to_string(), expected);
    }

    #[test]
    fn without_the_api_server_or_without_a_cluster() {
        let mut status = status();
        status.cluster.as_mut().unwrap().error = Some("refused".to_owned());
        let text = status.to_string();
        assert!(
            text.contains("leader    this agent leads; the API server does not say: refused\n"),
            "{text}"
        );
        status.cluster = None;
        assert!(status.to_string().contains("cluster   none"));
    }

    #[test]
    fn as_programs_read_it() {
        let text = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status());
        assert!(text.contains(r#""state":"serving""#), "{text}");
    }
}
