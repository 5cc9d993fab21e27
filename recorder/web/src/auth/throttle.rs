//! What keeps guessing slow. Each failure makes the next try wait longer: for who tries one name from one address soon
//! and long, for an address and for a name later, and for a name never so long that somebody else's guessing locks its
//! owner out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use base::Timestamp;
use base::limits::{REQUESTS_BURST_MAX, REQUESTS_PER_SECOND_MAX, THROTTLED_MAX};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use seal::{Sha256Hash, sha256};

use super::Client;
use crate::problem::{Answer, Problem};

/// After so long without a failure, earlier ones are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Who is kept waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Both(IpAddr, Sha256Hash),
    Address(IpAddr),
    Name(Sha256Hash),
}

impl Key {
    /// An IPv6 client has a network of its own: its /64 counts as one address.
    fn all(client: Client, name: &str) -> [Self; 3] {
        let name = sha256(name.to_lowercase().as_bytes());
        let address = network(client.0);
        [Self::Both(address, name), Self::Address(address), Self::Name(name)]
    }

    /// How many failures cost nothing, and how long one waits at most.
    const fn patience(self) -> (u32, Duration) {
        match self {
            Self::Both(..) => (4, Duration::from_secs(15 * 60)),
            Self::Address(_) => (20, Duration::from_secs(15 * 60)),
            Self::Name(_) => (20, Duration::from_secs(20)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// When the next try is allowed: after 1 s, 2 s, 4 s, ...
    fn until(self, key: Key) -> Timestamp {
        let (free, longest) = key.patience();
        match self.count.checked_sub(free) {
            None => Timestamp::ZERO,
            Some(over) => self.last.plus(Duration::from_secs(1 << over.min(20)).min(longest)),
        }
    }
}

/// Counts requests and failures. In memory: a restart forgets them.
pub(crate) struct Throttle {
    requests: DefaultKeyedRateLimiter<IpAddr>,
    failures: Mutex<HashMap<Key, Failures>>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        const PER_SECOND: NonZeroU32 = NonZeroU32::new(REQUESTS_PER_SECOND_MAX).unwrap();
        const BURST: NonZeroU32 = NonZeroU32::new(REQUESTS_BURST_MAX).unwrap();
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        Self {
            requests: DefaultKeyedRateLimiter::keyed(quota),
            failures: Mutex::new(HashMap::new()),
        }
    }

    /// Counts a request to the API.
    ///
    /// # Errors
    /// 429 if there were too many from this address.
    pub(crate) fn request(&self, client: Client) -> Answer<()> {
        if self.requests.len() >= THROTTLED_MAX {
            self.requests.retain_recent();
        }
        self.requests
            .check_key(&network(client.0))
            .map_err(|early| too_many(early.wait_time_from(DefaultClock::default().now())))
    }

    /// Whether `client` may try to prove that he is `name` (a user, or what else a secret opens).
    ///
    /// # Errors
    /// 429 if too many tries failed; it says when the next may be made.
    pub(crate) fn attempt(&self, client: Client, name: &str, now: Timestamp) -> Answer<()> {
        let failures = self.failures();
        let until = Key::all(client, name).into_iter().filter_map(|key| {
            let found = failures.get(&key).filter(|found| now.since(found.last) < FORGOTTEN)?;
            // A wall clock that was set back makes nobody wait longer than ever.
            Some(found.until(key).min(now.plus(key.patience().1)))
        });
        match until.max() {
            Some(until) if until > now => Err(too_many(until.since(now))),
            _ => Ok(()),
        }
    }

    /// A try failed.
    pub(crate) fn failed(&self, client: Client, name: &str, now: Timestamp) {
        let mut failures = self.failures();
        for key in Key::all(client, name) {
            make_room(&mut failures, now);
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            let fresh = now.since(entry.last) < FORGOTTEN;
            entry.count = if fresh { entry.count.saturating_add(1) } else { 1 };
            entry.last = now;
        }
    }

    /// A try succeeded: this client is who he says.
    pub(crate) fn succeeded(&self, client: Client, name: &str) {
        let [both, ..] = Key::all(client, name);
        self.failures().remove(&both);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what is old; if all is new, the oldest.
fn make_room(failures: &mut HashMap<Key, Failures>, now: Timestamp) {
    if failures.len() < THROTTLED_MAX {
        return;
    }
    failures.retain(|_, found| now.since(found.last) < FORGOTTEN);
    if failures.len() >= THROTTLED_MAX
        && let Some(oldest) = failures.iter().min_by_key(|(_, f)| f.last).map(|(key, _)| *key)
    {
        failures.remove(&oldest);
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

/// 429, to be tried again in a while.
fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let detail = format!("too many tries; try again in {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
    problem.retry_after(u64::try_from(seconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

    fn client(last: u8) -> Client {
        Client(IpAddr::from([192, 0, 2, last]))
    }

    fn wait(throttle: &Throttle, client: Client, name: &str, now: Timestamp) -> u64 {
        throttle
            .attempt(client, name, now)
            .err()
            .and_then(|problem| problem.retry_after)
            .unwrap_or(0)
    }

    #[test]
    fn each_failure_makes_the_next_try_wait_longer() {
        let throttle = Throttle::new();
        let mut waits = Vec::new();
        for _ in 0..16 {
            waits.push(wait(&throttle, client(1), "anna", NOW));
            throttle.failed(client(1), "anna", NOW);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(wait(&throttle, client(1), "Anna", NOW), 900, "whatever the case");
        assert_eq!(wait(&throttle, client(1), "bert", NOW), 0, "another name");
        assert_eq!(wait(&throttle, client(2), "anna", NOW), 0, "anna herself, elsewhere");
        let later = NOW.plus(Duration::from_secs(901));
        assert_eq!(wait(&throttle, client(1), "anna", later), 0);
        throttle.succeeded(client(1), "anna");
        assert_eq!(wait(&throttle, client(1), "anna", NOW), 0);
    }

    #[test]
    fn many_names_from_one_address_and_one_name_from_many_addresses_wait_too() {
        let throttle = Throttle::new();
        for n in 0..40 {
            throttle.failed(client(1), &format!("user{n}"), NOW);
            throttle.failed(client(100 + n), "anna", NOW);
        }
        assert_eq!(wait(&throttle, client(1), "other", NOW), 900);
        assert_eq!(wait(&throttle, client(9), "anna", NOW), 20, "slowed down, not locked out");
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let throttle = Throttle::new();
        let v6 = |text: &str| Client(text.parse().unwrap());
        for host in 0..6 {
            throttle.failed(v6(&format!("2001:db8::{host}")), "anna", NOW);
        }
        assert_eq!(wait(&throttle, v6("2001:db8::ffff"), "anna", NOW), 4);
        assert_eq!(wait(&throttle, v6("2001:db8:0:1::1"), "anna", NOW), 0);
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_and_the_table_stays_bounded() {
        let throttle = Throttle::new();
        for _ in 0..30 {
            throttle.failed(client(1), "anna", NOW);
        }
        let before = NOW.minus(Duration::from_secs(86_400));
        assert_eq!(wait(&throttle, client(1), "anna", before), 900);
        let mut failures = throttle.failures();
        for n in 0..THROTTLED_MAX as u32 {
            let key = Key::Address(IpAddr::from(n.to_be_bytes()));
            failures.insert(key, Failures { count: 1, last: NOW });
        }
        drop(failures);
        throttle.failed(client(7), "bert", NOW);
        assert!(throttle.failures().len() <= THROTTLED_MAX + 3);
    }

    #[test]
    fn requests_are_counted() {
        let throttle = Throttle::new();
        let refused =
            (0..REQUESTS_BURST_MAX + 50).filter_map(|_| throttle.request(client(1)).err());
        let refused: Vec<_> = refused.collect();
        assert!(!refused.is_empty());
        assert!(refused.iter().all(|p| p.status == 429 && p.retry_after == Some(1)));
        assert!(throttle.request(client(2)).is_ok());
    }
}
