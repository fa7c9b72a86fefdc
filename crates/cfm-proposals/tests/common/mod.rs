//! Images for tests, and what every test asks of a map.
#![allow(dead_code)]

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;
use cfm_proposals::combinatorial::Combinations;
use cfm_proposals::slic::Slic;
use cfm_proposals::{ColourSpace, Mix, Params, Ranking, Scale, Smoothing};
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

    /// The RGB picture with the channels of another space in place of red, green and blue.
    pub fn converted(&self, space: ColourSpace) -> Self {
        let pixels = self.pixels.chunks_exact(usize::from(self.channels));
        Self {
            channels: 3,
            pixels: pixels
                .flat_map(|p| {
                    space.convert(if let &[r, g, b] = p {
                        [r, g, b]
                    } else {
                        [p[0]; 3]
                    })
                })
                .collect(),
            ..*self
        }
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

pub fn space() -> impl Strategy<Value = ColourSpace> {
    prop::sample::select(vec![
        ColourSpace::Rgb,
        ColourSpace::Lab,
        ColourSpace::Hsv,
        ColourSpace::Grey,
    ])
}

pub fn slic() -> impl Strategy<Value = Slic> {
    // 40 steps are more than pictures of tests need until nothing moves.
    let steps = prop_oneof![4 => 0..5_u8, 1 => Just(40)];
    (1..9_u16, any::<u8>(), steps, 0..8_u16).prop_map(
        |(spacing, compactness, iterations, min_size)| Slic {
            spacing,
            compactness,
            iterations,
            min_size,
        },
    )
}

/// What parameters have since version 2.
#[derive(Debug, Clone)]
pub struct Diversity {
    slic: [Option<Slic>; 4],
    scale_spaces: [ColourSpace; 4],
    mix_spaces: [ColourSpace; 4],
    ranking: Ranking,
    contours: bool,
    combinations: Combinations,
}

pub fn diversity() -> impl Strategy<Value = Diversity> {
    (
        prop::array::uniform4(prop::option::of(slic())),
        prop::array::uniform4(space()),
        prop::array::uniform4(space()),
        prop::sample::select(vec![Ranking::Area, Ranking::Level]),
        any::<bool>(),
        prop_oneof![Just((0, 0)), (0..=6_u8, 0..=6_u8), (0..=63_u8, 0..=9_u8)],
    )
        .prop_map(
            |(slic, scale_spaces, mix_spaces, ranking, contours, (pairs, triples))| Diversity {
                slic,
                scale_spaces,
                mix_spaces,
                ranking,
                contours,
                combinations: Combinations { pairs, triples },
            },
        )
}

pub fn diversify(mut params: Params, diversity: &Diversity) -> Params {
    for i in 0..params.scales().len() {
        if let Some(slic) = diversity.slic[i] {
            params = params.with_slic(i, slic).unwrap();
        }
        params = params
            .with_scale_space(i, diversity.scale_spaces[i])
            .unwrap();
    }
    for i in 0..params.mixes().len() {
        params = params.with_mix_space(i, diversity.mix_spaces[i]).unwrap();
    }
    params
        .with_ranking(diversity.ranking)
        .with_contours(diversity.contours)
        .with_combinations(diversity.combinations)
        .unwrap()
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

/// The smoothed colour in quarters, by the two-dimensional sum.
pub fn smoothed(picture: &Picture, smoothing: Smoothing, x: usize, y: usize) -> [i64; 3] {
    let weights: &[i64] = match smoothing {
        Smoothing::None => &[1],
        Smoothing::Binomial3 => &[1, 2, 1],
        Smoothing::Binomial5 => &[1, 4, 6, 4, 1],
    };
    let total: i64 = weights.iter().sum::<i64>().pow(2);
    let radius = weights.len() as i64 / 2;
    let clamp = |value: i64, size: u16| value.clamp(0, i64::from(size) - 1) as usize;
    let mut sums = [0; 3];
    for (dy, wy) in (-radius..).zip(weights) {
        for (dx, wx) in (-radius..).zip(weights) {
            let colour = picture.colour(
                clamp(x as i64 + dx, picture.width),
                clamp(y as i64 + dy, picture.height),
            );
            for (sum, value) in sums.iter_mut().zip(colour) {
                *sum += 4 * wx * wy * value;
            }
        }
    }
    sums.map(|sum| (sum + total / 2) / total)
}

/// The edges of the grid in order: weight and both pixels.
pub fn edges(picture: &Picture, smoothing: Smoothing) -> Vec<(i64, usize, usize)> {
    let (width, height) = (usize::from(picture.width), usize::from(picture.height));
    let colours: Vec<_> = (0..width * height)
        .map(|i| smoothed(picture, smoothing, i % width, i / width))
        .collect();
    let weight = |a: usize, b: usize| {
        let square: i64 = (0..3).map(|c| (colours[a][c] - colours[b][c]).pow(2)).sum();
        (0..)
            .take_while(|root| root * root <= square)
            .last()
            .unwrap()
    };
    let mut edges = Vec::new();
    for pixel in 0..width * height {
        if pixel % width + 1 < width {
            edges.push((weight(pixel, pixel + 1), pixel, pixel + 1));
        }
        if pixel + width < width * height {
            edges.push((weight(pixel, pixel + width), pixel, pixel + width));
        }
    }
    edges.sort_by_key(|&(weight, ..)| weight);
    edges
}

/// Pixels of a component.
pub fn size(component: &[usize], of: usize) -> usize {
    component.iter().filter(|&&c| c == of).count()
}

/// Joins component `b` to `a`.
pub fn merge(component: &mut [usize], a: usize, b: usize) {
    for c in component.iter_mut().filter(|c| **c == b) {
        *c = a;
    }
}

/// Joins small components until there are few enough, and numbers them.
pub fn absorb(
    mut component: Vec<usize>,
    edges: &[(i64, usize, usize)],
    min_size: u16,
    max_count: usize,
) -> Vec<u16> {
    let mut min_size = usize::from(min_size);
    loop {
        for &(_, a, b) in edges {
            let (a, b) = (component[a], component[b]);
            if a != b && size(&component, a).min(size(&component, b)) < min_size {
                merge(&mut component, a, b);
            }
        }
        let mut ids = Vec::new();
        let labels = component
            .iter()
            .map(|c| {
                ids.iter().position(|id| id == c).unwrap_or_else(|| {
                    ids.push(*c);
                    ids.len() - 1
                }) as u16
            })
            .collect();
        if ids.len() <= max_count {
            return labels;
        }
        min_size = min_size.max(1) * 2;
    }
}
