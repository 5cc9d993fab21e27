//! Every maximum that the wire can drive, in one place, with its unit in its name.
//!
//! A full table is a counted, named outcome (`ledger`), never a crash and never a silent loss.

/// Largest frame taken from any source. Jumbo frames fit; so do loopback's 64 KiB datagrams.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// A capture file's record that has to be held whole: a frame, its header and its options.
pub const CAPTURE_RECORD_BYTES_MAX: usize = FRAME_BYTES_MAX + 128 * 1024;
/// Interfaces that one section of a pcapng file may declare.
pub const CAPTURE_INTERFACES_MAX: usize = 65_536;
/// Capture files open at once while files are merged: so many may overlap in time.
pub const CAPTURE_FILES_OPEN_MAX: usize = 512;
/// Base-2 logarithm of the largest zstd window that is decompressed: 128 MiB, zstd's own default.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// VLAN tags on one frame.
pub const VLAN_TAGS_MAX: usize = 4;
/// IPv6 extension headers on one packet.
pub const IPV6_EXTENSIONS_MAX: usize = 8;
/// Unfinished IP datagrams per capture core.
pub const FRAGMENTED_DATAGRAMS_MAX: usize = 1_024;
/// Bytes parked in unfinished IP datagrams per capture core.
pub const FRAGMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long an unfinished IP datagram waits, on the capture clock (RFC 1122 says 60 to 120 s).
pub const FRAGMENT_AGE_SECONDS_MAX: u64 = 30;
/// Separate stretches of one unfinished IP datagram; a reversed or halved order leaves one or two.
pub const FRAGMENT_STRETCHES_MAX: usize = 64;
/// How long a finished IP datagram is kept, so that a mirrored copy of a fragment is known for one. Below
/// SIP's first retransmission after 500 ms (RFC 3261, 17.1.1.1).
pub const FRAGMENT_COPY_AGE_MILLISECONDS_MAX: u64 = 200;
/// TCP connections followed per capture core.
pub const TCP_CONNECTIONS_MAX: usize = 16_384;
/// Bytes kept for all TCP connections of a capture core: out of order, and of unfinished SIP messages.
pub const TCP_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Out-of-order bytes kept per TCP direction.
pub const TCP_REORDER_BYTES_MAX: usize = 256 * 1024;
/// Out-of-order segments kept per TCP direction.
pub const TCP_REORDER_SEGMENTS_MAX: usize = 256;
/// How far a TCP sequence number may leap and still belong to the same byte stream.
pub const TCP_LEAP_BYTES_MAX: u32 = 1024 * 1024;
/// How long a hole in a TCP byte stream waits for its retransmission, on the capture clock.
pub const TCP_HOLE_AGE_MILLISECONDS_MAX: u64 = 5_000;
/// The same for a hole that the receiver has acknowledged: only a late capture can still fill it.
pub const TCP_ACKNOWLEDGED_HOLE_AGE_MILLISECONDS_MAX: u64 = 100;
/// How long a silent TCP connection that carries SIP is remembered; it is joined anew after that.
pub const TCP_IDLE_SECONDS_MAX: u64 = 600;
/// The same for one that is closed, or has not shown what it carries.
pub const TCP_UNDECIDED_IDLE_SECONDS_MAX: u64 = 30;
/// How many bytes of a TCP stream are searched for a SIP start line before it counts as carrying none.
pub const TCP_SEARCH_BYTES_MAX: usize = 256 * 1024;
/// A SIP start line.
pub const SIP_START_LINE_BYTES_MAX: usize = 8 * 1024;
/// A SIP message, headers and body.
pub const SIP_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Header fields in one SIP message.
pub const SIP_HEADERS_MAX: usize = 256;
/// A Call-ID; a longer one is refused, because it is the key of the table of calls.
pub const SIP_CALL_ID_BYTES_MAX: usize = 1_024;
/// A tag (RFC 3261, 19.3); longer ones are told apart by their beginning.
pub const SIP_TAG_BYTES_MAX: usize = 256;
/// A header field value as kept with a call (From, To, URIs); the rest is cut off.
pub const SIP_VALUE_BYTES_MAX: usize = 1_024;
/// A start line as kept in a call's ladder; the rest is cut off.
pub const LADDER_START_LINE_BYTES_MAX: usize = 256;
/// Parts of one multipart body that are searched for a session description.
pub const SIP_BODY_PARTS_MAX: usize = 16;
/// INVITE, UPDATE and PRACK transactions remembered for one call; the oldest finished one gives way.
pub const SIP_TRANSACTIONS_PER_CALL_MAX: usize = 64;
/// SDP media lines in one offer or answer.
pub const SDP_MEDIA_LINES_MAX: usize = 32;
/// Payload types of one media line.
pub const SDP_FORMATS_MAX: usize = 128;
/// An `a=fmtp` value, `a=label`, `a=mid`, or encoding name; longer ones are ignored.
pub const SDP_VALUE_BYTES_MAX: usize = 512;
/// ICE candidates of one media line.
pub const SDP_CANDIDATES_MAX: usize = 32;
/// SSRCs that one media line names.
pub const SDP_SSRCS_MAX: usize = 8;
/// Calls followed at once by the dialog engine.
pub const CALLS_MAX: usize = 262_144;
/// Outages (of the interface, of the recorder) that are remembered for the calls that they hit.
pub const OUTAGES_MAX: usize = 4_096;
/// Times at which the wall clock was set, or a time service took hold of it or let go, that are remembered.
pub const CLOCK_CHANGES_MAX: usize = 4_096;
/// SIP messages and news of flows held back while the journal of an earlier run is told to the engine.
pub const NEWS_PENDING_MAX: usize = 262_144;
/// The same in bytes of SIP messages.
pub const NEWS_PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Calls refused at the limit that are listed by name; all are counted.
pub const REFUSED_CALLS_LISTED_MAX: usize = 1_000;
/// Of refused calls, those whose media is excluded; that of others is taken and found to be nobody's.
pub const EXCLUDED_CALLS_MAX: usize = 4_096;
/// Legs (SIP dialogs and hops of them) in one call.
pub const LEGS_PER_CALL_MAX: usize = 64;
/// Announced media endpoints in one call.
pub const ENDPOINTS_PER_CALL_MAX: usize = 256;
/// What one call may keep of its signalling (ladder and announced media); the rest is counted.
pub const CALL_BYTES_MAX: usize = 256 * 1024;
/// SIP messages kept for one call's ladder; later ones are counted.
pub const LADDER_MESSAGES_MAX: usize = 512;
/// Key presses told of in the SIP INFO messages of one call; later ones are counted.
pub const KEYS_PER_CALL_MAX: usize = 256;
/// Media flows open at once per capture core.
pub const FLOWS_MAX: usize = 262_144;
/// Of those, flows that nobody had announced when they were opened. Each may have a chunk open: half of the chunks
/// stay for calls.
pub const UNANNOUNCED_FLOWS_MAX: usize = CHUNKS_MAX / 2;
/// SSRCs told apart in one flow of one call; packets of further ones are kept as packets.
pub const STREAMS_PER_FLOW_MAX: usize = 256;
/// A media chunk's buffer. A flow of G.711 fills one in 0.44 s.
pub const CHUNK_BYTES: usize = 4 * 1024;
/// A journal chunk's buffer for what is larger: signalling, and media datagrams of up to 64 KiB.
pub const LARGE_CHUNK_BYTES: usize = 72 * 1024;
/// Media chunks per capture core, open (one a stream) or waiting for the disk: 1 GiB if all are used. Of 10,000 calls of
/// G.711 that is 4 s in which a disk takes nothing.
/// A replay holds so many that are not finished; beyond, they are written to the disk.
pub const CHUNKS_MAX: usize = 262_144;
/// The same for large ones; half of them are kept for signalling. They hold a flood of 50,000 messages a second
/// until it is flushed.
pub const LARGE_CHUNKS_MAX: usize = 512;
/// Memory for media chunks of a live core that is there before it is used: at 10,000 calls a core, what comes in 90 ms.
pub const CHUNK_BYTES_AHEAD: usize = 16 * 1024 * 1024;
/// How old a chunk may grow before it is handed over to be written.
pub const CHUNK_AGE_MILLISECONDS_MAX: u64 = 400;
/// How long written chunks may wait until they are flushed to the disk together. Their buffers are kept that long:
/// 4.6 KB for a two-way call.
pub const COMMIT_AGE_MILLISECONDS_MAX: u64 = 250;
/// Chunks that one write to the journal takes.
pub const CHUNKS_PER_WRITE_MAX: usize = 64;
/// Bytes of chunks that one write to the journal takes; one chunk more may reach beyond it.
pub const JOURNAL_WRITE_BYTES_MAX: usize = 1024 * 1024;
/// A journal segment.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Journal segments kept open for reading; older ones are opened when they are read.
pub const SEGMENTS_OPEN_MAX: usize = 256;

