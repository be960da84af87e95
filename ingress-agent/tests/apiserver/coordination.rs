//! Agents that tell one another who they are and who leads, by a real API server.

#[path = "coordination/bed.rs"]
pub(crate) mod bed;
#[path = "coordination/gone.rs"]
mod gone;
#[path = "coordination/paused.rs"]
mod paused;
#[path = "coordination/slow.rs"]
mod slow;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ingress_agent::cluster::{Coordination, LEADER, Taking};

pub(crate) use bed::client;
use bed::{Bed, name};

/// How long what is to come may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

fn leaders(agents: &[Coordination]) -> Vec<usize> {
    let leads = agents
        .iter()
        .enumerate()
        .filter(|(_, agent)| agent.leadership().is_held());
    leads.map(|(index, _)| index).collect()
}

/// Waits until one of them leads. Which.
async fn led(agents: &[Coordination]) -> usize {
    let begin = Instant::now();
    loop {
        let leaders = leaders(agents);
        assert!(leaders.len() <= 1, "more than one leads: {leaders:?}");
        if let Some(leader) = leaders.first() {
            return *leader;
        }
        assert!(begin.elapsed() < PATIENCE, "nobody leads");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What Leases say but for when they were renewed.
fn without_beats(leases: Vec<bed::Told>) -> Vec<bed::Told> {
    leases.into_iter().map(bed::Told::without_beat).collect()
}

/// OP-16: the leader dies, and another leads within 15 s; never two.
#[test]
fn a_leader_that_dies_is_followed_within_fifteen_seconds() {
    let bed = Bed::start(3);
    bed.run(async |bed| {
        let mut agents = bed.agents(0..3);
        let leader = led(&agents).await;
        let before = bed.numbered(3).await;
        let seen = agents[(leader + 1) % 3].observer().look().await;
        assert_eq!((seen.leads, seen.error), (false, None));
        assert_eq!(seen.leader, Some(name(leader)));
        assert!(seen.answered_seconds_ago.is_some_and(|seconds| seconds < 15));
        let numbers = seen.leases.iter().map(|lease| lease.number.map(u16::from));
        assert!(numbers.eq(before.iter().map(|lease| lease.number)));
        drop(agents.remove(leader));
        let died = Instant::now();
        led(&agents).await;
        let gap = died.elapsed();
        eprintln!("another leads after {gap:?}");
        assert!(gap < Duration::from_secs(15), "{gap:?}");
        // Nothing else has changed, and the dead one's Lease is there.
        assert_eq!(without_beats(bed.leases().await), without_beats(before));
    });
}

/// Before its programs and listeners are in place, and after a restart, a node is known and handed nothing.
#[test]
fn an_agent_says_that_it_takes_nothing_until_it_does() {
    let bed = Bed::start(2);
    bed.run(async |bed| {
        // Somebody of those that take nothing yet leads: without numbers nobody ever would.
        let mut agents = bed.starting_agents(0..2);
        led(&agents).await;
        let leases = bed.numbered(2).await;
        let says = |lease: &bed::Told| (lease.state.clone(), lease.generation.clone());
        let nothing = ("draining".to_owned(), String::new());
        assert_eq!(
            leases.iter().map(says).collect::<Vec<_>>(),
            [nothing.clone(), nothing.clone()]
        );
        let taking = Taking {
            connections: true,
            generation: Some(1),
        };
        agents[1].takes(taking);
        bed.eventually("it takes", |leases| {
            says(&leases[1]) == ("active".to_owned(), format!("{:016x}", 1))
        })
        .await;
        // It is killed, and another process begins.
        drop(agents.pop());
        agents.extend(bed.starting_agents(1..2));
        bed.eventually("the next process takes nothing", |leases| {
            says(&leases[1]) == nothing
        })
        .await;
        agents[1].takes(taking);
        agents[1].drain().await;
        let last = bed.leases().await;
        assert_eq!(says(&last[1]), ("draining".to_owned(), format!("{:016x}", 1)));
    });
}

#[test]
fn a_leader_that_drains_says_so_and_lets_another_lead_at_once() {
    let bed = Bed::start(3);
    bed.run(async |bed| {
        let agents = bed.agents(0..3);
        let leader = led(&agents).await;
        bed.numbered(3).await;
        let asked = Instant::now();
        agents[leader].drain().await;
        let said = asked.elapsed();
        assert!(said < Duration::from_secs(2), "{said:?}");
        let states = bed
            .leases()
            .await
            .into_iter()
            .map(|lease| (lease.node, lease.state));
        let draining = states.filter(|(_, state)| state == "draining");
        assert_eq!(draining.map(|(node, _)| node).collect::<Vec<_>>(), [name(leader)]);
        assert_ne!(led(&agents).await, leader);
        let gap = asked.elapsed();
        eprintln!("told after {said:?}, another leads after {gap:?}");
        assert!(gap < Duration::from_secs(5), "{gap:?}");
    });
}

/// All renew their Leases meanwhile, each number takes a while to write, and it is not given up before all have theirs.
#[test]
fn a_hundred_at_once_share_one_secret_and_no_number_and_keep_theirs() {
    let bed = Bed::start(100);
    let (relay, kubeconfig) = bed.relay();
    relay.slow(Duration::from_millis(200));
    bed.run(async |bed| {
        let mut agents = bed.agents_by(&kubeconfig, 0..100);
        let leases = bed.numbered(100).await;
        let numbers: BTreeSet<_> = leases.iter().map(|lease| lease.number.unwrap()).collect();
        assert_eq!(numbers, (1..=100).collect());
        let mut secrets = Vec::new();
        for agent in &agents {
            let mut secret = agent.secret();
            secrets.push(secret.wait_for(Option::is_some).await.unwrap().clone().unwrap().0);
        }
        secrets.dedup();
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].to_vec(), bed.secret().await);

        // A restart: drained, gone, and back with the number it had.
        let last = agents.pop().unwrap();
        last.drain().await;
        drop(last);
        agents.extend(bed.agents_by(&kubeconfig, 99..100));
        bed.eventually("the node is active again", |leases| leases[99].state == "active")
            .await;
        let after = bed.leases().await;
        assert_eq!(after[99].number, leases[99].number);
        assert_ne!(after[99].holder, leases[99].holder);
    });
}

