//! Makes capture files in every variant, from what a test says should be read from them.

use base::Timestamp;
use capture::LinkType;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::seen::Seen;

/// A file and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Seen>,
    /// Lengths of the file at which it ends with a whole record.
    pub(crate) whole_at: Vec<usize>,
}

/// A byte order, and numbers in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order(pub(crate) bool);

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(self, value: u64) -> [u8; 8] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }
}

/// A frame's time in the units of its file, its bytes, and how many more were on the wire.
type Raw = (u64, Vec<u8>, u32);

fn raws(largest: usize) -> impl Strategy<Value = Vec<Raw>> {
    vec((any::<u64>(), vec(any::<u8>(), 0..largest), 0..3000_u32), 0..8)
}

fn seen(nanos: u64, link: LinkType, data: &[u8], wire_bytes: u32, number: usize) -> Seen {
    let time = Timestamp::from_nanos(nanos);
    Seen { time, link, data: data.to_vec(), wire_bytes, number: number as u64 }
}

/// A pcap file of `frames` with times of `units` (whole seconds times 10^9 and a part in nanoseconds).
pub(crate) fn pcap(order: Order, magic: u32, link: u32, raws: &[Raw]) -> Sample {
    let mut bytes = order.u32(magic).to_vec();
    bytes.extend([order.u16(2), order.u16(4)].concat());
    bytes.extend(order.words(&[0, 0, 65_535, link]));
    let mut frames = Vec::new();
    let mut whole_at = vec![bytes.len()];
    for (time, data, more) in raws {
        let (seconds, unit) = ((time >> 32) as u32, if magic == 0xa1b2_3c4d { 1 } else { 1_000 });
        let part = (time & 0xffff_ffff) % (1_000_000_000 / unit);
        let wire_bytes = data.len() as u32 + more;
        bytes.extend(order.words(&[seconds, part as u32, data.len() as u32, wire_bytes]));
        if magic == 0xa1b2_cd34 {
            bytes.extend([0x55; 8]);
        }
        bytes.extend(data);
        whole_at.push(bytes.len());
        let nanos = u64::from(seconds) * 1_000_000_000 + part * unit;
        let link = LinkType::from_number(link & 0xffff);
        frames.push(seen(nanos, link, data, wire_bytes, whole_at.len() - 1));
    }
    Sample { bytes, frames, whole_at }
}

/// Any pcap file.
pub(crate) fn any_pcap(largest: usize) -> impl Strategy<Value = Sample> {
    let magic = prop_oneof![Just(0xa1b2_c3d4), Just(0xa1b2_3c4d), Just(0xa1b2_cd34)];
    // The last has a frame check sequence, which the bits above the link type say.
    let link = prop_oneof![Just(1), Just(101), Just(276), Just(9), Just(0x3000_0001)];
    (any::<bool>(), magic, link, raws(largest))
        .prop_map(|(big, magic, link, raws)| pcap(Order(big), magic, link, &raws))
}

/// An interface of a pcapng file: link type, `if_tsresol`, `if_tsoffset`.
pub(crate) type Interface = (u16, Option<u8>, Option<i64>);

/// A block of a pcapng file.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Enhanced(usize, Raw),
    Obsolete(usize, Raw),
    Simple(Raw),
    /// Of a type that holds no packet.
    Unknown(u32, Vec<u8>),
}

/// A section: its byte order, its interfaces, its blocks.
pub(crate) type Section = (bool, Vec<Interface>, Vec<Block>);

pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let length = order.u32((12 + body.len() + padding) as u32);
    [&order.u32(kind)[..], &length, body, &vec![0; padding], &length].concat()
}

pub(crate) fn section_header(order: Order) -> Vec<u8> {
    // A comment of three bytes, padded.
    let parts = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]];
    let option = [&order.u16(1)[..], &order.u16(3), b"abc\0", &[0; 4]].concat();
    block(order, 0x0a0d_0d0a, &[parts.concat(), option].concat())
}

