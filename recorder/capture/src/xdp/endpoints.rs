//! The table of endpoints that the program looks destinations up in.

use abi::{Directive, Endpoint, Meta};
use aya::maps::{HashMap, MapData};
use base::Transport;

use super::XdpError;

/// The bytes of a key and of a value, as the kernel has them.
type Key = [u8; size_of::<Endpoint>()];
type Value = [u8; size_of::<Directive>()];

/// Which VLANs and tunnel an endpoint is in. The default is: any, which is the only one unless
/// [`Settings::domains`](super::Settings::domains).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    vlans: u32,
    tunnel_id: u32,
    tunnel: u8,
}

impl Place {
    /// Where a packet came from.
    #[must_use]
    pub const fn of(meta: &Meta) -> Self {
        Self { vlans: meta.vlans & 0xff_ffff, tunnel_id: meta.tunnel_id, tunnel: meta.tunnel }
    }
}

/// The key under which the program looks for packets to `endpoint`.
#[must_use]
pub fn key(endpoint: base::Endpoint, transport: Transport, place: Place) -> Endpoint {
    Endpoint {
        address: zerocopy::transmute!(endpoint.octets()),
        vlans: place.vlans,
        tunnel_id: place.tunnel_id,
        port: endpoint.port(),
        protocol: match transport {
            Transport::Udp => 17,
            Transport::Tcp => 6,
        },
        tunnel: place.tunnel,
    }
}

/// The endpoint table of one [`Program`](super::Program). One thread owns it and writes it; the program
/// reads it at the same time.
///
/// A write is a system call: 1.2 us an endpoint on a busy machine, so that a call's four endpoints and their
/// removal cost 9 us. A thousand calls a second take one percent of a core.
pub struct Endpoints {
    map: HashMap<MapData, Key, Value>,
    max: u32,
}

impl Endpoints {
    pub(super) fn new(map: HashMap<MapData, Key, Value>, max: u32) -> Self {
        Self { map, max }
    }

    /// Sets what becomes of packets for each endpoint, replacing what was said before.
    ///
    /// # Errors
    /// [`XdpError::EndpointsFull`] at the first endpoint that finds no place (the ones before it are set);
    /// the packets for it and the rest are then judged by their looks. Whatever else the kernel says.
    pub fn set(
        &mut self,
        directives: impl IntoIterator<Item = (Endpoint, Directive)>,
    ) -> Result<(), XdpError> {
        for (set, (endpoint, directive)) in directives.into_iter().enumerate() {
            let key: Key = zerocopy::transmute!(endpoint);
            let value: Value = zerocopy::transmute!(directive);
            self.map.insert(key, value, 0).map_err(|error| match XdpError::errno(&error) {
                Some(libc::E2BIG) => XdpError::EndpointsFull { max: self.max, set },
                _ => XdpError::Map { name: abi::names::ENDPOINTS, source: error },
            })?;
        }
        Ok(())
    }

    /// Forgets endpoints; those that are not there are passed over.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn remove(
        &mut self,
        endpoints: impl IntoIterator<Item = Endpoint>,
    ) -> Result<(), XdpError> {
        for endpoint in endpoints {
            let key: Key = zerocopy::transmute!(endpoint);
            match self.map.remove(&key) {
                Ok(()) => {}
                Err(error) if XdpError::errno(&error) == Some(libc::ENOENT) => {}
                Err(source) => {
                    return Err(XdpError::Map { name: abi::names::ENDPOINTS, source });
                }
            }
        }
        Ok(())
    }
}
