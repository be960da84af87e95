//! What is saved of a cluster is what is read back.

use std::sync::Arc;

use ingress_agent::source::kube::Identity;
use ingress_agent::source::kube::saved::{Files, Kept, decode, encode, keys};
use ingress_agent::translate::{Snapshot, translate};
use proptest::prelude::*;

use crate::memo::{World, edits, pools, secrets};

const IDENTITY: Identity = Identity([7; 32]);

fn restored(files: &Files, kept: &Kept, node: &Arc<str>) -> Snapshot {
    decode(&files.snapshot, kept, &IDENTITY, node).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_comes_back_as_it_was(edits in edits()) {
        let (secrets, pools) = (secrets(), pools());
        let mut world = World::default();
        for edit in edits {
            edit.apply(&mut world, &secrets, &pools);
        }
        let saved = world.snapshot();
        let files = encode(&saved, &IDENTITY);
        let whole = restored(&files, &keys(&files.keys, &IDENTITY).unwrap(), &saved.node);
        // Which does not show private keys: the files are compared for them.
        let as_saved = Snapshot {
            time: saved.time,
            allocation: saved.allocation,
            restored: saved.restored,
            ..whole.clone()
        };
        prop_assert_eq!(format!("{saved:?}"), format!("{as_saved:?}"));
        let again = encode(&whole, &IDENTITY);
        prop_assert!(again.snapshot == files.snapshot && again.keys == files.keys);
        let (model, report) = translate(&as_saved);
        let (expected, told) = translate(&saved);
        prop_assert_eq!(format!("{model:?}"), format!("{expected:?}"));
        prop_assert_eq!(report, told);

        // Without the keys all hosts have the certificates that they had, and the keys are gone.
        let keyless = restored(&files, &Kept::default(), &saved.node);
        let none = encode(&keyless, &IDENTITY);
        prop_assert!(none.snapshot == files.snapshot);
        prop_assert_eq!(keys(&none.keys, &IDENTITY), Ok(Kept::default()));
    }
}
