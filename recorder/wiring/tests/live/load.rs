//! Many calls at once: nothing is lost anywhere, and each is recorded.
//!
//! `SPANREEL_LOAD=2000x60 cargo test --release -p wiring --test live many_calls -- --nocapture` takes 2,000 calls of
//! 60 s; without it, as many as any machine takes.

use crate::recorder::assert_nothing_lost;
use crate::rig::Rig;
use crate::wire::{eventually, play, with_wire};

fn load() -> (u32, u32) {
    let Ok(text) = std::env::var("SPANREEL_LOAD") else { return (200, 5) };
    let (calls, seconds) = text.split_once('x').unwrap();
    (calls.parse().unwrap(), seconds.parse().unwrap())
}

fn many_calls(mode: &'static str) {
    with_wire(move || {
        let (calls, seconds) = load();
        let rig = Rig::new(calls, seconds);
        let recorder = rig.start(&["--mode", mode]);
        let sent = play(&rig.capture()).frames;
        let capturing = recorder.cpu_seconds();
        eventually("all calls are stored", || rig.list().len() == rig.truth.len());
        let (all, peak) = (recorder.cpu_seconds(), recorder.status("VmHWM") / 1024);
        let ledger = recorder.stop();
        println!(
            "{mode}: {calls} calls of {seconds} s, {sent} packets: {capturing:.2} s of CPU time until the last \
             packet, {all:.2} s until all is stored, {peak} MiB at most\n{ledger}"
        );
        assert_nothing_lost(&ledger);
        assert_eq!(ledger["framesReceived"], sent, "{ledger}");
        let whole = rig.list().iter().filter(|it| it.complete).count();
        assert_eq!(whole, rig.truth.len());
    });
}

#[test]
fn many_calls_at_once_by_packet_socket() {
    many_calls("packet");
}

#[test]
fn many_calls_at_once_by_xdp() {
    many_calls("xdp");
}