pub(crate) fn interface(order: Order, (link, resolution, offset): Interface) -> Vec<u8> {
    let mut body = [&order.u16(link)[..], &[0; 2], &order.u32(0)].concat();
    body.extend([&order.u16(2)[..], &order.u16(4), b"eth0"].concat());
    if let Some(resolution) = resolution {
        body.extend([&order.u16(9)[..], &order.u16(1), &[resolution, 0, 0, 0]].concat());
    }
    if let Some(offset) = offset {
        body.extend([&order.u16(14)[..], &order.u16(8), &order.u64(offset as u64)].concat());
    }
    block(order, 1, &body)
}

/// What a time means, in numbers so wide that nothing saturates before its end.
fn nanos(units: u64, (_, resolution, offset): Interface) -> u64 {
    let resolution = resolution.unwrap_or(6);
    let power = u32::from(resolution & 0x7f);
    let fine = u128::from(units) * 1_000_000_000;
    let nanos = match resolution & 0x80 {
        0 => fine / 10_u128.pow(power),
        _ => fine >> power,
    };
    let sum = nanos as i128 + i128::from(offset.unwrap_or(0)) * 1_000_000_000;
    sum.clamp(0, u64::MAX.into()) as u64
}

/// A pcapng file of these sections.
pub(crate) fn pcapng(sections: &[Section]) -> Sample {
    let mut sample = Sample { bytes: Vec::new(), frames: Vec::new(), whole_at: Vec::new() };
    for (big, interfaces, blocks) in sections {
        let order = Order(*big);
        sample.bytes.extend(section_header(order));
        sample.whole_at.push(sample.bytes.len());
        for described in interfaces {
            sample.bytes.extend(interface(order, *described));
            sample.whole_at.push(sample.bytes.len());
        }
        for block in blocks {
            sample.add(order, interfaces, block);
        }
    }
    sample
}

impl Sample {
    fn add(&mut self, order: Order, interfaces: &[Interface], what: &Block) {
        let (index, time, data, wire_bytes, kind, head) = match what {
            Block::Unknown(kind, body) => {
                self.bytes.extend(block(order, *kind, body));
                self.whole_at.push(self.bytes.len());
                return;
            }
            Block::Enhanced(at, (time, data, more)) => {
                let index = at % interfaces.len();
                (
                    index,
                    Some(*time),
                    data,
                    data.len() as u32 + more,
                    6,
                    order.u32(index as u32).to_vec(),
                )
            }
            Block::Obsolete(at, (time, data, more)) => {
                let index = at % interfaces.len();
                let head = [order.u16(index as u16), order.u16(7)].concat();
                (index, Some(*time), data, data.len() as u32 + more, 2, head)
            }
            // Its captured length is the block's, so that it has to be a multiple of four to be known.
            Block::Simple((_, data, more)) if data.len() % 4 == 0 => {
                (0, None, data, data.len() as u32 + more, 3, Vec::new())
            }
            Block::Simple((_, data, _)) => (0, None, data, data.len() as u32, 3, Vec::new()),
        };
        let mut body = head;
        if let Some(time) = time {
            body.extend(order.words(&[(time >> 32) as u32, time as u32, data.len() as u32]));
        }
        body.extend(order.u32(wire_bytes));
        body.extend(data);
        self.bytes.extend(block(order, kind, &body));
        self.whole_at.push(self.bytes.len());
        let link = LinkType::from_number(interfaces[index].0.into());
        let nanos = time.map_or(0, |time| nanos(time, interfaces[index]));
        self.frames.push(seen(nanos, link, data, wire_bytes, self.frames.len() + 1));
    }
}

fn any_section(largest: usize) -> impl Strategy<Value = Section> {
    let link = prop_oneof![Just(1_u16), Just(101), Just(113), Just(276), Just(147)];
    let resolution = proptest::option::of(prop_oneof![0..30_u8, 0x80..=0xff_u8, Just(9), Just(38)]);
    let offset = proptest::option::of(prop_oneof![any::<i64>(), -100..100_i64]);
    let interfaces = vec((link, resolution, offset), 1..4);
    let raw = move || (any::<u64>(), vec(any::<u8>(), 0..largest), 0..3000_u32);
    let unknown = prop_oneof![Just(4_u32), Just(5), Just(0x0bad_0bad), Just(0x8000_0001)];
    let block = prop_oneof![
        4 => (0..4_usize, raw()).prop_map(|(at, raw)| Block::Enhanced(at, raw)),
        1 => (0..4_usize, raw()).prop_map(|(at, raw)| Block::Obsolete(at, raw)),
        1 => raw().prop_map(Block::Simple),
        1 => (unknown, vec(any::<u8>(), 0..largest)).prop_map(|(kind, body)| Block::Unknown(kind, body)),
    ];
    (any::<bool>(), interfaces, vec(block, 0..6))
}

