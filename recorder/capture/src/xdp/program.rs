//! Loading the program, attaching it, and its maps.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use abi::{COUNTERS, Config, names};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf, XskMap};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

use super::error::chain;
use super::{Copies, Counters, Endpoints, Mode, Settings, XdpError};
use crate::nic::{AttachedXdp, Link, NicError};

/// The program, built by `cargo xtask ebpf` from `ebpf/program`.
#[repr(C, align(8))]
struct Object<T: ?Sized>(T);
static OBJECT: &Object<[u8]> = &Object(*include_bytes!("../../../../ebpf/spanreel.bpf.o"));

type ConfigBytes = [u8; size_of::<Config>()];

/// What became of attaching.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// The driver runs the program on every packet from now on.
    Native,
    /// The driver has no native XDP. AF_PACKET with TPACKET_V3 is the way for this interface.
    Unsupported {
        /// What the kernel says.
        reason: String,
    },
}

/// The XDP program in the kernel, for one interface. Dropping it detaches and unloads it.
pub struct Program {
    // Before `ebpf`: detaching may need the program's descriptor.
    link: Option<XdpLink>,
    ebpf: Ebpf,
    name: &'static str,
    config: Array<MapData, ConfigBytes>,
    counts: PerCpuArray<MapData, [u64; COUNTERS]>,
    sockets: XskMap<MapData>,
    endpoints: Option<Endpoints>,
    copies: Option<Copies>,
}

impl Program {
    /// Loads the program that `settings` call for, and tells it what to look for.
    ///
    /// # Errors
    /// [`XdpError::NotPermitted`], or why the settings or the kernel do not allow it.
    pub fn load(settings: &Settings) -> Result<Self, XdpError> {
        let config = settings.config()?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(names::ENDPOINTS, settings.endpoints_max.max(1))
            .map_max_entries(names::COPIES, settings.copies_bytes())
            .load(&OBJECT.0)
            .map_err(load_error)?;
        let name = match settings.mode {
            Mode::Span { .. } => names::SPAN,
            Mode::Shared { .. } => names::SHARED,
        };
        load(xdp(&mut ebpf, name)?).map_err(XdpError::of_load)?;
        let endpoints: HashMap<_, _, _> = map(&mut ebpf, names::ENDPOINTS)?;
        let copies: Option<RingBuf<MapData>> = match settings.mode {
            Mode::Span { .. } => None,
            Mode::Shared { .. } => Some(map(&mut ebpf, names::COPIES)?),
        };
        let mut program = Self {
            link: None,
            name,
            config: map(&mut ebpf, names::CONFIG)?,
            counts: map(&mut ebpf, names::COUNTS)?,
            sockets: map(&mut ebpf, names::SOCKETS)?,
            endpoints: Some(Endpoints::new(endpoints, settings.endpoints_max)),
            copies: copies.map(Copies::new),
            ebpf,
        };
        program.write(config)?;
        Ok(program)
    }

    /// Tells the running program to look for something else. Mode and table sizes stay.
    ///
    /// # Errors
    /// Settings that are impossible, or what the kernel says.
    pub fn configure(&mut self, settings: &Settings) -> Result<(), XdpError> {
        self.write(settings.config()?)
    }

    fn write(&mut self, config: Config) -> Result<(), XdpError> {
        let bytes: ConfigBytes = zerocopy::transmute!(config);
        self.config.set(0, bytes, 0).map_err(|source| XdpError::Map { name: names::CONFIG, source })
    }

    /// Attaches to an interface, in native mode, unless another program is there.
    ///
    /// # Errors
    /// [`XdpError::Occupied`], [`XdpError::NotPermitted`], or what the driver says.
    pub fn attach(&mut self, link: &Link) -> Result<Attachment, XdpError> {
        refuse_if_occupied(link)?;
        let program = xdp(&mut self.ebpf, self.name)?;
        match program.attach_to_if_index(link.index, XdpMode::Driver) {
            Ok(id) => {
                let link = program.take_link(id).map_err(|error| attach_error(link, &error))?;
                self.link = Some(link);
                Ok(Attachment::Native)
            }
            Err(error) => match errno(&error) {
                Some(libc::EOPNOTSUPP) => Ok(Attachment::Unsupported { reason: chain(&error) }),
                Some(libc::EPERM) => Err(XdpError::NotPermitted { what: "attach an XDP program" }),
                Some(libc::ENODEV) => Err(NicError::NoInterface { name: link.name.clone() }.into()),
                // Someone was faster.
                Some(libc::EBUSY | libc::EEXIST) => {
                    refuse_if_occupied(&Link::find(&link.name)?)?;
                    Err(attach_error(link, &error))
                }
                _ => Err(attach_error(link, &error)),
            },
        }
    }

