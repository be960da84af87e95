//! The packet table through the programs in the kernel, by `BPF_PROG_TEST_RUN`.
//!
//! The cases are the ones that `ingress-ebpf/tests/packets.rs` runs through the library on the host. Each is run
//! through both XDP programs, in a network namespace without a name that has nothing but a loopback interface
//! and the sockets that the case asks for, and that ends with its thread.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a table that is wrong stops the test"
)]

#[path = "kernel/cookie.rs"]
mod cookie;
#[path = "kernel/loaded.rs"]
mod loaded;
#[path = "kernel/namespace.rs"]
mod namespace;
#[path = "../../ingress-ebpf/tests/table.rs"]
mod table;

use std::net::IpAddr;

use ingress_common::{Family, Reason, Traffic, Verdict};

use self::loaded::{Loaded, Outcome};
use self::namespace::{Connections, in_a_namespace};
use self::table::Case;
use self::table::frames::{Outer, ethernet};
use self::table::world::{PEER_2, Sockets, World};

#[test]
fn every_case_ends_in_the_kernel_as_the_table_says() {
    in_a_namespace(|| {
        let mut loaded = Loaded::new();
        let (here, elsewhere): (Vec<Case>, Vec<Case>) = table::cases()
            .into_iter()
            .partition(|case| case.host_only.is_none());
        let mut reasons: Vec<&str> = elsewhere.iter().filter_map(|case| case.host_only).collect();
        reasons.sort_unstable();
        reasons.dedup();
        eprintln!(
            "{} cases on the host only: {}",
            elsewhere.len(),
            reasons.join("; ")
        );

        let mut wrong = Vec::new();
        for sockets in [Sockets::None, Sockets::Listener, Sockets::Connection] {
            let connections = Connections::new(sockets);
            for case in here.iter().filter(|case| case.world.sockets == sockets) {
                loaded.fill(&case.world);
                for program in PROGRAMS {
                    wrong.extend(check(&mut loaded, program, case).err());
                }
            }
            drop(connections);
        }
        assert!(
            wrong.is_empty(),
            "{} of {} cases:\n{}",
            wrong.len(),
            here.len(),
            wrong.join("\n")
        );
    });
}

/// The acknowledgement of a SYN cookie finds only the listener, so the cookie must be asked about.
#[test]
fn a_syn_cookie_is_known_again_and_a_forged_one_is_not() {
    in_a_namespace(|| {
        let mut loaded = Loaded::new();
        let world = &World::slot(1, 2, 3);
        loaded.fill(world);
        let mut wrong = Vec::new();
        for family in [Family::V4, Family::V6] {
            let (_listener, packet) = cookie::acknowledged(family);
            let frame = ethernet(&[0x8100], &packet);
            let peer = Outer::to_us(IpAddr::V4(PEER_2), family, 2, [3, 4]);
            let forged = ethernet(&[0x8100], &cookie::forged(family, &packet));
            let forwarded = Case::drops(format!("{family:?} forged"), world, &forged, Reason::Forwarded);
            let cases = [
                Case::passes(format!("{family:?} at entry"), world, &frame, Reason::Kept),
                Case::emerges(
                    format!("{family:?} after the tunnel"),
                    world,
                    &ethernet(&[], &peer.around(&packet)),
                    ethernet(&[], &packet),
                ),
                Case {
                    node: Some(2),
                    ..forwarded
                },
            ];
            for case in cases {
                for program in PROGRAMS {
                    wrong.extend(check(&mut loaded, program, &case).err());
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

const PROGRAMS: [&str; 2] = ["ingress_xdp", "ingress_frags"];

fn check(loaded: &mut Loaded, program: &str, case: &Case) -> Result<(), String> {
    let (reasons, nodes) = (loaded.reasons(), loaded.nodes());
    let Outcome { action, frame } = loaded.run(program, &case.frame);
    let counted = |before: Vec<Traffic>, after: Vec<Traffic>| -> Vec<(usize, u64, u64)> {
        before
            .iter()
            .zip(&after)
            .enumerate()
            .filter(|(_, (before, after))| before != after)
            .map(|(index, (before, after))| {
                (index, after.packets - before.packets, after.bytes - before.bytes)
            })
            .collect()
    };
    let says = |what: String| Err(format!("{program}: {}: {what}", case.name));
    let bytes = case.frame.len() as u64;
    let reasons = counted(reasons, loaded.reasons());
    if reasons != [(case.reason as usize, 1, bytes)] {
        return says(format!(
            "reasons counted: {reasons:?}, expected {:?}",
            case.reason
        ));
    }
    let nodes = counted(nodes, loaded.nodes());
    if nodes
        != case
            .node
            .map(|node| (usize::from(node), 1, bytes))
            .into_iter()
            .collect::<Vec<_>>()
    {
        return says(format!("nodes counted: {nodes:?}, expected {:?}", case.node));
    }
    let expected = match case.reason.verdict() {
        Verdict::Drop => 1,
        Verdict::Pass => 2,
        Verdict::Tx => 3,
    };
    if action != expected {
        return says(format!("action {action}, expected {expected}"));
    }
    match &case.output {
        Some(output) if *output != frame => says(format!("frame\n  {frame:02x?}, expected\n  {output:02x?}")),
        _ => Ok(()),
    }
}
