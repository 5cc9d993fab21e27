//! Packets over veth pairs with four queues, the program in native mode, sockets in copy mode.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use abi::{Class, Reason};
use base::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::rig::{Namespace, in_namespace};
use crate::nic::Link;
use crate::transmit::Transmitter;
use crate::xdp::{
    Attachment, Counters, Mode, Program, Reading, Received, Settings, Socket, SocketOptions,
    Statistics, Turn, UtcOffset, XdpError, open_sockets,
};

const RING: u32 = 4096;
const QUEUES: usize = 4;
/// Where a UDP payload begins: Ethernet, IPv4, UDP.
const HEADERS: usize = 42;

/// A veth pair: `mirror` in the test's own namespace, `sender` in another.
struct Wire {
    far: Namespace,
}

impl Wire {
    fn new(own: &Namespace, mtu: &str) -> Self {
        let far = Namespace::new().unwrap();
        let queues = ["numtxqueues", "4", "numrxqueues", "4"];
        let near = ["link", "add", "mirror", "mtu", mtu];
        let peer = ["type", "veth", "peer", "name", "sender", "netns", &far.name, "mtu", mtu];
        own.ip(&[&near[..], &queues, &peer, &queues].concat()).unwrap();
        let near = (own, "mirror", "198.51.100.7", "02:00:00:00:00:07");
        let remote = (&far, "sender", "198.51.100.1", "02:00:00:00:00:01");
        for ((namespace, link, address, mac), (_, _, other, its_mac)) in
            [(near, remote), (remote, near)]
        {
            // No packets but the test's: no IPv6 address, so no neighbour discovery; and no ARP.
            namespace.ip(&["link", "set", link, "addrgenmode", "none", "address", mac]).unwrap();
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", link]).unwrap();
            namespace.ip(&["link", "set", link, "up"]).unwrap();
            let neighbour = ["neigh", "add", other, "lladdr", its_mac, "dev", link];
            namespace.ip(&[&neighbour[..], &["nud", "permanent"]].concat()).unwrap();
        }
        Self { far }
    }

    /// Packets that the veth pair itself lost: its queue to the receiving side holds 256, and on a busy
    /// machine the receiving side can come late.
    fn lost(&self) -> u64 {
        self.far.within(|| {
            let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = text.lines().find_map(|line| line.trim().strip_prefix("sender:")).unwrap();
            // Eight columns of receiving, then: bytes, packets, errors, drops.
            line.split_whitespace().nth(11).unwrap().parse().unwrap()
        })
    }

    /// Sends `count` payloads from a socket for each of `flows`. The ports spread them over the queues.
    fn send(&self, flows: Range<u16>, count: u32, payload: impl Fn(u16, u32) -> Vec<u8> + Sync) {
        self.far.within(|| {
            let sockets: Vec<(u16, UdpSocket)> = flows
                .map(|flow| {
                    let socket = UdpSocket::bind(("198.51.100.1", 20_000 + flow)).unwrap();
                    socket.connect(("198.51.100.7", 30_000 + flow)).unwrap();
                    (flow, socket)
                })
                .collect();
            for number in 0..count {
                for (flow, socket) in &sockets {
                    // A host that refuses (no listener) says so at the next send; the packet went all the same.
                    let _ = socket.send(&payload(*flow, number));
                }
            }
        });
    }
}

/// RTP whose sequence number and source say which packet of which flow it is.
fn rtp(flow: u16, number: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number * 160).to_be_bytes());
    packet.extend(u32::from(flow).to_be_bytes());
    packet.resize(172, flow as u8 ^ number as u8);
    packet
}

fn flow_and_number(payload: &[u8]) -> (u16, u32) {
    (
        u16::from_be_bytes([payload[10], payload[11]]),
        u32::from(u16::from_be_bytes([payload[2], payload[3]])),
    )
}

/// What a program that may read clocks does.
fn read_clocks() -> Reading {
    let nanos = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    let before = nanos(ClockId::Monotonic);
    let utc = Timestamp::from_nanos(nanos(ClockId::Realtime));
    Reading { before, utc, after: nanos(ClockId::Monotonic) }
}

