//! Whole files: what goes in comes out of other people's decoders, with and without vectors the same bytes,
//! and no larger than libFLAC's.

use std::f64::consts::TAU;
use std::process::Command;

use proptest::prelude::*;

use super::encoder::encode_with;
use super::*;
use crate::g711::Law;
use crate::vector::Vector;

type Channels = Vec<Vec<i16>>;

/// The file of these channels, made both ways.
fn encoded(channels: &Channels, sample_rate_hz: u32) -> Vec<u8> {
    let tags = vec![("CALL-ID".to_owned(), "x@y".to_owned())];
    let settings = Settings { channels: channels.len(), sample_rate_hz, tags: &tags };
    let encode = |vector| {
        encode_with(vector, settings, channels[0].len() as u64, |first, planes| {
            for (channel, plane) in channels.iter().zip(planes) {
                assert!(plane.iter().all(|sample| *sample == 0), "planes come zeroed");
                plane.copy_from_slice(&channel[first as usize..][..plane.len()]);
            }
        })
    };
    let plain = encode(None);
    for vector in [Vector::detect(), Vector::detect_narrow()] {
        match vector {
            Some(_) => assert!(plain == encode(vector), "vectors give other bytes: {vector:?}"),
            None => println!("skipped: the processor lacks what `flac::vector` needs"),
        }
    }
    plain
}

fn decoded(file: &[u8]) -> Channels {
    let mut reader = claxon::FlacReader::new(file).unwrap();
    let count = reader.streaminfo().channels as usize;
    assert_eq!(reader.get_tag("call-id").collect::<Vec<_>>(), ["x@y"]);
    let mut channels = vec![Vec::new(); count];
    for (at, sample) in reader.samples().enumerate() {
        channels[at % count].push(i16::try_from(sample.unwrap()).unwrap());
    }
    channels
}

fn interleaved(channels: &Channels) -> Vec<u8> {
    let frames = 0..channels[0].len();
    frames.flat_map(|at| channels.iter().flat_map(move |c| c[at].to_le_bytes())).collect()
}

/// A reproducible number for each `at`.
fn random(seed: u64, at: usize) -> u64 {
    let mut x = (seed << 32) ^ at as u64 ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Kinds of sound: what happens on a line, and what never should.
const KINDS: usize = 12;

fn sample(kind: usize, seed: u64, at: usize) -> i16 {
    let noise = random(seed, at);
    let wave = |hertz: f64, peak: f64| (at as f64 * hertz / 8_000.0 * TAU).sin() * peak;
    match kind {
        0 => 0,
        1 => -8,
        2 => Law::A.table()[noise as usize % 256],
        3 => Law::Mu.table()[noise as usize % 256],
        // Idle noise of a line in A-law, and in mu-law.
        4 => Law::A.table()[if noise.is_multiple_of(5) { 0x55 } else { 0xd5 }],
        5 => Law::Mu.table()[0xf8 | (noise as usize & 7)],
        6 => noise as i16,
        7 => {
            if noise & 1 == 0 {
                i16::MIN
            } else {
                i16::MAX
            }
        }
        8 => wave(440.0, 20_000.0) as i16,
        // Loud and smooth, at its ends.
        9 => wave(90.0, 40_000.0) as i16,
        // Silence with clicks: one long code among short ones.
        10 => {
            if noise.is_multiple_of(300) {
                (noise >> 40) as i16
            } else {
                (noise & 3) as i16
            }
        }
        _ => (wave(210.0, 3_000.0) + wave(730.0, 1_000.0)) as i16 & !7,
    }
}

/// Stretches of sound, one after the other: kind, seed and length.
fn channel(stretches: &[(usize, u64, usize)]) -> Vec<i16> {
    let stretch = |(kind, seed, length): &(usize, u64, usize)| {
        let (kind, seed) = (*kind, *seed);
        (0..*length).map(move |at| sample(kind, seed, at))
    };
    stretches.iter().flat_map(stretch).collect()
}

/// Of every kind, in mono and stereo, of every awkward length.
fn corpus() -> Vec<(String, Channels)> {
    let mut corpus = Vec::new();
    for kind in 0..KINDS {
        for length in [1, 2, 4, 5, 16, 17, 160, 2_047, 2_048, 2_049, 9_999] {
            let of = |seed| channel(&[(kind, seed, length)]);
            corpus.push((format!("kind {kind}, {length} samples, mono"), vec![of(1)]));
            corpus.push((format!("kind {kind}, {length} samples"), vec![of(1), of(2)]));
        }
    }
    let ramp: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let back: Vec<i16> = ramp.iter().rev().copied().collect();
    corpus.push(("every value".into(), vec![ramp.clone(), back]));
    corpus.push(("jumps".into(), vec![ramp.iter().map(|n| n.wrapping_mul(31)).collect()]));
    let half = channel(&[(0, 0, 5_000), (2, 1, 3_000), (0, 0, 4_000), (11, 0, 9_000)]);
    let long = 140 * BLOCK_SAMPLES + 77;
    corpus.push(("long".into(), vec![channel(&[(4, 1, long)]), channel(&[(0, 1, long)])]));
    corpus.push(("half silent".into(), vec![half.clone(), half.into_iter().rev().collect()]));
    corpus
}

#[test]
fn what_goes_in_comes_out() {
    for (name, channels) in corpus() {
        let file = encoded(&channels, 8_000);
        let reader = claxon::FlacReader::new(&file[..]).unwrap();
        let info = reader.streaminfo();
        assert_eq!(info.samples, Some(channels[0].len() as u64), "{name}");
        assert_eq!((info.channels as usize, info.sample_rate), (channels.len(), 8_000), "{name}");
        assert!(decoded(&file) == channels, "{name}");
    }
}

/// libFLAC's decoder agrees, by the program `flac`; it also checks what claxon does not.
#[test]
fn libflac_decodes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus();
    let path = |number: usize| folder.path().join(format!("{number}.flac"));
    for (number, (_, channels)) in corpus.iter().enumerate() {
        let rate = [8_000, 16_000, 48_000, 11_025][number % 4];
        std::fs::write(path(number), encoded(channels, rate)).unwrap();
    }
    let mut command = Command::new("flac");
    command.args(["-d", "-s", "--force-raw-format", "--endian=little", "--sign=signed"]);
    let Ok(said) = command.args((0..corpus.len()).map(path)).output() else {
        println!("skipped: the program `flac` is not installed (apt-get install flac)");
        return;
    };
    // It warns that there is no MD5; nothing else may be said.
    let errors = String::from_utf8_lossy(&said.stderr);
    assert_eq!(errors.lines().find(|line| line.contains("ERROR")), None);
    for (number, (name, channels)) in corpus.iter().enumerate() {
        let raw = std::fs::read(path(number).with_extension("raw")).unwrap_or_default();
        assert!(raw == interleaved(channels), "{name}: {errors}");
    }
}

