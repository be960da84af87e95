use k8s_openapi::api::coordination::v1::Lease;

use super::*;

/// A heartbeat by the wall clock of whoever wrote it.
fn beat(holder: &str, renewed: &str) -> Beat {
    let lease: Lease = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "ingress-agent-leader"},
        "spec": {"holderIdentity": holder, "renewTime": format!("{renewed}.000000Z")},
    }))
    .unwrap();
    Beat::of(&lease)
}

const T0: &str = "2026-11-21T16:00:00";
const T3: &str = "2026-11-21T16:00:03";

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(1000.0 + seconds)
}

fn candidate() -> Candidate {
    Candidate::new(&Arc::from("me"), Duration::from_millis(500))
}

#[test]
fn a_lease_of_nobody_is_taken_almost_at_once() {
    for free in [Beat::default(), beat("", T0)] {
        let mut candidate = candidate();
        assert_eq!(candidate.step(at(0.0)), Step::Look);
        candidate.see(free, at(0.0));
        assert_eq!(candidate.step(at(0.0)), Step::Wait(at(0.1)));
        assert_eq!(candidate.step(at(0.1)), Step::Take);
    }
}

#[test]
fn a_leader_that_renews_is_let_be() {
    let mut candidate = candidate();
    for second in 0..60 {
        candidate.see(
            beat("other", &format!("2026-11-21T16:00:{:02}", second / 3 * 3)),
            at(second.into()),
        );
        assert!(matches!(candidate.step(at(second.into())), Step::Wait(_)));
    }
}

#[test]
fn a_silent_leader_is_followed_within_eleven_seconds_and_not_before_ten() {
    let mut candidate = candidate();
    candidate.see(beat("other", T0), at(0.0));
    assert_eq!(candidate.step(at(0.0)), Step::Wait(at(6.5)));
    assert_eq!(candidate.step(at(6.5)), Step::Look);
    candidate.see(beat("other", T0), at(6.6));
    assert_eq!(candidate.step(at(6.6)), Step::Wait(at(10.6)));
    assert_eq!(candidate.step(at(10.6)), Step::Take);
}

/// OP-15: wall clocks that jump, of the leader or of the candidate, neither free nor keep a Lease.
#[test]
fn what_a_wall_clock_says_does_not_matter() {
    for jumped in ["2036-11-21T16:00:00", "2026-11-21T15:00:00"] {
        let mut candidate = candidate();
        candidate.see(beat("other", T0), at(0.0));
        candidate.see(beat("other", jumped), at(3.0));
        assert_eq!(candidate.step(at(9.0)), Step::Wait(at(9.5)));
        assert_eq!(candidate.step(at(9.5)), Step::Look);
    }
}

#[test]
fn an_outage_takes_the_lease_from_nobody() {
    let mut candidate = candidate();
    candidate.see(beat("other", T0), at(0.0));
    // Away from 0 to 20: whatever is asked for fails.
    for second in [7.0, 12.0, 19.0] {
        assert_eq!(candidate.step(at(second)), Step::Look);
        candidate.unanswered();
    }
    candidate.see(beat("other", T0), at(20.0));
    assert_eq!(candidate.step(at(20.0)), Step::Wait(at(24.0)));
    // The leader is as alive as before.
    candidate.see(beat("other", T3), at(21.0));
    assert_eq!(candidate.step(at(24.0)), Step::Wait(at(27.5)));
}

#[test]
fn a_proof_before_an_outage_is_none_after_it() {
    let mut candidate = candidate();
    candidate.see(beat("other", T0), at(0.0));
    candidate.see(beat("other", T0), at(7.0));
    assert_eq!(candidate.step(at(11.0)), Step::Take);
    candidate.unanswered();
    assert_eq!(candidate.step(at(11.0)), Step::Look);
    candidate.see(beat("other", T0), at(20.0));
    assert_eq!(candidate.step(at(20.0)), Step::Wait(at(24.0)));
}

