//! An agent is told to stop: new connections go elsewhere, open requests finish, then it ends.

use std::time::{Duration, Instant};

use xtask::lab::{Traffic, VIP_V4, VIP_V6};

use super::Running;

#[test]
fn open_requests_finish_and_no_new_one_fails() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let victim = running.take(2);
    let lab = &running.lab;
    let traffic =
        [VIP_V4, VIP_V6].map(|vip| Traffic::start(lab.client(), vip, "http://shop.example.test/").unwrap());
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..24)
            .map(|_| scope.spawn(|| lab.client().echo(VIP_V4, "http://shop.example.test/?slow=3000")))
            .collect();
        std::thread::sleep(Duration::from_millis(1500));
        let start = Instant::now();
        let status = victim.terminate(Duration::from_secs(20)).unwrap();
        let took = start.elapsed();
        assert!(status.success(), "{status}");
        let nodes: Vec<_> = slow
            .into_iter()
            .map(|slow| slow.join().unwrap().unwrap().node())
            .collect();
        let own = nodes.iter().filter(|node| **node == Some(2)).count();
        assert!(own > 0, "none of {nodes:?} was the ending agent's");
        assert!(
            took > Duration::from_millis(500),
            "it ended after {took:?}, before its requests could finish"
        );
        assert!(
            took < Duration::from_secs(10),
            "it took {took:?} to end, long after its requests"
        );
    });
    std::thread::sleep(Duration::from_secs(1));
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        assert!(sent.sent > 50 && sent.failed == 0, "{sent:?}");
    }
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let traffic = [VIP_V4, VIP_V6]
        .map(|vip| Traffic::start(running.lab.client(), vip, "http://shop.example.test/").unwrap());
    for node in [1, 2, 3] {
        let status = running.take(node).terminate(Duration::from_secs(20)).unwrap();
        assert!(status.success(), "{status}");
        running.agents.push(running.lab.spawn_agent(node, &[]).unwrap());
        std::thread::sleep(Duration::from_millis(500));
    }
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        assert!(sent.sent > 100 && sent.failed == 0, "{sent:?}");
    }
}
