//! The two checksums of a FLAC frame (RFC 9639, 9.1.8 and 9.3).

/// x^8 + x^2 + x + 1, without its highest term.
const CRC8: u8 = 0x07;
/// x^16 + x^15 + x^2 + 1, without its highest term.
const CRC16: u16 = 0x8005;
/// Bytes that are taken at once.
const SLICES: usize = 8;

/// Of a frame's header.
pub(crate) fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| (crc << 1) ^ if crc & 0x80 == 0 { 0 } else { CRC8 })
    })
}

/// Of a whole frame, or of what follows bytes whose checksum is `crc`.
#[expect(clippy::indexing_slicing, reason = "the tables have a place for every byte")]
pub(crate) fn crc16(crc: u16, bytes: &[u8]) -> u16 {
    let (chunks, rest) = bytes.as_chunks::<SLICES>();
    let crc = chunks.iter().fold(crc, |crc, chunk| {
        let [high, low] = crc.to_be_bytes();
        let mut chunk = *chunk;
        chunk[0] ^= high;
        chunk[1] ^= low;
        let places = chunk.iter().zip(TABLES.iter().rev());
        places.fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)])
    });
    rest.iter().fold(crc, |crc, byte| (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)])
}

/// What a byte leaves behind, followed by as many zero bytes as the table's number.
static TABLES: [[u16; 256]; SLICES] = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn tables() -> [[u16; 256]; SLICES] {
    let mut tables = [[0; 256]; SLICES];
    let mut byte = 0;
    while byte < 256 {
        let mut table = 0;
        let mut value = (byte as u16) << 8;
        while table < SLICES {
            value = times_x(value, 8);
            tables[table][byte] = value;
            table += 1;
        }
        byte += 1;
    }
    tables
}

/// `value` times x to the power `count`, modulo the polynomial of the frame's checksum.
pub(crate) const fn times_x(mut value: u16, count: u32) -> u16 {
    let mut step = 0;
    while step < count {
        value = (value << 1) ^ if value & 0x8000 == 0 { 0 } else { CRC16 };
        step += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogues for CRC-8/SMBUS and CRC-16/UMTS, which are FLAC's.
    #[test]
    fn known_values() {
        assert_eq!(crc8(b"123456789"), 0xf4);
        assert_eq!(crc16(0, b"123456789"), 0xfee8);
    }

    #[test]
    fn a_checksum_goes_on_where_another_ended() {
        let bytes: Vec<u8> = (0..1_000).map(|n| (n * n / 8) as u8).collect();
        for cut in [0, 1, 7, 8, 9, 500, 1_000] {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(crc16(crc16(0, head), tail), crc16(0, &bytes));
        }
    }
}
