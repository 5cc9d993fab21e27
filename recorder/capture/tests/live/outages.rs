//! Interfaces that go down, away, and come back.

use std::time::Duration;

use capture::nic::{Link, LinkState, LinkWatch, NicError};
use capture::packet_socket::PacketError;
use capture::{PacketSource, Poll};

use crate::wire::{
    FAR, Reader, SPAN, Wire, add_pair, direct_sender, eventually, frame, ip, small, with_wire,
};

/// The errors that waiting gives until the last of them is as wanted.
fn wait_for(source: &mut PacketSource, wanted: impl Fn(&PacketError) -> bool) {
    let mut reader = Reader::default();
    eventually("an error", || {
        assert_eq!(reader.poll(source).unwrap(), Poll::Idle);
        let error = source.wait(Duration::from_millis(20)).err();
        if let Some(PacketError::Nic(error)) = &error {
            panic!("{error}");
        }
        error.is_some_and(|error| wanted(&error))
    });
}

fn is_down(error: &PacketError) -> bool {
    matches!(error, PacketError::Down { .. })
}

#[test]
fn frames_come_again_when_an_interface_that_went_down_is_up() {
    with_wire(|wire| {
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        let mut reader = Reader::default();
        for round in 1..4_u8 {
            wire.send(&frame(&[], &[round]));
            reader.read(&mut source, usize::from(round));
            ip(&["link", "set", SPAN, "down"]);
            wait_for(&mut source, is_down);
            // Told once; then it is quiet.
            source.wait(Duration::from_millis(1)).unwrap();
            ip(&["link", "set", SPAN, "up"]);
        }
        wire.send(&frame(&[], &[4]));
        let statistics = reader.finish(&mut source);
        let numbers: Vec<_> = reader.seen.iter().map(|seen| (seen.number, seen.data[14])).collect();
        assert_eq!(numbers, [(1, 1), (2, 2), (3, 3), (4, 4)]);
        assert_eq!((statistics.offered, statistics.lost()), (4, 0));
    });
}

#[test]
fn an_interface_that_is_down_can_be_opened() {
    with_wire(|wire| {
        ip(&["link", "set", SPAN, "down"]);
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        wait_for(&mut source, is_down);
        ip(&["link", "set", SPAN, "up"]);
        wire.send(&frame(&[], b"late"));
        Reader::default().read(&mut source, 1);
    });
}

#[test]
fn an_interface_that_was_removed_is_opened_anew_when_it_is_back() {
    with_wire(|wire: &Wire| {
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        let mut reader = Reader::default();
        wire.send(&frame(&[], &[1]));
        reader.read(&mut source, 1);
        let old = source.interface_index();
        ip(&["link", "del", SPAN]);
        wait_for(&mut source, |error| matches!(error, PacketError::Removed { .. }));
        let error = source.reopen().unwrap_err();
        assert!(matches!(error, PacketError::Nic(NicError::NoInterface { .. })), "{error}");
        add_pair();
        source.reopen().unwrap();
        assert_ne!(source.interface_index(), old);
        rustix::net::send(direct_sender(FAR), &frame(&[], &[2]), rustix::net::SendFlags::empty())
            .unwrap();
        let statistics = reader.finish(&mut source);
        let numbers: Vec<_> = reader.seen.iter().map(|seen| (seen.number, seen.data[14])).collect();
        assert_eq!(numbers, [(1, 1), (2, 2)]);
        assert_eq!((statistics.offered, statistics.received, statistics.lost()), (2, 2, 0));
        assert_eq!(
            Link::find(SPAN).unwrap().promiscuity,
            1,
            "the new one is asked for every frame"
        );
    });
}

#[test]
fn frames_left_in_the_ring_of_a_removed_interface_are_counted_as_abandoned() {
    with_wire(|wire| {
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        (0..5).for_each(|_| wire.send(&frame(&[], &[1])));
        ip(&["link", "del", SPAN]);
        add_pair();
        source.reopen().unwrap();
        let statistics = Reader::default().finish(&mut source);
        assert_eq!((statistics.offered, statistics.received, statistics.abandoned), (5, 0, 5));
    });
}

#[test]
fn a_watch_tells_each_change() {
    with_wire(|_| {
        let mut watch = LinkWatch::new(SPAN).unwrap();
        let index = Link::find(SPAN).unwrap().index;
        assert_eq!(watch.state(), LinkState::Running { index });
        // Carrier comes and goes by itself, a moment after the link.
        let mut expect = |wanted: LinkState, why: &str| {
            eventually(why, || watch.change().unwrap() == Some(wanted));
            assert_eq!(watch.state(), wanted);
        };
        ip(&["link", "set", FAR, "down"]);
        expect(LinkState::NoCarrier { index }, "the other end goes down");
        ip(&["link", "set", FAR, "up"]);
        expect(LinkState::Running { index }, "it comes back");
        ip(&["link", "set", SPAN, "down"]);
        ip(&["link", "set", SPAN, "up"]);
        expect(LinkState::Down { index }, "it goes down for a moment");
        expect(LinkState::Running { index }, "and comes back");
        ip(&["link", "set", SPAN, "down"]);
        ip(&["link", "set", SPAN, "name", "other0"]);
        expect(LinkState::Absent, "it gets another name");
        ip(&["link", "set", "other0", "name", SPAN]);
        expect(LinkState::Down { index }, "it gets its name back");
        ip(&["link", "del", SPAN]);
        expect(LinkState::Absent, "it is removed");
        add_pair();
        let anew = Link::find(SPAN).unwrap().index;
        assert_ne!(anew, index);
        expect(LinkState::Running { index: anew }, "it is made anew");
    });
}
