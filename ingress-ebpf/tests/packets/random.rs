//! What holds for any frame.

use ingress_common::{Reason, Verdict};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::{Index, select};

use super::host::{Frame, Host};
use super::table::world::{Sockets, World};
use super::table::{Case, cases};

/// A case of the table, with some bits of its frame flipped and perhaps its end cut off.
fn damaged() -> impl Strategy<Value = Case> {
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.frame.len() > 50).collect();
    let flips = vec((any::<Index>(), 0..8_u8), 0..6);
    (select(cases), flips, any::<Index>(), any::<bool>()).prop_map(|(mut case, flips, end, cut)| {
        for (index, bit) in flips {
            let index = index.index(case.frame.len());
            case.frame[index] ^= 1 << bit;
        }
        if cut {
            case.frame.truncate(end.index(case.frame.len()));
        }
        case
    })
}

proptest! {
    /// Any bytes at all: an end, counted once, and nothing of what passes changed.
    #[test]
    fn any_frame_has_one_end(bytes in vec(any::<u8>(), 0..200)) {
        one_end(&World::new(), &bytes)?;
    }

    /// Frames that are nearly right get further.
    #[test]
    fn a_damaged_frame_has_one_end(case in damaged()) {
        one_end(&case.world, &case.frame)?;
    }

    /// Where no address is a VIP and none is this node's, everything passes as it came.
    #[test]
    fn what_is_not_ours_always_passes(case in damaged()) {
        let mut world = case.world.clone();
        world.addresses.clear();
        world.settings.outer_v4 = Default::default();
        world.settings.outer_v6 = Default::default();
        let reason = one_end(&world, &case.frame)?;
        prop_assert!(matches!(reason, Reason::NotVip | Reason::NotIp), "{reason:?}");
    }

    /// No damage to a tunnel packet's outer side opens it for somebody who does not know the key.
    #[test]
    fn nobody_guesses_the_key(case in damaged()) {
        let mut world = case.world.clone().sockets(Sockets::Connection);
        world.settings.tunnel_keys = [0xdead_0000, 0xdead_0001].map(ingress_common::Be32::new);
        let reason = one_end(&world, &case.frame)?;
        prop_assert!(!matches!(reason, Reason::KeptTunnel | Reason::NextHop), "{reason:?}");
    }
}

fn one_end(world: &World, bytes: &[u8]) -> Result<Reason, proptest::test_runner::TestCaseError> {
    let host = Host::new(world);
    let mut frame = Frame::new(bytes);
    let reason = ingress_ebpf::ingress(&mut frame, &host);
    let length = u32::try_from(bytes.len()).unwrap();
    prop_assert_eq!(&host.counted.borrow().reasons, &[(reason, length)]);
    if reason.verdict() == Verdict::Pass && reason != Reason::KeptTunnel {
        prop_assert_eq!(&frame.bytes, bytes);
    }
    Ok(reason)
}
