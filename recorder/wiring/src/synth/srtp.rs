//! SRTP as telephones send it (RFC 3711), by `AES_CM_128_HMAC_SHA1_80`, each side with a key of its own in its SDP
//! (RFC 4568, 6.2). Key derivation rate 0, no MKI; SRTCP encrypted too.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes::{Aes128, Block};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Bytes of the authentication tag behind each packet.
pub(super) const TAG_BYTES: usize = 10;

const KEY_BYTES: usize = 16;
const SALT_BYTES: usize = 14;
const AUTHENTICATION_KEY_BYTES: usize = 20;
const BLOCK_BYTES: usize = 16;
/// Bytes that HMAC-SHA1 fills its key up to, with zeros (RFC 2104, 2).
const HMAC_KEY_BYTES: usize = 64;
/// Bytes of an RTCP packet that stay in the clear (RFC 3711, 3.4).
const RTCP_CLEAR_BYTES: usize = 8;
/// Of the index of an SRTCP packet: it is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// RFC 3711, 4.3.2: what the session keys of RTP are derived with; those of RTCP follow.
const RTP_LABEL: u8 = 0;
const RTCP_LABEL: u8 = 3;

/// A side's master key and master salt.
#[derive(Clone, Copy)]
pub(super) struct Master([u8; KEY_BYTES + SALT_BYTES]);

/// Session keys: one side's, of RTP or of RTCP.
#[derive(Clone)]
pub(super) struct Protector {
    cipher: Aes128,
    salt: [u8; SALT_BYTES],
    authentication: Hmac<Sha1>,
    ssrc: u32,
}

impl Master {
    pub(super) const fn new(bytes: [u8; KEY_BYTES + SALT_BYTES]) -> Self {
        Self(bytes)
    }

    /// As it stands behind `inline:`.
    pub(super) fn inline(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// For the RTP that has this SSRC.
    pub(super) fn rtp(&self, ssrc: u32) -> Protector {
        self.session(RTP_LABEL, ssrc)
    }

    /// For the RTCP.
    pub(super) fn rtcp(&self, ssrc: u32) -> Protector {
        self.session(RTCP_LABEL, ssrc)
    }

    /// RFC 3711, 4.3.1.
    fn session(&self, label: u8, ssrc: u32) -> Protector {
        let [mut cipher, mut salt] = [[0; KEY_BYTES], [0; KEY_BYTES]];
        let mut authentication = [0; HMAC_KEY_BYTES];
        self.derive(label, &mut cipher);
        let (key, _) = authentication.split_at_mut(AUTHENTICATION_KEY_BYTES);
        self.derive(label + 1, key);
        let (salt, _) = salt.split_at_mut(SALT_BYTES);
        self.derive(label + 2, salt);
        Protector {
            cipher: Aes128::new(&cipher.into()),
            salt: salt.first_chunk().copied().unwrap_or_default(),
            authentication: Hmac::new(&authentication.into()),
            ssrc,
        }
    }

    /// The key stream for `label`, into zeros.
    fn derive(&self, label: u8, to: &mut [u8]) {
        let mut counter = [0; BLOCK_BYTES];
        let (key, salt) = self.0.split_first_chunk::<KEY_BYTES>().unwrap_or((&[0; KEY_BYTES], &[]));
        counter.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
        counter[7] ^= label;
        add_key_stream(&Aes128::new(&(*key).into()), counter, to);
    }
}

impl Protector {
    /// Protects an RTP packet: encrypts `payload` but for its last [`TAG_BYTES`], and writes the tag there. `index` is the
    /// sequence number with the rollover counter before it.
    pub(super) fn rtp(&self, header: &[u8], index: u64, payload: &mut [u8]) {
        let (payload, tag) = payload.split_at_mut(payload.len().saturating_sub(TAG_BYTES));
        add_key_stream(&self.cipher, self.counter(index), payload);
        let rollovers = (index >> 16) as u32;
        self.tag(&[header, payload, &rollovers.to_be_bytes()], tag);
    }