/// Any pcapng file.
pub(crate) fn any_pcapng(largest: usize) -> impl Strategy<Value = Sample> {
    vec(any_section(largest), 1..4).prop_map(|sections| pcapng(&sections))
}

/// A file of ERF records of Ethernet frames, some with extension headers.
pub(crate) fn any_erf(largest: usize) -> impl Strategy<Value = Sample> {
    vec((any::<u64>(), vec(any::<u8>(), 1..largest), 0..3_usize), 3..8).prop_map(|raws| {
        let mut sample = Sample { bytes: Vec::new(), frames: Vec::new(), whole_at: Vec::new() };
        for (time, data, extensions) in raws {
            let record_bytes = (16 + 8 * extensions + 2 + data.len()).next_multiple_of(8);
            let mut record = time.to_le_bytes().to_vec();
            record.extend([if extensions > 0 { 0x82 } else { 2 }, 4]);
            record.extend((record_bytes as u16).to_be_bytes());
            record.extend([0, 0]);
            record.extend((data.len() as u16).to_be_bytes());
            for left in (0..extensions).rev() {
                record.extend([if left > 0 { 0x85 } else { 0x05 }, 0, 0, 0, 0, 0, 0, 0]);
            }
            record.extend([0, 0]);
            record.extend(&data);
            record.resize(record_bytes, 0);
            sample.bytes.extend(record);
            sample.whole_at.push(sample.bytes.len());
            let fraction = (time & 0xffff_ffff) as f64 / 2_f64.powi(32) * 1e9;
            let nanos = (time >> 32) * 1_000_000_000 + fraction.round() as u64;
            let number = sample.frames.len() + 1;
            sample.frames.push(seen(nanos, LinkType::Ethernet, &data, data.len() as u32, number));
        }
        sample
    })
}

/// A Network Monitor file that began on 2024-02-29 at 12:30:15.250.
pub(crate) fn any_netmon(largest: usize) -> impl Strategy<Value = Sample> {
    (0..4_u8, raws(largest)).prop_map(|(minor, raws)| {
        let mut bytes = [b"GMBU", &[minor, 2, 1, 0][..]].concat();
        for half in [2024_u16, 2, 4, 29, 12, 30, 15, 250] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.resize(128, 0);
        let (mut frames, mut whole_at) = (Vec::new(), vec![128]);
        for (time, data, more) in raws {
            let micros = time >> 16;
            let wire_bytes = data.len() as u32 + more;
            bytes.extend(micros.to_le_bytes());
            bytes.extend([wire_bytes.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat());
            bytes.extend(&data);
            // Medium (raw IP, as the LINKTYPE registry numbers it), process, time in UTC, time zone.
            let filetime = 116_444_736_000_000_000 + (time >> 10);
            let trailer = [&[101, 0xe0][..], &[0xff; 4], &filetime.to_le_bytes(), &[0]].concat();
            bytes.extend(&trailer[..[0, 2, 6, 15][usize::from(minor)]]);
            whole_at.push(bytes.len());
            let nanos = match minor {
                3 => (time >> 10).saturating_mul(100),
                _ => 1_709_209_815_250_000_000_u64.saturating_add(micros.saturating_mul(1_000)),
            };
            let link = if minor == 0 { LinkType::Ethernet } else { LinkType::RawIp };
            frames.push(seen(nanos, link, &data, wire_bytes, frames.len() + 1));
        }
        let index = bytes.len() as u32;
        bytes[24..28].copy_from_slice(&index.to_le_bytes());
        bytes.extend([0xee; 40]);
        whole_at.extend(bytes.len() - 39..=bytes.len());
        Sample { bytes, frames, whole_at }
    })
}

/// Any file of any format.
pub(crate) fn any_sample(largest: usize) -> impl Strategy<Value = Sample> {
    prop_oneof![
        any_pcap(largest),
        any_pcapng(largest),
        any_erf(largest.max(2)),
        any_netmon(largest)
    ]
}