/// Streams of one side that run at the same time and are given sound; further ones are kept as packets.
pub const LANES_MAX: usize = 8;
/// A recording's audio from end to end. Pauses beyond it are left out; sound never is.
pub const RECORDING_HOURS_MAX: u64 = 24;
/// Audio files made of one lane; for a recording that would have more, each is longer than asked for.
pub const AUDIO_PARTS_MAX: u64 = 256;
/// Gaps listed with one recording; further ones are counted.
pub const GAPS_PER_RECORDING_MAX: usize = 10_000;
/// Holds and keys listed with one recording; further ones are counted.
pub const MARKS_PER_RECORDING_MAX: usize = 2_000;
/// Points of a stream's quality over time; in a longer stream each stands for longer.
pub const QUALITY_POINTS_PER_STREAM_MAX: u64 = 1_000;
/// The same for one recording: later streams have none.
pub const QUALITY_POINTS_PER_RECORDING_MAX: usize = 20_000;
/// Corrections of the clock listed with one stream; further ones are counted.
pub const CORRECTIONS_PER_STREAM_MAX: usize = 1_000;
/// Streams listed with one recording; packets of further ones are kept as packets.
pub const STREAMS_PER_CALL_MAX: usize = 4_096;
/// A file of packets kept as they were. One packet more may reach beyond it.
pub const PACKET_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A tag's value in an audio file; longer ones are cut.
pub const TAG_BYTES_MAX: usize = 4 * 1024;
/// Tags in an audio file; further ones are left out.
pub const TAGS_MAX: usize = 64;

