//! The programs and maps of the agent's object, filled as a case asks.

use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use ingress_agent::xdp::object::OBJECT;
use ingress_common::{
    Backend, Heartbeat, Ip, MAX_BACKENDS, Node, Peer, Reason, SLOTS, Settings, Slot, SlotTable, Traffic,
    VipAddress,
};

use super::table::world::{Agent, EMPTY_POOL, POOL, World};

/// VIP numbers of the table are below this.
const VIPS: u16 = 8;
/// Node numbers of the table that are counted are below this.
const NODES: u16 = 8;

pub(crate) struct Loaded {
    ebpf: Ebpf,
    table: Array<MapData, SlotTable>,
    slot: Option<Slot>,
    backends: Array<MapData, Backend>,
}

pub(crate) struct Outcome {
    /// The kernel's `enum xdp_action`.
    pub(crate) action: u32,
    pub(crate) frame: Vec<u8>,
}

impl Loaded {
    pub(crate) fn new() -> Self {
        let mut ebpf = EbpfLoader::new().load(OBJECT).unwrap();
        for name in ["ingress_xdp", "ingress_frags"] {
            let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().unwrap();
        }
        let table: Array<_, SlotTable> = Array::create(1, 0).unwrap();
        let empty: Array<_, SlotTable> = Array::create(1, 0).unwrap();
        let mut pools: ArrayOfMaps<_, Array<MapData, SlotTable>> = typed(&mut ebpf, "SLOTS");
        pools.set(POOL.into(), &table, 0).unwrap();
        pools.set(EMPTY_POOL.into(), &empty, 0).unwrap();
        let backends: Array<_, Backend> = Array::create(MAX_BACKENDS, 0).unwrap();
        let mut vips: ArrayOfMaps<_, Array<MapData, Backend>> = typed(&mut ebpf, "BACKENDS");
        for vip in 1..VIPS {
            vips.set(vip.into(), &backends, 0).unwrap();
        }
        Self {
            ebpf,
            table,
            slot: None,
            backends,
        }
    }

    /// Puts a case's world into the maps.
    pub(crate) fn fill(&mut self, world: &World) {
        if self.slot != Some(world.slot) {
            let table = Box::new(SlotTable {
                slots: [world.slot; SLOTS],
            });
            self.table.set(0, *table, 0).unwrap();
            self.slot = Some(world.slot);
        }
        for (number, backend) in (0..).zip(&world.backends) {
            self.backends.set(number, backend, 0).unwrap();
        }
        let mut nodes: Array<_, Node> = typed(&mut self.ebpf, "NODES");
        for (number, node) in (0..).zip(&world.nodes) {
            nodes.set(number, node, 0).unwrap();
        }
        let mut config: Array<_, Settings> = typed(&mut self.ebpf, "CONFIG");
        config.set(0, world.settings, 0).unwrap();
        let mut heartbeat: Array<_, Heartbeat> = typed(&mut self.ebpf, "HEARTBEAT");
        heartbeat
            .set(
                0,
                Heartbeat {
                    monotonic_ns: beat(world.agent),
                },
                0,
            )
            .unwrap();
        let mut peers: HashMap<_, Ip, Peer> = typed(&mut self.ebpf, "PEERS");
        for address in &world.peers {
            peers.insert(address, Peer::default(), 0).unwrap();
        }
        let mut addresses: HashMap<_, Ip, VipAddress> = typed(&mut self.ebpf, "VIP_ADDRS");
        for (address, value) in &world.addresses {
            addresses.insert(address, value, 0).unwrap();
        }
    }

    /// Runs a program on one frame.
    pub(crate) fn run(&mut self, program: &str, frame: &[u8]) -> Outcome {
        let program: &mut Xdp = self.ebpf.program_mut(program).unwrap().try_into().unwrap();
        let mut output = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut output);
        options.repeat = 1;
        let result = program.test_run(options).unwrap();
        output.truncate(usize::try_from(result.data_size_out).unwrap());
        Outcome {
            action: result.return_value,
            frame: output,
        }
    }

    /// `REASONS`, by number, over all CPUs.
    pub(crate) fn reasons(&mut self) -> Vec<Traffic> {
        self.traffic("REASONS", u32::try_from(Reason::ALL.len()).unwrap())
    }

    /// `NODE_TRAFFIC`, by number, over all CPUs.
    pub(crate) fn nodes(&mut self) -> Vec<Traffic> {
        self.traffic("NODE_TRAFFIC", NODES.into())
    }

    fn traffic(&mut self, map: &str, entries: u32) -> Vec<Traffic> {
        let map: PerCpuArray<_, Traffic> = typed(&mut self.ebpf, map);
        let sum = |entry| {
            map.get(&entry, 0)
                .unwrap()
                .iter()
                .fold(Traffic::default(), |sum, cpu| Traffic {
                    packets: sum.packets + cpu.packets,
                    bytes: sum.bytes + cpu.bytes,
                })
        };
        (0..entries).map(sum).collect()
    }
}

/// The heartbeat that the agent left.
fn beat(agent: Agent) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap();
    match agent {
        Agent::Fresh => now,
        Agent::Hung => now - 1_000_000_000,
        Agent::Draining => 0,
    }
}

fn typed<'e, M>(ebpf: &'e mut Ebpf, name: &str) -> M
where
    M: TryFrom<&'e mut Map, Error: std::fmt::Debug>,
{
    ebpf.map_mut(name).unwrap().try_into().unwrap()
}
