//! Hearing, downloading and proving recordings.

use std::io::Read as _;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use web::audit::Act;
use web::auth::{Right, Role};

use crate::recorded::{Keys, Recorded, decoded, wav};
use crate::rig::{Client, Rig};

struct Stage {
    rig: Rig,
    keys: Keys,
    admin: Client,
}

fn stage() -> Stage {
    let keys = Keys::new();
    let rig = Rig::start_with(|settings| keys.serve_with(settings));
    let admin = rig.first();
    Stage { rig, keys, admin }
}

impl Stage {
    fn call(&self, number: u64, seconds: u64, part: u64) -> Recorded {
        self.keys.call(self.rig.folder.path(), number, seconds, part)
    }

    /// Somebody who may do just this.
    fn with(&self, rights: &[Right]) -> Client {
        self.rig.token(&self.admin, "only", rights)
    }
}

#[test]
fn all_formats_have_the_samples_of_all_parts() {
    let stage = stage();
    let call = stage.call(1, 11, 4);
    assert_eq!(call.files.len(), 3);
    let [caller, callee] = call.samples();
    let get = |query: &str| {
        let reply = stage.admin.get(&call.path(&format!("audio?{query}")));
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        reply
    };
    assert!(wav(&get("format=wav").body) == [caller.clone(), callee.clone()]);
    assert!(wav(&get("format=wav&side=caller").body) == [caller.clone()]);
    assert!(wav(&get("format=wav&side=callee").body) == [callee.clone()]);
    assert!(decoded(&get("").body) == [caller.clone(), callee.clone()]);
    assert!(decoded(&get("format=flac&side=caller").body) == [caller]);
    assert!(decoded(&get("format=flac&side=callee").body) == [callee.clone()]);
    let part = get("format=wav&media=audio.part2.flac");
    assert!(wav(&part.body)[1] == callee[32_000..64_000]);
    let flac = get("format=flac&download=true");
    assert_eq!(flac.header("content-type"), "audio/flac");
    let file = format!("attachment; filename=\"{}.flac\"", call.id);
    assert_eq!(flac.header("content-disposition"), file);
    assert_eq!(flac.header("cache-control"), "no-store");
    assert_eq!(flac.header("content-encoding"), "");
}

#[test]
fn the_flac_of_one_part_is_the_file_that_was_signed() {
    let stage = stage();
    let call = stage.call(1, 3, 60);
    let [(name, file)] = &call.files[..] else { panic!("one file") };
    assert!(stage.admin.get(&call.path("audio")).body == *file);
    assert!(stage.admin.get(&call.path(&format!("mediaFiles/{name}"))).body == *file);
}

#[test]
fn opus_is_made_while_it_is_sent() {
    let stage = stage();
    let call = stage.call(1, 9, 4);
    let reply = stage.admin.get(&call.path("audio?format=opus"));
    assert_eq!((reply.status, reply.header("accept-ranges")), (200, "none"));
    assert_eq!(reply.header("content-type"), "audio/ogg; codecs=opus");
    let mut packets = ogg::PacketReader::new(std::io::Cursor::new(&reply.body));
    let head = packets.read_packet().unwrap().unwrap().data;
    let tags = packets.read_packet().unwrap().unwrap().data;
    assert!(tags.windows(21).any(|part| part == b"CALL-ID=1@example.com"));
    let skip = u64::from(u16::from_le_bytes([head[10], head[11]]));
    let mut decoder = opus::MSDecoder::new(8_000, 2, 0, &[0, 1]).unwrap();
    let (mut sides, mut end) = ([Vec::new(), Vec::new()], 0);
    while let Some(packet) = packets.read_packet().unwrap() {
        let mut pcm = [0; 2 * 960];
        let samples = decoder.decode(&packet.data, &mut pcm, false).unwrap();
        for (at, sample) in pcm[..2 * samples].iter().enumerate() {
            sides[at % 2].push(*sample);
        }
        end = packet.absgp_page();
    }
    assert_eq!((end - skip) / 6, 9 * 8_000);
    let skip = (skip / 6) as usize;
    for (heard, spoken) in sides.iter().zip(call.samples()) {
        let power = |of: &[i16]| of.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        let both: f64 =
            heard[skip..].iter().zip(&spoken).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let likeness = both / (power(&heard[skip..]) * power(&spoken)).sqrt();
        assert!(likeness > 0.8, "{likeness}");
    }
}

