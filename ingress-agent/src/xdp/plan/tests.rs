use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::model::Protocol;
use crate::model::vip::PoolSecret;

fn member(number: u16, name: &str, addresses: &[&str]) -> Member {
    Member {
        number: NonZeroU16::new(number).unwrap(),
        name: Arc::from(name),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        state: MemberState::Active,
        ready: true,
    }
}

fn vip(address: &str, port: u16) -> Vip {
    Vip {
        address: address.parse().unwrap(),
        port: NonZeroU16::new(port).unwrap(),
        protocol: Protocol::Tcp,
    }
}

fn pool(name: &str, vips: Vec<Vip>, members: Vec<Member>) -> Arc<Pool> {
    Arc::new(Pool {
        name: Arc::from(name),
        vips,
        members,
    })
}

fn model(pools: Vec<Arc<Pool>>) -> Model {
    Model {
        pools,
        secret: Some(Arc::new(PoolSecret([9; 32]))),
        ..Model::default()
    }
}

fn two() -> Vec<Member> {
    vec![
        member(1, "a", &["10.0.0.1", "fd00::1", "10.9.9.9"]),
        member(7, "b", &["10.0.0.2"]),
    ]
}

#[test]
fn a_plan_names_nodes_pools_and_vips() {
    let plan = Plan::new(&model(vec![pool("p", vec![vip("192.0.2.1", 80)], two())]), "b").unwrap();
    assert_eq!(plan.own, Some(7));
    assert_eq!(plan.nodes[&1].v4, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(plan.nodes[&1].v6, Some("fd00::1".parse().unwrap()));
    assert_eq!(plan.nodes[&7].v6, None);
    assert_eq!(&*plan.vips[&vip("192.0.2.1", 80)], "p");
    assert_eq!(plan.pools["p"].len(), 2);
    assert!(plan.left_out.is_empty());
}

#[test]
fn without_pools_there_is_nothing_to_do() {
    assert_eq!(Plan::new(&Model::default(), "anyone"), Ok(Plan::default()));
}

#[test]
fn an_unknown_node_is_told_who_is_known() {
    let error = Plan::new(&model(vec![pool("p", vec![], two())]), "c").unwrap_err();
    assert_eq!(
        error,
        PlanError::UnknownNode {
            node: "c".into(),
            members: "a, b".into()
        }
    );
}

/// Its packets come in by the tunnel all the same.
#[test]
fn a_node_that_is_not_ready_is_known_and_asked_only_where_nobody_is() {
    let asked = |members: Vec<Member>| {
        let plan = Plan::new(&model(vec![pool("p", vec![], members)]), "b").unwrap();
        assert_eq!((plan.own, plan.nodes.len()), (Some(7), 2));
        let asked = plan.pools["p"].iter().map(|candidate| candidate.number);
        (asked.collect::<Vec<_>>(), plan.is_spared())
    };
    let mut members = two();
    assert_eq!(asked(members.clone()), (vec![1, 7], false));
    members[1].ready = false;
    assert_eq!(asked(members.clone()), (vec![1], true));
    members[0].ready = false;
    assert_eq!(asked(members), (vec![1, 7], false));
}

#[test]
fn two_nodes_need_a_secret_and_one_does_not() {
    let mut model = model(vec![pool("p", vec![], two())]);
    model.secret = None;
    assert_eq!(Plan::new(&model, "a"), Err(PlanError::NoSecret { nodes: 2 }));
    model.pools = vec![pool("p", vec![], vec![member(1, "a", &["10.0.0.1"])])];
    assert_eq!(Plan::new(&model, "a").unwrap().keys, Keys::default());
}

#[test]
fn a_node_s_address_is_no_vip_and_harms_no_other() {
    let vips = vec![vip("10.9.9.9", 80), vip("192.0.2.1", 80)];
    let plan = Plan::new(&model(vec![pool("p", vips, two())]), "a").unwrap();
    assert_eq!(plan.vips.len(), 1);
    assert!(matches!(&plan.left_out[..], [LeftOut::NodeAddress { node, .. }] if &**node == "a"));
}

#[test]
fn the_seventeenth_port_is_left_out_whole() {
    let vips = (1..=18)
        .map(|port| vip("192.0.2.1", port))
        .chain([vip("192.0.2.2", 18)])
        .collect();
    let plan = Plan::new(&model(vec![pool("p", vips, two())]), "a").unwrap();
    assert_eq!(plan.vips.len(), 17);
    let left: Vec<u16> = plan
        .left_out
        .iter()
        .filter_map(|left_out| {
            if let LeftOut::TooManyPorts { vip, .. } = left_out {
                Some(vip.port.get())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(left, [17, 18]);
}

#[test]
fn of_4096_vips_the_last_is_left_out() {
    let vips = (0..4096u32)
        .map(|index| Vip {
            address: IpAddr::V4(Ipv4Addr::from(0xc0a8_0000 + index)),
            ..vip("192.0.2.1", 80)
        })
        .collect();
    let plan = Plan::new(&model(vec![pool("p", vips, two())]), "a").unwrap();
    assert_eq!(plan.vips.len(), 4095);
    assert!(matches!(&plan.left_out[..], [LeftOut::TooManyVips { .. }]));
}

#[test]
fn of_65_pools_the_last_is_left_out_with_its_vips() {
    let pools = (0..65u16).map(|index| {
        pool(
            &format!("p{index:02}"),
            vec![vip("192.0.2.1", 100 + index)],
            two(),
        )
    });
    let plan = Plan::new(&model(pools.collect()), "a").unwrap();
    assert_eq!(plan.pools.len(), 64);
    assert!(plan.left_out.iter().any(|left_out| *left_out
        == LeftOut::TooManyPools {
            pool: Arc::from("p64")
        }));
    assert!(!plan.vips.contains_key(&vip("192.0.2.1", 164)));
}

#[test]
fn a_vip_of_two_pools_is_the_first_s() {
    let pools = ["z", "b"].map(|name| pool(name, vec![vip("192.0.2.1", 80)], two()));
    let plan = Plan::new(&model(pools.to_vec()), "a").unwrap();
    assert_eq!(&*plan.vips[&vip("192.0.2.1", 80)], "b");
    assert!(matches!(&plan.left_out[..], [LeftOut::Claimed { pool, .. }] if &**pool == "z"));
}

#[test]
fn a_number_with_two_names_costs_its_pool_alone() {
    let other = vec![member(1, "impostor", &["10.0.0.3"])];
    let pools = vec![
        pool("p", vec![vip("192.0.2.1", 80)], two()),
        pool("q", vec![vip("192.0.2.2", 80)], other),
    ];
    let plan = Plan::new(&model(pools), "a").unwrap();
    assert_eq!(plan.vips.len(), 1);
    assert!(
        matches!(&plan.left_out[..], [LeftOut::NodeNumber { number: 1, .. }]),
        "{:?}",
        plan.left_out
    );
}

#[test]
fn a_pool_that_cannot_be_a_file_is_left_out() {
    let pools = vec![
        pool("../up", vec![vip("192.0.2.1", 80)], two()),
        pool("p", vec![], two()),
    ];
    let plan = Plan::new(&model(pools), "a").unwrap();
    assert!(plan.vips.is_empty());
    assert!(matches!(&plan.left_out[..], [LeftOut::PoolName { .. }]));
}

#[test]
fn a_state_changes_the_generation() {
    let before = Plan::new(&model(vec![pool("p", vec![], two())]), "a").unwrap();
    let mut members = two();
    members[1].state = MemberState::Draining;
    let after = Plan::new(&model(vec![pool("p", vec![], members)]), "a").unwrap();
    assert_ne!(before.generation, after.generation);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every node makes the same of one model, in whatever order it lists things.
    #[test]
    fn the_order_of_the_input_does_not_count(mut members in Just(two()).prop_shuffle(), swap in any::<bool>()) {
        let reference = Plan::new(
            &model(vec![pool("p", vec![vip("192.0.2.1", 80)], two()), pool("q", vec![], two())]), "a").unwrap();
        let mut pools = vec![pool("p", vec![vip("192.0.2.1", 80)], members.clone()), pool("q", vec![], {
            members.reverse();
            members
        })];
        if swap {
            pools.reverse();
        }
        prop_assert_eq!(Plan::new(&model(pools), "a").unwrap(), reference);
    }
}
