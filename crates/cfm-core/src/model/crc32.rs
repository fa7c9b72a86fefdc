//! CRC-32 (IEEE 802.3, reflected, initial value and final xor all ones), in `const fn`.
//!
//! Written here because the model is checked at compile time, where no library's hardware path can run.

/// `TABLES[n][b]`: the effect of byte b followed by n zero bytes, so that four bytes take one step.
const TABLES: [[u32; 256]; 4] = {
    let mut tables = [[0_u32; 256]; 4];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (0xEDB8_8320 & (value & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][i] = value;
        i += 1;
    }
    let mut n = 1;
    while n < 4 {
        let mut i = 0;
        while i < 256 {
            let shorter = tables[n - 1][i];
            tables[n][i] = (shorter >> 8) ^ tables[0][(shorter & 0xFF) as usize];
            i += 1;
        }
        n += 1;
    }
    tables
};

/// The checksum of `bytes`.
///
/// ```
/// assert_eq!(cfm_core::model::crc32(b"123456789"), 0xCBF4_3926);
/// ```
#[must_use]
pub const fn crc32(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut crc = u32::MAX;
    let mut i = 0;
    while i < words.len() {
        let [a, b, c, d] = words[i];
        crc = TABLES[3][(crc as u8 ^ a) as usize]
            ^ TABLES[2][((crc >> 8) as u8 ^ b) as usize]
            ^ TABLES[1][((crc >> 16) as u8 ^ c) as usize]
            ^ TABLES[0][((crc >> 24) as u8 ^ d) as usize];
        i += 1;
    }
    i = 0;
    while i < rest.len() {
        crc = (crc >> 8) ^ TABLES[0][(crc as u8 ^ rest[i]) as usize];
        i += 1;
    }
    !crc
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Bit by bit, from the polynomial.
    fn plain(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ 0xEDB8_8320
                } else {
                    crc >> 1
                };
            }
        }
        !crc
    }

    proptest::proptest! {
        #[test]
        fn is_the_remainder_of_the_polynomial(bytes: std::vec::Vec<u8>) {
            proptest::prop_assert_eq!(crc32(&bytes), plain(&bytes));
        }
    }
}
