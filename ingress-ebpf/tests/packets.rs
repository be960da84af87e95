//! The packet table, through the library on the host; and what holds for any frame.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a table that is wrong stops the test"
)]

#[path = "packets/host.rs"]
mod host;
#[path = "packets/random.rs"]
mod random;
#[path = "table.rs"]
mod table;

use ingress_common::{Reason, Verdict};

use self::host::{Frame, Host};

#[test]
fn every_case_ends_as_the_table_says() {
    let cases = table::cases();
    assert!(cases.len() > 900, "the table has only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_name_is_its_own() {
    let mut names: Vec<String> = table::cases().into_iter().map(|case| case.name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// What the kernel cannot be asked is little, and says why.
#[test]
fn few_cases_are_for_the_host_alone() {
    let cases = table::cases();
    let here = cases.iter().filter(|case| case.host_only.is_some()).count();
    assert!(here * 5 < cases.len(), "{here} of {} cases", cases.len());
}

/// A driver without room in front of the frame.
#[test]
fn no_headroom_is_a_reason() {
    let case = table::cases()
        .into_iter()
        .find(|case| case.node.is_some())
        .unwrap();
    let host = Host::new(&case.world);
    let mut frame = Frame {
        headroom: false,
        ..Frame::new(&case.frame)
    };
    assert_eq!(ingress_ebpf::ingress(&mut frame, &host), Reason::Headroom);
}

fn check(case: &table::Case) -> Result<(), String> {
    let host = Host::new(&case.world);
    let mut frame = Frame::new(&case.frame);
    let reason = ingress_ebpf::ingress(&mut frame, &host);
    let says = |what: String| Err(format!("{}: {what}", case.name));
    if reason != case.reason {
        return says(format!("{reason:?}, expected {:?}", case.reason));
    }
    if let Some(output) = &case.output
        && *output != frame.bytes
    {
        return says(format!(
            "frame\n  {:02x?}, expected\n  {output:02x?}",
            frame.bytes
        ));
    }
    if case.output.is_none() && reason.verdict() != Verdict::Drop {
        return says("not dropped, but the table has no output".into());
    }
    let counted = host.counted.borrow();
    let bytes = u32::try_from(case.frame.len()).unwrap();
    if counted.reasons != [(reason, bytes)] {
        return says(format!("reasons counted: {:?}", counted.reasons));
    }
    if counted.nodes
        != case
            .node
            .map(|node| (node, bytes))
            .into_iter()
            .collect::<Vec<_>>()
    {
        return says(format!("nodes counted: {:?}", counted.nodes));
    }
    let to_a_vip = matches!(
        reason,
        Reason::Kept | Reason::KeptTunnel | Reason::Forwarded | Reason::NextHop
    );
    if to_a_vip && !matches!(counted.vips[..], [(_, counted)] if counted == bytes) {
        return says(format!("VIPs counted: {:?}", counted.vips));
    }
    Ok(())
}
