//! News of the capture cores on its way to the engine: put in the order of time, held back while the engine is busy
//! with an earlier run.

use base::Timestamp;
use base::limits::{NEWS_PENDING_BYTES_MAX, NEWS_PENDING_MAX};

use super::cores::LiveCores;
use super::lines::{Message, Opened};

/// Messages of a core that may be held back in the buffers in which they came: half of them.
const HELD_IN_PLACE_MAX: usize = 8_192;

/// News of a core.
pub(super) enum News {
    Message(Message),
    Opened(Opened),
}

impl News {
    fn time(&self) -> Timestamp {
        match self {
            Self::Message(message) => message.time,
            Self::Opened(opened) => opened.time,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes.len(),
            Self::Opened(_) => 0,
        }
    }
}

/// News that waits, with the core that it came from. Bounded: what has no room here stays in the rings.
#[derive(Default)]
pub(super) struct Pending {
    news: Vec<(usize, News)>,
    bytes: usize,
}

impl Pending {
    fn has_room(&self) -> bool {
        self.news.len() < NEWS_PENDING_MAX && self.bytes < NEWS_PENDING_BYTES_MAX
    }

    fn push(&mut self, core: usize, news: News) {
        self.bytes += news.bytes();
        self.news.push((core, news));
    }

    /// Takes out what came up to a time, in its order.
    pub(super) fn take_until(&mut self, until: Timestamp) -> Vec<(usize, News)> {
        self.news.sort_by_key(|(_, news)| news.time());
        let due = self.news.partition_point(|(_, news)| news.time() <= until);
        let rest = self.news.split_off(due);
        let due = std::mem::replace(&mut self.news, rest);
        self.bytes -= due.iter().map(|(_, news)| news.bytes()).sum::<usize>();
        due
    }
}

/// Takes the news out of the rings, so that they do not fill. True if there was some.
pub(super) fn gather(cores: &mut LiveCores, pending: &mut Pending) -> bool {
    let before = pending.news.len();
    for (core, handle) in cores.handles.iter_mut().enumerate() {
        let end = &mut handle.end;
        while pending.has_room()
            && let Ok(mut message) = end.messages.pop()
        {
            if pending.news.len() > HELD_IN_PLACE_MAX {
                let copy = message.bytes.as_slice().into();
                end.give_back(std::mem::replace(&mut message.bytes, copy));
            }
            pending.push(core, News::Message(message));
        }
        while pending.has_room()
            && let Ok(opened) = end.opened.pop()
        {
            pending.push(core, News::Opened(opened));
        }
    }
    pending.news.len() > before
}

#[cfg(test)]
mod tests {
    use base::{FlowKey, Transport};

    use super::*;

    fn message(nanos: u64, bytes: usize) -> News {
        News::Message(Message {
            time: Timestamp::from_nanos(nanos),
            key: FlowKey::default(),
            transport: Transport::Udp,
            bytes: vec![0; bytes],
        })
    }

    #[test]
    fn what_waits_comes_out_in_the_order_of_time_and_is_bounded() {
        let mut pending = Pending::default();
        for (core, nanos) in [(0, 5), (1, 3), (0, 9), (1, 7)] {
            pending.push(core, message(nanos, 1));
        }
        let due = pending.take_until(Timestamp::from_nanos(7));
        let order: Vec<_> =
            due.iter().map(|(core, news)| (*core, news.time().as_nanos())).collect();
        assert_eq!(order, [(1, 3), (0, 5), (1, 7)]);
        assert_eq!((pending.news.len(), pending.bytes), (1, 1));
        pending.push(0, message(1, NEWS_PENDING_BYTES_MAX));
        assert!(!pending.has_room());
        assert_eq!(pending.take_until(Timestamp::MAX).len(), 2);
        assert!(pending.has_room() && pending.bytes == 0);
    }
}