#[test]
fn any_range_is_the_same_range_of_the_whole() {
    let stage = stage();
    let call = stage.call(1, 11, 4);
    for query in [
        "audio",
        "audio?format=wav",
        "audio?format=wav&side=callee",
        "bundle",
        "mediaFiles/audio.part2.flac",
    ] {
        let path = call.path(query);
        let whole = stage.admin.get(&path);
        assert_eq!(whole.status, 200, "{query}: {}", whole.text());
        let length = whole.body.len();
        assert_eq!(
            (whole.header("accept-ranges"), whole.header("content-length")),
            ("bytes", &*length.to_string())
        );
        let tag = whole.header("etag");
        assert!(tag.starts_with('"') && tag.ends_with('"'));
        let get = |headers: &[(&str, &str)]| stage.admin.send("GET", &path, headers, None);
        for (range, from, until) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=30-1000".to_owned(), 30, 1_001),
            (format!("bytes={}-", length / 3), length / 3, length),
            (format!("bytes={}-{}", length / 2, length * 2), length / 2, length),
            ("bytes=-777".to_owned(), length - 777, length),
        ] {
            let part = get(&[("range", &range)]);
            let expected = format!("bytes {from}-{}/{length}", until - 1);
            assert_eq!(
                (part.status, part.header("content-range")),
                (206, &*expected),
                "{query} {range}"
            );
            assert!(part.body == whole.body[from..until], "{query} {range}");
            assert_eq!(part.header("etag"), tag);
        }
        let beyond = get(&[("range", &format!("bytes={length}-"))]);
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, &*format!("bytes */{length}"))
        );
        assert_eq!(beyond.header("content-type"), "application/problem+json");
        assert_eq!(get(&[("range", "bytes=0-1,5-6")]).status, 200, "several ranges: the whole");
        assert_eq!(get(&[("range", "bytes=0-1"), ("if-range", tag)]).status, 206);
        assert_eq!(get(&[("range", "bytes=0-1"), ("if-range", "\"another\"")]).status, 200);
        let head = stage.admin.send("HEAD", &path, &[], None);
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, &*length.to_string(), 0)
        );
    }
}

#[test]
fn what_was_altered_is_not_given_and_that_is_noted() {
    let stage = stage();
    let call = stage.call(1, 11, 4);
    let evidence = || stage.admin.get(&call.path("evidence")).json();
    let good = evidence();
    assert_eq!((&good["verified"], &good["findings"]), (&json!(true), &json!([])));
    assert_eq!((&good["files"], &good["opened"]), (&json!(4), &json!(4)));
    assert!(good["signer"].as_str().unwrap().contains("span1"), "{good}");
    call.alter("audio.part3.flac.p7m");
    let bad = evidence();
    assert_eq!(bad["verified"], json!(false));
    let finding = bad["findings"][0].as_str().unwrap();
    assert!(finding.starts_with("audio.part3.flac.p7m: altered"), "{finding}");
    for query in ["audio", "audio?format=wav", "audio?format=opus", "mediaFiles/audio.part3.flac"] {
        let reply = stage.admin.get(&call.path(query));
        assert_eq!(
            (reply.status, reply.json()["title"].as_str()),
            (409, Some("Altered")),
            "{query}"
        );
        assert!(reply.text().contains("audio.part3.flac.p7m"), "{}", reply.text());
        assert!(
            !reply.text().contains("/recordings/"),
            "no folder of the machine: {}",
            reply.text()
        );
    }
    assert_eq!(
        stage.admin.get(&call.path("bundle")).status,
        200,
        "evidence is to be had all the same"
    );
    let refused: Vec<_> = stage.rig.audit().into_iter().filter(|entry| !entry.allowed).collect();
    assert_eq!(
        refused.iter().map(|entry| entry.act).collect::<Vec<_>>(),
        [Act::Play, Act::Play, Act::Play, Act::Download]
    );
    assert!(
        refused
            .iter()
            .all(|entry| entry.subject == call.id.to_string() && entry.detail["why"] == "Altered")
    );
    call.alter("audio.part3.flac.p7m");
    assert_eq!(stage.admin.get(&call.path("audio")).status, 200, "as it was");
    call.alter("manifest.json");
    assert_eq!(stage.admin.get(&call.path("audio")).status, 409);
    assert_eq!(evidence()["verified"], json!(false));
}

