//! What the program is told to look for.

/// Bits of [`Config::flags`].
pub mod flags {
    /// Pass to the host's network stack what is not selected, instead of dropping it.
    pub const PASS_REST: u64 = 1;
    /// Hand over what looks like SIP on any port.
    pub const SIP_ANY_PORT: u64 = 1 << 1;
    /// Hand over what looks like RTP or RTCP though its endpoint is unknown.
    pub const RTP_ANY_PORT: u64 = 1 << 2;
    /// Look up TCP destinations too, for connections learned to carry signalling. Off until there is one:
    /// a link full of TCP should not pay for it.
    pub const TCP_ENDPOINTS: u64 = 1 << 3;
    /// Equal addresses in different VLANs or tunnels are different endpoints. Without it the endpoint map's
    /// keys have no domain.
    pub const DOMAINS: u64 = 1 << 4;
    /// User space has written this configuration.
    pub const READY: u64 = 1 << 31;
}

/// The one value of the configuration map. It can be replaced while packets flow.
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Signalling ports, a bit each.
    pub signalling: [u64; 1024],
    /// UDP destination ports of VXLAN; 0 is none.
    pub vxlan_ports: [u16; 4],
    /// UDP destination ports of Geneve; 0 is none.
    pub geneve_ports: [u16; 4],
    /// See [`flags`].
    pub flags: u64,
}

impl Config {
    /// Nothing is looked for.
    pub const EMPTY: Self =
        Self { signalling: [0; 1024], vxlan_ports: [0; 4], geneve_ports: [0; 4], flags: 0 };
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Config>() == 8216);
    assert!(offset_of!(Config, vxlan_ports) == 8192);
    assert!(offset_of!(Config, geneve_ports) == 8200);
    assert!(offset_of!(Config, flags) == 8208);
};
