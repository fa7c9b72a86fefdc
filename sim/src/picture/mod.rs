//! Pictures for people: labels over the photograph, and superpixels.

mod legend;

use cfm_core::model::{ClassKind, Model};
use cfm_core::segment::{Segment, SuperpixelMap};
use image::{Rgb, RgbImage, Rgba, RgbaImage, imageops};

use crate::label_map::LabelMap;

/// Space between the panels of a picture.
const GAP: u32 = 4;
/// What lies between panels and under the legend.
const BACKGROUND: Rgb<u8> = Rgb([24, 24, 28]);

/// Outlines of superpixels and segments.
const OUTLINE: Rgb<u8> = Rgb([255, 220, 60]);

/// The classes' colours over the photograph, thin outlines where the class changes, and a legend of the classes that
/// occur. `labels` are class indices of the model; it is brought to the photograph's size. Pixels without a class stay
/// as they are.
#[must_use]
pub fn overlay(photo: &RgbImage, labels: &LabelMap, model: &Model<'_>) -> RgbImage {
    let (width, height) = photo.dimensions();
    let labels = labels.resized(width as usize, height as usize);
    let entries: Vec<legend::Entry> = model
        .classes()
        .enumerate()
        .filter(|(index, class)| {
            class.kind != ClassKind::Background && labels.labels().contains(&(*index as u8))
        })
        .map(|(_, class)| legend::Entry {
            name: class.name.to_owned(),
            color: class.color,
        })
        .collect();
    let colors = colors(model);
    let rows = LabelRows(&labels);
    let blended = RgbImage::from_fn(width, height, |x, y| {
        let pixel = *photo.get_pixel(x, y);
        let Some(color) = colors[usize::from(rows.at(x, y))] else {
            return pixel;
        };
        if rows.is_outline(x, y) {
            return Rgb(darkened(color));
        }
        // Half the photograph shows through.
        Rgb(std::array::from_fn(|c| {
            ((u16::from(pixel[c]) + u16::from(color[c])).div_ceil(2)) as u8
        }))
    });
    legend::below(blended, &entries, BACKGROUND)
}

/// The classes' colours with thin outlines where the class changes, transparent where there is no class. `labels` are
/// class indices of the model; they are brought to `width x height`.
#[must_use]
pub fn label_layer(labels: &LabelMap, model: &Model<'_>, width: u32, height: u32) -> RgbaImage {
    let labels = labels.resized(width as usize, height as usize);
    let colors = colors(model);
    let rows = LabelRows(&labels);
    RgbaImage::from_fn(width, height, |x, y| {
        let [red, green, blue] = match colors[usize::from(rows.at(x, y))] {
            None => return Rgba([0; 4]),
            Some(color) if rows.is_outline(x, y) => darkened(color),
            Some(color) => color,
        };
        Rgba([red, green, blue, u8::MAX])
    })
}

/// The colour of every class index that is one of the model's and no background.
fn colors(model: &Model<'_>) -> [Option<[u8; 3]>; 256] {
    let mut colors = [None; 256];
    for (class, color) in model.classes().zip(&mut colors) {
        *color = (class.kind != ClassKind::Background).then_some(class.color);
    }
    colors
}

/// The colour of a class's outline.
fn darkened(color: [u8; 3]) -> [u8; 3] {
    color.map(|c| c / 4)
}

struct LabelRows<'a>(&'a LabelMap);

impl LabelRows<'_> {
    fn at(&self, x: u32, y: u32) -> u8 {
        self.0.labels()[y as usize * self.0.width() + x as usize]
    }

    /// Whether the pixel's class differs from that to its right or below it.
    fn is_outline(&self, x: u32, y: u32) -> bool {
        let label = self.at(x, y);
        let right = (x + 1) as usize;
        let below = (y + 1) as usize;
        (right < self.0.width() && self.at(x + 1, y) != label)
            || (below < self.0.height() && self.at(x, y + 1) != label)
    }
}

/// The image and, for each map, its superpixels in their mean colours with outlines, side by side (two a row), each
/// pixel enlarged to `zoom x zoom`.
///
/// # Panics
/// When a map does not have the size of the image, or `zoom` is 0.
#[must_use]
pub fn superpixels(image: &RgbImage, maps: &[SuperpixelMap<'_>], zoom: u32) -> RgbImage {
    let (width, height) = (image.width() * zoom, image.height() * zoom);
    let panels = maps.len() as u32 + 1;
    let columns = panels.min(2);
    let rows = panels.div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(
        columns * (width + GAP) - GAP,
        rows * (height + GAP) - GAP,
        BACKGROUND,
    );
    let enlarged = imageops::resize(image, width, height, imageops::FilterType::Nearest);
    imageops::replace(&mut sheet, &enlarged, 0, 0);
    for (map, panel) in maps.iter().zip(1..) {
        let (column, row) = (panel % columns, panel / columns);
        imageops::replace(
            &mut sheet,
            &superpixel_panel(image, map, zoom),
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
    let id = |x: u32, y: u32| map.labels()[(y * image.width() + x) as usize];
    RgbImage::from_fn(image.width() * zoom, image.height() * zoom, |x, y| {
        let (left, top) = (x / zoom, y / zoom);
        let here = id(left, top);
        let edge = |next: u32, at: u32, limit: u32| next.is_multiple_of(zoom) && at + 1 < limit;
        let outline = (edge(x + 1, left, image.width()) && id(left + 1, top) != here)
            || (edge(y + 1, top, image.height()) && id(left, top + 1) != here);
        if outline {
            return OUTLINE;
        }
        let [red, green, blue, count] = sums[usize::from(here)];
        Rgb([red, green, blue].map(|sum| (sum / count.max(1)) as u8))
    })
}

/// Panels in a row of [`ranked`].
const RANKED_COLUMNS: u32 = 6;

/// `sheet` and below it, in rows of six, the image once for each segment: as it is inside, dark outside, outlined.
///
/// `maps` are those that segments refer to; they and runs have the size of the image.
#[must_use]
pub fn ranked(
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
    for (segment, panel) in segments.iter().zip(0..) {
        let (columns, lines) = (image.width() as usize, image.height() as usize);
        let inside = inside(columns, lines, maps, segment);
        let at = |x: u32, y: u32| inside[(y * image.width() + x) as usize];
        let drawn = RgbImage::from_fn(width, height, |x, y| {
            let source = |x: u32, y: u32| {
                let x = x * image.width() / width;
                (x, y * image.height() / height)
            };
            let (left, top) = source(x, y);
            let here = at(left, top);
            let differs = |x: u32, y: u32| {
                let (left, top) = source(x.min(width - 1), y.min(height - 1));
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
        let sheet = superpixels(&image, &[map, map], 3);
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
        let sheet = superpixels(&image, &[map], 12);
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
    fn outlines_lie_where_the_class_changes() {
        let map = LabelMap::new(3, 2, vec![1, 1, 2, 1, 3, 2]).unwrap();
        let rows = LabelRows(&map);
        let outlines: Vec<bool> = (0..6).map(|i| rows.is_outline(i % 3, i / 3)).collect();
        assert_eq!(outlines, [false, true, false, true, true, false]);
    }
}
