//! SIPp (Debian's sip-tester) as caller and as callee: in every call, each side plays a sound of its own.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base::{Side, Timestamp};
use capture::LinkType;
use capture::write::pcap::{Precision, Writer};
use wiring::synth::{Codecs, Law, Options, PACKET_SAMPLES, Studio};

use crate::rig::options;
use crate::switch::Host;
use crate::wire::eventually;

/// The scenarios; the steps that play the sounds are written into them.
const SCENARIOS: [&str; 2] = [include_str!("sipp/caller.xml"), include_str!("sipp/callee.xml")];
/// In the scenarios' folder, before the number of the call.
const NAMES: [&str; 2] = ["caller", "callee"];
/// How much longer a call is than its sounds: SIPp's threads may begin late, and what is left of a sound when the
/// call ends is not played.
const SPARE_MILLISECONDS: usize = 2_500;
const PACKET_MILLISECONDS: usize = 20;
/// SIP's port, as `/proc/net/udp` writes it.
const SIP_PORT: &str = ":13C4 ";

/// What one side of a call plays.
pub(crate) struct Sound {
    pub(crate) side: Side,
    law: Law,
    packets: Vec<[u8; PACKET_SAMPLES]>,
    ssrc: u32,
}

/// What is played in one call: by the caller, by the callee.
pub(crate) struct Conversation {
    pub(crate) call_id: String,
    pub(crate) sounds: [Sound; 2],
}

/// Conversations in either law by turns, so many seconds long; no two sounds in them are alike.
pub(crate) fn conversations(calls: u32, seconds: u32) -> Vec<Conversation> {
    let laws = [(Law::Mu, Codecs::Pcmu), (Law::A, Codecs::Pcma)];
    let studios = laws
        .map(|(law, codec)| (law, Studio::new(&Options { codec, ..options(3, calls, seconds) })));
    let packets = seconds * 1_000 / PACKET_MILLISECONDS as u32;
    let conversation = |call: u32| {
        let (law, studio) = &studios[call as usize % 2];
        let sound = |side, ssrc| Sound {
            side,
            law: *law,
            packets: (0..packets).map(|index| studio.payload(call, side, index)).collect(),
            ssrc,
        };
        Conversation {
            // SIPp counts its calls from 1.
            call_id: format!("{}@sipp", call + 1),
            sounds: [sound(Side::Caller, 2 * call), sound(Side::Callee, 2 * call + 1)],
        }
    };
    (0..calls).map(conversation).collect()
}

impl Sound {
    pub(crate) fn packets(&self) -> u64 {
        self.packets.len() as u64
    }

    pub(crate) fn codec(&self) -> &'static str {
        self.law.name()
    }

    pub(crate) fn ssrc(&self) -> String {
        format!("{:#010x}", self.ssrc)
    }

    /// What one should hear.
    pub(crate) fn samples(&self) -> Vec<i16> {
        self.packets.as_flattened().iter().map(|code| self.law.decode(*code)).collect()
    }

    /// Writes it as SIPp wants it: a capture of RTP, from which it takes all but the addresses and the ports.
    fn write(&self, to: &Path) {
        let file = File::create(to).unwrap();
        let mut writer = Writer::new(file, LinkType::Ethernet, Precision::Microseconds).unwrap();
        for (index, payload) in self.packets.iter().enumerate() {
            let time = Timestamp::from_nanos((index * PACKET_MILLISECONDS) as u64 * 1_000_000);
            let frame = self.frame(index, payload);
            writer.frame(time, &frame, frame.len() as u32).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Ethernet, IPv4, UDP, RTP (RFC 3550, 5.1). Sequence numbers and timestamps wrap on the way.
    fn frame(&self, index: usize, payload: &[u8]) -> Vec<u8> {
        let sequence = (index as u16).wrapping_sub(50);
        let timestamp = ((index * PACKET_SAMPLES) as u32).wrapping_sub(70 * PACKET_SAMPLES as u32);
        let marker = if index == 0 { 0x80 } else { 0 };
        let mut rtp = vec![0x80, marker | self.law.payload_type()];
        rtp.extend(sequence.to_be_bytes());
        rtp.extend(timestamp.to_be_bytes());
        rtp.extend(self.ssrc.to_be_bytes());
        rtp.extend(payload);
        let udp_bytes = (8 + rtp.len()) as u16;
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((20 + udp_bytes).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([4_000_u16, 4_000, udp_bytes, 0].map(u16::to_be_bytes).as_flattened());
        frame.extend(rtp);
        frame
    }
}

/// Holds the conversations, `rate` of which begin in a second, until all are over.
pub(crate) fn converse(hosts: &[Host; 2], conversations: &[Conversation], rate: usize) {
    let folder = tempfile::tempdir().unwrap();
    write_scenarios(folder.path(), conversations);
    let [caller, callee] = hosts;
    let count = conversations.len().to_string();
    let mut answering = start(callee, folder.path(), NAMES[1], &count, &[]);
    let sockets = format!("/proc/{}/net/udp", answering.0.id());
    eventually("listening", || std::fs::read_to_string(&sockets).unwrap().contains(SIP_PORT));
    let rate = rate.to_string();
    let to = ["-r", &rate, "-l", &count, "-cid_str", "%u@sipp", callee.address];
    let mut calling = start(caller, folder.path(), NAMES[0], &count, &to);
    for (name, sipp) in [("caller", &mut calling), ("callee", &mut answering)] {
        let status = sipp.0.wait().unwrap();
        let said = || std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(status.success(), "SIPp as {name}: {status}: {}", said());
    }
}

/// SIPp while it runs; killed if the test fails.
struct Sipp(Child);

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(host: &Host, folder: &Path, name: &str, calls: &str, arguments: &[&str]) -> Sipp {
    let mut command = Command::new("sipp");
    command
        .current_dir(folder)
        .args(["-sf", &format!("{name}.xml"), "-m", calls, "-timeout", "120s", "-nostdin"])
        .args(["-i", host.address, "-mi", host.address, "-mp", "20000"])
        .args(arguments)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(File::create(folder.join(name)).unwrap())
        .stderr(Stdio::null());
    Sipp(host.start(&mut command))
}

fn write_scenarios(folder: &Path, conversations: &[Conversation]) {
    for (side, (scenario, name)) in SCENARIOS.into_iter().zip(NAMES).enumerate() {
        let mut steps = String::new();
        for (call, conversation) in conversations.iter().enumerate() {
            let file = format!("{name}{call}.pcap");
            conversation.sounds[side].write(&folder.join(&file));
            let play = format!("<action><exec play_pcap_audio=\"{file}\"/></action>");
            writeln!(steps, "  <nop/><nop next=\"playing\">{play}</nop>").unwrap();
        }
        let longest =
            conversations.iter().flat_map(|it| &it.sounds).map(|it| it.packets.len()).max();
        let pause = longest.unwrap() * PACKET_MILLISECONDS + SPARE_MILLISECONDS;
        let scenario = scenario.replace("  SOUNDS\n", &steps);
        let scenario = scenario.replace("MILLISECONDS", &pause.to_string());
        std::fs::write(folder.join(format!("{name}.xml")), scenario).unwrap();
    }
}
