//! Colour spaces against their definitions, and what is made in them against converted pictures.

mod common;

use cfm_core::segment::SuperpixelMap;
use cfm_proposals::{ColourSpace, Mix, felzenszwalb, grouping};
use common::{picture, scale, smoothing, space};
use proptest::prelude::*;

/// CIE L*a*b* of sRGB over white D65, as the standards write it.
fn lab(rgb: [u8; 3]) -> [f64; 3] {
    let linear = rgb.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let dot = |row: [f64; 3], white: f64| {
        let sum: f64 = row.iter().zip(linear).map(|(w, v)| w * v).sum();
        let t = sum / white;
        if t > (6.0_f64 / 29.0).powi(3) {
            t.cbrt()
        } else {
            t * (29.0_f64 / 6.0).powi(2) / 3.0 + 4.0 / 29.0
        }
    };
    let x = dot([0.412_456_4, 0.357_576_1, 0.180_437_5], 0.95047);
    let y = dot([0.212_672_9, 0.715_152_2, 0.072_175], 1.0);
    let z = dot([0.019_333_9, 0.119_192, 0.950_304_1], 1.08883);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn lab_is_within_two_levels() {
    let mut worst = 0.0_f64;
    let levels = || (0..=255).step_by(if cfg!(miri) { 51 } else { 5 });
    for r in levels() {
        for g in levels() {
            for b in levels() {
                let [l, a, bb] = lab([r, g, b]);
                let expected = [2.55 * l, 2.55 * a + 128.0, 2.55 * bb + 128.0];
                let found = ColourSpace::Lab.convert([r, g, b]);
                for (expected, found) in expected.into_iter().zip(found) {
                    worst = worst.max((expected.clamp(0.0, 255.0) - f64::from(found)).abs());
                }
            }
        }
    }
    assert!(worst <= 2.0, "{worst}");
    assert_eq!(ColourSpace::Lab.convert([0; 3]), [0, 128, 128]);
    assert_eq!(ColourSpace::Lab.convert([255; 3]), [255, 128, 128]);
}

#[test]
fn hue_turns_through_the_colours() {
    let hsv = |r, g, b| ColourSpace::Hsv.convert([r, g, b]);
    assert_eq!(hsv(255, 0, 0), [0, 255, 255]);
    assert_eq!(hsv(200, 200, 0), [42, 255, 200]);
    assert_eq!(hsv(0, 255, 0), [85, 255, 255]);
    assert_eq!(hsv(0, 0, 100), [170, 255, 100]);
    assert_eq!(hsv(255, 0, 1), [255, 255, 255]);
    assert_eq!(hsv(90, 90, 90), [0, 0, 90]);
    assert_eq!(hsv(0, 0, 0), [0, 0, 0]);
}

proptest! {
    #[test]
    fn hsv_is_as_defined(rgb in any::<[u8; 3]>()) {
        let [r, g, b] = rgb.map(f64::from);
        let value = r.max(g).max(b);
        let range = value - r.min(g).min(b);
        let sixths = if range == 0.0 {
            0.0
        } else if value == r {
            ((g - b) / range).rem_euclid(6.0)
        } else if value == g {
            (b - r) / range + 2.0
        } else {
            (r - g) / range + 4.0
        };
        let [hue, saturation, found] = ColourSpace::Hsv.convert(rgb).map(f64::from);
        prop_assert_eq!(found, value);
        let turn = 256.0 * sixths / 6.0;
        prop_assert!(hue <= turn + 1e-9 && turn < hue + 1.0 + 1e-9);
        let expected = if value == 0.0 { 0.0 } else { 255.0 * range / value };
        prop_assert!(saturation <= expected + 1e-9 && expected < saturation + 1.0 + 1e-9);
    }

    #[test]
    fn grey_is_the_mean(rgb in any::<[u8; 3]>()) {
        let [r, g, b] = rgb.map(f64::from);
        let mean = ((r + 2.0 * g + b) / 4.0 + 0.5).floor();
        prop_assert_eq!(ColourSpace::Grey.convert(rgb), [mean as u8; 3]);
        prop_assert_eq!(ColourSpace::Rgb.convert(rgb), rgb);
    }

    #[test]
    fn superpixels_are_those_of_the_converted_picture(
        picture in picture(12),
        space in space(),
        smoothing in smoothing(),
        scale in scale(),
    ) {
        let pixels = usize::from(picture.width) * usize::from(picture.height);
        let mut memory = vec![0; felzenszwalb::words(picture.width, picture.height)];
        let (mut found, mut expected) = (vec![0; pixels], vec![0; pixels]);
        felzenszwalb::superpixels_in(
            picture.view(), space, smoothing, scale, 1000, &mut memory, &mut found,
        ).unwrap();
        let converted = picture.converted(space);
        let map = felzenszwalb::superpixels(
            converted.view(), smoothing, scale, 1000, &mut memory, &mut expected,
        ).unwrap();
        let (width, height, count) = (map.width(), map.height(), map.count());
        prop_assert_eq!(&found, &expected);

        // Texture stays that of the picture; colour is the space's.
        let map = SuperpixelMap::new(&found, width, height, count).unwrap();
        let mix = Mix::COLOUR_SIZE_FILL;
        let (mut memory, mut other) = (vec![0; grouping::words(count)], vec![0; grouping::words(count)]);
        let (mut order, mut other_order) = (vec![0; usize::from(count)], vec![0; usize::from(count)]);
        let tree = grouping::group_in(picture.view(), space, map, mix, &mut memory, &mut order).unwrap();
        let plain = grouping::group(converted.view(), map, mix, &mut other, &mut other_order).unwrap();
        prop_assert!(tree.nodes().eq(plain.nodes()));
    }
}