    /// Detaches. Packets that are already in rings stay there.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Sends what is selected on a receive queue to this AF_XDP socket, which must be bound to that queue.
    ///
    /// # Errors
    /// What the kernel says, also to a socket without frame memory.
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), XdpError> {
        let set = self.sockets.set(queue, socket.as_raw_fd(), 0);
        set.map_err(|source| XdpError::Map { name: names::SOCKETS, source })
    }

    /// Sends nothing to a queue's socket any more; what is selected there counts as `no_socket`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unset_socket(&mut self, queue: u32) -> Result<(), XdpError> {
        let unset = self.sockets.unset(queue);
        unset.map_err(|source| XdpError::Map { name: names::SOCKETS, source })
    }

    /// The endpoint table, for the thread that knows the calls. It is given once.
    pub fn take_endpoints(&mut self) -> Option<Endpoints> {
        self.endpoints.take()
    }

    /// The ring of copies, in [`Mode::Shared`]. It is given once.
    pub fn take_copies(&mut self) -> Option<Copies> {
        self.copies.take()
    }

    /// How packets ended since the program was loaded.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn counters(&self) -> Result<Counters, XdpError> {
        let counts = self.counts.get(&0, 0);
        let counts = counts.map_err(|source| XdpError::Map { name: names::COUNTS, source })?;
        Ok(Counters::sum(counts.iter()))
    }

    #[cfg(test)]
    pub(super) fn xdp(&mut self) -> &mut Xdp {
        xdp(&mut self.ebpf, self.name).unwrap()
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, XdpError> {
    let program = ebpf.program_mut(name);
    program
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| XdpError::Load { reason: format!("the object has no XDP program {name}") })
}

/// How often loading is tried while the kernel says "again".
const LOADS_MAX: usize = 5;

/// Loads a program. The verifier gives up with EAGAIN when a signal arrives for its thread.
fn load(program: &mut Xdp) -> Result<(), ProgramError> {
    again(|| program.load(), |error| errno(error) == Some(libc::EAGAIN))
}

/// Tries until it does not say "again", a few times.
fn again<E>(
    mut attempt: impl FnMut() -> Result<(), E>,
    says_again: impl Fn(&E) -> bool,
) -> Result<(), E> {
    for _ in 1..LOADS_MAX {
        match attempt() {
            Err(error) if says_again(&error) => {}
            result => return result,
        }
    }
    attempt()
}

/// Takes a map out of the object, as what it is used as.
fn map<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, XdpError> {
    let map = ebpf.take_map(name);
    let map =
        map.ok_or_else(|| XdpError::Load { reason: format!("the object has no map {name}") })?;
    M::try_from(map).map_err(|source| XdpError::Map { name, source })
}

fn load_error(error: EbpfError) -> XdpError {
    let errno = match &error {
        EbpfError::MapError(cause) => XdpError::errno(cause),
        _ => None,
    };
    match errno {
        Some(libc::EPERM) => XdpError::NotPermitted { what: "create BPF maps" },
        Some(libc::ENOSYS) => XdpError::Missing { what: "BPF", option: "CONFIG_BPF_SYSCALL" },
        _ => XdpError::Load { reason: chain(&error) },
    }
}

fn attach_error(link: &Link, error: &ProgramError) -> XdpError {
    XdpError::Attach { interface: link.name.clone(), reason: chain(error) }
}

fn refuse_if_occupied(link: &Link) -> Result<(), XdpError> {
    let Some(other) = link.xdp else { return Ok(()) };
    let (interface, AttachedXdp { id, mode }) = (link.name.clone(), other);
    Err(XdpError::Occupied { interface, id, mode: mode.name(), off: mode.ip_word() })
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::LoadError { io_error, .. } => io_error.raw_os_error(),
        ProgramError::XdpError(aya::programs::xdp::XdpError::NetlinkError(error)) => {
            error.raw_os_error()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is tried when the first `busy` attempts say "again", and what comes of it.
    fn tried(busy: usize, then: Result<(), i32>) -> (usize, Result<(), i32>) {
        let mut attempts = 0;
        let attempt = || {
            attempts += 1;
            if attempts <= busy { Err(libc::EAGAIN) } else { then }
        };
        let result = again(attempt, |errno| *errno == libc::EAGAIN);
        (attempts, result)
    }

    #[test]
    fn loading_is_tried_again_when_a_signal_came_between_but_not_for_ever() {
        assert_eq!(tried(0, Ok(())), (1, Ok(())));
        assert_eq!(tried(2, Ok(())), (3, Ok(())));
        assert_eq!(tried(1, Err(libc::EINVAL)), (2, Err(libc::EINVAL)));
        assert_eq!(tried(100, Ok(())), (LOADS_MAX, Err(libc::EAGAIN)));
    }
}
