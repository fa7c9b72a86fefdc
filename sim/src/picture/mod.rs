//! Pictures for people: labels over the photograph, and superpixels.

mod legend;
mod sheet;

use cfm_core::model::{ClassKind, Model};
use image::{Rgb, RgbImage, Rgba, RgbaImage};

use crate::label_map::LabelMap;

pub use sheet::{inside, proposals, superpixel_panel};

/// What lies between panels and under the legend.
const BACKGROUND: Rgb<u8> = Rgb([24, 24, 28]);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_lie_where_the_class_changes() {
        let map = LabelMap::new(3, 2, vec![1, 1, 2, 1, 3, 2]).unwrap();
        let rows = LabelRows(&map);
        let outlines: Vec<bool> = (0..6).map(|i| rows.is_outline(i % 3, i / 3)).collect();
        assert_eq!(outlines, [false, true, false, true, true, false]);
    }
}
