//! The program's maps. User space sizes some of them before loading (`abi::limits` has the defaults).

use abi::limits::{COPIES_BYTES, ENDPOINTS_MAX, QUEUES_MAX, UNWANTED_MAX};
use abi::{COUNTERS, Config, Directive, Endpoint, Fragment, Reason, SEEN, config_flags};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, XskMap};

use crate::verifier::opaque;
use crate::walk::Walk;

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static COUNTS: PerCpuArray<[u64; COUNTERS]> = PerCpuArray::with_max_entries(1, 0);
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);
#[map]
static ENDPOINTS: HashMap<Endpoint, Directive> = HashMap::with_max_entries(ENDPOINTS_MAX, 0);
#[map]
static UNWANTED: LruHashMap<Fragment, u64> = LruHashMap::with_max_entries(UNWANTED_MAX, 0);
#[map]
pub static SOCKETS: XskMap = XskMap::with_max_entries(QUEUES_MAX, 0);
#[map]
pub static COPIES: RingBuf = RingBuf::with_byte_size(COPIES_BYTES, 0);

/// The configuration, once user space has written it.
#[inline(always)]
pub fn config() -> Option<&'static Config> {
    CONFIG.get(0).filter(|config| config.flags & config_flags::READY != 0)
}

/// This CPU's place to work in.
#[inline(always)]
pub fn walk() -> Option<&'static mut Walk> {
    // SAFETY: the program runs once at a time on a CPU and asks once; a map's memory outlives it, and any
    // bytes are a valid `Walk`.
    WALK.get_ptr_mut(0).map(|walk| unsafe { &mut *walk })
}

/// What user space said about an endpoint.
#[inline(always)]
pub fn directive(endpoint: &Endpoint) -> Option<Directive> {
    // SAFETY: an element freed during the lookup may be reused at once for another endpoint (see `get`);
    // then one packet gets the other's directive, which user space notices by its address.
    unsafe { ENDPOINTS.get(endpoint) }.copied()
}

/// When the datagram of this fragment was found to be of no interest.
#[inline(always)]
pub fn unwanted_since(fragment: &Fragment) -> Option<u64> {
    // SAFETY: as in `directive`; the value is a time, and an old or young one is harmless.
    unsafe { UNWANTED.get(fragment) }.copied()
}

/// Remembers a datagram as of no interest. A full map forgets an older one.
#[inline(always)]
pub fn set_unwanted(fragment: &Fragment, now: u64) {
    // An error (memory, contention) only means that later fragments go to user space.
    let _ = UNWANTED.insert(fragment, now, 0);
}

/// Forgets an earlier datagram with the same identification.
#[inline(always)]
pub fn clear_unwanted(fragment: &Fragment) {
    let _ = UNWANTED.remove(fragment);
}

/// This CPU's counters.
#[derive(Clone, Copy)]
pub struct Counters(*mut [u64; COUNTERS]);

impl Counters {
    #[inline(always)]
    pub fn of_this_cpu() -> Option<Self> {
        COUNTS.get_ptr_mut(0).map(Self)
    }

    #[inline(always)]
    pub fn seen(self) {
        self.add(SEEN);
    }

    #[inline(always)]
    pub fn count(self, reason: Reason) {
        self.add(reason.counter());
    }

    #[inline(always)]
    fn add(self, counter: usize) {
        let counter = opaque(counter as u64) as usize;
        if counter < COUNTERS {
            // SAFETY: the pointer is to a live element of this CPU, which no other writes; the place was
            // just checked.
            unsafe { *self.0.cast::<u64>().add(counter) += 1 };
        }
    }
}
