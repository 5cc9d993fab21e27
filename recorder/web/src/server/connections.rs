//! How many connections there may be, and how long one that takes nothing is kept.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum_server::accept::Accept;
use base::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, STALLED_SECONDS_MAX};
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tower::Layer as _;

/// Counts connections, in all and by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    connections: Connections,
    address: IpAddr,
}

impl Connections {
    fn count(&self, address: IpAddr) -> Option<Counted> {
        let mut counts = self.counts();
        // The sum is over at most so many addresses as there are connections.
        let all: usize = counts.values().sum();
        let own = counts.get(&address).copied().unwrap_or(0);
        if all >= CONNECTIONS_MAX || own >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Counted { connections: self.clone(), address })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        let left = counts.get(&self.address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            counts.remove(&self.address);
        } else {
            counts.insert(self.address, left);
        }
    }
}

/// Before TLS: what is too many is closed at once; what counts lives as long as the connection's service.
impl<S> Accept<TcpStream, S> for Connections {
    type Stream = TcpStream;
    type Service = <Extension<Arc<Counted>> as tower::Layer<S>>::Service;
    type Future = std::future::Ready<io::Result<(TcpStream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(self.admit(&stream).map(|counted| {
            let service = Extension(Arc::new(counted)).layer(service);
            (stream, service)
        }))
    }
}

impl Connections {
    fn admit(&self, stream: &TcpStream) -> io::Result<Counted> {
        let address = stream.peer_addr()?.ip().to_canonical();
        stream.set_nodelay(true)?;
        // The kernel ends a connection whose other end is gone, or takes nothing for so long.
        sockopt::set_tcp_user_timeout(stream, STALLED_SECONDS_MAX * 1000)?;
        sockopt::set_socket_keepalive(stream, true)?;
        self.count(address).ok_or_else(|| io::Error::other("too many connections"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_and_what_ends_counts_no_more() {
        let connections = Connections::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let one: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|_| connections.count(address(1)).unwrap())
            .collect();
        assert!(connections.count(address(1)).is_none());
        let rest = CONNECTIONS_MAX - CONNECTIONS_PER_ADDRESS_MAX;
        let others: Vec<_> =
            (0..rest as u32).map(|n| connections.count(address(100 + n)).unwrap()).collect();
        assert!(connections.count(address(2)).is_none());
        drop(one);
        assert!(connections.count(address(1)).is_some());
        drop(others);
        assert!(connections.counts().is_empty());
    }
}