/// A program on `mirror` with its sockets.
struct Capture {
    program: Program,
    sockets: Vec<Socket>,
}

impl Capture {
    fn start(settings: &Settings) -> Result<Self, XdpError> {
        Self::start_with(settings, &SocketOptions::default())
    }

    fn start_with(settings: &Settings, options: &SocketOptions) -> Result<Self, XdpError> {
        let interface = Link::find("mirror")?;
        let mut program = Program::load(settings)?;
        let options = SocketOptions { ring_size: RING, ..*options };
        let sockets = open_sockets(&interface, &options)?;
        for socket in &sockets {
            program.set_socket(socket.queue(), socket.as_fd())?;
        }
        assert_eq!(program.attach(&interface)?, Attachment::Native);
        Ok(Self { program, sockets })
    }

    /// Takes what is there, until nothing has come for a while.
    fn drain(&mut self, on_packet: &mut impl FnMut(u32, Received<'_>)) -> usize {
        let (mut total, mut idle) = (0, 0);
        while idle < 20 {
            let mut round = 0;
            for socket in &mut self.sockets {
                let queue = socket.queue();
                round += socket.drain(64, &mut |packet| on_packet(queue, packet));
            }
            total += round;
            idle = if round == 0 { idle + 1 } else { 0 };
            if round == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        total
    }

    fn counters(&self) -> Counters {
        self.program.counters().unwrap()
    }

    fn statistics(&self) -> Vec<Statistics> {
        self.sockets.iter().map(|socket| socket.statistics().unwrap()).collect()
    }

    /// Every chunk is back with the kernel, and nothing was given to it that is none.
    fn assert_all_chunks_are_back(&self) {
        for socket in &self.sockets {
            assert_eq!(socket.free_chunks(), RING, "queue {}", socket.queue());
            assert_eq!(socket.statistics().unwrap().rx_invalid, 0);
        }
    }
}

#[test]
fn every_packet_of_every_queue_arrives_once_whole_and_in_order() {
    let (flows, count) = (64, 800);
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut capture = Capture::start(&Settings::default())?;
        assert_eq!(capture.sockets.len(), QUEUES);
        let clock = UtcOffset::measured(&[read_clocks()]).unwrap();
        let started = read_clocks().utc;
        let mut next: HashMap<u16, (u32, u32)> = HashMap::new();
        let mut received = 0;
        std::thread::scope(|scope| {
            // Two CPUs send, so that rings are filled while they are drained.
            let senders = [0..flows / 2, flows / 2..flows].map(|flows| {
                let wire = &wire;
                scope.spawn(move || wire.send(flows, count, rtp))
            });
            let mut check = |queue, packet: Received<'_>| {
                let payload = &packet.data[usize::from(packet.meta.payload)..];
                let (flow, number) = flow_and_number(payload);
                assert_eq!(payload, rtp(flow, number));
                assert_eq!(packet.meta.class, Class::RtpLike as u8);
                let frame = packet.frame(clock, u64::from(number) + 1);
                assert_eq!((frame.data, frame.number), (packet.data, u64::from(number) + 1));
                assert!((started..started.plus(Duration::from_secs(60))).contains(&frame.time));
                assert_eq!(packet.wire_bytes as usize, packet.data.len());
                let (expected, its_queue) = next.entry(flow).or_insert((0, queue));
                assert!(number >= *expected && queue == *its_queue, "flow {flow}: {number}");
                *expected = number + 1;
            };
            while !senders.iter().all(|sender| sender.is_finished()) {
                received += capture.drain(&mut check);
            }
            received += capture.drain(&mut check);
        });
        let sent = usize::from(flows) * count as usize - wire.lost() as usize;
        assert_eq!(received, sent);
        let queues: std::collections::HashSet<u32> =
            next.values().map(|(_, queue)| *queue).collect();
        assert_eq!(queues.len(), QUEUES, "64 flows are on every queue");
        let counters = capture.counters();
        assert_eq!((counters.seen(), counters.of(Reason::RtpLike)), (sent as u64, sent as u64));
        assert!(counters.balances() && counters.lost() == 0, "{counters}");
        assert!(capture.statistics().iter().all(|statistics| statistics.lost() == 0));
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn what_does_not_fit_the_rings_is_counted_and_capture_goes_on() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut capture = Capture::start(&Settings::default())?;
        // Nobody drains: four queues take 4 x 4,096.
        let (flows, count) = (64, 400);
        wire.send(0..flows, count, rtp);
        let received = capture.drain(&mut |_, _| {}) as u64;
        let sent = u64::from(flows) * u64::from(count) - wire.lost();
        let counters = capture.counters();
        let lost: u64 = capture.statistics().iter().map(Statistics::lost).sum();
        assert_eq!(counters.seen(), sent);
        assert_eq!(received + lost, sent, "{:?}", capture.statistics());
        assert!(lost > 0 && received >= u64::from(RING), "{received} of {sent}");
        capture.assert_all_chunks_are_back();
        // And everything after that arrives again.
        wire.send(0..4, 100, rtp);
        assert_eq!(capture.drain(&mut |_, _| {}), 400);
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn jumbo_frames_come_whole_among_small_ones() {
    let payload = |flow: u16, number: u32| {
        let mut packet = rtp(flow, number);
        let bytes =
            [172, 1458, 1459, 1792 - HEADERS, 1793 - HEADERS, 6000, 8972][number as usize % 7];
        (packet.len()..bytes).for_each(|at| packet.push((at / 7) as u8));
        packet
    };
    in_namespace(|own| {
        let wire = Wire::new(own, "9000");
        let mut capture = Capture::start(&Settings::default())?;
        if !capture.sockets[0].binding().multi_buffer {
            super::rig::skipped("this kernel has no XDP_USE_SG (it came with 6.6)");
            return Ok(());
        }
        wire.send(0..8, 70, payload);
        let received = capture.drain(&mut |_, packet| {
            let got = &packet.data[usize::from(packet.meta.payload)..];
            let (flow, number) = flow_and_number(got);
            assert_eq!(got, payload(flow, number), "flow {flow}, packet {number}");
            assert_eq!(usize::from(packet.meta.payload_bytes), got.len());
            assert_eq!(packet.wire_bytes as usize, packet.data.len());
        });
        assert_eq!(received, 8 * 70);
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn frames_that_fit_no_chunk_are_refused_before_anything_is_attached() {
    in_namespace(|own| {
        let _wire = Wire::new(own, "9000");
        let before = Link::find("mirror")?;
        let alone = SocketOptions { multi_buffer: false, ..SocketOptions::default() };
        let Err(error) = Capture::start_with(&Settings::default(), &alone) else {
            panic!("frames of 9,000 bytes would be lost")
        };
        assert!(matches!(error, XdpError::Mtu { mtu: 9_000, mtu_max: 1_762, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("`ip link set dev mirror mtu 1762`"), "{text}");
        let after = Link::find("mirror")?;
        assert_eq!((after.mtu, after.xdp, after.up), (before.mtu, None, before.up));
        assert_eq!(after.promiscuity, before.promiscuity);
        // What fits one chunk needs no other.
        own.ip(&["link", "set", "mirror", "mtu", "1762"]).unwrap();
        let capture = Capture::start_with(&Settings::default(), &alone)?;
        assert!(!capture.sockets[0].binding().multi_buffer);
        Ok(())
    });
}

#[test]
fn a_socket_that_polls_gets_every_packet() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let polling = SocketOptions { busy_poll: true, ..SocketOptions::default() };
        let mut capture = Capture::start_with(&Settings::default(), &polling)?;
        assert!(capture.sockets.iter().all(|socket| socket.binding().busy_poll));
        wire.send(0..64, 100, rtp);
        let mut next: HashMap<u16, u32> = HashMap::new();
        let received = capture.drain(&mut |_, packet| {
            let payload = &packet.data[usize::from(packet.meta.payload)..];
            let (flow, number) = flow_and_number(payload);
            assert_eq!(payload, rtp(flow, number));
            assert!(number >= next.insert(flow, number + 1).unwrap_or(0), "flow {flow}");
        });
        assert_eq!(received as u64, 6_400 - wire.lost());
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn packets_are_shown_before_their_turn() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut capture = Capture::start(&Settings::default())?;
        wire.send(0..1, 200, rtp);
        let (mut shown, mut taken) = (Vec::new(), Vec::new());
        for socket in &mut capture.sockets {
            while socket.drain_ahead(64, &mut |turn, packet| {
                let payload = &packet.data[usize::from(packet.meta.payload)..];
                let (_, number) = flow_and_number(payload);
                assert_eq!(payload, rtp(0, number));
                match turn {
                    Turn::Soon => {
                        assert!(!taken.contains(&number), "{number} is over");
                        shown.push(number);
                    }
                    Turn::Now => taken.push(number),
                }
            }) > 0
            {}
        }
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        assert!(shown.contains(&0), "what is there at the beginning is known: {shown:?}");
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn an_interface_with_another_program_is_left_alone() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut first = Capture::start(&Settings::default())?;
        let mut second = Program::load(&Settings::default())?;
        let error = second.attach(&Link::find("mirror")?).unwrap_err();
        let XdpError::Occupied { interface, id, .. } = &error else { panic!("{error}") };
        assert_eq!((interface.as_str(), *id > 0), ("mirror", true));
        assert!(error.to_string().contains("ip link set dev mirror xdpdrv off"), "{error}");
        // A second look would not have helped: someone can be faster.
        let unaware = Link { xdp: None, ..Link::find("mirror")? };
        assert!(matches!(second.attach(&unaware), Err(XdpError::Occupied { .. })));
        wire.send(0..4, 10, rtp);
        assert_eq!(first.drain(&mut |_, _| {}), 40);
        // It goes with its owner, and the way is free.
        drop(first);
        assert_eq!(Link::find("mirror")?.xdp, None);
        assert_eq!(second.attach(&Link::find("mirror")?)?, Attachment::Native);
        second.detach();
        assert_eq!(Link::find("mirror")?.xdp, None);
        Ok(())
    });
}

/// Set for the copy of this test binary that is to be killed.
const HOLD: &str = "SPANREEL_TEST_HOLDS_MIRROR";

#[test]
fn a_killed_predecessor_leaves_the_interface_free() {
    if std::env::var_os(HOLD).is_some() {
        let _capture = Capture::start(&Settings::default()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        drop(Capture::start(&Settings::default())?);
        let test = std::thread::current().name().unwrap().to_owned();
        let mut predecessor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test])
            .env(HOLD, "1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let attached = || Link::find("mirror").unwrap().xdp.is_some();
        assert!(comes_true(attached), "the predecessor attached its program");
        predecessor.kill().unwrap();
        predecessor.wait().unwrap();
        // The kernel takes sockets apart a moment after the process is gone.
        assert!(comes_true(|| Capture::start(&Settings::default()).is_ok()));
        let mut capture = Capture::start(&Settings::default())?;
        wire.send(0..4, 10, rtp);
        assert_eq!(capture.drain(&mut |_, _| {}), 40);
        Ok(())
    });
}

/// Asks until the answer is yes, for ten seconds.
fn comes_true(question: impl Fn() -> bool) -> bool {
    (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        question()
    })
}

#[test]
fn an_interface_without_native_xdp_sends_the_caller_elsewhere() {
    in_namespace(|_| {
        let mut program = Program::load(&Settings::default())?;
        let attachment = program.attach(&Link::find("lo")?)?;
        assert!(matches!(attachment, Attachment::Unsupported { .. }), "{attachment:?}");
        assert_eq!(Link::find("lo")?.xdp, None);
        Ok(())
    });
}

#[test]
fn a_queue_in_use_is_refused() {
    in_namespace(|own| {
        let _wire = Wire::new(own, "1500");
        let _capture = Capture::start(&Settings::default())?;
        let error = open_sockets(&Link::find("mirror")?, &SocketOptions::default());
        let Err(XdpError::Socket { queue: 0, source, .. }) = error else { panic!("not refused") };
        assert_eq!(source.raw_os_error(), Some(libc::EBUSY));
        Ok(())
    });
}

#[test]
fn capture_goes_on_after_the_interface_was_down() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut capture = Capture::start(&Settings::default())?;
        wire.send(0..8, 10, rtp);
        assert_eq!(capture.drain(&mut |_, _| {}), 80);
        own.ip(&["link", "set", "mirror", "down"]).unwrap();
        assert_eq!(capture.drain(&mut |_, _| {}), 0);
        own.ip(&["link", "set", "mirror", "up"]).unwrap();
        // The far end notices that there is a carrier again.
        std::thread::sleep(Duration::from_millis(200));
        wire.send(0..8, 10, rtp);
        assert_eq!(capture.drain(&mut |_, _| {}), 80);
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}

#[test]
fn a_shared_interface_keeps_its_traffic_and_gives_copies() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mode = Mode::Shared { copies_bytes: 1 << 20 };
        let mut program = Program::load(&Settings { mode, ..Settings::default() })?;
        assert_eq!(program.attach(&Link::find("mirror")?)?, Attachment::Native);
        let host = UdpSocket::bind(("198.51.100.7", 30_000)).unwrap();
        host.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // As many as fit the buffer of a socket, where each takes a page.
        wire.send(0..1, 40, rtp);
        let mut buffer = [0; 2048];
        for number in 0..40 {
            let bytes = host.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..bytes], rtp(0, number));
        }
        let mut copies = program.take_copies().unwrap();
        let mut number = 0;
        let drained = copies.drain(1000, &mut |packet| {
            assert_eq!(packet.data[HEADERS..], rtp(0, number));
            number += 1;
        });
        assert_eq!(drained, 40);
        Ok(())
    });
}

