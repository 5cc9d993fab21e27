//! Several files come as one, in the order of time.

use std::path::{Path, PathBuf};

use base::limits::CAPTURE_FILES_OPEN_MAX;
use capture::{CaptureError, Merged};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::samples::{Order, pcap};
use crate::seen::{Seen, drain};

/// A file with a frame at each of these seconds; its data says which file and which frame it is.
fn write(folder: &Path, file: u16, seconds: &[u32]) -> PathBuf {
    let raw = |(at, second): (usize, &u32)| {
        (u64::from(*second) << 32, [file.to_be_bytes(), (at as u16).to_be_bytes()].concat(), 0)
    };
    let raws: Vec<_> = seconds.iter().enumerate().map(raw).collect();
    let path = folder.join(format!("{file}.pcap"));
    std::fs::write(&path, pcap(Order(false), 0xa1b2_c3d4, 1, &raws).bytes).unwrap();
    path
}

/// Second, file and place in the file of each frame.
fn told(frames: &[Seen]) -> Vec<(u64, u16, u16)> {
    let tell = |frame: &Seen| {
        let [a, b, c, d] = frame.data[..] else { panic!("four bytes") };
        assert_eq!(frame.number, u64::from(u16::from_be_bytes([c, d])) + 1);
        (frame.time.as_millis() / 1_000, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    };
    frames.iter().map(tell).collect()
}

/// The merge, as plainly as it can be said: take the earliest head, the first-named of equal ones.
fn plain(files: &[Vec<u32>]) -> Vec<(u64, u16, u16)> {
    let mut at = vec![0; files.len()];
    let mut merged = Vec::new();
    loop {
        let heads = files
            .iter()
            .enumerate()
            .filter_map(|(file, seconds)| seconds.get(at[file]).map(|second| (*second, file)));
        let Some((second, file)) = heads.min() else { return merged };
        merged.push((u64::from(second), file as u16, at[file] as u16));
        at[file] += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frames_come_in_the_order_of_time(
        mut files in vec(vec(0..60_u32, 0..40), 0..8),
        sorted in any::<bool>(),
    ) {
        if sorted {
            files.iter_mut().for_each(|seconds| seconds.sort_unstable());
        }
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> =
            files.iter().enumerate().map(|(at, seconds)| write(folder.path(), at as u16, seconds)).collect();
        let mut merged = Merged::open(&paths).unwrap();
        let (frames, errors) = drain(&mut merged);
        prop_assert!(errors.is_empty());
        prop_assert_eq!(told(&frames), plain(&files));
        let progress = merged.progress();
        prop_assert_eq!(Some(progress.read_bytes), progress.total_bytes);
    }
}

/// Far more files than may be open at once, in no order, as a shell lists them.
#[test]
fn rotated_files_are_opened_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let count = 3 * CAPTURE_FILES_OPEN_MAX as u32;
    let paths: Vec<_> = (0..count)
        .map(|file| (file * 7919) % count)
        .map(|file| write(folder.path(), file as u16, &[10 * file, 10 * file + 9]))
        .collect();
    let (frames, errors) = drain(&mut Merged::open(&paths).unwrap());
    assert!(errors.is_empty());
    let expected = (0..count).flat_map(|file| [(10 * file, file, 0), (10 * file + 9, file, 1)]);
    let expected: Vec<_> = expected.map(|(s, f, at)| (u64::from(s), f as u16, at)).collect();
    assert_eq!(told(&frames), expected);
}

#[test]
fn too_many_files_at_the_same_time_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let count = CAPTURE_FILES_OPEN_MAX as u32 + 2;
    let paths: Vec<_> =
        (0..count).map(|file| write(folder.path(), file as u16, &[file, 100_000])).collect();
    let (frames, errors) = drain(&mut Merged::open(&paths).unwrap());
    assert_eq!(frames.len(), 2 * CAPTURE_FILES_OPEN_MAX);
    assert_eq!(errors.len(), 2);
    let message = errors[0].to_string();
    assert!(message.contains("512.pcap was not read") && message.contains("mergecap"), "{message}");
}

#[test]
fn damage_in_one_file_is_told_after_the_others_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        write(folder.path(), 0, &[1, 4, 7]),
        write(folder.path(), 1, &[2, 5, 8]),
        write(folder.path(), 2, &[3]),
    ];
    for (path, keep) in [(&paths[1], 24 + 2 * 20 + 5), (&paths[2], 24 + 10)] {
        std::fs::File::options().write(true).open(path).unwrap().set_len(keep).unwrap();
    }
    let (frames, errors) = drain(&mut Merged::open(&paths).unwrap());
    let seconds: Vec<_> = told(&frames).iter().map(|(second, ..)| *second).collect();
    assert_eq!(seconds, [1, 2, 4, 5, 7]);
    let mut cut: Vec<_> = errors
        .iter()
        .map(|error| match error {
            CaptureError::TruncatedFile { path, packet, .. } => (path, *packet),
            other => panic!("{other}"),
        })
        .collect();
    cut.sort();
    assert_eq!(cut, [(&paths[1], 3), (&paths[2], 1)]);
}

#[test]
fn a_file_that_is_no_capture_is_told_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no capture").unwrap();
    let error = Merged::open(&[write(folder.path(), 0, &[1]), text]).err();
    assert!(matches!(error, Some(CaptureError::NotACapture { .. })), "{error:?}");
}

#[test]
fn a_file_that_goes_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [write(folder.path(), 0, &[1]), write(folder.path(), 1, &[2])];
    let mut merged = Merged::open(&paths).unwrap();
    std::fs::remove_file(&paths[1]).unwrap();
    let (frames, errors) = drain(&mut merged);
    assert_eq!((frames.len(), errors.len()), (1, 1));
    assert!(matches!(&errors[0], CaptureError::Open { path, .. } if *path == paths[1]));
}

#[test]
fn pipes_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), 0, &[1, 3]);
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo is part of every system");
    let source = write(folder.path(), 1, &[2, 4]);
    let mut feeder = std::process::Command::new("cp").arg(&source).arg(&pipe).spawn().unwrap();
    let (frames, errors) = drain(&mut Merged::open(&[file, pipe]).unwrap());
    assert!(feeder.wait().unwrap().success() && errors.is_empty());
    assert_eq!(told(&frames), [(1, 0, 0), (2, 1, 0), (3, 0, 1), (4, 1, 1)]);
}

#[test]
fn nothing_merged_is_nothing() {
    let (frames, errors) = drain(&mut Merged::open(&[]).unwrap());
    assert!(frames.is_empty() && errors.is_empty());
}
