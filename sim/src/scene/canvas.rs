//! What a scene is painted on, and how it becomes a photograph.

use image::{Rgb, RgbImage};

use super::noise::lattice;
use super::{IGNORE, Scene, SceneClass};
use crate::label_map::LabelMap;

/// A colour, 0 to 255 a channel.
pub(super) type Color = [f64; 3];

/// `a` mixed with the share `t` of `b`.
pub(super) fn mix(a: Color, b: Color, t: f64) -> Color {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// A colour made brighter or darker.
pub(super) fn scale(a: Color, by: f64) -> Color {
    a.map(|c| c * by)
}

/// Colours and labels, painted back to front.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    colors: Vec<Color>,
    labels: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self {
            width,
            height,
            colors: vec![[0.0; 3]; width * height],
            labels: vec![IGNORE; width * height],
        }
    }

    /// Gives every pixel whose centre lies in the box `left, top, right, bottom` the colour that `shade` names for
    /// that point, if any.
    pub(super) fn paint(
        &mut self,
        [left, top, right, bottom]: [f64; 4],
        class: SceneClass,
        mut shade: impl FnMut(f64, f64) -> Option<Color>,
    ) {
        // Float to integer conversions saturate, so boxes far outside are harmless.
        let columns = (left - 0.5).ceil() as usize..((right + 0.5) as usize).min(self.width);
        let rows = (top - 0.5).ceil() as usize..((bottom + 0.5) as usize).min(self.height);
        for y in rows {
            for x in columns.clone() {
                if let Some(color) = shade(x as f64 + 0.5, y as f64 + 0.5) {
                    self.colors[y * self.width + x] = color;
                    self.labels[y * self.width + x] = class.label();
                }
            }
        }
    }

    /// Darkens the pixels of a box by the factor that `shade` names, without changing what they are.
    pub(super) fn shadow(
        &mut self,
        [left, top, right, bottom]: [f64; 4],
        mut shade: impl FnMut(f64, f64) -> f64,
    ) {
        let columns = (left - 0.5).ceil() as usize..((right + 0.5) as usize).min(self.width);
        let rows = (top - 0.5).ceil() as usize..((bottom + 0.5) as usize).min(self.height);
        for y in rows {
            for x in columns.clone() {
                let color = &mut self.colors[y * self.width + x];
                *color = scale(*color, shade(x as f64 + 0.5, y as f64 + 0.5));
            }
        }
    }

    /// Softens the picture as a lens does, adds the grain of a sensor, and rounds to 8 bits.
    pub(super) fn develop(self, seed: u64) -> Scene {
        let (width, height) = (self.width, self.height);
        let at = |x: usize, y: usize, dx: usize, dy: usize| {
            let x = (x + dx).saturating_sub(1).min(width - 1);
            let y = (y + dy).saturating_sub(1).min(height - 1);
            self.colors[y * width + x]
        };
        let photo = RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let (x, y) = (x as usize, y as usize);
            let mut color = [0.0; 3];
            for (dy, row) in [1.0, 3.0, 1.0].into_iter().enumerate() {
                for (dx, column) in [1.0, 3.0, 1.0].into_iter().enumerate() {
                    let from = at(x, y, dx, dy);
                    for c in 0..3 {
                        color[c] += from[c] * row * column / 25.0;
                    }
                }
            }
            let grain = |channel: u64| lattice(x as i64, y as i64, seed ^ (0x6a09 + channel)) - 0.5;
            let common = 6.0 * grain(3);
            Rgb(std::array::from_fn(|c| {
                (color[c] + common + 4.0 * grain(c as u64))
                    .round()
                    .clamp(0.0, 255.0) as u8
            }))
        });
        // The canvas has one label per pixel.
        let labels = LabelMap::new(width, height, self.labels).expect("sizes agree");
        Scene { photo, labels }
    }
}
