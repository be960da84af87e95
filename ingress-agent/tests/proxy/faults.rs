//! One pod of three goes wrong under constant load: no GET fails and no POST is seen twice, by a ledger of
//! request ids and pods that record what they see (spec safety 13, row 8; OP-9).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::proxy::HealthState;

use crate::bed::{Bed, site, under};
use crate::failing::one_second;
use crate::raw::Raw;
use crate::recorder::{Answer, Recorder};

/// A request and what became of it.
struct Entry {
    id: String,
    began: Instant,
    /// The answer's status and body; `None`: the connection ended instead.
    answer: Option<(u16, String)>,
}

/// Clients that ask until they are told to stop, GET and POST in turn.
fn load(bed: &Bed, clients: usize, stop: &AtomicBool) -> Vec<Entry> {
    let address = bed.plain();
    let client = |client: usize| {
        let mut raw = Raw::connect(address);
        let mut ledger = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let method = ["GET", "POST"][ledger.len() % 2];
            let id = format!("/{method}-{client}-{}", ledger.len());
            let began = Instant::now();
            raw.send(format!(
                "{method} {id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"
            ));
            let reply = raw.try_reply().ok().flatten();
            if reply.is_none() {
                raw = Raw::connect(address);
            }
            let answer = reply.map(|reply| (reply.status, reply.text().to_owned()));
            ledger.push(Entry { id, began, answer });
            thread::sleep(Duration::from_millis(2));
        }
        ledger
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let ledgers = clients.into_iter().map(|client| client.join().unwrap());
        ledgers.flatten().collect()
    })
}

/// Three pods under load, the third of which goes wrong, for this long. Checks the ledger; POSTs may fail with
/// these statuses. Returns how many did, and how long after the fault the last request reached the third pod.
fn fault(
    clients: usize,
    last: Duration,
    go_wrong: impl FnOnce(&Recorder) + Send,
    may: &[u16],
) -> (usize, Duration) {
    let pods = ["a", "b", "c"].map(Recorder::start);
    let addresses = pods.each_ref().map(Recorder::address);
    let bed = Bed::start(under(site(&[("a.test", "/", &addresses)]), &one_second()));
    let stop = AtomicBool::new(false);
    let (ledger, at) = thread::scope(|scope| {
        let load = scope.spawn(|| load(&bed, clients, &stop));
        thread::sleep(Duration::from_millis(400));
        let at = Instant::now();
        go_wrong(&pods[2]);
        thread::sleep(last);
        stop.store(true, Ordering::Relaxed);
        (load.join().unwrap(), at)
    });

    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, pod) in pods.iter().enumerate() {
        for bytes in pod.take_log() {
            // A connection may have ended within a request.
            let (requests, _) = crate::reference::whole_requests(&bytes);
            for request in requests {
                seen.entry(request.target).or_default().push(index);
            }
        }
    }
    let (mut failed, mut until) = (0, Duration::ZERO);
    for Entry { id, began, answer } in &ledger {
        let seen = seen.get(id).map_or(&[][..], |seen| &seen[..]);
        if seen.contains(&2) {
            until = until.max(began.saturating_duration_since(at));
        }
        let answer = answer.as_ref().map(|(status, body)| (*status, body.as_str()));
        match answer {
            Some((200, body)) => {
                let of = ["a", "b", "c"].iter().position(|name| *name == body);
                assert!(seen.contains(&of.unwrap()), "{id}: an answer of a wrong pod");
            }
            Some((status, _)) if id.starts_with("/POST") && may.contains(&status) => failed += 1,
            Some(_) | None => panic!("{id}: {answer:?}, seen by {seen:?}"),
        }
        if id.starts_with("/POST") {
            assert!(seen.len() <= 1, "{id} was seen by {seen:?}: {answer:?}");
        }
    }
    let gets = ledger.iter().filter(|entry| entry.id.starts_with("/GET")).count();
    assert!(gets > 100, "{gets} GETs are no load");
    let health = bed.proxy.endpoints();
    let of_c = health.iter().find(|endpoint| endpoint.address == addresses[2]);
    assert!(of_c.unwrap().state >= HealthState::Silent, "{of_c:?}");
    (failed, until)
}

#[test]
fn a_killed_pod_costs_no_get_and_doubles_no_post() {
    // What it had read may have been done, so POSTs under way are lost with it; there are never more.
    let (failed, until) = fault(8, Duration::from_secs(1), Recorder::kill, &[502]);
    assert!(failed <= 8, "{failed}");
    assert!(until < Duration::from_millis(500), "{until:?}");
}

#[test]
fn a_refusing_pod_costs_nobody_a_request() {
    let refuse = |pod: &Recorder| {
        pod.refuse();
        pod.always(Some(Answer::BytesThenClose(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nc".to_vec(),
        )));
    };
    let (failed, _) = fault(8, Duration::from_secs(1), refuse, &[]);
    assert_eq!(failed, 0);
}

#[test]
fn a_hung_pod_costs_no_get_and_doubles_no_post() {
    // Many more fail in one moment than may be tried again at once.
    let hang = |pod: &Recorder| pod.always(Some(Answer::Hang));
    let (failed, until) = fault(32, Duration::from_secs(4), hang, &[504]);
    assert!(
        (1..=32).contains(&failed),
        "each client's POST may meet it once: {failed}"
    );
    assert!(until < Duration::from_millis(2500), "{until:?}");
}

#[test]
fn a_pod_that_resets_after_the_head_costs_no_get_and_doubles_no_post() {
    let reset = |pod: &Recorder| pod.always(Some(Answer::Reset));
    let (failed, until) = fault(8, Duration::from_secs(1), reset, &[502]);
    assert!((1..=16).contains(&failed), "{failed}");
    assert!(until < Duration::from_millis(500), "{until:?}");
}
