//! Whether a JPEG file is whole.

const START: u8 = 0xd8;
const END: u8 = 0xd9;

/// Whether a JPEG file ends before its image does: no end-of-image marker comes after the start. (The decoder fills the
/// rest with grey.)
///
/// Segments are skipped by their lengths: a thumbnail in one of them is an image of its own, with an end of its own. What
/// lies behind the end, as the film of a phone's photograph does, is not looked at.
pub(super) fn is_cut_off(jpeg: &[u8]) -> bool {
    let mut at = 0;
    loop {
        // Inside a scan, 0xff is followed by 0 or is a restart marker; markers may have more of it before them.
        let Some(found) = jpeg
            .get(at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0xff))
        else {
            return true;
        };
        at += found;
        match jpeg.get(at + 1) {
            Some(&END) => return false,
            Some(0xff) => at += 1,
            // Markers without a segment: escaped 0xff, what is reserved, restarts, the start.
            Some(0x00..=0xbf | 0xd0..=0xd7 | &START) => at += 2,
            Some(_) => match jpeg.get(at + 2..at + 4) {
                // The length counts its own two bytes.
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return true,
            },
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment: marker, length, data.
    fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker][..], &length, data].concat()
    }

    /// The markers of a progressive file: a thumbnail, two scans with restarts and an escaped 0xff, fill bytes.
    fn progressive() -> Vec<u8> {
        let thumbnail = [0xff, 0xd8, 0xff, 0xda, 0, 2, 7, 0xff, 0xd9];
        let scan = [
            &segment(0xda, &[1, 1, 0, 0, 63, 0])[..],
            &[9, 0xff, 0, 8, 0xff, 0xd0, 7],
        ]
        .concat();
        [
            &[0xff, 0xd8][..],
            &segment(0xe1, &thumbnail),
            &segment(0xc2, &[8; 15]),
            &segment(0xc4, &[0xff; 20]),
            &scan,
            &segment(0xc4, &[0xff, 0xd9, 0xff]),
            &scan,
            &[0xff, 0xff, 0xff, 0xd9],
        ]
        .concat()
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_noticed() {
        let whole = progressive();
        assert!(!is_cut_off(&whole));
        for length in 0..whole.len() {
            assert!(is_cut_off(&whole[..length]), "{length}");
        }
    }

    #[test]
    fn what_follows_the_image_does_not_matter() {
        for film in [
            &[0xff, 0xda, 0xff, 0xda][..],
            &[0xff; 9],
            &progressive()[..40],
        ] {
            assert!(!is_cut_off(&[&progressive(), film].concat()), "{film:?}");
        }
    }
}
