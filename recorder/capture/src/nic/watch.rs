//! Whether an interface is there, up and connected, and when that changes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::netlink::{Netlink, messages};
use super::{Link, NicError};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTMGRP_LINK: u32 = 1;

/// What can be received from an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is no interface of that name.
    Absent,
    /// It is there, but administratively down.
    Down {
        /// Its number.
        index: u32,
    },
    /// It is up, but the cable is out or the other end is down.
    NoCarrier {
        /// Its number.
        index: u32,
    },
    /// Frames can come. If its number is not what it was, it was removed and made anew: sockets and programs
    /// on the old one are dead.
    Running {
        /// Its number.
        index: u32,
    },
}

impl LinkState {
    fn of(link: &Link) -> Self {
        let index = link.index;
        match (link.up, link.carrier) {
            (false, _) => Self::Down { index },
            (true, false) => Self::NoCarrier { index },
            (true, true) => Self::Running { index },
        }
    }

    const fn index(self) -> Option<u32> {
        match self {
            Self::Absent => None,
            Self::Down { index } | Self::NoCarrier { index } | Self::Running { index } => {
                Some(index)
            }
        }
    }
}

/// Follows the state of one interface by the kernel's news, in the network namespace of the thread that made it.
/// Its descriptor is readable when there may be some.
#[derive(Debug)]
pub struct LinkWatch {
    name: String,
    news: Netlink,
    questions: Netlink,
    last: LinkState,
    changes: VecDeque<LinkState>,
}

impl LinkWatch {
    /// Begins to follow an interface, which need not be there yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(name: &str) -> Result<Self, NicError> {
        Self::open(name).map_err(|source| failed(name, source))
    }

    fn open(name: &str) -> io::Result<Self> {
        let mut watch = Self {
            name: name.to_owned(),
            // Before the state is asked for: what changes in between is news.
            news: Netlink::route_news(RTMGRP_LINK)?,
            questions: Netlink::route()?,
            last: LinkState::Absent,
            changes: VecDeque::new(),
        };
        watch.last = watch.ask()?;
        Ok(watch)
    }

    /// As it was when it was last asked for changes.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.last
    }

    /// The next change since the last time, if there was one; does not wait. Each is told, also of an interface
    /// that went down and came back in between.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn change(&mut self) -> Result<Option<LinkState>, NicError> {
        if self.changes.is_empty() {
            self.read().map_err(|source| failed(&self.name, source))?;
        }
        let change = self.changes.pop_front();
        self.last = change.unwrap_or(self.last);
        Ok(change)
    }

    fn read(&mut self) -> io::Result<()> {
        loop {
            match self.news.receive() {
                Ok(datagram) => self.take(&datagram),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::WOULDBLOCK) => return Ok(()),
                    Some(Errno::INTR) => {}
                    // There was more news than the socket holds: what is now is what counts.
                    Some(Errno::NOBUFS) => {
                        let now = self.ask()?;
                        self.push(now);
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    fn take(&mut self, datagram: &[u8]) {
        for (header, body) in messages(datagram) {
            // Bridges tell of their ports by the same messages, of another family.
            if body.first() != Some(&(libc::AF_UNSPEC as u8)) {
                continue;
            }
            let Some(link) = Link::parse(body) else { continue };
            let ours = Some(link.index) == self.newest().index();
            match header.kind {
                RTM_NEWLINK if link.name == self.name => self.push(LinkState::of(&link)),
                // It has another name now.
                RTM_NEWLINK | RTM_DELLINK if ours => self.push(LinkState::Absent),
                _ => {}
            }
        }
    }

    fn newest(&self) -> LinkState {
        self.changes.back().copied().unwrap_or(self.last)
    }

    fn push(&mut self, state: LinkState) {
        if state != self.newest() {
            self.changes.push_back(state);
        }
    }

    fn ask(&mut self) -> io::Result<LinkState> {
        match Link::ask(&mut self.questions, &self.name) {
            Ok(link) => Ok(LinkState::of(&link)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(LinkState::Absent),
            Err(error) => Err(error),
        }
    }
}

/// For waiting.
impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}

fn failed(name: &str, source: io::Error) -> NicError {
    NicError::from_kernel(name, "watch the interface", source)
}
