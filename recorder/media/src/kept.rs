//! Packets kept as they were: `packets.pcapng`.
//!
//! Raw IP packets whose IP and UDP headers are rebuilt from the flow, with their arrival time to the
//! nanosecond and their length on the wire. Each capture domain (VLAN, tunnel) is an interface.

use std::io;

use base::limits::PACKET_FILE_BYTES_MAX;
use base::{Domain, FlowKey, MediaPacket};
use capture::LinkType;
use capture::write::ip::udp_packet;
use capture::write::pcapng::{Interface, Origin, Writer};

use crate::error::MediaError;
use crate::output::File;

/// Bytes of an enhanced packet block beside the packet, and what padding may add.
const BLOCK_BYTES: usize = 32 + 3;
const PROGRAM: &str = concat!("Spanreel ", env!("CARGO_PKG_VERSION"));

/// A packet to keep.
pub(crate) type Kept<'k> = (FlowKey, MediaPacket<'k>);

/// Writes the packets, in the order of arrival, to as many files as their size asks for.
pub(crate) fn files(mut packets: Vec<Kept<'_>>) -> Result<Vec<File>, MediaError> {
    packets.sort_by_key(|(_, packet)| packet.time);
    let mut files = Vec::new();
    let mut rest = &packets[..];
    while !rest.is_empty() {
        let name = match files.len() {
            0 => "packets.pcapng".to_owned(),
            part => format!("packets.part{}.pcapng", part + 1),
        };
        let (now, later) = rest.split_at(fitting(rest));
        let bytes = write(now).map_err(|cause| MediaError::Packets {
            file: name.clone(),
            cause: cause.to_string(),
        })?;
        files.push(File {
            name,
            media_type: "application/x-pcapng",
            bytes,
            start: now.first().map(|(_, packet)| packet.time).unwrap_or_default(),
            stop: now.last().map(|(_, packet)| packet.time).unwrap_or_default(),
            samples: now.len() as u64,
            channels: 0,
            peaks: Vec::new(),
        });
        rest = later;
    }
    Ok(files)
}

/// How many of the packets one file takes; at least one.
fn fitting(packets: &[Kept<'_>]) -> usize {
    let mut bytes = 0;
    let beyond = packets.iter().position(|(_, packet)| {
        bytes += BLOCK_BYTES + 48 + packet.payload.len();
        bytes > PACKET_FILE_BYTES_MAX
    });
    beyond.unwrap_or(packets.len()).max(1)
}

fn write(packets: &[Kept<'_>]) -> io::Result<Vec<u8>> {
    let origin = Origin { program: Some(PROGRAM), ..Origin::default() };
    let mut writer = Writer::new(Vec::new(), origin)?;
    let mut interfaces: Vec<(Domain, Interface)> = Vec::new();
    let mut bytes = Vec::new();
    for (key, packet) in packets {
        let known = interfaces.iter().find(|(domain, _)| *domain == key.domain);
        let interface = match known {
            Some((_, interface)) => *interface,
            None => {
                let interface = writer.interface(LinkType::RawIp, Some(&name_of(key.domain)))?;
                interfaces.push((key.domain, interface));
                interface
            }
        };
        let wire_bytes = udp_packet(key, packet.payload, packet.wire_bytes, &mut bytes);
        writer.packet(interface, packet.time, &bytes, wire_bytes)?;
    }
    writer.finish()
}

fn name_of(domain: Domain) -> String {
    if domain == Domain::UNTAGGED {
        "untagged".to_owned()
    } else {
        format!("domain {:#x}", domain.0)
    }
}