#[test]
fn without_the_key_a_recording_is_found_but_not_heard() {
    let keys = Keys::new();
    let rig = Rig::start_with(|settings| {
        keys.serve_with(settings);
        settings.recording_key = None;
    });
    let admin = rig.first();
    let call = keys.call(rig.folder.path(), 1, 2, 60);
    let reply = admin.get(&call.path("audio"));
    assert_eq!((reply.status, reply.json()["title"].as_str()), (409, Some("Sealed")));
    assert_eq!(admin.get(&call.path("evidence")).json()["verified"], json!(true));
}

#[test]
fn packets_that_were_kept_say_that_there_is_no_sound() {
    let stage = stage();
    let call = stage.keys.packets(stage.rig.folder.path(), 1);
    let audio = stage.admin.get(&call.path("audio"));
    assert_eq!(audio.status, 404);
    assert!(audio.text().contains("could not be decoded"), "{}", audio.text());
    let packets = stage.admin.get(&call.path("packets"));
    assert_eq!((packets.status, packets.header("content-type")), (200, "application/x-pcapng"));
    assert!(packets.body == call.files[0].1 && packets.body.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    assert!(stage.admin.get(&call.path("mediaFiles/packets.pcapng")).body == packets.body);
    let sound = stage.call(2, 2, 60);
    assert_eq!(stage.admin.get(&sound.path("packets")).status, 404);
}

#[test]
fn the_bundle_is_the_folder_and_verifies() {
    let stage = stage();
    let call = stage.call(1, 5, 2);
    let reply = stage.admin.get(&call.path("bundle"));
    assert_eq!(reply.header("content-type"), "application/x-tar");
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("x.tar"), &reply.body).unwrap();
    match Command::new("tar").args(["xf", "x.tar"]).current_dir(out.path()).status() {
        Ok(status) => assert!(status.success()),
        Err(error) => return println!("skipped: {error}"),
    }
    let report = store::verify(&out.path().join(call.id.to_string()), None, None);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.files_good, 4);
}

#[test]
fn each_needs_its_right_and_nothing_else_is_to_be_had() {
    let stage = stage();
    let call = stage.call(1, 2, 60);
    let hears = stage.with(&[Right::Play]);
    let status = |client: &Client, path: &str| client.get(&call.path(path)).status;
    let all = [
        "audio",
        "mediaFiles/audio.flac",
        "packets",
        "mediaFiles/packets.pcapng",
        "bundle",
        "evidence",
    ];
    let statuses = |client: &Client| all.map(|path| status(client, path));
    assert_eq!(statuses(&hears), [200, 200, 403, 403, 403, 403]);
    let proves = stage.rig.token(&stage.admin, "proves", &[Right::DownloadEvidence]);
    assert_eq!(statuses(&proves), [403, 403, 404, 404, 200, 403]);
    let sees = stage.rig.token(&stage.admin, "sees", &[Right::SeeRecordings]);
    assert_eq!(statuses(&sees), [403, 403, 403, 403, 403, 200]);
    assert_eq!(statuses(&stage.rig.client()), [401; 6]);
    for path in [
        "mediaFiles/recording.json",
        "mediaFiles/manifest.json",
        "mediaFiles/..%2f..%2faudio.flac",
        "mediaFiles/audio.flac.p7m",
    ] {
        assert_eq!(status(&stage.admin, path), 404, "{path}");
    }
    let none =
        call.path("audio").replace(&call.id.to_string(), "01900000-0000-7000-8000-000000000001");
    assert_eq!(stage.admin.get(&none).status, 404);
    assert_eq!(stage.admin.get("/api/v2/recordings/..%2f..%2fkeys/audio").status, 400);
    for query in ["format=mp3", "side=left", "download=perhaps", "formt=wav"] {
        assert_eq!(status(&stage.admin, &format!("audio?{query}")), 400, "{query}");
    }
}