#[test]
fn what_is_held_already_is_renewed_at_once() {
    let mut candidate = candidate();
    candidate.see(beat("me", T0), at(0.0));
    assert_eq!(candidate.step(at(0.0)), Step::Take);
}

/// A candidate that was stopped for a minute has seen nothing in it.
#[test]
fn a_candidate_that_slept_looks_before_it_takes() {
    let mut candidate = candidate();
    candidate.see(beat("other", T0), at(0.0));
    assert_eq!(candidate.step(at(60.0)), Step::Look);
    candidate.see(beat("other", T3), at(60.0));
    assert_eq!(candidate.step(at(60.0)), Step::Wait(at(66.5)));
}

/// A leader has stopped writing before another may begin, and has not where answers are five seconds late (OP-7).
#[test]
fn terms_do_not_overlap_and_have_no_gaps() {
    const { assert!(RENEW_DEADLINE.as_millis() + 1000 < TERM.as_millis()) };
    const { assert!(RENEW.as_millis() + 5000 < RENEW_DEADLINE.as_millis()) };
}

fn text(second: u32) -> String {
    format!("2026-11-21T16:{:02}:{:02}", second / 60, second % 60)
}

#[test]
fn a_node_that_falls_silent_ends_after_fifteen_seconds() {
    let mut judge = Judge::new("own");
    judge.see("silent", beat("silent", T0), at(0.0));
    for second in (0..=20).step_by(5) {
        judge.see("own", beat("own", &text(second)), at(second.into()));
    }
    assert_eq!(judge.over_for("silent", at(14.9)), None);
    assert_eq!(judge.over_for("silent", at(20.0)), Some(Duration::from_secs(5)));
    assert_eq!(judge.over_for("own", at(20.0)), None);
    assert_eq!(judge.over_for("unknown", at(20.0)), None);
    judge.see("silent", beat("silent", T3), at(21.0));
    assert_eq!(judge.over_for("silent", at(22.0)), None);
}

/// OP-15: a node whose wall clock jumps lives as long as it is heard, and no longer.
#[test]
fn what_a_node_s_wall_clock_says_does_not_matter() {
    for jumped in ["2036-11-21T16:00:00", "2026-11-21T15:00:00"] {
        let mut judge = Judge::new("own");
        judge.see("other", beat("other", T0), at(0.0));
        for second in (0..=25).step_by(5) {
            judge.see("own", beat("own", &text(second)), at(second.into()));
            if second == 10 {
                judge.see("other", beat("other", jumped), at(10.0));
            }
        }
        assert_eq!(judge.over_for("other", at(24.9)), None, "{jumped}");
        assert!(judge.over_for("other", at(25.1)).is_some(), "{jumped}");
    }
}

#[test]
fn who_is_not_renewed_judges_nobody_and_begins_anew() {
    for outage in [9, 20, 3600] {
        let mut judge = Judge::new("own");
        judge.see("own", beat("own", &text(0)), at(0.0));
        judge.see("other", beat("other", &text(0)), at(0.0));
        for second in 8..outage {
            assert_eq!(judge.over_for("other", at(second.into())), None, "{second}");
        }
        let back = f64::from(outage);
        judge.see("own", beat("own", &text(1)), at(back));
        assert_eq!(judge.over_for("other", at(back + 5.0)), None, "{outage}");
        judge.see("own", beat("own", &text(2)), at(back + 5.0));
        judge.see("own", beat("own", &text(3)), at(back + 10.0));
        judge.see("own", beat("own", &text(4)), at(back + 15.0));
        let over = judge.over_for("other", at(back + 16.0));
        assert_eq!(over, Some(Duration::from_secs(1)));
    }
}

#[test]
fn a_repeated_list_is_no_heartbeat() {
    let mut judge = Judge::new("own");
    judge.see("other", beat("other", T0), at(0.0));
    judge.see("own", beat("own", T0), at(0.0));
    judge.see("own", beat("own", T0), at(10.0));
    assert_eq!(judge.over_for("other", at(16.0)), None);
    judge.retain(|name| name == "own");
    assert_eq!(judge.over_for("other", at(60.0)), None);
}
