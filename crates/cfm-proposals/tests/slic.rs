//! SLIC against its definition, with whole-image searches and exact fractions.

mod common;

use cfm_proposals::slic::{Slic, min_words, superpixels, words};
use cfm_proposals::{ColourSpace, MAX_SUPERPIXELS, ProposalError, Smoothing};
use common::{Picture, absorb, check_map, edges, merge, picture, slic, smoothed, smoothing, space};
use proptest::prelude::*;

/// A centre: colour in quarters of a level, position in quarters of a pixel.
type Centre = [i64; 5];

fn plain(picture: &Picture, smoothing: Smoothing, slic: Slic, max_count: usize) -> Vec<u16> {
    let (width, height) = (usize::from(picture.width), usize::from(picture.height));
    let mut spacing = usize::from(slic.spacing);
    while width.div_ceil(spacing) * height.div_ceil(spacing) > max_count {
        spacing += 1;
    }
    let (columns, rows) = (width.div_ceil(spacing), height.div_ceil(spacing));
    let points: Vec<Centre> = (0..width * height)
        .map(|i| {
            let [r, g, b] = smoothed(picture, smoothing, i % width, i / width);
            [r, g, b, 4 * (i % width) as i64, 4 * (i / width) as i64]
        })
        .collect();
    let cell = |i: usize| ((i % width) * columns / width, (i / width) * rows / height);
    let mut clusters: Vec<usize> = (0..width * height)
        .map(|i| cell(i).1 * columns + cell(i).0)
        .collect();
    let mut centres = vec![[0; 5]; columns * rows];
    for step in 0..=slic.iterations {
        if step > 0 {
            for (i, cluster) in clusters.iter_mut().enumerate() {
                let near = |&id: &usize| {
                    let (x, y) = cell(i);
                    (id % columns).abs_diff(x) <= 1 && (id / columns).abs_diff(y) <= 1
                };
                let distance = |&id: &usize| {
                    let square = |c: usize| i128::from(points[i][c] - centres[id][c]).pow(2);
                    let (colour, place) =
                        (square(0) + square(1) + square(2), square(3) + square(4));
                    colour * (spacing as i128).pow(2) + place * i128::from(slic.compactness).pow(2)
                };
                *cluster = (0..columns * rows)
                    .filter(near)
                    .min_by_key(distance)
                    .unwrap();
            }
        }
        for (id, centre) in centres.iter_mut().enumerate() {
            let mine: Vec<&Centre> = points
                .iter()
                .zip(&clusters)
                .filter_map(|(point, &cluster)| (cluster == id).then_some(point))
                .collect();
            let count = mine.len() as i64;
            if count > 0 {
                *centre = std::array::from_fn(|c| {
                    let sum: i64 = mine.iter().map(|point| point[c]).sum();
                    (2 * sum + count).div_euclid(2 * count)
                });
            }
        }
    }
    let mut component: Vec<usize> = (0..width * height).collect();
    let edges = edges(picture, smoothing);
    for &(_, a, b) in &edges {
        if clusters[a] == clusters[b] {
            let (a, b) = (component[a], component[b]);
            merge(&mut component, a, b);
        }
    }
    absorb(component, &edges, slic.min_size, max_count)
}

proptest! {
    #[test]
    fn equals_the_definition(
        picture in picture(11),
        space in space(),
        smoothing in smoothing(),
        slic in slic(),
        max_count in prop_oneof![Just(MAX_SUPERPIXELS), 1..20_u16],
        extra in 0..200_usize,
        garbage in any::<u32>(),
    ) {
        let expected = plain(&picture.converted(space), smoothing, slic, usize::from(max_count));
        let least = min_words(picture.width, picture.height, slic.spacing, max_count);
        let mut memory = vec![garbage; least + extra];
        let mut labels = vec![garbage as u16; expected.len()];
        let map = superpixels(
            picture.view(), space, smoothing, slic, max_count, &mut memory, &mut labels,
        ).unwrap();
        prop_assert_eq!(map.labels(), expected);
        check_map(&map);
    }

    #[test]
    fn memory_changes_nothing(
        picture in picture(40),
        smoothing in smoothing(),
        slic in slic(),
        part in 0..=4_usize,
    ) {
        let (width, height) = (picture.width, picture.height);
        let pixels = usize::from(width) * usize::from(height);
        let (mut all, mut some) = (vec![0; pixels], vec![0; pixels]);
        let least = min_words(width, height, slic.spacing, 500);
        let most = words(width, height, slic.spacing, 500);
        let run = |count: usize, labels: &mut [u16]| {
            let memory = &mut vec![3; count];
            superpixels(picture.view(), ColourSpace::Lab, smoothing, slic, 500, memory, labels)
                .map(|_| ())
        };
        run(most, &mut all).unwrap();
        run(least + (most - least) * part / 4, &mut some).unwrap();
        prop_assert_eq!(all, some);
        let mut labels = vec![0; pixels];
        prop_assert_eq!(run(least - 1, &mut labels), Err(ProposalError::Words));
    }
}

const SLIC: Slic = Slic {
    spacing: 8,
    compactness: 20,
    iterations: 10,
    min_size: 16,
};

fn run(picture: &Picture, slic: Slic, max_count: u16) -> Result<u16, ProposalError> {
    let (width, height) = (picture.width, picture.height);
    let mut labels = vec![0; usize::from(width) * usize::from(height)];
    let mut memory = vec![7; min_words(width, height, slic.spacing, max_count)];
    let space = ColourSpace::Rgb;
    let smoothing = Smoothing::None;
    superpixels(
        picture.view(),
        space,
        smoothing,
        slic,
        max_count,
        &mut memory,
        &mut labels,
    )
    .map(|map| map.count())
}

#[test]
fn a_plain_picture_keeps_the_grid() {
    assert_eq!(run(&Picture::constant(40, 24), SLIC, 100), Ok(15));
    assert_eq!(run(&Picture::constant(41, 24), SLIC, 100), Ok(18));
    assert_eq!(run(&Picture::constant(40, 24), SLIC, 1), Ok(1));
    assert_eq!(run(&Picture::constant(40, 24), SLIC, 0), Ok(1));
}

#[test]
fn lines_and_points() {
    for (width, height) in [(1, 1), (1, 300), (300, 1), (u16::MAX, 1), (1, u16::MAX)] {
        for spacing in [0, 1, 8, u16::MAX] {
            let slic = Slic { spacing, ..SLIC };
            for picture in [
                Picture::constant(width, height),
                Picture::noise(width, height),
            ] {
                let count = run(&picture, slic, MAX_SUPERPIXELS).unwrap();
                assert!((1..=MAX_SUPERPIXELS).contains(&count));
            }
        }
    }
}

#[test]
fn refuses_what_it_cannot_work_on() {
    let picture = Picture::noise(8, 8);
    let (mut memory, mut labels) = (vec![0; 9000], vec![0; 65]);
    let result = superpixels(
        picture.view(),
        ColourSpace::Rgb,
        Smoothing::None,
        SLIC,
        9,
        &mut memory,
        &mut labels,
    );
    assert_eq!(result.err(), Some(ProposalError::Labels));
}