proptest! {
    #[test]
    fn any_course_of_sound_comes_back(
        left in prop::collection::vec((0..KINDS, any::<u64>(), 0..3_000_usize), 1..5),
        right in prop::collection::vec((0..KINDS, any::<u64>(), 0..3_000_usize), 1..5),
        more: Vec<i16>,
        mono: bool,
    ) {
        let mut left = channel(&left);
        left.extend(more);
        let mut right = channel(&right);
        right.resize(left.len(), 0);
        let channels = if mono { vec![left] } else { vec![left, right] };
        prop_assume!(!channels[0].is_empty());
        let file = encoded(&channels, 16_000);
        prop_assert!(decoded(&file) == channels);
    }
}

/// The same sound by libFLAC, at its level 0.
fn size_of_libflac(channels: &Channels) -> usize {
    let mut written = Vec::new();
    let mut wrapper = flac_bound::WriteWrapper(&mut written);
    let config = flac_bound::FlacEncoder::new().unwrap();
    let config = config.channels(channels.len() as u32).bits_per_sample(16).sample_rate(8_000);
    let mut encoder = config.compression_level(0).init_write(&mut wrapper).unwrap();
    let wide: Vec<Vec<i32>> =
        channels.iter().map(|c| c.iter().map(|s| i32::from(*s)).collect()).collect();
    let planes: Vec<&[i32]> = wide.iter().map(Vec::as_slice).collect();
    encoder.process(&planes).unwrap();
    encoder.finish().ok().unwrap();
    written.len()
}

/// Syllables, pauses and the noise of a line, in one law.
fn conversation(law: Law, seed: u64) -> Vec<i16> {
    let mut decoded = [0_i16; 1];
    let voice = |at: usize| {
        let syllable = random(seed, at / 1_920);
        let loud = if syllable.is_multiple_of(3) { 0.0 } else { (syllable % 8) as f64 * 300.0 };
        let pitch = 90.0 + (syllable >> 8) as f64 % 100.0;
        let tone = |n: f64| (at as f64 * pitch * n / 8_000.0 * TAU).sin() / n;
        let noise = (random(seed ^ 1, at) % 64) as f64 - 32.0;
        ((tone(1.0) + tone(3.0) + tone(7.0)) * loud + noise) as i16
    };
    let nearest = |value: i16| {
        (0..=255_u8).min_by_key(|code| law.table()[usize::from(*code)].abs_diff(value)).unwrap()
    };
    (0..60_000)
        .map(|at| {
            law.decode_into(&[nearest(voice(at))], &mut decoded);
            decoded[0]
        })
        .collect()
}

#[test]
fn files_are_about_as_large_as_libflacs() {
    for law in [Law::A, Law::Mu] {
        let channels = vec![conversation(law, 1), conversation(law, 2)];
        let (ours, theirs) = (encoded(&channels, 8_000).len(), size_of_libflac(&channels));
        println!("{law:?}: {ours} bytes, libFLAC {theirs}");
        assert!(ours * 100 <= theirs * 105, "{law:?}: {ours} bytes, libFLAC {theirs}");
    }
}

#[test]
fn silence_costs_a_few_bytes_a_block() {
    let file = encoded(&vec![vec![0; 240_000]; 2], 8_000);
    let frames = 240_000_usize.div_ceil(BLOCK_SAMPLES);
    assert!(file.len() < 200 + frames * 16, "{} bytes", file.len());
}
