//! What the leader writes for all, where the API server always refuses some of it: the rest is written.

use std::time::Instant;

use xtask::control_plane::Plane;

use crate::coordination::bed::{Bed, NAMESPACE, name};
use crate::definition::define;
use crate::pools::{Allocator, PATIENCE, World, class, eventually, pool, recorded, served, threads};

/// Refuses writes of a resource that a CEL expression is not true of, from now on: such as `attempt`'s.
fn refuse(
    plane: &Plane,
    (group, version, resource): (&str, &str, &str),
    expression: &str,
    attempt: impl Fn() -> bool,
) {
    let policy = format!(
        "apiVersion: admissionregistration.k8s.io/v1\n\
         kind: ValidatingAdmissionPolicy\n\
         metadata: {{name: closed}}\n\
         spec:\n  \
           matchConstraints:\n    \
             resourceRules:\n    \
             - {{apiGroups: [{group}], apiVersions: [{version}], operations: [CREATE, UPDATE], resources: [{resource}]}}\n  \
           validations: [{{expression: \"{expression}\"}}]\n\
         ---\n\
         apiVersion: admissionregistration.k8s.io/v1\n\
         kind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: closed}}\n\
         spec: {{policyName: closed, validationActions: [Deny]}}\n"
    );
    plane.kubectl_with(&["apply", "-f", "-"], &policy).unwrap();
    let begin = Instant::now();
    while attempt() {
        assert!(begin.elapsed() < PATIENCE, "the policy is not in force");
    }
}

fn allow(plane: &Plane) {
    let binding = ["delete", "validatingadmissionpolicybinding", "closed"];
    plane.kubectl(&binding).unwrap();
}

#[test]
fn a_pool_whose_status_is_refused_keeps_no_other_waiting() {
    let world = World::start();
    define(&world.plane);
    world.kubectl(&["create", "namespace", "one"]);
    let of_class = |pool: String, class: &str| pool.replace("]}\n", &format!("], classes: [{class}]}}\n"));
    let closed = of_class(pool("a-closed", "192.0.2.1"), "a");
    let what = ("ingress-agent.dev", "v1alpha1", "vippools/status");
    world.apply(&closed);
    let attempt = || {
        let given = r#"{"status": {"assignments": [{"address": "192.0.2.1", "class": "a"}]}}"#;
        let patch = ["patch", "vp", "a-closed", "--subresource=status", "--type=merge"];
        let arguments = [&patch[..], &["--dry-run=server", "--patch", given]].concat();
        world.plane.kubectl(&arguments).is_ok()
    };
    refuse(&world.plane, what, "object.metadata.name != 'a-closed'", attempt);
    world.apply(&(of_class(pool("b-open", "192.0.2.2"), "b") + &class("a") + &class("b")));
    let runtime = threads();
    let leader = Allocator::start(&runtime, &world, "leader", "one");
    let seen = eventually(
        &runtime,
        &leader.snapshots,
        "the other pool's address",
        |snapshot| !recorded(snapshot).is_empty(),
    );
    assert_eq!(served(&seen), ["192.0.2.2"]);
    allow(&world.plane);
    eventually(&runtime, &leader.snapshots, "both", |snapshot| {
        recorded(snapshot).len() == 2
    });
}

#[test]
fn a_node_whose_number_is_refused_keeps_no_other_waiting() {
    let bed = Bed::start(3);
    let first = format!("node-{}", name(0));
    let number = "ingress-agent.dev/number";
    let expression = format!(
        "object.metadata.name != '{first}' || !has(object.metadata.annotations) || \
         !('{number}' in object.metadata.annotations)"
    );
    let numbered = format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\n\
         metadata: {{name: {first}, namespace: {NAMESPACE}, annotations: {{{number}: '9'}}}}\n"
    );
    let what = ("coordination.k8s.io", "v1", "leases");
    let arguments = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
    let attempt = || bed.plane.kubectl_with(&arguments, &numbered).is_ok();
    refuse(&bed.plane, what, &expression, attempt);
    bed.run(async |bed| {
        // It is waited for before the others come, and goes before them by name.
        let mut agents = bed.agents(0..1);
        bed.eventually("its Lease", |leases| leases.len() == 1).await;
        agents.extend(bed.agents(1..3));
        let leases = bed
            .eventually("the others' numbers", |leases| {
                leases.iter().filter(|lease| lease.number.is_some()).count() == 2
            })
            .await;
        assert_eq!(leases[0].number, None);
        allow(&bed.plane);
        bed.numbered(3).await;
        drop(agents);
    });
}
