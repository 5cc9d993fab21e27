//! What the kernel says about a network interface (rtnetlink, RFC 3549).

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::XdpError;

/// An interface, as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Largest packet that it takes, without the Ethernet header.
    pub mtu: u32,
    /// Receive queues that the driver made room for; those in use can be fewer.
    pub rx_queues: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The XDP program on it, if there is one.
    pub(super) xdp: Option<Xdp>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Xdp {
    pub(super) id: u32,
    pub(super) mode: u8,
}

/// Numbers of `linux/rtnetlink.h` and `linux/if_link.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFF_UP: u32 = 1;
/// Two bits of an attribute's type are flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Values of `IFLA_XDP_ATTACHED`.
const ATTACHED_NATIVE: u8 = 1;
const ATTACHED_GENERIC: u8 = 2;
const ATTACHED_HARDWARE: u8 = 3;
const ATTACHED_MULTIPLE: u8 = 4;

impl Xdp {
    /// How it is attached, in words, and the word for `ip link set`.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self.mode {
            ATTACHED_NATIVE => ("native mode", "xdpdrv"),
            ATTACHED_GENERIC => ("generic mode", "xdpgeneric"),
            ATTACHED_HARDWARE => ("in the hardware", "xdpoffload"),
            _ => ("several modes", "xdp"),
        }
    }
}

impl Interface {
    /// Looks an interface up in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`XdpError::NoInterface`], or what the kernel says.
    pub fn find(name: &str) -> Result<Self, XdpError> {
        // A name has at most 15 bytes; of longer ones the kernel would compare the beginning.
        if name.is_empty() || name.len() > 15 || name.contains('\0') {
            return Err(XdpError::NoInterface { name: name.to_owned() });
        }
        let answer = ask(&request(name));
        let found = answer.and_then(|answer| parse(&answer));
        found.map_err(|source| match source.raw_os_error() {
            Some(libc::ENODEV) => XdpError::NoInterface { name: name.to_owned() },
            _ => XdpError::Interface { name: name.to_owned(), source },
        })
    }
}

fn ask(request: &[u8]) -> io::Result<Vec<u8>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::send(&socket, request, SendFlags::empty())?;
    // One interface's answer is 1 to 2 KiB, with many virtual functions some 30 KiB.
    let mut answer = vec![0; 256 * 1024];
    let (bytes, _) = rustix::net::recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(bytes);
    Ok(answer)
}

/// An RTM_GETLINK for the interface of this name.
fn request(name: &str) -> Vec<u8> {
    let mut attribute = Vec::new();
    attribute.extend((4 + name.len() as u16 + 1).to_ne_bytes());
    attribute.extend(IFLA_IFNAME.to_ne_bytes());
    attribute.extend(name.as_bytes());
    attribute.push(0);
    attribute.resize(attribute.len().next_multiple_of(4), 0);

    let mut message = Vec::new();
    message.extend((16 + 16 + attribute.len() as u32).to_ne_bytes());
    message.extend(RTM_GETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and port numbers
    message.extend([0; 16]); // ifinfomsg: any family, any index
    message.extend(attribute);
    message
}

/// The first message of an answer.
fn parse(answer: &[u8]) -> io::Result<Interface> {
    let short = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut short");
    let length = u32_at(answer, 0).ok_or_else(short)? as usize;
    let message = answer.get(16..length.min(answer.len())).ok_or_else(short)?;
    match u16_at(answer, 4) {
        Some(RTM_NEWLINK) => {}
        Some(NLMSG_ERROR) => {
            let code = u32_at(message, 0).ok_or_else(short)?.cast_signed();
            return Err(io::Error::from_raw_os_error(code.saturating_neg()));
        }
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of unknown kind")),
    }
    let mut interface = Interface {
        name: String::new(),
        index: u32_at(message, 4).ok_or_else(short)?,
        mtu: 0,
        rx_queues: 1,
        up: u32_at(message, 8).ok_or_else(short)? & IFF_UP != 0,
        xdp: None,
    };
    for (kind, value) in attributes(message.get(16..).unwrap_or_default()) {
        match kind {
            IFLA_IFNAME => interface.name = text(value),
            IFLA_MTU => interface.mtu = u32_at(value, 0).unwrap_or(0),
            IFLA_NUM_RX_QUEUES => interface.rx_queues = u32_at(value, 0).unwrap_or(1),
            IFLA_XDP => interface.xdp = xdp(value),
            _ => {}
        }
    }
    Ok(interface)
}

fn xdp(nested: &[u8]) -> Option<Xdp> {
    let mut program = Xdp { id: 0, mode: 0 };
    for (kind, value) in attributes(nested) {
        match kind {
            IFLA_XDP_ATTACHED => program.mode = value.first().copied().unwrap_or(0),
            IFLA_XDP_PROG_ID => program.id = u32_at(value, 0).unwrap_or(0),
            // With several, the native one is in the way.
            IFLA_XDP_DRV_PROG_ID if program.mode == ATTACHED_MULTIPLE => {
                program.id = u32_at(value, 0).unwrap_or(0);
            }
            _ => {}
        }
    }
    (program.mode != 0).then_some(program)
}

/// The attributes of a message: types and values.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn answer(attributes: &[Vec<u8>]) -> Vec<u8> {
        let attributes = attributes.concat();
        let mut bytes = (32 + attributes.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(RTM_NEWLINK.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([0; 4]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(IFF_UP.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(attributes);
        bytes
    }

    #[test]
    fn an_answer_is_read() {
        let nested =
            [attribute(IFLA_XDP_ATTACHED, &[1]), attribute(IFLA_XDP_PROG_ID, &[9, 0, 0, 0])];
        let bytes = answer(&[
            attribute(IFLA_IFNAME, b"span0\0"),
            attribute(IFLA_MTU, &1500_u32.to_ne_bytes()),
            attribute(IFLA_NUM_RX_QUEUES, &4_u32.to_ne_bytes()),
            attribute(IFLA_XDP | 0x8000, &nested.concat()),
        ]);
        let interface = parse(&bytes).unwrap();
        let expected = Interface {
            name: "span0".into(),
            index: 7,
            mtu: 1500,
            rx_queues: 4,
            up: true,
            xdp: Some(Xdp { id: 9, mode: ATTACHED_NATIVE }),
        };
        assert_eq!(interface, expected);
    }

    #[test]
    fn an_error_answer_is_an_error_and_cuts_do_not_panic() {
        let mut bytes = 36_u32.to_ne_bytes().to_vec();
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend((-libc::ENODEV).to_ne_bytes());
        bytes.resize(36, 0);
        assert_eq!(parse(&bytes).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        let whole =
            answer(&[attribute(IFLA_IFNAME, b"span0\0"), attribute(IFLA_XDP, &[1, 0, 0, 0])]);
        for cut in 0..whole.len() {
            let _ = parse(&whole[..cut]);
        }
    }

    proptest::proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "slow, and there is no unsafe code")]
        fn any_answer_is_read_or_refused(bytes: Vec<u8>, attributes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&answer(&[attributes]));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_loopback_interface_is_found_and_nonsense_is_not() {
        let loopback = Interface::find("lo").unwrap();
        assert_eq!((loopback.name.as_str(), loopback.index), ("lo", 1));
        for name in ["", "no-such-if", "a-name-that-is-too-long", "l\0o"] {
            let error = Interface::find(name).unwrap_err();
            assert!(matches!(error, XdpError::NoInterface { .. }), "{name:?}: {error}");
        }
    }
}
