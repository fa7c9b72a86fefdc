//! Images for tests, and what every test asks of a map.
#![allow(dead_code)]

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;
use cfm_proposals::{Mix, Scale, Smoothing};
use proptest::prelude::*;

/// An image that owns its pixels.
#[derive(Debug, Clone)]
pub struct Picture {
    pub width: u16,
    pub height: u16,
    pub channels: u16,
    pub pixels: Vec<u8>,
}

impl Picture {
    pub fn view(&self) -> ImageView<'_> {
        ImageView::new(&self.pixels, self.width, self.height, self.channels).unwrap()
    }

    pub fn constant(width: u16, height: u16) -> Self {
        Self {
            width,
            height,
            channels: 3,
            pixels: vec![77; usize::from(width) * usize::from(height) * 3],
        }
    }

    /// Reproducible noise.
    pub fn noise(width: u16, height: u16) -> Self {
        let mut picture = Self::constant(width, height);
        let mut state = 1_u32;
        for pixel in &mut picture.pixels {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *pixel = (state >> 24) as u8;
        }
        picture
    }

    pub fn colour(&self, x: usize, y: usize) -> [i64; 3] {
        let channels = usize::from(self.channels);
        let at = (y * usize::from(self.width) + x) * channels;
        std::array::from_fn(|c| i64::from(self.pixels[at + if channels == 3 { c } else { 0 }]))
    }
}

/// Small images: few colours, so that ties abound, or any.
pub fn picture(side: u16) -> impl Strategy<Value = Picture> {
    (1..=side, 1..=side, prop_oneof![Just(1_u16), Just(3)]).prop_flat_map(
        |(width, height, channels)| {
            let count = usize::from(width * height * channels);
            let value = prop_oneof![
                Just(vec![0, 255]),
                Just(vec![10, 12, 40, 44]),
                Just((0..=255).collect::<Vec<u8>>()),
            ]
            .prop_flat_map(move |palette| {
                prop::collection::vec(prop::sample::select(palette), count)
            });
            value.prop_map(move |pixels| Picture {
                width,
                height,
                channels,
                pixels,
            })
        },
    )
}

pub fn smoothing() -> impl Strategy<Value = Smoothing> {
    prop_oneof![
        Just(Smoothing::None),
        Just(Smoothing::Binomial3),
        Just(Smoothing::Binomial5)
    ]
}

pub fn scale() -> impl Strategy<Value = Scale> {
    (prop_oneof![Just(0), 0..2000_u32], 0..8_u16).prop_map(|(k, min_size)| Scale { k, min_size })
}

pub fn mix() -> impl Strategy<Value = Mix> {
    (0..3_u8, 0..3_u8, 0..3_u8, 0..3_u8)
        .prop_filter("a mix needs a weight", |&weights| weights != (0, 0, 0, 0))
        .prop_map(|(colour, texture, size, fill)| Mix::new(colour, texture, size, fill))
}

/// Whether the pixels that satisfy `inside` are one 4-connected piece.
pub fn connected(width: usize, height: usize, inside: impl Fn(usize) -> bool) -> bool {
    let mut left: Vec<bool> = (0..width * height).map(inside).collect();
    let Some(first) = left.iter().position(|&inside| inside) else {
        return false;
    };
    let mut stack = vec![first];
    left[first] = false;
    while let Some(pixel) = stack.pop() {
        let (x, y) = (pixel % width, pixel / width);
        let neighbours = [
            (x > 0).then(|| pixel - 1),
            (x + 1 < width).then(|| pixel + 1),
            (y > 0).then(|| pixel - width),
            (y + 1 < height).then(|| pixel + width),
        ];
        for next in neighbours.into_iter().flatten() {
            if std::mem::take(&mut left[next]) {
                stack.push(next);
            }
        }
    }
    left.iter().all(|&inside| !inside)
}

/// Every id is used, first in raster order, and its pixels are connected.
pub fn check_map(map: &SuperpixelMap<'_>) {
    let mut next = 0;
    for &label in map.labels() {
        assert!(label <= next, "ids appear in order");
        next = next.max(label + 1);
    }
    assert_eq!(next, map.count());
    let (width, height) = (usize::from(map.width()), usize::from(map.height()));
    for id in 0..map.count() {
        assert!(connected(width, height, |pixel| map.labels()[pixel] == id));
    }
}
