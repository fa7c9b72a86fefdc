//! Superpixels and segments, panel by panel.

use cfm_core::segment::{Segment, SuperpixelMap};
use image::{Rgb, RgbImage, imageops};

use super::BACKGROUND;

/// Space between the panels of a picture.
const GAP: u32 = 4;

/// Outlines of superpixels and segments.
const OUTLINE: Rgb<u8> = Rgb([255, 220, 60]);

/// Longer side that a panel is enlarged to, roughly.
const PANEL: u32 = 480;

/// Most pixels of the panels of a picture together; they are made smaller beyond it.
const MAX_PANELS: u64 = 1 << 26;

/// The image and, for each map, its superpixels in their mean colours with outlines; below, in rows of six, the image once
/// for each segment: as it is inside, dark outside, outlined. Small images are enlarged, and those of many millions of
/// pixels made smaller.
///
/// `maps` are those that segments refer to; they and runs have the size of the image.
///
/// # Panics
/// When a map does not have the size of the image.
#[must_use]
pub fn proposals(
    image: &RgbImage,
    maps: &[SuperpixelMap<'_>],
    segments: &[Segment<'_>],
) -> RgbImage {
    let sheet = superpixels(image, maps, panel_size(image.dimensions(), maps.len()));
    ranked(&sheet, image, maps, segments)
}

/// Columns and rows of each panel for an image of this size and a number of maps.
fn panel_size((width, height): (u32, u32), maps: usize) -> (u32, u32) {
    let zoom = PANEL / width.max(height).max(1);
    if zoom > 1 {
        return (width * zoom, height * zoom);
    }
    let panels = maps as u64 + 1;
    let part = |part: u32| (width.div_ceil(part), height.div_ceil(part));
    (1..)
        .map(part)
        .find(|&(width, height)| {
            let pixels = u64::from(width) * u64::from(height) * panels;
            pixels <= MAX_PANELS || (width, height) == (1, 1)
        })
        .unwrap_or((1, 1))
}

/// For a picture of this size, which pixel of an image belongs at which place.
fn sources(image: &RgbImage, (width, height): (u32, u32)) -> impl Fn(u32, u32) -> (u32, u32) {
    let (columns, rows) = image.dimensions();
    let source = |at: u32, from: u32, to: u32| {
        (u64::from(at.min(to - 1)) * u64::from(from) / u64::from(to)) as u32
    };
    move |x, y| (source(x, columns, width), source(y, rows, height))
}

/// The image and, for each map, its superpixels in their mean colours with outlines, side by side (two a row), in panels of
/// `width x height`.
fn superpixels(
    image: &RgbImage,
    maps: &[SuperpixelMap<'_>],
    (width, height): (u32, u32),
) -> RgbImage {
    let panels = maps.len() as u32 + 1;
    let columns = panels.min(2);
    let rows = panels.div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(
        columns * (width + GAP) - GAP,
        rows * (height + GAP) - GAP,
        BACKGROUND,
    );
    let source = sources(image, (width, height));
    for y in 0..height {
        for x in 0..width {
            let (left, top) = source(x, y);
            sheet.put_pixel(x, y, *image.get_pixel(left, top));
        }
    }
    for (map, panel) in maps.iter().zip(1..) {
        let (column, row) = (panel % columns, panel / columns);
        imageops::replace(
            &mut sheet,
            &superpixels_of(image, map, (width, height)),
            i64::from(column * (width + GAP)),
            i64::from(row * (height + GAP)),
        );
    }
    sheet
}

/// The superpixels of an image in their mean colours with outlines, each pixel enlarged to `zoom x zoom`.
///
/// # Panics
/// When the map does not have the size of the image, or `zoom` is 0.
#[must_use]
pub fn superpixel_panel(image: &RgbImage, map: &SuperpixelMap<'_>, zoom: u32) -> RgbImage {
    superpixels_of(image, map, (image.width() * zoom, image.height() * zoom))
}

/// The superpixels of an image in their mean colours with outlines, as a picture of this size.
fn superpixels_of(image: &RgbImage, map: &SuperpixelMap<'_>, size: (u32, u32)) -> RgbImage {
    assert_eq!(
        (image.width(), image.height()),
        (map.width().into(), map.height().into()),
        "the map is of another image"
    );
    let mut sums = vec![[0_u64; 4]; usize::from(map.count())];
    for (pixel, &id) in image.pixels().zip(map.labels()) {
        let sum = &mut sums[usize::from(id)];
        for c in 0..3 {
            sum[c] += u64::from(pixel[c]);
        }
        sum[3] += 1;
    }
    let source = sources(image, size);
    let id = |x: u32, y: u32| {
        let (left, top) = source(x, y);
        map.labels()[(top * image.width() + left) as usize]
    };
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let here = id(x, y);
        if id(x + 1, y) != here || id(x, y + 1) != here {
            return OUTLINE;
        }
        let [red, green, blue, count] = sums[usize::from(here)];
        Rgb([red, green, blue].map(|sum| (sum / count.max(1)) as u8))
    })
}

/// Panels in a row of [`ranked`].
const RANKED_COLUMNS: u32 = 6;

/// `sheet` and below it, in rows of six, the image once for each segment.
fn ranked(
    sheet: &RgbImage,
    image: &RgbImage,
    maps: &[SuperpixelMap<'_>],
    segments: &[Segment<'_>],
) -> RgbImage {
    let width = (sheet.width().saturating_sub((RANKED_COLUMNS - 1) * GAP) / RANKED_COLUMNS).max(1);
    let height = (u64::from(width) * u64::from(image.height()) / u64::from(image.width())).max(1);
    let height = height as u32;
    let rows = (segments.len() as u32).div_ceil(RANKED_COLUMNS);
    let mut whole = RgbImage::from_pixel(
        sheet.width(),
        sheet.height() + rows * (height + GAP),
        BACKGROUND,
    );
    imageops::replace(&mut whole, sheet, 0, 0);
    let source = sources(image, (width, height));
    for (segment, panel) in segments.iter().zip(0..) {
        let (columns, lines) = (image.width() as usize, image.height() as usize);
        let inside = inside(columns, lines, maps, segment);
        let at = |x: u32, y: u32| inside[(y * image.width() + x) as usize];
        let drawn = RgbImage::from_fn(width, height, |x, y| {
            let (left, top) = source(x, y);
            let here = at(left, top);
            let differs = |x: u32, y: u32| {
                let (left, top) = source(x, y);
                at(left, top) != here
            };
            let Rgb(color) = *image.get_pixel(left, top);
            if differs(x + 1, y) || differs(x, y + 1) {
                OUTLINE
            } else if here {
                Rgb(color)
            } else {
                Rgb(color.map(|c| c / 4))
            }
        });
        let (column, row) = (panel % RANKED_COLUMNS, panel / RANKED_COLUMNS);
        imageops::replace(
            &mut whole,
            &drawn,
            i64::from(column * (width + GAP)),
            i64::from(sheet.height() + GAP + row * (height + GAP)),
        );
    }
    whole
}

/// Which pixels of an image of this size belong to a segment, row-major. `maps` are those that segments refer to.
#[must_use]
pub fn inside(
    width: usize,
    height: usize,
    maps: &[SuperpixelMap<'_>],
    segment: &Segment<'_>,
) -> Vec<bool> {
    let mut inside = vec![false; width * height];
    match *segment {
        Segment::Runs(runs) => {
            for run in runs {
                let row = usize::from(run.y) * width;
                let pixels = row + usize::from(run.x0)..row + usize::from(run.x1);
                inside.get_mut(pixels).unwrap_or_default().fill(true);
            }
        }
        Segment::Superpixels { map, members } => {
            if let Some(map) = maps.get(map) {
                let mut chosen = vec![false; usize::from(map.count())];
                for &member in members {
                    chosen[usize::from(member)] = true;
                }
                for (inside, &id) in inside.iter_mut().zip(map.labels()) {
                    *inside = chosen[usize::from(id)];
                }
            }
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::segment::Run;

    #[test]
    fn superpixels_take_their_mean_colour() {
        let image = RgbImage::from_fn(4, 2, |x, _| Rgb([(x * 10) as u8; 3]));
        let labels = [0, 0, 1, 1, 0, 0, 1, 1];
        let map = SuperpixelMap::new(&labels, 4, 2, 2).unwrap();
        let sheet = superpixels(&image, &[map, map], (12, 6));
        assert_eq!(sheet.dimensions(), (2 * 12 + GAP, 2 * 6 + GAP));
        assert_eq!(sheet.get_pixel(11, 5).0, [30; 3]);
        let second = |x: u32, y: u32| sheet.get_pixel(12 + GAP + x, y).0;
        assert_eq!(second(0, 0), [5; 3]);
        assert_eq!(second(5, 0), [255, 220, 60]);
        assert_eq!(second(6, 5), [25; 3]);
        assert_eq!(sheet.get_pixel(2, 6 + GAP).0, [5; 3]);
    }

    #[test]
    fn segments_are_bright_and_the_rest_dark() {
        let image = RgbImage::from_pixel(4, 2, Rgb([200; 3]));
        let labels = [0, 0, 1, 1, 0, 0, 1, 1];
        let map = SuperpixelMap::new(&labels, 4, 2, 2).unwrap();
        let sheet = superpixels(&image, &[map], (48, 24));
        let runs = [Run { y: 0, x0: 1, x1: 4 }];
        let segments = [
            Segment::Superpixels {
                map: 0,
                members: &[1],
            },
            Segment::Runs(&runs),
        ];
        // 100 pixels are six panels of 13 and five gaps.
        let whole = ranked(&sheet, &image, &[map], &segments);
        assert_eq!(whole.dimensions(), (100, 24 + GAP + 6));
        let at = |x, y| whole.get_pixel(x, 24 + GAP + y).0;
        assert_eq!((at(0, 0), at(12, 5)), ([50; 3], [200; 3]));
        assert_eq!(at(6, 3), OUTLINE.0);
        let second = 13 + GAP;
        assert_eq!(at(second + 12, 0), [200; 3]);
        assert_eq!((at(second, 0), at(second + 12, 5)), ([50; 3], [50; 3]));
    }

    #[test]
    fn panels_are_neither_tiny_nor_huge() {
        for (size, maps, panel) in [
            ((240, 180), 6, (480, 360)),
            ((180, 240), 6, (360, 480)),
            ((320, 213), 6, (320, 213)),
            ((1, 1), 1, (480, 480)),
            ((1, 65535), 1, (1, 65535)),
            ((65535, 1), 9, (65535, 1)),
            ((5472, 3648), 2, (5472, 3648)),
            ((10_000, 10_000), 9, (2500, 2500)),
            ((65535, 65535), 3, (4096, 4096)),
        ] {
            assert_eq!(panel_size(size, maps), panel, "{size:?}");
        }
    }

    #[test]
    fn pictures_are_made_smaller() {
        let image = RgbImage::from_fn(4, 2, |x, _| Rgb([(x * 10) as u8; 3]));
        let labels = [0, 0, 1, 1, 0, 0, 1, 1];
        let map = SuperpixelMap::new(&labels, 4, 2, 2).unwrap();
        let sheet = superpixels(&image, &[map], (2, 1));
        assert_eq!(sheet.dimensions(), (2 * 2 + GAP, 1));
        let row: Vec<u8> = sheet.pixels().map(|pixel| pixel[0]).collect();
        assert_eq!(row, [0, 20, 24, 24, 24, 24, OUTLINE[0], 25]);
    }
}
