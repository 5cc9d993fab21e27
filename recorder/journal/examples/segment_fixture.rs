//! Writes the fixture of the current format version, which the tests of all later versions read.
//!
//!     cargo run -p journal --example segment_fixture recorder/journal/tests/fixtures/v1
//!
//! Run once per format version; an existing fixture is never written again.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use base::{Domain, FlowKey, MediaPacket, Timestamp, Transport};
use journal::{Journal, JournalKey, SourceId, WriterOptions};

const BEGIN: u64 = 1_700_000_000_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    fs::create_dir(&folder)?;
    // The next segment of this core is number 5.
    let before = folder.join("002-0000000004.journal");
    fs::write(&before, b"")?;
    let key = JournalKey::load_or_create(&folder.join("journal.key"))?;
    let mut source = [0; 32];
    source.copy_from_slice(
        b"a capture file's identity, hashed".first_chunk::<32>().ok_or("too short")?,
    );
    let journal = Journal::open(&folder, key, SourceId(source))?;
    let begin = Timestamp::from_nanos(BEGIN);
    let (mut writer, mut appender) = journal.core(2, &WriterOptions::default(), begin)?;
    let caller = FlowKey {
        domain: Domain(42),
        source: "192.0.2.1:10000".parse()?,
        destination: "[2001:db8::2]:20000".parse()?,
    };
    let signalling = |port| FlowKey { source: caller.source.with_port(port), ..caller };
    writer.signalling(
        begin,
        &signalling(5060),
        Transport::Udp,
        b"INVITE sip:bob@example.com SIP/2.0\r\n\r\n",
    )?;
    for number in 0..30_u8 {
        let time = Timestamp::from_nanos(BEGIN + u64::from(number) * 20_000_000);
        let mut payload = vec![0x80, 8, 0, number, 0, 0, 0, 0, 1, 2, 3, 4];
        payload.extend([number; 160]);
        for key in [caller, caller.reversed()] {
            writer.media(&key, MediaPacket { time, payload: &payload, wire_bytes: 172 })?;
        }
    }
    let end = Timestamp::from_nanos(BEGIN + 600_000_000);
    writer.signalling(
        end,
        &signalling(5062),
        Transport::Tcp,
        b"BYE sip:bob@example.com SIP/2.0\r\n\r\n",
    )?;
    writer.seal_all();
    appender.sync()?;
    fs::remove_file(before)?;
    Ok(())
}
