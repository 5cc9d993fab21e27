//! The calls that are up, as the windows' thread knows them: kept from the news of the dialog thread, so that neither
//! the number of viewers nor their questions cost that thread anything.

use std::collections::BTreeMap;

use base::limits::LIVE_CALLS_LISTED_MAX;
use dialog::CallKey;
use hashbrown::HashMap;
use web::link::CallNews;
use web::link::status::{Codec, LiveCall};

/// All of them.
#[derive(Default)]
pub(super) struct Calls {
    /// Keys are given in the order in which calls begin.
    up: BTreeMap<CallKey, LiveCall>,
    by_id: HashMap<String, CallKey>,
    /// Streams announced, by codec.
    streams: BTreeMap<String, u64>,
    /// Known before the list began anew, and not told of since.
    stale: BTreeMap<CallKey, LiveCall>,
}

impl Calls {
    /// A call is up, as it is now.
    pub(super) fn up(&mut self, key: CallKey, call: LiveCall) -> CallNews {
        self.by_id.insert(call.id.clone(), key);
        self.count(&call, 1);
        let stale = self.stale.remove(&key);
        let before = self.up.insert(key, call.clone());
        if let Some(before) = &before {
            self.count(before, -1);
        }
        let what = if before.or(stale).is_some() { "changed" } else { "began" };
        CallNews { what: what.into(), call }
    }

    /// A call is over.
    pub(super) fn gone(&mut self, key: CallKey) -> Option<CallNews> {
        let known = self.up.remove(&key);
        if let Some(call) = &known {
            self.by_id.remove(&call.id);
            self.count(call, -1);
        }
        let call = known.or_else(|| self.stale.remove(&key))?;
        Some(CallNews { what: "ended".into(), call })
    }

    /// What is known is out of date; what is up follows.
    pub(super) fn begin_anew(&mut self) {
        self.stale.append(&mut self.up);
        self.by_id.clear();
        self.streams.clear();
    }

    /// All that is up has been told: what was not is over.
    pub(super) fn whole(&mut self) -> Vec<CallNews> {
        let over = std::mem::take(&mut self.stale).into_values();
        over.map(|call| CallNews { what: "ended".into(), call }).collect()
    }

    /// Whether a call is up, as far as is known.
    pub(super) fn is_up(&self, key: CallKey) -> bool {
        self.up.contains_key(&key)
    }

    /// By [`LiveCall::id`].
    pub(super) fn by_id(&self, id: &str) -> Option<(CallKey, &LiveCall)> {
        let key = *self.by_id.get(id)?;
        Some((key, self.up.get(&key)?))
    }

    /// The newest, at most `limit`, with `party` in a party or the Call-ID; and how many there are in all.
    pub(super) fn page(&self, party: Option<&str>, limit: usize) -> (Vec<LiveCall>, u64) {
        let party = party.unwrap_or_default().to_lowercase();
        let contains = |text: &str| text.to_lowercase().contains(&party);
        let fits = |call: &&LiveCall| {
            party.is_empty()
                || contains(&call.caller)
                || contains(&call.callee)
                || call.call_id.as_deref().is_some_and(contains)
        };
        let limit = limit.min(LIVE_CALLS_LISTED_MAX);
        let (mut page, mut total) = (Vec::new(), 0);
        for call in self.up.values().rev().filter(fits) {
            total += 1;
            if page.len() < limit {
                page.push(call.clone());
            }
        }
        (page, total)
    }

    /// Streams that calls have announced, by codec; the most first.
    pub(super) fn codecs(&self) -> Vec<Codec> {
        let streams = self.streams.iter().filter(|(_, streams)| **streams > 0);
        let mut codecs: Vec<_> = streams
            .map(|(name, streams)| Codec { name: name.clone(), streams: *streams })
            .collect();
        codecs.sort_by_key(|codec| std::cmp::Reverse(codec.streams));
        codecs
    }

    fn count(&mut self, call: &LiveCall, sign: i64) {
        for name in &call.codecs {
            // Each of the two sides hears it.
            let streams = self.streams.entry(name.clone()).or_default();
            *streams = streams.saturating_add_signed(2 * sign);
            if *streams == 0 {
                self.streams.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, caller: &str, codec: &str) -> LiveCall {
        LiveCall {
            id: id.into(),
            call_id: Some(format!("{id}@pbx")),
            caller: caller.into(),
            codecs: vec![codec.into()],
            ..LiveCall::default()
        }
    }

    /// Keys as the engine gives them.
    fn keys(count: usize) -> Vec<CallKey> {
        let mut dialogs = dialog::Dialogs::new();
        let invite = |number: usize| {
            format!(
                "INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{number}\r\n\
                 From: <sip:a@example.com>;tag=a{number}\r\nTo: <sip:b@example.com>\r\n\
                 Call-ID: {number}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let key = |number| {
            let message = invite(number);
            let input = dialog::SipInput {
                time: base::Timestamp::from_nanos(number as u64 + 1),
                key: base::FlowKey::default(),
                transport: base::Transport::Udp,
                message: message.as_bytes(),
            };
            match dialogs.message(input) {
                dialog::Handled::Call(key) => key,
                other => panic!("{other:?}"),
            }
        };
        (0..count).map(key).collect()
    }

    #[test]
    fn the_newest_come_first_and_a_party_is_found_in_any_case() {
        let (keys, mut calls) = (keys(3), Calls::default());
        for (key, (id, caller)) in keys.iter().zip([("1", "Anna"), ("2", "Bert"), ("3", "ANNE")]) {
            assert_eq!(calls.up(*key, call(id, caller, "PCMA")).what, "began");
        }
        let ids = |party, limit| {
            let (page, total) = calls.page(party, limit);
            (page.into_iter().map(|call| call.id).collect::<Vec<_>>(), total)
        };
        assert_eq!(ids(None, 2), (vec!["3".into(), "2".into()], 3));
        assert_eq!(ids(Some("ann"), 200), (vec!["3".into(), "1".into()], 2));
        assert_eq!(ids(Some("2@PBX"), 200), (vec!["2".into()], 1));
        assert_eq!(calls.by_id("2").unwrap().0, keys[1]);
        assert_eq!(calls.codecs()[0].streams, 6);
        assert_eq!(calls.up(keys[0], call("1", "Anna", "PCMU")).what, "changed");
        let codecs: Vec<_> = calls.codecs().into_iter().map(|it| (it.name, it.streams)).collect();
        assert_eq!(codecs, [("PCMA".into(), 4), ("PCMU".into(), 2)]);
        assert_eq!(calls.gone(keys[0]).unwrap().what, "ended");
        assert!(calls.gone(keys[0]).is_none() && calls.by_id("1").is_none());
    }

    #[test]
    fn a_list_that_began_anew_ends_what_is_not_in_it() {
        let (keys, mut calls) = (keys(3), Calls::default());
        for (key, id) in keys.iter().zip(["1", "2", "3"]) {
            calls.up(*key, call(id, "", "PCMA"));
        }
        calls.begin_anew();
        assert_eq!(calls.up(keys[1], call("2", "", "PCMA")).what, "changed");
        assert_eq!(calls.gone(keys[2]).unwrap().call.id, "3", "it ended meanwhile");
        let over: Vec<_> = calls.whole().into_iter().map(|news| news.call.id).collect();
        assert_eq!(over, ["1"]);
        assert_eq!((calls.page(None, 9).1, calls.codecs()[0].streams), (1, 2));
    }
}