/// Certificates that one file is sealed for.
pub const RECIPIENTS_MAX: usize = 64;
/// A file before it is sealed. OpenSSL 3.0 opens nothing above 1.5 GiB (`BUF_MEM`'s limit).
pub const SEALED_FILE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Files in one recording's folder.
pub const FILES_PER_RECORDING_MAX: usize = 4_096;
/// A recording's metadata (`recording.json`), plain or sealed.
pub const METADATA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A recording's manifest; its gap map is the part that grows.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Characters of a party or a Call-ID that is searched for.
pub const SEARCH_TEXT_CHARACTERS_MAX: usize = 256;
/// The same in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 4 * SEARCH_TEXT_CHARACTERS_MAX;
/// Labels, and keys of free metadata, that one search asks for.
pub const SEARCH_LABELS_MAX: usize = 16;
/// Characters of a recording's label.
pub const LABEL_CHARACTERS_MAX: usize = 64;
/// The same in bytes.
pub const LABEL_BYTES_MAX: usize = 4 * LABEL_CHARACTERS_MAX;
/// A key of a recording's free metadata.
pub const METADATA_KEY_BYTES_MAX: usize = 64;
/// Characters of its value.
pub const METADATA_VALUE_CHARACTERS_MAX: usize = 256;
/// The same in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 4 * METADATA_VALUE_CHARACTERS_MAX;
/// Characters of the reason why a recording is held.
pub const HOLD_REASON_CHARACTERS_MAX: usize = 256;
/// The same in bytes.
pub const HOLD_REASON_BYTES_MAX: usize = 4 * HOLD_REASON_CHARACTERS_MAX;
/// Labels of one recording, and keys of its free metadata.
pub const ANNOTATIONS_PER_RECORDING_MAX: usize = 64;

/// What is said of one alarm; the rest is cut off.
pub const ALARM_DETAIL_BYTES_MAX: usize = 1_024;
/// Parts of the program that say the same condition, each for itself (one a capture core).
pub const ALARM_CAUSES_MAX: usize = 256;
/// Alarms remembered after they cleared.
pub const ALARM_HISTORY_MAX: usize = 256;
/// News of alarms that wait for one outlet; what comes when it is full is counted.
pub const ALARM_QUEUE_MAX: usize = 1_024;

