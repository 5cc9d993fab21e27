//! Frames made by the kernel: a program takes each of them from memory that it shares with us, and sends it
//! (`BPF_PROG_TEST_RUN` with live frames, Linux 5.18). No system call and no allocation for each, but one for all.

use std::io;
use std::os::fd::AsFd as _;

use abi::transmit::{BATCH, FRAME_BYTES_MAX, TRANSMIT};
use aya::maps::Map;
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::batch::Batch;

/// The program, built by `cargo xtask ebpf` from `ebpf/program/src/bin/transmit.rs`.
#[repr(C, align(8))]
struct Object<T: ?Sized>(T);
static OBJECT: &Object<[u8]> = &Object(*include_bytes!("../../../../ebpf/transmit.bpf.o"));

/// The number of `lo` in every network namespace. That of a bench is down.
const LOOPBACK: u32 = 1;
/// Frames that the kernel hands to the interface before that is done with them: as many as NAPI takes at once.
const HANDED_AT_ONCE: u32 = 64;

/// The program, loaded.
pub(super) struct Kernel {
    ebpf: Ebpf,
    blank: Vec<u8>,
}

impl Kernel {
    /// Loads it, to send on an interface; and the batch that it takes frames from.
    ///
    /// # Errors
    /// No privilege, or a kernel that cannot do it.
    pub(super) fn open(interface: u32) -> io::Result<(Self, Batch)> {
        let mut ebpf = EbpfLoader::new().load(&OBJECT.0).map_err(io::Error::other)?;
        let map = ebpf.map(BATCH).ok_or(io::ErrorKind::NotFound)?;
        let Map::Array(map) = map else { return Err(io::ErrorKind::InvalidData.into()) };
        let mut batch = Batch::of_map(map.fd().as_fd())?;
        let program = program(&mut ebpf)?;
        program.load().map_err(from_program)?;
        // Nothing comes by there. But of a program that is attached nowhere, the kernel makes a fast entry before each
        // run and takes it away again (`bpf_dispatcher_change_prog`), and waits each time for all CPUs: 5 ms.
        program.attach_to_if_index(LOOPBACK, XdpMode::Skb).map_err(from_program)?;
        let mut kernel = Self { ebpf, blank: vec![0; FRAME_BYTES_MAX] };
        batch.set_interface(interface);
        // Nothing is sent: whether the kernel can do it at all.
        batch.close();
        kernel.run(1)?;
        Ok((kernel, batch))
    }

    /// Sends a batch. What the interface has no room for, is dropped and not told.
    pub(super) fn send(&mut self, batch: &mut Batch) -> io::Result<()> {
        batch.close();
        while !batch.is_taken() {
            match self.run(batch.len() as u32) {
                // The program goes on where it was.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(()) if batch.is_taken() => {}
                Ok(()) => return Err(io::Error::other("the sending program refuses a frame")),
            }
        }
        Ok(())
    }

    fn run(&mut self, times: u32) -> io::Result<()> {
        let options = TestRunOptions {
            data_in: Some(&self.blank),
            repeat: times,
            attrs: TestRunAttrs::new().xdp_live_frames(HANDED_AT_ONCE),
            ..TestRunOptions::default()
        };
        program(&mut self.ebpf)?.test_run(options).map_err(from_program)?;
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> io::Result<&mut Xdp> {
    let program = ebpf.program_mut(TRANSMIT).ok_or(io::ErrorKind::NotFound)?;
    program.try_into().map_err(from_program)
}

fn from_program(error: ProgramError) -> io::Error {
    match error {
        ProgramError::SyscallError(error) => error.io_error,
        // Beside it stands all that the verifier says.
        ProgramError::LoadError { io_error, .. } => io_error,
        error => io::Error::other(error),
    }
}
