//! What user space tells the program about endpoints.

/// Where packets go: the key of the endpoint map.
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Endpoint {
    /// The destination address, in the order of its bytes; IPv4 as IPv4-mapped.
    pub address: [u32; 4],
    /// [`Meta::vlans`](crate::Meta::vlans) without the number of tags; 0 unless
    /// [`DOMAINS`](crate::config_flags::DOMAINS).
    pub vlans: u32,
    /// [`Meta::tunnel_id`](crate::Meta::tunnel_id); 0 unless [`DOMAINS`](crate::config_flags::DOMAINS).
    pub tunnel_id: u32,
    /// The destination port.
    pub port: u16,
    /// 17 for UDP, 6 for TCP.
    pub protocol: u8,
    /// [`Meta::tunnel`](crate::Meta::tunnel); 0 unless [`DOMAINS`](crate::config_flags::DOMAINS).
    pub tunnel: u8,
}

/// What becomes of packets for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Verdict {
    /// Hand over as media.
    Record = 1,
    /// Drop in the kernel: policy excludes the call.
    Exclude = 2,
    /// Drop in the kernel: looked like media and is none.
    Ignore = 3,
    /// Hand over as signalling: a connection found to carry it on a port that nobody configured.
    Signalling = 4,
}

impl Verdict {
    /// From [`Directive::verdict`].
    #[must_use]
    pub const fn from_u32(verdict: u32) -> Option<Self> {
        match verdict {
            1 => Some(Self::Record),
            2 => Some(Self::Exclude),
            3 => Some(Self::Ignore),
            4 => Some(Self::Signalling),
            _ => None,
        }
    }
}

/// The value of the endpoint map.
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Directive {
    /// User space's name for the flow, given back in [`Meta::flow`](crate::Meta::flow).
    pub flow: u32,
    /// A [`Verdict`].
    pub verdict: u32,
}

impl Directive {
    /// Hand over as media of the flow that user space calls `flow`.
    #[must_use]
    pub const fn record(flow: u32) -> Self {
        Self { flow, verdict: Verdict::Record as u32 }
    }

    /// Anything but [`Verdict::Record`], which needs a flow.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        Self { flow: 0, verdict: verdict as u32 }
    }
}

/// One fragmented datagram (RFC 791, 3.2; RFC 8200, 4.5): the key of the map of unwanted ones. Its value
/// is when that was decided, on the clock of [`Meta::time`](crate::Meta::time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Fragment {
    /// Source address.
    pub source: [u32; 4],
    /// Destination address.
    pub destination: [u32; 4],
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// The protocol that the IP header (IPv4) or the fragment header (IPv6) names.
    pub protocol: u32,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Endpoint>() == 28);
    assert!(offset_of!(Endpoint, vlans) == 16);
    assert!(offset_of!(Endpoint, tunnel_id) == 20);
    assert!(offset_of!(Endpoint, port) == 24);
    assert!(offset_of!(Endpoint, protocol) == 26);
    assert!(offset_of!(Endpoint, tunnel) == 27);
    assert!(size_of::<Directive>() == 8);
    assert!(size_of::<Fragment>() == 40);
};