#[test]
fn a_sitting_is_one_entry_of_the_audit_log() {
    let stage = stage();
    let call = stage.call(1, 5, 60);
    let supervisor = stage.rig.user(&stage.admin, "anna", &[Role::Supervisor]);
    for from in 0..20 {
        let range = format!("bytes={}-{}", from * 100, from * 100 + 99);
        assert_eq!(
            supervisor
                .send("GET", &call.path("audio?format=wav"), &[("range", &range)], None)
                .status,
            206
        );
    }
    supervisor.get(&call.path("audio?format=wav&download=true"));
    let entries = stage.rig.audit().into_iter().filter(|entry| entry.who == "anna");
    let acts: Vec<_> =
        entries.filter(|e| e.subject == call.id.to_string()).map(|e| e.act).collect();
    assert_eq!(acts, [Act::Play, Act::Download]);
}

/// An hour in two parts. How long it takes is printed, not asserted: the machine may be busy.
#[test]
#[expect(clippy::disallowed_methods, reason = "prints how long it takes")]
fn an_hour_long_call_begins_at_once() {
    let stage = stage();
    let call = stage.call(1, 3_600, 1_800);
    assert_eq!(call.files.len(), 2);
    let megabytes = call.files.iter().map(|(_, file)| file.len()).sum::<usize>() / 1_000_000;
    for query in ["format=wav", "format=flac", "format=opus"] {
        let path = call.path(&format!("audio?{query}"));
        for when in ["first", "again"] {
            let began = Instant::now();
            let mut stream = stage.rig.raw();
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: __Host-spanreel={}\r\nconnection: close\r\n\r\n",
                stage.admin.cookie.as_ref().unwrap()
            );
            std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
            let mut bytes = vec![0; 20_000];
            stream.read_exact(&mut bytes).unwrap();
            assert!(
                bytes.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&bytes[..200])
            );
            println!("an hour, {megabytes} MB: {query}: 20 KB {when} after {:?}", began.elapsed());
        }
    }
    let length = stage
        .admin
        .send("HEAD", &call.path("audio?format=wav"), &[], None)
        .header("content-length")
        .to_owned();
    let middle = length.parse::<u64>().unwrap() / 2;
    let range = format!("bytes={middle}-{}", middle + 65_535);
    let began = Instant::now();
    let part = stage.admin.send("GET", &call.path("audio?format=wav"), &[("range", &range)], None);
    println!("64 KiB from the middle of the WAV: {:?}", began.elapsed());
    assert_eq!((part.status, part.body.len()), (206, 65_536));
}

#[test]
fn fifty_players_hear_what_they_asked_for() {
    let stage = stage();
    let calls: Vec<_> = (0..10).map(|number| (number, stage.call(number, 60, 20))).collect();
    let expected: Vec<_> = calls.iter().map(|(_, call)| call.samples()).collect();
    std::thread::scope(|scope| {
        for player in 0..50 {
            let (client, call, expected) =
                (stage.rig.client(), &calls[player % 10].1, &expected[player % 10]);
            let client = Client { cookie: stage.admin.cookie.clone(), ..client };
            scope.spawn(move || {
                let path = call.path("audio?format=wav&side=callee");
                let mut heard = Vec::new();
                // A second at a time, as a player does that fills its buffer; some wait between.
                for second in 0..60 {
                    let from = 44 + second * 16_000;
                    let range = format!("bytes={from}-{}", from + 15_999);
                    let reply = loop {
                        let reply = client.send("GET", &path, &[("range", &range)], None);
                        if !matches!(reply.status, 429 | 503) {
                            break reply;
                        }
                        std::thread::sleep(Duration::from_millis(100));
                    };
                    assert_eq!(reply.status, 206, "{}", reply.text());
                    heard.extend(
                        reply.body.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])),
                    );
                }
                assert!(heard == expected[1], "player {player}");
            });
        }
    });
}
