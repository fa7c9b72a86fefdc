//! A strip below a picture that says which colour is which class.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage, imageops};

/// One class of the legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Name of the class.
    pub(super) name: String,
    /// Its colour.
    pub(super) color: [u8; 3],
}

/// Side of a glyph before enlargement.
const GLYPH: u32 = 8;

/// Pixels that a strip may have even where the picture has fewer.
const SMALL: u64 = 1 << 20;

/// `picture` with a strip below it that lists `entries`, in as many lines as they need; as it is without any, when it is
/// too narrow for one, or when it is so wide and low that the strip would be larger.
pub(super) fn below(picture: RgbImage, entries: &[Entry], background: Rgb<u8>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let zoom = (width / 480).max(1);
    let line = (GLYPH + 6) * zoom;
    let places = arrange(entries, width / zoom);
    let Some(&(_, last)) = places.last() else {
        return picture;
    };
    let strip = line * (last + 1) + 2 * zoom;
    if strip > height && u64::from(width) * u64::from(strip) > SMALL {
        return picture;
    }
    let mut sheet = RgbImage::from_pixel(width, height + strip, background);
    imageops::replace(&mut sheet, &picture, 0, 0);
    let mut dot = |x: u32, y: u32, color: [u8; 3]| {
        for dy in 0..zoom {
            for dx in 0..zoom {
                if let Some(pixel) =
                    sheet.get_pixel_mut_checked(x * zoom + dx, height + y * zoom + dy)
                {
                    *pixel = Rgb(color);
                }
            }
        }
    };
    for (entry, (left, row)) in entries.iter().zip(places) {
        let top = 4 + row * (GLYPH + 6);
        for y in 0..GLYPH {
            for x in 0..GLYPH {
                dot(left + x, top + y, entry.color);
            }
        }
        for (i, character) in (0..).zip(entry.name.chars()) {
            let glyph = glyph(character);
            for (y, bits) in (0..).zip(glyph) {
                for x in (0..GLYPH).filter(|x| bits >> x & 1 == 1) {
                    dot(left + (i + 1) * GLYPH + 4 + x, top + y, [236, 236, 236]);
                }
            }
        }
    }
    sheet
}

/// Left edge and line of every entry; empty if one of them is wider than the picture.
fn arrange(entries: &[Entry], width: u32) -> Vec<(u32, u32)> {
    let (mut x, mut row) = (4, 0);
    let mut places = Vec::new();
    for entry in entries {
        let length = entry.name.chars().count().min(256) as u32;
        let needed = (length + 1) * GLYPH + 4;
        if needed + 8 > width {
            return Vec::new();
        }
        if x + needed > width {
            (x, row) = (4, row + 1);
        }
        places.push((x, row));
        x += needed + 10;
    }
    places
}

fn glyph(character: char) -> [u8; 8] {
    [
        font8x8::BASIC_FONTS.get(character),
        font8x8::LATIN_FONTS.get(character),
        font8x8::GREEK_FONTS.get(character),
        font8x8::BASIC_FONTS.get('?'),
    ]
    .into_iter()
    .flatten()
    .next()
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            color: [200, 10, 20],
        }
    }

    #[test]
    fn entries_wrap_and_stay_inside() {
        let entries: Vec<Entry> = ["sky", "building", "road", "straße", "λ"]
            .map(entry)
            .to_vec();
        let picture = RgbImage::new(120, 10);
        let sheet = below(picture, &entries, Rgb([0; 3]));
        assert_eq!(sheet.width(), 120);
        assert!(sheet.height() > 10 + 3 * 14, "{}", sheet.height());
        assert_eq!(sheet.get_pixel(4, 14).0, [200, 10, 20]);
        assert!(sheet.pixels().any(|pixel| pixel.0 == [236; 3]));
    }

    #[test]
    fn pictures_too_narrow_have_no_legend() {
        let picture = RgbImage::new(20, 10);
        assert_eq!(
            below(picture.clone(), &[entry("building")], Rgb([0; 3])),
            picture
        );
        assert_eq!(below(picture.clone(), &[], Rgb([0; 3])), picture);
    }

    #[test]
    fn pictures_far_wider_than_high_have_no_legend() {
        // Letters would be enlarged by the width, to 9375 rows.
        let entries = [entry("sky")];
        let wide = RgbImage::new(300_000, 2);
        assert_eq!(below(wide.clone(), &entries, Rgb([0; 3])), wide);
        assert_eq!(
            below(RgbImage::new(3000, 1), &entries, Rgb([0; 3])).height(),
            97
        );
    }
}
