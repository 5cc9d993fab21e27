//! Any bytes as what a customer's capture has in it, made the packets of other calls for `spanreel bench replay`.
//!
//! The input is cut at each `0xff`; each piece is a message, and a packet of RTP and of RTCP.
#![no_main]
#![expect(dead_code, reason = "the bench's own files, of which not all is needed here")]

#[path = "../../../recorder/wiring/src/bench/numbers.rs"]
mod numbers;
#[path = "../../../recorder/wiring/src/bench/rewrite.rs"]
mod rewrite;

use demux::Guess;
use dialog::sip::Message;
use libfuzzer_sys::fuzz_target;
use rewrite::Rewriter;

const COPIES: u32 = 2;

fuzz_target!(|data: &[u8]| {
    let has_srtp = rewrite::announces_srtp(data);
    let mut rewriter = Rewriter::new(has_srtp);
    for piece in data.split(|byte| *byte == 0xff) {
        let original = Message::parse(piece).is_ok();
        for copy in 1..=COPIES {
            let new = rewriter.sip(copy, piece);
            assert!(lines(&new) >= lines(piece));
            assert!(!original || Message::parse(&new).is_ok(), "{}", new.escape_ascii());
            // A Call-ID is known again from where it was on.
            let again = rewriter.sip(copy, piece);
            assert_eq!(rewriter.sip(copy, piece), again, "the same copy is the same");
            for guess in [Guess::Rtp, Guess::Rtcp, Guess::Other] {
                packet(&rewriter, copy, guess, piece, has_srtp);
            }
        }
    }
});

/// Nothing but SSRCs is touched, and not where their change would be found out.
fn packet(rewriter: &Rewriter, copy: u32, guess: Guess, piece: &[u8], has_srtp: bool) {
    let mut packet = piece.to_vec();
    rewriter.media(copy, guess, &mut packet);
    assert!(!has_srtp && guess != Guess::Other || packet == piece);
    let head = match guess {
        Guess::Rtp => 8,
        Guess::Rtcp | Guess::Other => 4,
    };
    assert_eq!(packet.get(..head), piece.get(..head));
}

fn lines(of: &[u8]) -> usize {
    of.iter().filter(|byte| **byte == b'\n').count()
}
