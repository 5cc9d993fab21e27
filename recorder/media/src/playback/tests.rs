//! Whatever is cut, joined and converted: the samples are those of the parts, as claxon and libFLAC decode them.

use std::f64::consts::TAU;
use std::io::Cursor;
use std::sync::Arc;

use ::opus::MSDecoder;
use proptest::prelude::*;

use super::*;
use crate::flac::Settings;
use crate::flac::encoder::encode;
use crate::g711::Law;

/// Left and right.
type Sound = [Vec<i16>; 2];

/// Speech-like: each side talks in turn, in A-law; `from` says where on the line it begins.
fn sound(from: usize, samples: usize) -> Sound {
    let talks = |side: usize, at: usize| (at / 12_000 + side).is_multiple_of(2);
    let sample = |side: usize, at: usize| {
        let time = at as f64 / 8_000.0;
        let pitch = if side == 0 { 130.0 } else { 220.0 };
        let wave: f64 =
            (1..12).map(|n| (time * pitch * f64::from(n) * TAU).sin() / f64::from(n)).sum();
        let loud =
            if talks(side, at) { 6_000.0 * (0.6 + 0.4 * (time * 3.0 * TAU).sin()) } else { 0.0 };
        let noise = (at.wrapping_mul(2_654_435_761) >> 7) % 64;
        let exact = (wave * loud) as i32 + noise as i32;
        *Law::A.table().iter().min_by_key(|value| (i32::from(**value) - exact).abs()).unwrap()
    };
    [0, 1].map(|side| (from..from + samples).map(|at| sample(side, at)).collect())
}

