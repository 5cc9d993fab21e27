//! Syslog: over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1), or TLS (RFC 5425).
//!
//! Alarms are rare, so a connection is made for what there is to say and closed after it: none grows stale unnoticed,
//! and that the receiver closes its side too shows that it has read everything. Syslog itself confirms nothing.

mod message;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

pub(crate) use self::message::Sender;
use super::{Outlet, OutletError};
use crate::alarms::Event;

/// How long connecting, and each reading and writing, may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much a receiver may say before it closes. It has nothing to say.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// A receiver: `udp://host:514`, `tcp://host:601`, `tls://host:6514`, with these ports if none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) transport: Transport,
    host: String,
    port: u16,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no address such as udp://host:514, tcp://host:601 or tls://host:6514"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (transport, port) = match scheme {
            "udp" => (Transport::Udp, 514),
            "tcp" => (Transport::Tcp, 601),
            "tls" => (Transport::Tls, 6514),
            _ => return Err(wrong()),
        };
        let (host, given) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, given)) => (host, given),
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let port = match given.strip_prefix(':') {
            Some(given) => given.parse().map_err(|_| wrong())?,
            None if given.is_empty() => port,
            None => return Err(wrong()),
        };
        let plain = !host.is_empty() && !host.contains(['/', ' ', '@', '?', '#']);
        if !plain {
            return Err(wrong());
        }
        Ok(Self { transport, host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// Alarms as syslog messages.
pub(crate) struct SyslogOutlet {
    address: Address,
    sender: Sender,
    /// For TLS.
    tls: Option<Arc<ClientConfig>>,
}

impl SyslogOutlet {
    /// TLS needs its configuration.
    pub(crate) fn new(address: Address, sender: Sender, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { address, sender, tls }
    }

    fn try_send(&self, messages: &[String]) -> io::Result<()> {
        match self.address.transport {
            Transport::Udp => self.send_udp(messages),
            Transport::Tcp => {
                let mut stream = self.connect()?;
                write_counted(&mut stream, messages)?;
                stream.shutdown(Shutdown::Write)?;
                drain(&mut stream)
            }
            Transport::Tls => self.send_tls(messages),
        }
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.address.host.as_str(), self.address.port).to_socket_addrs()?.collect())
    }

    fn send_udp(&self, messages: &[String]) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.addresses()? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let sent = UdpSocket::bind(any).and_then(|socket| {
                socket.connect(address)?;
                messages.iter().try_for_each(|it| socket.send(it.as_bytes()).map(drop))
            });
            match sent {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn send_tls(&self, messages: &[String]) -> io::Result<()> {
        let config = self.tls.clone().ok_or(io::ErrorKind::InvalidInput)?;
        let name = ServerName::try_from(self.address.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, self.connect()?);
        write_counted(&mut stream, messages)?;
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(Shutdown::Write)?;
        // With TLS 1.3, that our certificate is refused comes only now.
        drain(&mut stream)
    }
}

impl Outlet for SyslogOutlet {
    fn name(&self) -> String {
        format!("syslog {}", self.address)
    }

    fn batch_max(&self) -> usize {
        64
    }

    fn send(&mut self, events: &[Arc<Event>]) -> Result<(), OutletError> {
        let messages: Vec<_> = events.iter().map(|event| self.sender.message(event)).collect();
        self.try_send(&messages).map_err(|error| OutletError::unreachable("cannot send", &error))
    }
}

/// `MSG-LEN SP SYSLOG-MSG` each (RFC 6587, 3.4.1; RFC 5425, 4.3).
fn write_counted(stream: &mut impl Write, messages: &[String]) -> io::Result<()> {
    let counted: String =
        messages.iter().map(|message| format!("{} {message}", message.len())).collect();
    stream.write_all(counted.as_bytes())?;
    stream.flush()
}

/// Waits until the receiver has closed its side. One that does not, keeps us no longer than the timeout.
fn drain(stream: &mut impl Read) -> io::Result<()> {
    match io::copy(&mut stream.take(ANSWER_BYTES_MAX), &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // Many close without the alert that TLS asks for.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::UnexpectedEof => {
                Ok(())
            }
            _ => Err(error),
        },
    }
}
