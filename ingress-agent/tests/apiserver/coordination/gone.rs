//! Nodes that have gone for good: their Leases and numbers.

use std::time::{Duration, Instant};

use ingress_agent::cluster::Retention;

use super::bed::{Bed, name};
use super::led;

/// What in a cluster takes ten minutes each.
const RETENTION: Retention = Retention {
    lease: Duration::from_secs(2),
    number: Duration::from_secs(20),
};

/// The leader deletes the Lease of a node that has gone, and lets its number rest; whoever leads after it does so too.
#[test]
fn a_node_that_has_gone_leaves_its_number_to_others_after_a_rest() {
    let bed = Bed::start(5);
    bed.run(async |bed| {
        let mut agents = bed.forgetting(0..3, RETENTION);
        let leader = led(&agents).await;
        let before = bed.numbered(3).await;
        let gone = (leader + 1) % 3;
        let number = before[gone].number.unwrap();
        drop(agents.remove(gone));
        let died = Instant::now();
        let left = bed
            .eventually("the Lease is deleted", |leases| leases.len() == 2)
            .await;
        let deleted = Instant::now();
        eprintln!("deleted after {:?}", deleted - died);
        // Fifteen seconds until it ends, from its last heartbeat.
        assert!(deleted - died > Duration::from_secs(10));
        assert!(left.iter().all(|lease| lease.node != name(gone)));

        // The one that led has the number of its Lease still, and another leads.
        let first = agents
            .iter()
            .position(|agent| agent.leadership().is_held())
            .unwrap();
        agents[first].drain().await;
        assert_ne!(led(&agents).await, first);
        agents.extend(bed.forgetting(3..4, RETENTION));
        let next = bed.numbered(3).await;
        assert!(deleted.elapsed() < RETENTION.number, "too slow to say anything");
        assert!(next.iter().all(|lease| lease.number != Some(number)), "{next:#?}");
        while bed.resting().await.contains(&number) {
            assert!(deleted.elapsed() < 2 * RETENTION.number);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(deleted.elapsed() > RETENTION.number);
        agents.extend(bed.forgetting(4..5, RETENTION));
        let last = bed.numbered(4).await;
        assert_eq!(last.last().unwrap().number, Some(number), "{last:#?}");
        drop(agents);
    });
}