/// Noise: quick to make, and hard to code.
fn noise(seed: usize, samples: usize) -> Sound {
    let sample = |side: usize, at: usize| {
        let x = (at + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(side * 77);
        Law::Mu.table()[(x ^ (x >> 31)) % 256]
    };
    [0, 1].map(|side| (0..samples).map(|at| sample(side, at)).collect())
}

fn file(sound: &[Vec<i16>], tags: &[(&str, &str)]) -> Vec<u8> {
    let tags: Vec<_> = tags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let settings = Settings { channels: sound.len(), sample_rate_hz: 8_000, tags: &tags };
    encode(settings, sound[0].len() as u64, |first, planes| {
        for (channel, plane) in sound.iter().zip(planes) {
            plane.copy_from_slice(&channel[first as usize..][..plane.len()]);
        }
    })
}

/// Parts of these lengths, as they would be stored, and all of their sound.
fn parts(lengths: &[usize], make: impl Fn(usize, usize) -> Sound) -> (Vec<Vec<u8>>, Sound) {
    let mut whole = Sound::default();
    let mut files = Vec::new();
    for (part, length) in lengths.iter().enumerate() {
        let sound = make(whole[0].len(), *length);
        let number = format!("{}/{}", part + 1, lengths.len());
        files.push(file(
            &sound,
            &[("CALL-ID", "x@y"), ("PART", &number), ("CHANNELS", "left: caller")],
        ));
        for (whole, more) in whole.iter_mut().zip(sound) {
            whole.extend(more);
        }
    }
    (files, whole)
}

fn track(files: &[Vec<u8>]) -> Arc<Track> {
    let outlines = files.iter().map(|file| Outline::of(file).unwrap()).collect();
    Arc::new(Track::new(outlines).unwrap())
}

/// `max` bytes from `from` on, asked for as often as it takes.
fn read(view: &View, files: &[Vec<u8>], from: u64, max: usize) -> Vec<u8> {
    view.read(from, max, |part| Ok::<_, PlaybackError>(&files[part])).unwrap()
}

fn all(view: &View, files: &[Vec<u8>]) -> Vec<u8> {
    let bytes = read(view, files, 0, usize::MAX);
    assert_eq!(bytes.len() as u64, view.bytes());
    bytes
}

fn converted(mut converter: Converter, files: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(piece) = converter.next(|part| Ok::<_, PlaybackError>(&files[part])).unwrap() {
        assert!(!piece.is_empty());
        out.extend(piece);
    }
    out
}

fn samples_of_wav(bytes: &[u8]) -> Vec<i16> {
    let data = bytes.windows(4).position(|name| name == b"data").unwrap();
    let length = u32::from_le_bytes(*bytes[data + 4..].first_chunk().unwrap()) as usize;
    assert_eq!(u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize, bytes.len() - 8);
    assert_eq!(bytes.len(), data + 8 + length);
    bytes[data + 8..].chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn interleaved(sound: &Sound) -> Vec<i16> {
    sound[0].iter().zip(&sound[1]).flat_map(|(left, right)| [*left, *right]).collect()
}

/// What claxon, and the `flac` program if it is here, make of it.
fn samples_of_flac(bytes: &[u8]) -> (Vec<i16>, Vec<(String, String)>) {
    let mut reader = claxon::FlacReader::new(bytes).unwrap();
    let tags = reader.tags().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let samples: Vec<i16> = reader.samples().map(|sample| sample.unwrap() as i16).collect();
    let info = reader.streaminfo();
    assert_eq!(info.samples, Some(samples.len() as u64 / u64::from(info.channels)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.flac");
    std::fs::write(&path, bytes).unwrap();
    match std::process::Command::new("flac")
        .args(["-dcs", "--force-raw-format", "--endian=little", "--sign=signed"])
        .arg(&path)
        .output()
    {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let raw: Vec<_> =
                output.stdout.chunks(2).map(|p| i16::from_le_bytes([p[0], p[1]])).collect();
            assert!(raw == samples, "libFLAC decodes other samples");
        }
        Err(error) => println!("skipped: libFLAC's program: {error}"),
    }
    (samples, tags)
}

/// Lengths that end on a block, in one, and after one sample of one.
const LENGTHS: [usize; 4] = [20_480, 9_001, 2_049, 30_000];

#[test]
fn the_flac_file_of_one_part_is_the_stored_one() {
    let (files, _) = parts(&[33_000], noise);
    assert!(all(&View::flac(track(&files), &[]), &files) == files[0]);
}

#[test]
fn a_wav_file_has_the_samples_of_all_parts() {
    let (files, whole) = parts(&LENGTHS, noise);
    let track = track(&files);
    assert_eq!(track.samples(), LENGTHS.iter().sum::<usize>() as u64);
    let wav = |voices| {
        let bytes = all(&View::wav(Arc::clone(&track), voices, &[]).unwrap(), &files);
        (bytes[22], samples_of_wav(&bytes))
    };
    assert!(wav(Voices::Both) == (2, interleaved(&whole)));
    let [caller, callee] = whole;
    assert!(wav(Voices::Caller) == (1, caller));
    assert!(wav(Voices::Callee) == (1, callee));
}

#[test]
fn a_flac_file_of_all_parts_has_their_samples() {
    let (files, whole) = parts(&LENGTHS, noise);
    let remarks = [("COMMENT".to_owned(), "shared by anna on 2026-11-23".to_owned())];
    let (samples, tags) = samples_of_flac(&all(&View::flac(track(&files), &remarks), &files));
    assert!(samples == interleaved(&whole));
    let tag = |name: &str| tags.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(tag("COMMENT"), Some("shared by anna on 2026-11-23"));
    assert_eq!(tag("CALL-ID"), Some("x@y"));
    assert_eq!(tag("PART"), None, "it is whole");
}

#[test]
fn a_remark_in_a_flac_file_alters_no_frame() {
    let (files, _) = parts(&[33_000], noise);
    let remarks = [("COMMENT".to_owned(), "shared by anna".to_owned())];
    let remarked = all(&View::flac(track(&files), &remarks), &files);
    let frames = &files[0][Outline::of(&files[0]).unwrap().head.len()..];
    assert!(remarked.ends_with(frames));
    let (_, tags) = samples_of_flac(&remarked);
    assert!(tags.contains(&remarks[0]) && tags.iter().any(|(name, _)| name == "PART"));
}

#[test]
fn a_remark_in_a_wav_file_stands_before_the_sound() {
    let (files, whole) = parts(&[5_000], noise);
    let remarks = [("COMMENT".to_owned(), "shared by anna".to_owned())];
    let bytes = all(&View::wav(track(&files), Voices::Both, &remarks).unwrap(), &files);
    assert!(bytes[36..].starts_with(b"LIST\x1c\0\0\0INFOICMT\x0f\0\0\0shared by anna\0\0data"));
    assert!(samples_of_wav(&bytes) == interleaved(&whole));
}

#[test]
fn a_flac_file_of_one_voice_has_its_samples() {
    let (files, whole) = parts(&LENGTHS, noise);
    for (voices, expected) in [(Voices::Caller, &whole[0]), (Voices::Callee, &whole[1])] {
        let bytes = converted(Converter::flac(track(&files), voices, &[]).unwrap(), &files);
        assert!(samples_of_flac(&bytes).0 == *expected);
    }
}

#[test]
fn one_voice_of_a_mixed_channel_cannot_be_had() {
    let mixed = vec![file(&noise(1, 5_000)[..1], &[])];
    let wav = View::wav(track(&mixed), Voices::Caller, &[]);
    assert!(matches!(wav, Err(PlaybackError::OneChannel)));
    assert!(matches!(
        Converter::opus(track(&mixed), Voices::Callee, &[]),
        Err(PlaybackError::OneChannel)
    ));
    let both = all(&View::wav(track(&mixed), Voices::Both, &[]).unwrap(), &mixed);
    assert!(samples_of_wav(&both) == noise(1, 5_000)[0]);
}

#[test]
fn parts_that_differ_are_refused() {
    let (stereo, mono) = (file(&noise(1, 100), &[]), file(&noise(1, 100)[..1], &[]));
    let outlines = [stereo, mono].iter().map(|file| Outline::of(file).unwrap()).collect();
    assert!(matches!(Track::new(outlines), Err(PlaybackError::Unlike)));
    assert!(matches!(Track::new(Vec::new()), Err(PlaybackError::Nothing)));
}

/// The channels of an Ogg Opus file, at 8 kHz, as a player would play them.
fn samples_of_opus(bytes: &[u8]) -> Vec<Vec<i16>> {
    let mut reader = ogg::PacketReader::new(Cursor::new(bytes));
    let head = reader.read_packet().unwrap().unwrap().data;
    assert!(head.starts_with(b"OpusHead\x01"));
    let channels = usize::from(head[9]);
    let skip = usize::from(u16::from_le_bytes([head[10], head[11]])) / 6;
    let comment = reader.read_packet().unwrap().unwrap().data;
    assert!(comment.starts_with(b"OpusTags"));
    assert!(comment.windows(11).any(|part| part == b"CALL-ID=x@y"));
    let mapping: &[u8] = if channels == 1 { &[0] } else { &[0, 1] };
    let mut decoder = MSDecoder::new(8_000, channels as u8, 0, mapping).unwrap();
    let (mut out, mut end) = (vec![Vec::new(); channels], 0);
    while let Some(packet) = reader.read_packet().unwrap() {
        let mut pcm = vec![0; 960 * channels];
        let samples = decoder.decode(&packet.data, &mut pcm, false).unwrap();
        for (at, sample) in pcm[..samples * channels].iter().enumerate() {
            out[at % channels].push(*sample);
        }
        end = packet.absgp_page() as usize / 6;
        assert!(!packet.last_in_stream() || end >= skip);
    }
    out.iter_mut().for_each(|channel| *channel = channel[skip..end].to_vec());
    out
}

/// How alike two sounds are: 1 the same, 0 nothing in common.
fn likeness(one: &[i16], other: &[i16]) -> f64 {
    let sum = |a: &[i16], b: &[i16]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    sum(one, other) / (sum(one, one) * sum(other, other)).sqrt()
}

#[test]
fn an_opus_file_sounds_like_the_recording_each_voice_in_its_channel() {
    let (files, whole) = parts(&[40_000, 30_001, 10_000], sound);
    let bytes = converted(Converter::opus(track(&files), Voices::Both, &[]).unwrap(), &files);
    let heard = samples_of_opus(&bytes);
    for (heard, spoken) in heard.iter().zip(&whole) {
        assert_eq!(heard.len(), spoken.len());
        assert!(likeness(heard, spoken) > 0.75, "{}", likeness(heard, spoken));
    }
    assert!(likeness(&heard[0], &whole[1]).abs() < 0.3);
    let seconds = whole[0].len() as f64 / 8_000.0;
    println!("Opus: {:.1} kbit/s for both", bytes.len() as f64 * 8.0 / seconds / 1_000.0);
}

/// A party that says nothing is not heard to whisper what the other one says.
#[test]
fn no_voice_leaks_into_the_other_channel_of_an_opus_file() {
    let [_, talks] = sound(0, 40_000);
    let files = vec![file(&[vec![0; 40_000], talks], &[("CALL-ID", "x@y")])];
    let bytes = converted(Converter::opus(track(&files), Voices::Both, &[]).unwrap(), &files);
    let heard = samples_of_opus(&bytes);
    assert!(heard[0].iter().all(|sample| sample.abs() <= 1));
    assert!(heard[1].iter().any(|sample| sample.abs() > 3_000));
}

#[test]
fn an_opus_file_of_one_voice_is_mono() {
    let (files, whole) = parts(&[40_000], sound);
    let bytes = converted(Converter::opus(track(&files), Voices::Callee, &[]).unwrap(), &files);
    let heard = samples_of_opus(&bytes);
    assert_eq!(heard.len(), 1);
    assert!(likeness(&heard[0], &whole[1]) > 0.9);
}

#[test]
fn an_empty_part_is_silence_of_no_length() {
    let (files, _) = parts(&[0], noise);
    assert_eq!(all(&View::wav(track(&files), Voices::Both, &[]).unwrap(), &files).len(), 44);
    assert!(all(&View::flac(track(&files), &[]), &files) == files[0]);
    assert!(
        samples_of_opus(&converted(
            Converter::opus(track(&files), Voices::Both, &[]).unwrap(),
            &files
        ))[0]
            .is_empty()
    );
}

/// Another file than the one that was outlined.
#[test]
fn a_part_that_is_not_what_it_was_is_an_error() {
    let (files, _) = parts(&[33_000], noise);
    let view = View::wav(track(&files), Voices::Both, &[]).unwrap();
    let mut other = files[0].clone();
    let last = other.len() - 100;
    other[last] ^= 1;
    let read = |from| view.read(from, 1_000, |_| Ok::<_, PlaybackError>(&other));
    assert!(read(0).is_ok());
    assert!(matches!(read(view.bytes() - 100), Err(PlaybackError::Damaged { frame: 16, .. })));
    assert!(view.read(0, 1_000, |_| Ok::<_, PlaybackError>(&other[..50])).is_err());
}

/// An hour in two parts: what it costs to have the first bytes, and bytes from the middle.
#[test]
#[expect(clippy::disallowed_methods, reason = "prints how long it takes")]
fn an_hour_begins_and_seeks_without_being_decoded() {
    let minute = sound(0, 480_000);
    let half: Sound = [0, 1].map(|side| minute[side].repeat(30));
    let stored = file(&half, &[]);
    let files = vec![stored.clone(), stored];
    let began = std::time::Instant::now();
    let track = track(&files);
    let outlined = began.elapsed();
    let view = View::wav(Arc::clone(&track), Voices::Both, &[]).unwrap();
    let first = read(&view, &files, 0, 65_536).len();
    let begun = began.elapsed();
    let middle = read(&view, &files, view.bytes() / 2, 65_536).len();
    let sought = began.elapsed() - begun;
    assert_eq!((first, middle), (65_536, 65_536));
    let opus = std::time::Instant::now();
    let bytes = converted(Converter::opus(track, Voices::Both, &[]).unwrap(), &files).len();
    println!(
        "an hour, {} MB of FLAC: outlined in {outlined:?}, first bytes of the WAV after {begun:?}, from its middle in \
         {sought:?}; Opus, {bytes} bytes, in {:?}",
        files.iter().map(Vec::len).sum::<usize>() / 1_000_000,
        opus.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_range_is_the_same_range_of_the_whole(
        lengths in prop::collection::vec(0_usize..7_000, 1..4),
        places in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..20_000), 1..12),
        kind in 0..4,
    ) {
        let (files, _) = parts(&lengths, noise);
        let track = track(&files);
        let remarks = [("COMMENT".to_owned(), "odd".to_owned())];
        let view = match kind {
            0 => View::flac(track, &[]),
            1 => View::flac(track, &remarks),
            2 => View::wav(track, Voices::Both, &[]).unwrap(),
            _ => View::wav(track, Voices::Callee, &remarks).unwrap(),
        };
        let whole = all(&view, &files);
        for (place, max) in places {
            let from = place.index(whole.len() + 1);
            let expected = &whole[from..(from + max).min(whole.len())];
            prop_assert!(read(&view, &files, from as u64, max) == expected);
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_gives_other_sound(
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let (files, whole) = parts(&[7_000], noise);
        let mut file = files[0].clone();
        let at = at.index(file.len());
        file[at] = byte;
        if byte.is_multiple_of(4) {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(outline) = Outline::of(&file) {
            let view = View::wav(Arc::new(Track::new(vec![outline]).unwrap()), Voices::Both, &[]).unwrap();
            if let Ok(bytes) = view.read(0, usize::MAX, |_| Ok::<_, PlaybackError>(&file)) {
                prop_assert!(samples_of_wav(&bytes) == interleaved(&whole));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_file(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Outline::of(&bytes).is_err());
        let marked = [b"fLaC\0\0\0\x22\x08\0\x08\0", bytes.as_slice()].concat();
        prop_assert!(Outline::of(&marked).is_err());
    }
}