/// Who and what an entry of the audit log names; the rest is cut off.
pub const AUDIT_SUBJECT_BYTES_MAX: usize = 1_024;
/// What more an entry of the audit log says.
pub const AUDIT_DETAIL_BYTES_MAX: usize = 8 * 1024;
/// A file of the audit log; one entry more may reach beyond it.
pub const AUDIT_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What a window may ask of the recorder in one frame, bytes.
pub const LINK_ASK_BYTES_MAX: usize = 4 * 1024;
/// What the recorder tells a window in one frame, bytes.
pub const LINK_TELL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pairs of samples in one block of live sound: 100 ms at 8 kHz.
pub const LINK_SOUND_SAMPLES_MAX: usize = 800;
/// Windows (processes that serve the pages) connected to one recorder at once.
pub const WINDOWS_MAX: usize = 8;
/// What waits for one window, bytes; one that takes less than it is told is disconnected.
pub const WINDOW_BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Calls listed in one answer to a window.
pub const LIVE_CALLS_LISTED_MAX: usize = 200;
/// Of a party or Call-ID as it is told of a call that is up, bytes; the rest is cut off.
pub const LIVE_CALL_NAME_BYTES_MAX: usize = 256;
/// News of calls on their way to the windows, by count; if it overflows, the list is made anew.
pub const LIVE_CALL_NEWS_MAX: usize = 16_384;
/// Listeners to calls that are up, at once.
pub const LISTENERS_MAX: usize = 64;

/// What is wrong with an audit log, listed; the rest is counted.
pub const AUDIT_FINDINGS_MAX: usize = 1_000;
/// How much of the audit log one request reads through.
pub const AUDIT_SEARCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A user's or a token's name.
pub const NAME_BYTES_MAX: usize = 64;
/// A new password.
pub const PASSWORD_CHARACTERS_MIN: usize = 12;
/// The same.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Passwords hashed at once: 19 MiB and tens of milliseconds of a core each.
pub const PASSWORDS_HASHED_AT_ONCE_MAX: usize = 2;
/// How long a log-in holds without a request.
pub const LOG_IN_IDLE_SECONDS_MAX: u64 = 8 * 3600;
/// How long it holds at most.
pub const LOG_IN_SECONDS_MAX: u64 = 24 * 3600;
/// Log-ins of one user that hold at once; the oldest gives way.
pub const LOG_INS_PER_USER_MAX: i64 = 32;
/// API tokens of one user.
pub const TOKENS_PER_USER_MAX: i64 = 64;
/// Users.
pub const USERS_MAX: i64 = 10_000;
/// Addresses and names whose requests and failed log-ins are counted.
pub const THROTTLED_MAX: usize = 65_536;
/// Requests to the API from one address, on average.
pub const REQUESTS_PER_SECOND_MAX: u32 = 200;
/// The same, at once.
pub const REQUESTS_BURST_MAX: u32 = 1_000;

/// Plain content of recordings kept in memory for those who play them, bytes; one larger file may be there alone.
pub const PLAYER_FILES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How long after it was last asked for.
pub const PLAYER_FILES_AGE_SECONDS_MAX: u64 = 5 * 60;
/// What is known of the frames of audio that was played, bytes: 56 KB for an hour.
pub const PLAYER_TRACKS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Sealed files being opened at once, bytes, before and after; one larger file may be opened alone.
pub const PLAYER_OPENING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Threads that open, decode and encode for all players together.
pub const PLAYER_THREADS_MAX: usize = 4;
/// Bodies of sound and files being sent at once.
pub const PLAYER_STREAMS_MAX: usize = 256;
/// Of these, to one user, token or link.
pub const PLAYER_STREAMS_PER_CALLER_MAX: usize = 32;
/// What is made of a body at once, bytes. Three such are in memory for each.
pub const PLAYER_PIECE_BYTES: usize = 128 * 1024;
/// How long a client may take none of what waits for it.
pub const PLAYER_STALL_SECONDS_MAX: u64 = 120;
/// Requests for one recording's sound by one caller within this time are one entry of the audit log.
pub const PLAYER_SITTING_SECONDS: u64 = 600;
/// Such entries that are remembered.
pub const PLAYER_SITTINGS_MAX: usize = 16_384;

