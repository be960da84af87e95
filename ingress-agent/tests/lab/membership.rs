//! A thousand live connections while a node joins, drains, leaves and returns.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use xtask::lab::NodeState::{Active, Draining};
use xtask::lab::{Agent, Connections, Entry, Held, Lab, VIP_V4, VIP_V6};

use super::lab;

/// How often each connection asks.
const PACE: Duration = Duration::from_secs(2);
/// How long a round of answers may take on a busy machine.
const ROUND: Duration = Duration::from_secs(30);

#[test]
fn no_connection_is_reset_while_its_owner_lives() {
    let Some(lab) = lab() else { return };
    lab.manifests().set_nodes(&[(1, Active), (2, Active)]).unwrap();
    lab.router().enter_at(Entry::Not(3)).unwrap();
    let agents = [lab.spawn_agent(1, &[]).unwrap(), lab.spawn_agent(2, &[]).unwrap()];
    let open = |vip, count| {
        Connections::open(
            lab.client(),
            SocketAddr::new(vip, 80),
            "shop.example.test",
            count,
            PACE,
        )
        .unwrap()
    };
    let old = [open(VIP_V4, 600), open(VIP_V6, 400)];
    let all_live = |when: &str, connections: &[Connections]| {
        for connections in connections {
            connections.wait_for_answers(2, ROUND).unwrap();
            assert_eq!(ends(&connections.held()), BTreeMap::new(), "{when}");
        }
    };
    all_live("before any change", &old);

    for round in ["first", "second"] {
        let third = join(&lab);
        all_live(&format!("{round} join"), &old);
        let young = [open(VIP_V4, 60), open(VIP_V6, 60)];
        let owned = young
            .iter()
            .flat_map(Connections::held)
            .filter(|held| held.owner == Some(3))
            .count();
        assert!(
            owned > 10,
            "the new node gets its share of new connections, not {owned} of 120"
        );

        lab.manifests()
            .set_nodes(&[(1, Active), (2, Active), (3, Draining)])
            .unwrap();
        all_live(&format!("{round} drain"), &old);
        all_live(&format!("{round} drain, the draining node's own"), &young);

        lab.router().enter_at(Entry::Not(3)).unwrap();
        assert!(third.terminate(Duration::from_secs(20)).unwrap().success());
        all_live(&format!("{round} stop"), &old);
        lab.manifests().set_nodes(&[(1, Active), (2, Active)]).unwrap();
        all_live(&format!("{round} leave"), &old);
        for connections in young {
            let held = connections.close().unwrap();
            let stayed: Vec<_> = held.into_iter().filter(|held| held.owner != Some(3)).collect();
            assert_eq!(
                ends(&stayed),
                BTreeMap::new(),
                "{round} leave: connections of nodes that stay"
            );
        }
    }
    for connections in old {
        let held = connections.close().unwrap();
        assert!(
            held.iter().all(|held| matches!(held.owner, Some(1 | 2))),
            "an owner never changes"
        );
    }
    drop(agents);
}

/// The third node joins: known to all first, then running, then active, then on the router's list.
fn join(lab: &Lab) -> Agent {
    lab.manifests()
        .set_nodes(&[(1, Active), (2, Active), (3, Draining)])
        .unwrap();
    let agent = lab.spawn_agent(3, &[]).unwrap();
    lab.manifests()
        .set_nodes(&[(1, Active), (2, Active), (3, Active)])
        .unwrap();
    agent
}

/// How connections ended, and how many each way.
fn ends(held: &[Held]) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for held in held {
        if let Some(end) = &held.end {
            *ends
                .entry(format!("owner {:?}: {end:?}", held.owner))
                .or_default() += 1;
        }
    }
    ends
}
