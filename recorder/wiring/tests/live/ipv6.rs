//! A capture of calls, moved to IPv6.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use capture::write::pcap::{Precision, Writer};
use capture::{FileSource, LinkType, Poll, Source as _};

const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const UDP: u8 = 17;
const SIP_PORT: u16 = 5060;

/// Writes the calls of `capture`, as `synth` makes it, beside it as calls over IPv6.
pub(crate) fn over_ipv6(capture: &Path) -> PathBuf {
    let to = capture.with_extension("ipv6.pcap");
    let file = File::create(&to).unwrap();
    let mut writer = Writer::new(file, LinkType::Ethernet, Precision::Nanoseconds).unwrap();
    let mut source = FileSource::open(capture).unwrap();
    let mut keep = |frame: capture::Frame<'_>| {
        let frame_over_ipv6 = convert(frame.data);
        writer.frame(frame.time, &frame_over_ipv6, frame_over_ipv6.len() as u32).unwrap();
    };
    while source.poll(&mut keep).unwrap() != Poll::End {}
    writer.finish().unwrap();
    to
}

/// One frame: Ethernet, IPv6 (RFC 8200, 3), UDP.
fn convert(frame: &[u8]) -> Vec<u8> {
    let (ethernet, rest) = frame.split_at(ETHERNET_BYTES);
    let (ipv4, rest) = rest.split_at(IPV4_BYTES);
    let (ports, payload) = (&rest[..4], &rest[UDP_BYTES..]);
    let is_sip = ports[..2] == SIP_PORT.to_be_bytes() || ports[2..] == SIP_PORT.to_be_bytes();
    let payload = if is_sip { describe(payload) } else { payload.to_vec() };
    let udp_bytes = (UDP_BYTES + payload.len()) as u16;
    let address = |at: usize| mapped(*ipv4[at..].first_chunk().unwrap()).octets();
    let addresses = [address(12), address(16)].concat();
    let sums = [&addresses[..], &[0, UDP], &udp_bytes.to_be_bytes(), ports];
    let sums = [&sums.concat()[..], &udp_bytes.to_be_bytes(), &payload].concat();
    let mut to = ethernet[..12].to_vec();
    to.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    to.extend(udp_bytes.to_be_bytes());
    to.extend([UDP, 64]);
    to.extend(addresses);
    to.extend(ports);
    to.extend(udp_bytes.to_be_bytes());
    to.extend(checksum(&sums).to_be_bytes());
    to.extend(payload);
    to
}

/// Any IPv4 address has one of these.
fn mapped(address: [u8; 4]) -> Ipv6Addr {
    let [a, b, c, d] = address.map(u16::from);
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, a << 8 | b, c << 8 | d)
}

/// A SIP message whose session description, if any, names addresses of IPv6.
fn describe(message: &[u8]) -> Vec<u8> {
    let message = std::str::from_utf8(message).unwrap();
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let lines = body.split_inclusive("\r\n").map(|line| match line.split_once(" IP4 ") {
        Some((before, address)) => {
            let address: Ipv4Addr = address.trim_end().parse().unwrap();
            format!("{before} IP6 {}\r\n", mapped(address.octets()))
        }
        None => line.to_owned(),
    });
    let described: String = lines.collect();
    let length = |body: &str| format!("Content-Length: {}", body.len());
    format!("{}\r\n\r\n{described}", head.replace(&length(body), &length(&described))).into_bytes()
}

/// RFC 1071; 0 is written as all ones (RFC 768).
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(*it.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        checksum => checksum,
    }
}
