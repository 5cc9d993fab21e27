//! What the program tells about a packet that it hands over.

use crate::Reason;

/// What a selected packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// UDP or TCP of a signalling port, or of an endpoint learned to carry signalling.
    Signalling = 1,
    /// A SIP start line in UDP or TCP on another port.
    SipPayload = 2,
    /// For a known media endpoint; [`Meta::flow`] says which.
    Media = 3,
    /// RTP by its looks.
    RtpLike = 4,
    /// RTCP by its looks.
    RtcpLike = 5,
    /// An IP fragment; `l4` and `payload` are where its part of the datagram begins.
    Fragment = 6,
}

impl Class {
    /// From [`Meta::class`].
    #[must_use]
    pub const fn from_u8(class: u8) -> Option<Self> {
        match class {
            1 => Some(Self::Signalling),
            2 => Some(Self::SipPayload),
            3 => Some(Self::Media),
            4 => Some(Self::RtpLike),
            5 => Some(Self::RtcpLike),
            6 => Some(Self::Fragment),
            _ => None,
        }
    }

    /// The counter of packets handed over as this.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Signalling => Reason::Signalling,
            Self::SipPayload => Reason::SipPayload,
            Self::Media => Reason::Media,
            Self::RtpLike => Reason::RtpLike,
            Self::RtcpLike => Reason::RtcpLike,
            Self::Fragment => Reason::Fragment,
        }
    }
}

/// What the packet was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tunnel {
    /// No tunnel.
    None = 0,
    /// GRE with an IP packet (RFC 2784); the id is the key (RFC 2890), or 0.
    Gre = 1,
    /// GRE with an Ethernet frame (transparent Ethernet bridging, RFC 7637); the id is the key, or 0.
    GreEthernet = 2,
    /// ERSPAN type I; no id.
    ErspanI = 3,
    /// ERSPAN type II; the id is the session (draft-foschiano-erspan-03).
    ErspanII = 4,
    /// ERSPAN type III; the id is the session.
    ErspanIII = 5,
    /// VXLAN (RFC 7348); the id is the VNI.
    Vxlan = 6,
    /// Geneve (RFC 8926); the id is the VNI.
    Geneve = 7,
}

/// Bits of [`Meta::flags`].
pub mod flags {
    /// The innermost IP header is IPv6.
    pub const IPV6: u16 = 1;
    /// TCP, not UDP (not set for fragments).
    pub const TCP: u16 = 1 << 1;
    /// A fragment, and the first of its datagram.
    pub const FIRST_FRAGMENT: u16 = 1 << 2;
    /// The frame ends before its innermost IP packet does (a mirror that cuts).
    pub const CUT: u16 = 1 << 3;
    /// Inside two tunnels; [`tunnel`](super::Meta::tunnel) is the inner one, and
    /// [`tunnel_id`](super::Meta::tunnel_id) a mixture of both ids.
    pub const NESTED: u16 = 1 << 4;
}

/// Bytes of [`Meta`]. The kernel's limit for metadata was 32 until 6.4.
pub const META_BYTES: usize = 32;

/// Directly in front of each packet that the program hands over (`bpf_xdp_adjust_meta`).
///
/// Offsets count from the first byte of the frame and are of the innermost headers.
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// Arrival: nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`), which never steps. User space adds
    /// the distance to UTC that it measured (`capture::xdp::clock`).
    pub time: u64,
    /// [`Directive::flow`](crate::Directive::flow) of the endpoint, or 0.
    pub flow: u32,
    /// IP header.
    pub l3: u16,
    /// UDP or TCP header.
    pub l4: u16,
    /// UDP or TCP payload.
    pub payload: u16,
    /// Bytes of UDP or TCP payload by the headers; the frame has fewer if [`flags::CUT`].
    pub payload_bytes: u16,
    /// VLAN ids, folded like `base::Domain`: bits 0..12 the innermost, 12..24 the next one out; 24..32 the
    /// number of tags.
    pub vlans: u32,
    /// Which tunnel: see [`Tunnel`].
    pub tunnel_id: u32,
    /// See [`flags`].
    pub flags: u16,
    /// A [`Class`].
    pub class: u8,
    /// A [`Tunnel`].
    pub tunnel: u8,
}

/// In front of each packet in the ring of copies. As many bytes of the packet as `captured_bytes` says
/// follow; what comes after them in the record is left over from earlier records.
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CopyHeader {
    /// The same as in front of a packet that is handed over.
    pub meta: Meta,
    /// Bytes of the frame.
    pub wire_bytes: u32,
    /// Bytes of the frame that were copied.
    pub captured_bytes: u32,
}

/// Room for the frame in a record of the ring of copies: the verifier wants constants, so a frame gets the
/// smallest that it fits. G.711 in 20 ms packets fits the first with two VLAN tags and IPv6.
pub const COPY_DATA_BYTES: [usize; 4] = [256, 1536, 9216, 65_528];

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Meta>() == META_BYTES);
    assert!(META_BYTES <= 32 && META_BYTES.is_multiple_of(4));
    assert!(align_of::<Meta>() == 8);
    assert!(offset_of!(Meta, flow) == 8);
    assert!(offset_of!(Meta, l3) == 12);
    assert!(offset_of!(Meta, l4) == 14);
    assert!(offset_of!(Meta, payload) == 16);
    assert!(offset_of!(Meta, payload_bytes) == 18);
    assert!(offset_of!(Meta, vlans) == 20);
    assert!(offset_of!(Meta, tunnel_id) == 24);
    assert!(offset_of!(Meta, flags) == 28);
    assert!(offset_of!(Meta, class) == 30);
    assert!(offset_of!(Meta, tunnel) == 31);
    assert!(size_of::<CopyHeader>() == 40);
    assert!(offset_of!(CopyHeader, wire_bytes) == 32);
    assert!(offset_of!(CopyHeader, captured_bytes) == 36);
};
