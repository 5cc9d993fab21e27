//! How a packet can end in the program.

/// Place of the number of packets seen, before those of the reasons.
pub const SEEN: usize = 0;

macro_rules! reasons {
    ($($(#[$about:meta])* $variant:ident = $label:literal,)*) => {
        /// The end of a packet in the program. Each packet seen ends in exactly one, so that the counts
        /// of all reasons add up to the packets seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Reason { $($(#[$about])* $variant,)* }

        impl Reason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports and metrics (snake case).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

reasons! {
    /// Handed over: UDP or TCP of a signalling port, or a connection learned to carry signalling.
    Signalling = "signalling",
    /// Handed over: looks like SIP on another port.
    SipPayload = "sip_payload",
    /// Handed over: for a known media endpoint.
    Media = "media",
    /// Handed over: looks like RTP.
    RtpLike = "rtp_like",
    /// Handed over: looks like RTCP.
    RtcpLike = "rtcp_like",
    /// Handed over: an IP fragment that may be of interest.
    Fragment = "fragment",
    /// Dropped: policy excludes its endpoint.
    Excluded = "excluded",
    /// Dropped: its endpoint was found to be of no interest.
    Ignored = "ignored",
    /// Not IP: ARP, spanning tree, LLDP and the like, also inside a tunnel.
    NotIp = "not_ip",
    /// IP, but neither UDP, TCP nor a tunnel that is looked into.
    OtherProtocol = "other_protocol",
    /// UDP of no interest.
    OtherUdp = "other_udp",
    /// TCP of no interest.
    OtherTcp = "other_tcp",
    /// A later fragment of a datagram whose first one was of no interest.
    FragmentUnwanted = "fragment_unwanted",
    /// GRE with a payload or option that is not looked into (source routing, PPTP, unknown protocol).
    TunnelOther = "tunnel_other",
    /// More tunnels inside one another than are looked into.
    TunnelTooDeep = "tunnel_too_deep",
    /// Ends before its headers do.
    Truncated = "truncated",
    /// A header that contradicts itself: version, header length, total length.
    Malformed = "malformed",
    /// More VLAN tags than are looked behind.
    TooManyTags = "too_many_tags",
    /// More IPv6 extension headers than are looked behind.
    TooManyExtensions = "too_many_extensions",
    /// Headers longer than are looked through.
    HeadersTooLong = "headers_too_long",
    /// Selected and lost: no socket is bound to its queue.
    NoSocket = "no_socket",
    /// Selected and lost: the driver gives no room for metadata.
    NoMetadata = "no_metadata",
    /// Selected and not copied: the ring of copies is full.
    CopiesFull = "copies_full",
    /// Selected and not copied: its bytes could not be read.
    CopyFailed = "copy_failed",
    /// The program's own configuration is not there.
    NotConfigured = "not_configured",
}

impl Reason {
    /// Place of its count in the counters.
    #[must_use]
    pub const fn counter(self) -> usize {
        SEEN + 1 + self as usize
    }

    /// Whether a packet of interest was lost: each of these is an alarm.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::NoSocket | Self::NoMetadata | Self::CopiesFull | Self::CopyFailed)
    }

    /// Whether the packet was handed over to user space.
    #[must_use]
    pub const fn is_delivery(self) -> bool {
        matches!(
            self,
            Self::Signalling
                | Self::SipPayload
                | Self::Media
                | Self::RtpLike
                | Self::RtcpLike
                | Self::Fragment
        )
    }
}

/// Counters: packets seen, then one per reason.
pub const COUNTERS: usize = 1 + Reason::ALL.len();
