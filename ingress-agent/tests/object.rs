//! The contract between the embedded eBPF object and the types that both sides share, read from the ELF
//! file alone: no privilege is needed.

#![expect(clippy::expect_used, reason = "a test ends where its fixture breaks")]

use aya_obj::generated::bpf_map_type::{self, *};
use aya_obj::{Map, Object, ProgramSection};
use ingress_agent::xdp::object::OBJECT;
use ingress_common::{
    Backend, Heartbeat, Ip, MAX_ADDRESSES, MAX_BACKENDS, MAX_LISTENERS, MAX_NODES, MAX_PEERS, MAX_POOLS,
    MAX_REASONS, MAX_VIPS, Node, Peer, Settings, SlotTable, Traffic, VipAddress,
};

/// What a map must look like.
#[derive(Debug, Eq, PartialEq)]
struct Shape {
    kind: bpf_map_type,
    key: usize,
    value: usize,
    entries: u32,
    flags: u32,
}

fn shape<K, V>(kind: bpf_map_type, entries: u32) -> Shape {
    Shape {
        kind,
        key: size_of::<K>(),
        value: size_of::<V>(),
        entries,
        flags: 0,
    }
}

/// Every map by its name, and for a map of maps what it holds.
fn contract() -> Vec<(&'static str, Shape, Option<Shape>)> {
    let plain = |name, shape| (name, shape, None);
    vec![
        (
            "BACKENDS",
            shape::<u32, u32>(BPF_MAP_TYPE_ARRAY_OF_MAPS, MAX_VIPS),
            Some(shape::<u32, Backend>(BPF_MAP_TYPE_ARRAY, MAX_BACKENDS)),
        ),
        plain("CONFIG", shape::<u32, Settings>(BPF_MAP_TYPE_ARRAY, 1)),
        plain("HEARTBEAT", shape::<u32, Heartbeat>(BPF_MAP_TYPE_ARRAY, 1)),
        plain(
            "LISTENERS",
            shape::<u32, u32>(BPF_MAP_TYPE_SOCKMAP, MAX_LISTENERS),
        ),
        plain("NODES", shape::<u32, Node>(BPF_MAP_TYPE_ARRAY, MAX_NODES)),
        plain(
            "NODE_TRAFFIC",
            shape::<u32, Traffic>(BPF_MAP_TYPE_PERCPU_ARRAY, MAX_NODES),
        ),
        plain("PEERS", shape::<Ip, Peer>(BPF_MAP_TYPE_HASH, MAX_PEERS)),
        plain(
            "REASONS",
            shape::<u32, Traffic>(BPF_MAP_TYPE_PERCPU_ARRAY, MAX_REASONS),
        ),
        (
            "SLOTS",
            shape::<u32, u32>(BPF_MAP_TYPE_ARRAY_OF_MAPS, MAX_POOLS),
            Some(shape::<u32, SlotTable>(BPF_MAP_TYPE_ARRAY, 1)),
        ),
        plain(
            "VIP_ADDRS",
            shape::<Ip, VipAddress>(BPF_MAP_TYPE_HASH, MAX_ADDRESSES),
        ),
        plain(
            "VIP_TRAFFIC",
            shape::<u32, Traffic>(BPF_MAP_TYPE_PERCPU_ARRAY, MAX_VIPS),
        ),
    ]
}

fn object() -> Object {
    Object::parse(OBJECT).expect("the embedded object parses")
}

fn found(map: &Map) -> Shape {
    Shape {
        kind: bpf_map_type::try_from(map.map_type())
            .ok()
            .expect("a known map type"),
        key: map.key_size() as usize,
        value: map.value_size() as usize,
        entries: map.max_entries(),
        flags: map.map_flags(),
    }
}

#[test]
fn every_map_has_the_shared_types_sizes() {
    let object = object();
    for (name, expected, inner) in contract() {
        let map = object
            .maps
            .get(name)
            .unwrap_or_else(|| panic!("the object has no map {name}"));
        assert_eq!(found(map), expected, "{name}");
        assert_eq!(map.inner().as_ref().map(found), inner, "what {name} holds");
    }
}

/// A map that the contract does not name would be neither pinned nor checked. Constants that the compiler
/// lays down (`.rodata`) are no shared state.
#[test]
fn there_is_no_other_map() {
    let contract: Vec<&str> = contract().into_iter().map(|(name, ..)| name).collect();
    let object = object();
    let mut others: Vec<&String> = object
        .maps
        .keys()
        .filter(|name| !contract.contains(&name.as_str()) && !name.starts_with(".rodata"))
        .collect();
    // The log lines' ring buffer and their level.
    others.retain(|name| !(cfg!(feature = "ebpf-log") && name.starts_with("AYA_LOG")));
    assert!(others.is_empty(), "{others:?}");
}

/// The kernel keeps 15 characters of a name, so longer ones show as stumps in every tool.
#[test]
fn names_are_whole_in_the_kernel() {
    let object = object();
    for name in object.maps.keys().chain(object.programs.keys()) {
        assert!(name.len() <= 15, "{name} has {} characters", name.len());
    }
}

/// Only maps that are declared with BTF show their fields by name in bpftool.
#[test]
fn the_object_and_its_maps_carry_btf() {
    let object = object();
    assert!(object.btf.is_some());
    assert!(object.btf_ext.is_some());
    for (name, ..) in contract() {
        let map = object
            .maps
            .get(name)
            .expect("every_map_has_the_shared_types_sizes");
        let Map::Btf(map) = map else {
            panic!("{name} is declared without BTF")
        };
        assert_ne!(map.def.btf_value_type_id, 0, "{name}");
    }
}

#[test]
fn the_programs_are_those_the_agent_attaches() {
    let object = object();
    let section = |name: &str| {
        &object
            .programs
            .get(name)
            .unwrap_or_else(|| panic!("no program {name}"))
            .section
    };
    assert!(matches!(
        section("ingress_xdp"),
        ProgramSection::Xdp { frags: false, .. }
    ));
    assert!(matches!(
        section("ingress_frags"),
        ProgramSection::Xdp { frags: true, .. }
    ));
    assert!(matches!(section("ingress_steer"), ProgramSection::SkLookup));
    assert_eq!(object.programs.len(), 3, "{:?}", object.programs.keys());
}

/// The kernel's `license_is_gpl_compatible` knows a few strings; this is the one for ours (MIT, and GPL for
/// the helpers that ask for it).
#[test]
fn the_license_lets_the_programs_call_what_they_call() {
    assert_eq!(object().license.to_str(), Ok("Dual MIT/GPL"));
}
