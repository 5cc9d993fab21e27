//! What the writers write, the reader reads; and so does everybody else's (`tshark`, where there is one).

use std::process::Command;

use base::{FlowKey, Timestamp};
use capture::LinkType;
use capture::write::{ip, pcap, pcapng};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::seen::{Seen, read_whole};

const LINKS: [LinkType; 3] = [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCookedV2];

/// Frames whose time each format can hold, with the place of their link type.
fn frames() -> impl Strategy<Value = Vec<(usize, Seen)>> {
    let nanos = 0..u64::from(u32::MAX) * 1_000_000_000;
    vec((0..LINKS.len(), nanos, vec(any::<u8>(), 0..500), 0..2_000_u32), 0..20).prop_map(|raws| {
        let number = (1..).zip(raws);
        let seen = number.map(|(number, (at, nanos, data, more))| {
            let wire_bytes = data.len() as u32 + more;
            let time = Timestamp::from_nanos(nanos);
            (at, Seen { time, link: LINKS[at], data, wire_bytes, number })
        });
        seen.collect()
    })
}

proptest! {
    #[test]
    fn pcapng_is_read_back(frames in frames()) {
        let origin = pcapng::Origin { hardware: Some("x"), system: Some("Linux"), program: Some("spanreel") };
        let mut writer = pcapng::Writer::new(Vec::new(), origin).unwrap();
        let interfaces = LINKS.map(|link| writer.interface(link, Some("span1")).unwrap());
        for (at, Seen { time, data, wire_bytes, .. }) in &frames {
            writer.packet(interfaces[*at], *time, data, *wire_bytes).unwrap();
        }
        let expected: Vec<_> = frames.into_iter().map(|(_, seen)| seen).collect();
        prop_assert_eq!(read_whole(&writer.finish().unwrap()), expected);
    }

    #[test]
    fn pcap_is_read_back(frames in frames(), nanoseconds in any::<bool>(), link in 0..LINKS.len()) {
        use pcap::Precision::{Microseconds, Nanoseconds};
        let (precision, unit) = if nanoseconds { (Nanoseconds, 1) } else { (Microseconds, 1_000) };
        let mut writer = pcap::Writer::new(Vec::new(), LINKS[link], precision).unwrap();
        for (_, Seen { time, data, wire_bytes, .. }) in &frames {
            writer.frame(*time, data, *wire_bytes).unwrap();
        }
        let expected: Vec<_> = frames.into_iter().map(|(_, seen)| {
            let time = Timestamp::from_nanos(seen.time.as_nanos() / unit * unit);
            Seen { time, link: LINKS[link], ..seen }
        }).collect();
        prop_assert_eq!(read_whole(&writer.finish().unwrap()), expected);
    }
}

#[test]
fn a_time_past_2106_is_the_last_that_pcap_has() {
    let precision = pcap::Precision::Nanoseconds;
    let mut writer = pcap::Writer::new(Vec::new(), LinkType::RawIp, precision).unwrap();
    writer.frame(Timestamp::MAX, b"late", 4).unwrap();
    let frames = read_whole(&writer.finish().unwrap());
    assert_eq!(frames[0].time.as_nanos() / 1_000_000_000, u64::from(u32::MAX));
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let mut writer =
        pcap::Writer::new(Vec::new(), LinkType::RawIp, pcap::Precision::Microseconds).unwrap();
    let long = vec![0; base::limits::FRAME_BYTES_MAX + 1];
    assert!(writer.frame(Timestamp::ZERO, &long, 0).is_err());
    let mut writer = pcapng::Writer::new(Vec::new(), pcapng::Origin::default()).unwrap();
    let interface = writer.interface(LinkType::RawIp, None).unwrap();
    assert!(writer.packet(interface, Timestamp::ZERO, &long, 0).is_err());
    assert!(writer.interface(LinkType::Other(70_000), None).is_err());
}

/// Wireshark's view of rebuilt packets: addresses, lengths, checksums (1: right, 2: not to be checked), time.
#[test]
fn tshark_finds_rebuilt_packets_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets.pcapng");
    let mut writer =
        pcapng::Writer::new(std::fs::File::create(&path).unwrap(), pcapng::Origin::default())
            .unwrap();
    let interface = writer.interface(LinkType::RawIp, None).unwrap();
    let mut packet = Vec::new();
    for (source, destination, wire_bytes) in [
        ("192.0.2.1:4000", "198.51.100.2:4002", 7),
        ("[2001:db8::1]:4000", "[2001:db8::2]:4002", 7),
        ("192.0.2.1:4000", "198.51.100.2:4002", 900),
    ] {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let key = FlowKey { source, destination, ..FlowKey::default() };
        let on_wire_bytes = ip::udp_packet(&key, b"payload", wire_bytes, &mut packet);
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        writer.packet(interface, time, &packet, on_wire_bytes).unwrap();
    }
    writer.finish().unwrap();

    let fields = "frame.time_epoch frame.cap_len frame.len ip.src ipv6.dst udp.dstport udp.length \
                  ip.checksum.status udp.checksum.status";
    let mut command = Command::new("tshark");
    command.args([
        "-n",
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
        "-T",
        "fields",
    ]);
    command.args(["-E", "separator=,", "-r"]).arg(&path);
    for field in fields.split_whitespace() {
        command.args(["-e", field]);
    }
    let Ok(output) = command.output() else {
        println!("SKIPPED: tshark is not installed, so no other program read the written file");
        return;
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "1700000000.123456789,35,35,192.0.2.1,,4002,15,1,1",
        "1700000000.123456789,55,55,,2001:db8::2,4002,15,,1",
        "1700000000.123456789,35,928,192.0.2.1,,4002,908,1,3",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}
