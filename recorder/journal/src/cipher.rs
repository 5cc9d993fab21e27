//! A segment's key and what is done with it. The layout and the nonces are in [`crate::format`].
//!
//! Everything that names an algorithm is here. AWS-LC encrypts 4 KiB in a fifth of the time of the pure Rust
//! crates, and is in the program for TLS and signatures anyway.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::format::{
    CHUNK_HEADER_BYTES, CHUNK_HEADER_CLEAR, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_CLEAR, TAG_BYTES,
    padded, put_payload_bytes,
};
use crate::key::JournalKey;

/// What a tag covers; the last four bytes of its nonce.
#[derive(Clone, Copy)]
enum Scope {
    Segment = 0,
    Header = 1,
    Payload = 2,
}

/// Encrypts and decrypts the chunks of one part of a segment. The key is wiped when it is dropped.
pub(crate) struct SegmentCipher(LessSafeKey);

impl SegmentCipher {
    /// The cipher of segment `segment` of `core`, whose header carries `salt`.
    pub(crate) fn new(key: &JournalKey, salt: &[u8; 32], core: u8, segment: u32) -> Self {
        let mut information = *b"spanreel journal segment v1\0\0\0\0\0";
        information[27] = core;
        information[28..32].copy_from_slice(&segment.to_le_bytes());
        let extracted = Salt::new(HKDF_SHA256, salt).extract(key.bytes());
        match extracted.expand(&[&information], &AES_256_GCM) {
            Ok(derived) => Self(LessSafeKey::new(UnboundKey::from(derived))),
            Err(_) => unreachable!("HKDF-SHA256 gives up to 8,160 bytes"),
        }
    }

    /// The tag that closes a segment header.
    pub(crate) fn segment_tag(&self, clear: &[u8; SEGMENT_HEADER_CLEAR]) -> [u8; TAG_BYTES] {
        self.encrypt(0, Scope::Segment, clear, &mut [])
    }

    /// Whether a segment header is as it was written.
    pub(crate) fn verify_segment(&self, header: &[u8; SEGMENT_HEADER_BYTES]) -> bool {
        let Some((clear, tag)) = header.split_first_chunk::<SEGMENT_HEADER_CLEAR>() else {
            return false;
        };
        tag.first_chunk().is_some_and(|tag| self.decrypt(0, Scope::Segment, clear, &mut [], tag))
    }

    /// Appends the chunk in `memory` (header and, in clear, `payload_bytes` bytes of payload) to `image` as it is
    /// to lie at `offset`: filled up, encrypted, with both tags.
    pub(crate) fn seal_chunk(
        &self,
        offset: u64,
        memory: &[u8],
        payload_bytes: usize,
        image: &mut Vec<u8>,
    ) {
        let Some((head, rest)) = memory.split_first_chunk::<CHUNK_HEADER_CLEAR>() else { return };
        let payload = rest.get(TAG_BYTES..TAG_BYTES + payload_bytes).unwrap_or_default();
        let mut clear = *head;
        put_payload_bytes(&mut clear, padded(payload.len()) as u32);
        let begin = image.len();
        image.extend_from_slice(&clear);
        image.extend_from_slice(&self.encrypt(offset, Scope::Header, &clear, &mut []));
        image.extend_from_slice(payload);
        image.resize(begin + CHUNK_HEADER_BYTES + padded(payload.len()), 0);
        let chunk = image.get_mut(begin..).unwrap_or_default();
        let Some((header, text)) = chunk.split_first_chunk_mut::<CHUNK_HEADER_BYTES>() else {
            return;
        };
        let tag = self.encrypt(offset, Scope::Payload, header, text);
        image.extend_from_slice(&tag);
    }

    /// Whether the header of the chunk at `offset` is as it was written.
    pub(crate) fn verify_header(&self, offset: u64, header: &[u8; CHUNK_HEADER_BYTES]) -> bool {
        let Some((clear, tag)) = header.split_first_chunk::<CHUNK_HEADER_CLEAR>() else {
            return false;
        };
        tag.first_chunk()
            .is_some_and(|tag| self.decrypt(offset, Scope::Header, clear, &mut [], tag))
    }

    /// Decrypts the payload of `chunk`, the whole chunk at `offset`, in place. `None`, and the payload wiped, if
    /// header, payload or tag are not as they were written.
    pub(crate) fn open_chunk<'a>(&self, offset: u64, chunk: &'a mut [u8]) -> Option<&'a [u8]> {
        let (header, rest) = chunk.split_first_chunk_mut::<CHUNK_HEADER_BYTES>()?;
        let (payload, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        self.decrypt(offset, Scope::Payload, header, payload, tag).then_some(&*payload)
    }

    fn encrypt(&self, offset: u64, scope: Scope, clear: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
        match self.0.seal_in_place_separate_tag(nonce(offset, scope), Aad::from(clear), text) {
            Ok(tag) => tag.as_ref().first_chunk().copied().unwrap_or_default(),
            Err(_) => unreachable!("GCM refuses only texts beyond 64 GiB"),
        }
    }

    fn decrypt(
        &self,
        offset: u64,
        scope: Scope,
        clear: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> bool {
        let (nonce, clear) = (nonce(offset, scope), Aad::from(clear));
        self.0.open_in_place_separate_tag(nonce, clear, tag, text).is_ok()
    }
}

fn nonce(offset: u64, scope: Scope) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&offset.to_le_bytes());
    nonce[8..].copy_from_slice(&(scope as u32).to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(salt: u8, core: u8, segment: u32) -> SegmentCipher {
        SegmentCipher::new(&JournalKey::from_bytes([1; 32]), &[salt; 32], core, segment)
    }

    fn sealed() -> Vec<u8> {
        let memory: Vec<u8> = (0..64 + 32).collect();
        let mut chunk = Vec::new();
        cipher(1, 2, 3).seal_chunk(4096, &memory, 32, &mut chunk);
        chunk
    }

    #[test]
    fn a_chunk_opens_only_in_its_segment_and_place() {
        let chunk = sealed();
        let expected: Vec<u8> = (64..64 + 32).collect();
        assert_ne!(chunk[64..96], expected);
        assert_eq!(cipher(1, 2, 3).open_chunk(4096, &mut chunk.clone()), Some(&expected[..]));
        assert!(cipher(1, 2, 3).verify_header(4096, chunk.first_chunk().unwrap()));
        assert!(!cipher(1, 2, 3).verify_header(4112, chunk.first_chunk().unwrap()));
        for (salt, core, segment, offset) in
            [(1, 2, 3, 4112), (1, 2, 4, 4096), (1, 3, 3, 4096), (2, 2, 3, 4096)]
        {
            assert_eq!(cipher(salt, core, segment).open_chunk(offset, &mut chunk.clone()), None);
        }
    }

    #[test]
    fn every_bit_of_a_chunk_is_authenticated() {
        for bit in 0..(64 + 32 + 16) * 8 {
            let mut chunk = sealed();
            chunk[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cipher(1, 2, 3).open_chunk(4096, &mut chunk.clone()), None, "bit {bit}");
            let header = chunk.first_chunk().unwrap();
            assert_eq!(cipher(1, 2, 3).verify_header(4096, header), bit >= 64 * 8, "bit {bit}");
        }
    }
}