/// How long a link to a recording holds.
pub const SHARE_SECONDS_MAX: u64 = 90 * 86_400;
/// Openings that a link can be limited to.
pub const SHARE_USES_MAX: u32 = 1_000_000;
/// A passcode of a link.
pub const SHARE_PASSCODE_CHARACTERS_MIN: usize = 6;
/// Wrong passcodes after which a link opens no more.
pub const SHARE_WRONG_PASSCODES_MAX: u32 = 10;
/// How long an opened link can be played without being opened again.
pub const SHARE_OPENING_SECONDS_MAX: u64 = 4 * 3600;
/// Openings of one link that can be played at once; the oldest gives way.
pub const SHARE_OPENINGS_MAX: u32 = 1_000;
/// Links to one recording, those that open no more included.
pub const SHARES_PER_RECORDING_MAX: u32 = 200;
/// Links in one answer; the newest.
pub const SHARES_LISTED_MAX: u32 = 1_000;
/// How long a link is listed after it ended.
pub const SHARE_KEPT_SECONDS_MAX: u64 = 90 * 86_400;
/// Characters of what is noted with a link.
pub const SHARE_NOTE_CHARACTERS_MAX: usize = 200;

/// Labels whose meaning is defined.
pub const LABEL_DEFINITIONS_MAX: u32 = 1_000;
/// Recordings on a page of the list, unless the client says how many.
pub const SEARCH_PAGE_DEFAULT: usize = 50;
/// Recordings on a page of the list at most.
pub const SEARCH_PAGE_MAX: usize = 200;
/// Recordings that an export has in memory at once, for each client.
pub const EXPORT_PAGE_RECORDINGS: usize = 200;
/// Saved searches of one user.
pub const SAVED_SEARCHES_PER_USER_MAX: i64 = 100;
/// Characters of a saved search's name.
pub const SAVED_SEARCH_NAME_CHARACTERS_MAX: usize = 128;
/// Columns of a saved search.
pub const SAVED_COLUMNS_MAX: usize = 32;
/// A saved search's query string.
pub const SAVED_QUERY_BYTES_MAX: usize = 2_048;
/// Connections to the web server.
pub const CONNECTIONS_MAX: usize = 4_096;
/// The same from one address: a proxy, a site behind one address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1_024;
/// Requests of one connection at once (HTTP/2).
pub const REQUESTS_PER_CONNECTION_MAX: u32 = 128;
/// Requests that are being answered; what streams (events, sound) does not count once it has begun.
pub const REQUESTS_AT_ONCE_MAX: usize = 512;
/// How long a client may take for the TLS handshake, for a request's head, and for each part of its body.
pub const CLIENT_SECONDS_MAX: u64 = 10;
/// How long an answer may take until it begins.
pub const ANSWER_SECONDS_MAX: u64 = 60;
/// How long a client may take nothing of what is sent to it. A player that is paused takes nothing.
pub const STALLED_SECONDS_MAX: u32 = 300;
/// A request's head: all header fields.
pub const REQUEST_HEAD_BYTES_MAX: u32 = 32 * 1024;
/// A request's body.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024;

const _: () =
    assert!(SIP_MESSAGE_BYTES_MAX <= TCP_REORDER_BYTES_MAX, "a SIP message fits the TCP buffer");
const _: () =
    assert!(SIP_START_LINE_BYTES_MAX <= SIP_MESSAGE_BYTES_MAX, "a start line fits its message");
const _: () =
    assert!(TCP_BYTES_MAX >= 64 * TCP_REORDER_BYTES_MAX, "many directions may be out of order");
const _: () =
    assert!(TCP_REORDER_BYTES_MAX < TCP_LEAP_BYTES_MAX as usize, "what may come is in reach");
const _: () =
    assert!(LARGE_CHUNK_BYTES * 64 < SEGMENT_BYTES_MAX as usize, "a segment holds many chunks");
const _: () =
    assert!(LARGE_CHUNK_BYTES >= SIP_MESSAGE_BYTES_MAX + CHUNK_BYTES, "any message fits a chunk");
const _: () =
    assert!(LARGE_CHUNK_BYTES >= u16::MAX as usize + CHUNK_BYTES, "any datagram fits a chunk");
const _: () = assert!(
    CHUNK_AGE_MILLISECONDS_MAX + COMMIT_AGE_MILLISECONDS_MAX <= 650,
    "a power cut costs at most a second: 100 ms until an old chunk is noticed, 250 ms for the flush"
);
const _: () = assert!(FRAGMENT_BYTES_MAX >= 64 * FRAME_BYTES_MAX, "a few large datagrams fit");
const _: () = assert!(
    LANES_MAX * AUDIO_PARTS_MAX as usize + 1_024 <= FILES_PER_RECORDING_MAX,
    "a recording's audio and packets fit its folder"
);
