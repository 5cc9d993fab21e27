//! Arbitrary `Range` headers: what is given of a content is never empty and never beyond its end.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../recorder/web/src/media/range.rs"]
mod range;

fuzz_target!(|data: (&str, u64)| {
    let (header, length) = data;
    for header in [header.to_owned(), format!("bytes={header}")] {
        if let range::Wanted::Part(from, until) = range::wanted(&header, length) {
            assert!(from < until && until <= length);
        }
    }
});
