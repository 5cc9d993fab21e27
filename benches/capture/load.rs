//! The sender: the kernel itself, which repeats one frame.

use anyhow::{Context as _, Result};
use aya::maps::Array;
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use benches::cpu::{self, SoftIrq};
use benches::wire::FAR;
use capture::nic::Link;

use crate::SENDER_CPU;

/// Built by `cargo xtask ebpf` from `ebpf/program/src/bin/bench.rs`.
#[repr(C, align(8))]
struct Object<T: ?Sized>(T);
static OBJECT: &Object<[u8]> = &Object(*include_bytes!("../../ebpf/bench.bpf.o"));

/// Ethernet, IPv4, UDP, RTP, 20 ms of G.711.
pub(crate) const FRAME_BYTES: usize = 214;
/// Frames that the kernel hands to the interface at once, as many as NAPI takes.
const BATCH: u32 = 64;

/// The bench's own programs.
pub(crate) fn programs() -> Result<Ebpf> {
    EbpfLoader::new().load(&OBJECT.0).context("cannot load the bench's programs")
}

/// One of them, loaded into the kernel.
pub(crate) fn loaded<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    Ok(program)
}

/// One of them, attached to an interface in its driver until it is dropped with `ebpf`.
pub(crate) fn attached(name: &str, interface: u32) -> Result<Ebpf> {
    let mut ebpf = programs()?;
    loaded(&mut ebpf, name)?.attach_to_if_index(interface, XdpMode::Driver)?;
    Ok(ebpf)
}

/// Sends frames from the far end of the wire.
pub(crate) struct Sender {
    ebpf: Ebpf,
    frame: Vec<u8>,
    softirq: SoftIrq,
}

impl Sender {
    /// Of frames of so many flows.
    pub(crate) fn new(flows: u32) -> Result<Self> {
        let mut ebpf = programs()?;
        loaded(&mut ebpf, abi::bench::SEND)?;
        let load = abi::bench::Load { interface: Link::find(FAR)?.index, flows };
        let bytes: [u8; size_of::<abi::bench::Load>()] = zerocopy::transmute!(load);
        let map = ebpf.map_mut(abi::bench::LOAD).context("the sender has no map")?;
        Array::<_, [u8; 8]>::try_from(map)?.set(0, bytes, 0)?;
        Ok(Self { ebpf, frame: frame(), softirq: SoftIrq::of(SENDER_CPU) })
    }

    /// Sends `frames` from the calling thread's CPU; what that and the kernel's part of receiving cost,
    /// nanoseconds.
    pub(crate) fn send(&mut self, frames: u32) -> Result<u64> {
        let program: &mut Xdp =
            self.ebpf.program_mut(abi::bench::SEND).context("no sender")?.try_into()?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        let before = cpu::of_this_thread() + self.softirq.nanos();
        program.test_run(options)?;
        Ok(cpu::of_this_thread() + self.softirq.nanos() - before)
    }
}

/// An RTP packet; the sender's program sets its source.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 7, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00];
    let ip_bytes = (FRAME_BYTES - 14) as u16;
    frame.extend([0x45, 0]);
    frame.extend(ip_bytes.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 0, 10, 2, 0, 9]);
    frame.extend(16_384_u16.to_be_bytes());
    frame.extend(20_000_u16.to_be_bytes());
    frame.extend((ip_bytes - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend([0x80, 0, 0, 1, 0, 0, 0, 160, 0x12, 0x34, 0x56, 0x78]);
    frame.resize(FRAME_BYTES, 0xd5);
    frame
}
