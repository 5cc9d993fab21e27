//! A segment's key and what is done with it. The layout and the nonces are in [`crate::format`].
//!
//! Everything that names an algorithm is here, so that another implementation of AES-GCM is a change of this
//! file alone.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::format::{
    CHUNK_HEADER_BYTES, CHUNK_HEADER_CLEAR, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_CLEAR, TAG_BYTES,
};
use crate::key::JournalKey;

/// What a tag covers; the last four bytes of its nonce.
#[derive(Clone, Copy)]
enum Scope {
    Segment = 0,
    Header = 1,
    Payload = 2,
}

/// Encrypts and decrypts the chunks of one segment.
pub(crate) struct SegmentCipher(Aes256Gcm);

impl SegmentCipher {
    /// The cipher of segment `segment` of `core`, whose header carries `salt`.
    pub(crate) fn new(key: &JournalKey, salt: &[u8; 32], core: u8, segment: u32) -> Self {
        let mut information = *b"spanreel journal segment v1\0\0\0\0\0";
        information[27] = core;
        information[28..32].copy_from_slice(&segment.to_le_bytes());
        let mut derived = Zeroizing::new([0; 32]);
        let expanded =
            Hkdf::<Sha256>::new(Some(salt), key.bytes()).expand(&information, derived.as_mut());
        assert!(expanded.is_ok(), "HKDF-SHA256 gives up to 8,160 bytes");
        Self(Aes256Gcm::new((&*derived).into()))
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

    /// Puts both tags into `chunk` (header, payload, room for the tag) and encrypts its payload in place.
    pub(crate) fn seal_chunk(&self, offset: u64, chunk: &mut [u8]) {
        let Some((header, rest)) = chunk.split_first_chunk_mut::<CHUNK_HEADER_BYTES>() else {
            return;
        };
        let Some((payload, payload_tag)) = rest.split_last_chunk_mut::<TAG_BYTES>() else { return };
        if let Some((clear, header_tag)) = header.split_first_chunk_mut::<CHUNK_HEADER_CLEAR>() {
            header_tag.copy_from_slice(&self.encrypt(offset, Scope::Header, clear, &mut []));
        }
        *payload_tag = self.encrypt(offset, Scope::Payload, header, payload);
    }

    /// Whether the header of the chunk at `offset` is as it was written.
    pub(crate) fn verify_header(&self, offset: u64, header: &[u8; CHUNK_HEADER_BYTES]) -> bool {
        let Some((clear, tag)) = header.split_first_chunk::<CHUNK_HEADER_CLEAR>() else {
            return false;
        };
        tag.first_chunk()
            .is_some_and(|tag| self.decrypt(offset, Scope::Header, clear, &mut [], tag))
    }

    /// Decrypts the payload of `chunk`, the whole chunk at `offset`, in place. `None`, and nothing changed, if
    /// header, payload or tag are not as they were written.
    pub(crate) fn open_chunk<'a>(&self, offset: u64, chunk: &'a mut [u8]) -> Option<&'a [u8]> {
        let (header, rest) = chunk.split_first_chunk_mut::<CHUNK_HEADER_BYTES>()?;
        let (payload, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        self.decrypt(offset, Scope::Payload, header, payload, tag).then_some(&*payload)
    }

    fn encrypt(&self, offset: u64, scope: Scope, clear: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
        match self.0.encrypt_inout_detached(&nonce(offset, scope), clear, InOutBuf::from(text)) {
            Ok(tag) => tag.into(),
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
        let (nonce, tag) = (nonce(offset, scope), Tag::from(*tag));
        self.0.decrypt_inout_detached(&nonce, clear, InOutBuf::from(text), &tag).is_ok()
    }
}

fn nonce(offset: u64, scope: Scope) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&offset.to_le_bytes());
    nonce[8..].copy_from_slice(&(scope as u32).to_le_bytes());
    nonce.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(salt: u8, core: u8, segment: u32) -> SegmentCipher {
        SegmentCipher::new(&JournalKey::from_bytes([1; 32]), &[salt; 32], core, segment)
    }

    fn sealed() -> Vec<u8> {
        let mut chunk: Vec<u8> = (0..64 + 32 + 16).collect();
        cipher(1, 2, 3).seal_chunk(4096, &mut chunk);
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
