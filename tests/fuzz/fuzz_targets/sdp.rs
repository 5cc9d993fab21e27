//! Any bytes as a session description.
#![no_main]

use base::limits;
use dialog::sdp::Description;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let media = Description::parse(data).media;
    assert!(media.len() <= limits::SDP_MEDIA_LINES_MAX);
    for line in media {
        assert!(line.candidates.len() <= limits::SDP_CANDIDATES_MAX);
        assert!(line.ssrcs.len() <= limits::SDP_SSRCS_MAX);
        assert!(line.formats.0.iter().all(|format| format.payload_type < 128));
        assert!(line.endpoint.is_none_or(|endpoint| endpoint.port() == line.port));
    }
});
