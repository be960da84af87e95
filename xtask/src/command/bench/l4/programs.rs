//! The programs under test, the harness in front of them, and one run of either.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{PerCpuArray, ProgramArray},
    programs::{Program, ProgramFd, SkLookup, TestRun, TestRunOptions, Xdp},
};
use aya_obj::generated::{bpf_attr, bpf_cmd};
use ingress_common::{Reason, Traffic, Verdict};

use super::{frame::Frame, sockets::Sockets, tables};

/// Room for a frame that comes out.
const OUTPUT: usize = 512;

/// The eBPF object of the agent, loaded with maps of its own.
pub(super) struct Agent(Ebpf);

impl Agent {
    pub(super) fn load(object: &[u8], sockets: &Sockets) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load(object)
            .context("loading the eBPF object")?;
        tables::fill(&mut ebpf, sockets).context("filling the maps")?;
        xdp(&mut ebpf, "ingress_xdp")?
            .load()
            .context("loading ingress_xdp")?;
        steer(&mut ebpf, "ingress_steer")?
            .load()
            .context("loading ingress_steer")?;
        Ok(Self(ebpf))
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp> {
        xdp(&mut self.0, "ingress_xdp")
    }

    pub(super) fn steer(&mut self) -> Result<ProgramFd> {
        Ok(steer(&mut self.0, "ingress_steer")?.fd()?.try_clone()?)
    }

    /// Packets by reason, over all CPUs.
    pub(super) fn reasons(&self) -> Result<Vec<u64>> {
        let map = self.0.map("REASONS").context("the object has no map REASONS")?;
        let reasons: PerCpuArray<_, Traffic> = PerCpuArray::try_from(map)?;
        let packets = |reason: &Reason| -> Result<u64> {
            let values = reasons.get(&(*reason as u32), 0).context("REASONS")?;
            Ok(values.iter().map(|value| value.packets).sum())
        };
        Reason::ALL.iter().map(packets).collect()
    }
}

/// The harness, set up for one frame.
pub(super) struct Harness(Ebpf);

impl Harness {
    /// Loads it with nothing behind it, for a frame and the flows that differ from it by source.
    ///
    /// `tunnelled`: the frame is the tunnel's, and what is written over is the end of its outer headers.
    /// `always`: the frame is restored even if it came back as it was.
    pub(super) fn load(
        object: &[u8],
        input: &Frame,
        flows: u32,
        tunnelled: bool,
        always: bool,
    ) -> Result<Self> {
        let restored = input.restored(tunnelled);
        let number = |number: usize| u32::try_from(number).context("a frame is too long");
        let length = number(input.bytes().len())?;
        let (head_at, hop_at) = (number(restored.head_at)?, number(restored.hop_at)?);
        let mut ebpf = EbpfLoader::new()
            .override_global("LENGTH", &length, true)
            .override_global("HEAD_AT", &head_at, true)
            .override_global("HEAD", &restored.head, true)
            .override_global("HEAD_ENDS_SHORT", &u32::from(restored.head_ends_short), true)
            .override_global("HOP_AT", &hop_at, true)
            .override_global("HOP", &restored.hop, true)
            .override_global("ALWAYS", &u32::from(always), true)
            .override_global("FLOW_MASK", &(flows - 1), true)
            .override_global("SOURCE", &input.source_v4(), true)
            .override_global("PORT", &u32::from(tables::FORWARDED_PORT), true)
            .load(object)
            .context("loading the harness's object")?;
        xdp(&mut ebpf, "harness")?.load().context("loading the harness")?;
        Ok(Self(ebpf))
    }

    /// Puts a program behind it.
    pub(super) fn before(mut self, target: &ProgramFd) -> Result<Self> {
        let map = self
            .0
            .map_mut("TARGET")
            .context("the harness has no map TARGET")?;
        let mut targets: ProgramArray<_> = ProgramArray::try_from(map)?;
        targets
            .set(0, target, 0)
            .context("putting a program behind the harness")?;
        Ok(self)
    }

    /// Puts one of its own programs behind it.
    pub(super) fn before_own(mut self, name: &str) -> Result<Self> {
        let target = self.own(name)?.fd()?.try_clone()?;
        self.before(&target)
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp> {
        xdp(&mut self.0, "harness")
    }

    /// One of its own programs, which is loaded when it is first asked for.
    pub(super) fn own(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = xdp(&mut self.0, name)?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("loading {name}"))?;
        }
        Ok(program)
    }

    /// Its own `sk_lookup` program, which does nothing.
    pub(super) fn empty_steer(&mut self) -> Result<ProgramFd> {
        let program = steer(&mut self.0, "empty_steer")?;
        program.load().context("loading empty_steer")?;
        Ok(program.fd()?.try_clone()?)
    }
}