    /// Protects an RTCP packet, which grows by index and tag.
    pub(super) fn rtcp(&self, index: u32, packet: &mut Vec<u8>) {
        let clear = RTCP_CLEAR_BYTES.min(packet.len());
        add_key_stream(&self.cipher, self.counter(index.into()), packet.split_at_mut(clear).1);
        packet.extend((ENCRYPTED | index).to_be_bytes());
        let mut tag = [0; TAG_BYTES];
        self.tag(&[packet], &mut tag);
        packet.extend(tag);
    }

    /// RFC 3711, 4.1.1.
    fn counter(&self, index: u64) -> [u8; BLOCK_BYTES] {
        let of_packet = u128::from(self.ssrc) << 64 | u128::from(index) << 16;
        let mut counter = of_packet.to_be_bytes();
        counter.iter_mut().zip(self.salt).for_each(|(to, from)| *to ^= from);
        counter
    }

    fn tag(&self, parts: &[&[u8]], to: &mut [u8]) {
        let mut authentication = self.authentication.clone();
        parts.iter().for_each(|part| authentication.update(part));
        let whole = authentication.finalize().into_bytes();
        to.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    }
}

/// AES in counter mode; no packet comes near the 65,536 blocks that a counter counts.
fn add_key_stream(cipher: &Aes128, counter: [u8; BLOCK_BYTES], to: &mut [u8]) {
    /// So many blocks at a time: those of 20 ms of G.711.
    const BLOCKS: usize = 10;
    let counter = u128::from_be_bytes(counter);
    for (number, part) in (0_u128..).step_by(BLOCKS).zip(to.chunks_mut(BLOCKS * BLOCK_BYTES)) {
        let mut blocks: [Block; BLOCKS] =
            std::array::from_fn(|at| (counter + number + at as u128).to_be_bytes().into());
        cipher.encrypt_blocks(&mut blocks);
        part.iter_mut().zip(blocks.iter().flatten()).for_each(|(to, key)| *to ^= key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    fn master() -> Master {
        let both = "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6";
        Master::new(bytes(both).try_into().unwrap())
    }

    /// RFC 3711, B.2.
    #[test]
    fn the_key_stream_is_that_of_the_rfc() {
        let key: [u8; 16] = bytes("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let counter = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = [0; 0xff02 * 16];
        add_key_stream(&Aes128::new(&key.into()), counter, &mut stream);
        assert_eq!(stream[..16], bytes("E03EAD0935C95E80E166B16DD92B4EB4"));
        assert_eq!(stream[16..32], bytes("D23513162B02D0F72A43A2FE4A5F97AB"));
        assert_eq!(stream[0xff00 * 16..0xff01 * 16], bytes("362B7C3C6773516318A077D7FC5073AE"));
    }

    /// RFC 3711, B.3.
    #[test]
    fn session_keys_are_those_of_the_rfc() {
        let derived = |label, length| {
            let mut key = vec![0; length];
            master().derive(label, &mut key);
            key
        };
        assert_eq!(derived(0, 16), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derived(2, 14), bytes("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(derived(1, 20), bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    /// The packets that libsrtp checks itself with (`test/srtp_driver.c`).
    #[test]
    fn packets_are_those_that_libsrtp_makes() {
        let header = bytes("800F1234DECAFBADCAFEBABE");
        let mut payload = [0xab; 16 + TAG_BYTES];
        master().rtp(0xcafe_babe).rtp(&header, 0x1234, &mut payload);
        let expected = "4E55DC4CE79978D88CA4D215949D2402 B78D6ACC99EA179B8DBB";
        assert_eq!(payload[..], bytes(expected));
        let mut packet = bytes("81C8000BCAFEBABE ABABABABABABABABABABABABABABABAB");
        master().rtcp(0xcafe_babe).rtcp(1, &mut packet);
        let expected =
            "81C8000BCAFEBABE 7128035BE487B9BDBEF89041F977A5A8 80000001 993E08CD54D6C1230798";
        assert_eq!(packet, bytes(expected));
    }
}