/// An RTP packet of some length that depends on its number.
fn frame(number: u32) -> Vec<u8> {
    let mut payload = rtp(7, number);
    payload.resize(40 + (number as usize * 97) % 1_430, number as u8);
    let (ip, udp) = ((28 + payload.len()) as u16, (8 + payload.len()) as u16);
    let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(ip.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 7]);
    frame.extend([20_007_u16, 30_007, udp, 0].map(u16::to_be_bytes).as_flattened());
    frame.extend(payload);
    frame
}

#[test]
fn a_transmitter_sends_what_it_is_given_in_its_order() {
    in_namespace(|own| {
        let wire = Wire::new(own, "1500");
        let mut capture = Capture::start(&Settings::default())?;
        let mut next = 0;
        for spread in [false, true] {
            let dropped = wire.far.within(|| {
                let mut transmitter = Transmitter::open("sender", spread).unwrap();
                let way = transmitter.way();
                assert_eq!(way.starts_with("packet socket"), spread, "{way}");
                // The second batch is shorter: nothing of the first is left.
                let batches = [next..next + 150, next + 150..next + 200];
                let send = |numbers: Range<u32>| {
                    for number in numbers {
                        let frame = frame(number);
                        transmitter.room().unwrap()[..frame.len()].copy_from_slice(&frame);
                        transmitter.add(frame.len());
                    }
                    let dropped = transmitter.flush().unwrap();
                    assert_eq!((transmitter.waiting(), transmitter.flush().unwrap()), (0, 0));
                    dropped
                };
                batches.map(send).iter().sum::<u64>()
            });
            assert_eq!((dropped, wire.lost()), (0, 0));
            capture.drain(&mut |_, packet| {
                assert_eq!(packet.data, frame(next), "packet {next}");
                next += 1;
            });
        }
        assert_eq!(next, 400);
        capture.assert_all_chunks_are_back();
        Ok(())
    });
}