fn xdp<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    program(ebpf, name)?
        .try_into()
        .with_context(|| format!("{name} is no XDP program"))
}

fn steer<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SkLookup> {
    program(ebpf, name)?
        .try_into()
        .with_context(|| format!("{name} is no sk_lookup program"))
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program> {
    ebpf.program_mut(name)
        .with_context(|| format!("the object has no program {name}"))
}

/// What a run of an XDP program ended with.
pub(super) struct Outcome {
    /// Nanoseconds per packet.
    pub(super) nanoseconds: u32,
    /// The last packet's verdict.
    pub(super) verdict: u32,
    /// What was left of it.
    pub(super) output: Frame,
}

/// Runs an XDP program `repeat` times on one frame.
pub(super) fn run(program: &Xdp, input: &Frame, repeat: u32) -> Result<Outcome> {
    let mut output = [0; OUTPUT];
    let mut options = TestRunOptions::new();
    options.data_in = Some(input.bytes());
    options.data_out = Some(&mut output);
    options.repeat = repeat;
    let result = program
        .test_run(options)
        .context("BPF_PROG_TEST_RUN of an XDP program")?;
    let length = usize::try_from(result.data_size_out)?;
    let output = output
        .get(..length)
        .context("a frame came out that is longer than any should be")?;
    Ok(Outcome {
        nanoseconds: u32::try_from(result.duration.as_nanos())?,
        verdict: result.return_value,
        output: Frame::from_bytes(output),
    })
}

/// The kernel's number of a verdict (`enum xdp_action`).
pub(super) const fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Drop => 1,
        Verdict::Pass => 2,
        Verdict::Tx => 3,
    }
}

/// What a run of an `sk_lookup` program ended with.
pub(super) struct Steered {
    pub(super) nanoseconds: u32,
    /// The cookie of the socket that was chosen; 0: none was.
    pub(super) cookie: u64,
}

/// Runs an `sk_lookup` program `repeat` times for one connection over IPv4. aya has no call for it.
pub(super) fn run_steer(program: &ProgramFd, repeat: u32) -> Result<Steered> {
    let mut context = SkLookupContext::for_the_vip();
    // SAFETY: all zero is a value of this union of plain data.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<SkLookupContext>())?;
    attr.test.prog_fd = u32::try_from(program.as_fd().as_raw_fd())?;
    attr.test.repeat = repeat;
    attr.test.ctx_in = (&raw const context) as u64;
    attr.test.ctx_size_in = size;
    attr.test.ctx_out = (&raw mut context) as u64;
    attr.test.ctx_size_out = size;
    // SAFETY: the attributes are a test run's; what they point to is a context of the size they give,
    // which lives until the call returns.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_PROG_TEST_RUN,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    if returned != 0 {
        let error = std::io::Error::last_os_error();
        return Err(error).context("BPF_PROG_TEST_RUN of an sk_lookup program");
    }
    // SAFETY: these are the fields that a test run answers in.
    let test = unsafe { attr.test };
    ensure!(
        test.retval == 1,
        "the sk_lookup program answered {}, not SK_PASS",
        test.retval
    );
    Ok(Steered {
        nanoseconds: test.duration,
        cookie: context.cookie,
    })
}

/// `struct bpf_sk_lookup` of the kernel's uapi/linux/bpf.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct SkLookupContext {
    cookie: u64,
    family: u32,
    protocol: u32,
    remote_ip4: [u8; 4],
    remote_ip6: [u8; 16],
    remote_port: [u8; 2],
    zero: u16,
    local_ip4: [u8; 4],
    local_ip6: [u8; 16],
    local_port: u32,
    ingress_ifindex: u32,
    padding: u32,
}

const _: () = assert!(size_of::<SkLookupContext>() == 72);

impl SkLookupContext {
    const fn for_the_vip() -> Self {
        Self {
            cookie: 0,
            family: 2,
            protocol: 6,
            remote_ip4: tables::CLIENT_V4.ip().octets(),
            remote_ip6: [0; 16],
            remote_port: tables::CLIENT_V4.port().to_be_bytes(),
            zero: 0,
            local_ip4: tables::VIP_V4.octets(),
            local_ip6: [0; 16],
            local_port: tables::FORWARDED_PORT as u32,
            ingress_ifindex: 0,
            padding: 0,
        }
    }
}