/// Lease, number, state and Secret are mended when somebody edits or deletes them, and nothing changes hands.
#[test]
fn what_hands_do_is_mended() {
    let bed = Bed::start(2);
    bed.run(async |bed| {
        let agents = bed.agents(0..2);
        led(&agents).await;
        let leases = bed.numbered(2).await;
        agents[0].takes(Taking {
            connections: true,
            generation: Some(0x0123_4567_89ab_cdef),
        });
        bed.eventually("the generation", |leases| {
            leases[0].generation == "0123456789abcdef"
        })
        .await;
        let lease = |index: usize| format!("lease/node-{}", name(index));
        let number = format!("ingress-agent.dev/number={}", leases[1].number.unwrap());
        bed.kubectl(&[
            "annotate",
            "--overwrite",
            &lease(0),
            &number,
            "ingress-agent.dev/state=drunk",
        ]);
        let is_mended = |now: &[bed::Told]| {
            now[0].state == "active" && now[0].number == leases[0].number && now[1].number == leases[1].number
        };
        bed.eventually("number and state", is_mended).await;
        bed.kubectl(&["delete", &lease(0)]);
        bed.eventually("the Lease, with its number", |now| {
            now.len() == 2 && is_mended(now)
        })
        .await;
        let secret = bed.secret().await;
        bed.kubectl(&["delete", "secret/ingress-agent"]);
        let begin = Instant::now();
        while bed.find_secret().await.is_none() {
            assert!(begin.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(bed.secret().await, secret);
        // A Node that goes takes its Lease with it, and gets no other.
        bed.kubectl(&["delete", &format!("node/{}", name(1))]);
        bed.eventually("no Lease of a Node that is gone", |now| now.len() == 1)
            .await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(bed.leases().await.len(), 1);
    });
}

/// OP-16: somebody takes the Lease from a leader, which does not know it until it renews.
#[test]
fn two_leaders_at_once_harm_nothing() {
    let bed = Bed::start(12);
    bed.run(async |bed| {
        let mut agents = bed.agents(0..2);
        let first = led(&agents).await;
        bed.numbered(2).await;
        let free = r#"{"spec":{"holderIdentity":""}}"#;
        bed.kubectl(&["patch", &format!("lease/{LEADER}"), "--type=merge", "-p", free]);
        let begin = Instant::now();
        while !agents[1 - first].leadership().is_held() {
            assert!(begin.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        eprintln!("leaders at once: {:?}", leaders(&agents));
        agents.extend(bed.agents(2..12));
        let leases = bed.numbered(12).await;
        let numbers: BTreeSet<_> = leases.iter().map(|lease| lease.number.unwrap()).collect();
        assert_eq!(numbers, (1..=12).collect());
        let begin = Instant::now();
        while leaders(&agents) != [1 - first] {
            // With its next heartbeat, before its term is over.
            assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", leaders(&agents));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// OP-16: what a leader sent in one term of its own and what came late is no heartbeat of the next one.
#[test]
fn a_heartbeat_counts_for_its_own_term_only() {
    let bed = Bed::start(1);
    bed.run(async |bed| {
        let agents = bed.agents(0..1);
        led(&agents).await;
        bed.numbered(1).await;
        let lease = format!("lease/{LEADER}");
        let term = || bed.kubectl(&["get", &lease, "--output=jsonpath={.spec.leaseTransitions}"]);
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(term(), "1", "it was renewed twice, and is the first term still");
        let other = r#"{"spec":{"leaseTransitions":41}}"#;
        bed.kubectl(&["patch", &lease, "--type=merge", "-p", other]);
        let begin = Instant::now();
        while term() != "42" {
            assert!(begin.elapsed() < Duration::from_secs(6), "term {}", term());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        led(&agents).await;
    });
}

#[test]
fn an_outage_of_twenty_seconds_ends_nobodys_term_or_membership() {
    let mut bed = Bed::start(3);
    let (agents, leader, before) = bed.run(async |bed| {
        let agents = bed.agents(0..3);
        let leader = led(&agents).await;
        let before = bed.numbered(3).await;
        (agents, leader, before)
    });
    bed.plane.kill_server().unwrap();
    std::thread::sleep(Duration::from_secs(20));
    // Whoever cannot renew does not lead, whoever may.
    assert_eq!(leaders(&agents).len(), 0);
    bed.plane.start_server().unwrap();
    bed.run(async |bed| {
        assert_eq!(led(&agents).await, leader);
        bed.eventually("all are renewed", |leases| {
            leases
                .iter()
                .zip(&before)
                .all(|(now, before)| now.renewed != before.renewed)
        })
        .await;
        assert_eq!(without_beats(bed.leases().await), without_beats(before));
        assert_eq!(leaders(&agents), [leader]);
        drop(agents);
    });
}

/// What three agents that have nothing to do write: each its Lease every 5 s, the leader its own every 3 s.
#[test]
fn idle_agents_write_heartbeats_only() {
    let bed = Bed::audited(3);
    bed.run(async |bed| {
        let agents = bed.agents(0..3);
        led(&agents).await;
        bed.numbered(3).await;
        // Each agent's next heartbeat meets the number that the leader wrote, and reads it.
        tokio::time::sleep(Duration::from_secs(7)).await;
        let begin = Instant::now();
        let before = bed.requests();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let after = bed.requests();
        let seconds = begin.elapsed().as_secs_f64();
        let made = |verb: &str| after.get(verb).unwrap_or(&0) - before.get(verb).unwrap_or(&0);
        let verbs: BTreeSet<_> = after.keys().collect();
        for verb in verbs {
            eprintln!("{verb}: {} in {seconds:.1} s", made(verb));
        }
        let expected = seconds * (3.0 / 5.0 + 1.0 / 3.0);
        let writes = f64::from(made("patch"));
        assert!(
            (writes - expected).abs() < 5.0,
            "{writes} writes, expected {expected}"
        );
        assert_eq!((made("create"), made("update"), made("delete")), (0, 0, 0));
        // Watches end after 25 s and begin again: Node, leader and Secret of each, and the leader's of all Leases.
        assert!(made("get") <= 1 && made("list") == 0 && made("watch") <= 12);
        drop(agents);
    });
}
