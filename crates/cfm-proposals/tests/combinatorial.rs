//! Grouping by boundary strength against the definition, recomputed from pixels at every step.

mod common;

use cfm_core::segment::SuperpixelMap;
use cfm_proposals::combinatorial::{group, words};
use cfm_proposals::{ColourSpace, ProposalError, felzenszwalb};
use common::{Picture, picture, scale, smoothing, space};
use proptest::prelude::*;

/// The strength of one step between 4-neighbours, `b` to the right of `a` or below.
fn step(picture: &Picture, a: usize, b: usize) -> i64 {
    let (width, height) = (i64::from(picture.width), i64::from(picture.height));
    let (ax, ay) = (a as i64 % width, a as i64 / width);
    let (bx, by) = (b as i64 % width, b as i64 / width);
    let (dx, dy) = (bx - ax, by - ay);
    let colour = |x: i64, y: i64| {
        picture.colour(
            x.clamp(0, width - 1) as usize,
            y.clamp(0, height - 1) as usize,
        )
    };
    (0..3)
        .map(|reach| {
            let one = colour(ax - reach * dx, ay - reach * dy);
            let two = colour(bx + reach * dx, by + reach * dy);
            let square: i64 = one.iter().zip(two).map(|(a, b)| (a - b).pow(2)).sum();
            (4.0 * (square as f64).sqrt()).floor() as i64
        })
        .max()
        .unwrap()
}

/// The strength of the boundary between two regions of superpixels; `None` if they do not touch.
fn strength(picture: &Picture, labels: &[u16], a: &[u16], b: &[u16]) -> Option<i128> {
    let width = usize::from(picture.width);
    let inside = |region: &[u16], pixel: usize| region.contains(&labels[pixel]);
    let mut steps = Vec::new();
    for pixel in 0..labels.len() {
        let right = (pixel % width + 1 < width).then_some(pixel + 1);
        let below = (pixel + width < labels.len()).then_some(pixel + width);
        for next in right.into_iter().chain(below) {
            if inside(a, pixel) && inside(b, next) || inside(b, pixel) && inside(a, next) {
                steps.push(step(picture, pixel, next));
            }
        }
    }
    if steps.is_empty() {
        return None;
    }
    let area = |region: &[u16]| (0..labels.len()).filter(|&p| inside(region, p)).count() as i128;
    let mean = i128::from(16 * steps.iter().sum::<i64>() / steps.len() as i64);
    Some(mean * mean * (2 * area(a) * area(b) / (area(a) + area(b))))
}

/// Sorted superpixel ids of all nodes, as they merge.
fn plain(picture: &Picture, labels: &[u16], count: u16) -> Vec<Vec<u16>> {
    let mut nodes: Vec<Vec<u16>> = (0..count).map(|id| vec![id]).collect();
    let mut active = nodes.clone();
    while active.len() > 1 {
        active.sort_by_key(|region| region[0]);
        let mut pairs = Vec::new();
        for i in 0..active.len() {
            for j in i + 1..active.len() {
                if let Some(strength) = strength(picture, labels, &active[i], &active[j]) {
                    pairs.push((strength, i, j));
                }
            }
        }
        let &(_, i, j) = pairs.iter().min().unwrap();
        let other = active.remove(j);
        active[i].extend(other);
        active[i].sort_unstable();
        nodes.push(active[i].clone());
    }
    nodes
}

proptest! {
    #[test]
    fn merges_as_defined(
        picture in picture(7),
        space in space(),
        smoothing in smoothing(),
        scale in scale(),
        garbage in any::<u32>(),
    ) {
        let pixels = usize::from(picture.width) * usize::from(picture.height);
        let mut memory = vec![0; felzenszwalb::words(picture.width, picture.height)];
        let mut labels = vec![0; pixels];
        let map = felzenszwalb::superpixels(
            picture.view(), smoothing, scale, 1000, &mut memory, &mut labels,
        ).unwrap();
        let mut memory = vec![garbage; words(map.count())];
        let mut order = vec![garbage as u16; usize::from(map.count())];
        let tree = group(picture.view(), space, map, &mut memory, &mut order).unwrap();

        let expected = plain(&picture.converted(space), map.labels(), map.count());
        prop_assert_eq!(tree.len(), expected.len());
        for (index, (node, expected)) in tree.nodes().zip(&expected).enumerate() {
            let mut ids = node.members.to_vec();
            ids.sort_unstable();
            prop_assert_eq!(&ids, expected);
            prop_assert_eq!(node.children.is_none(), index < tree.leaf_count());
        }
    }

    #[test]
    fn any_map_is_grouped_or_refused(
        picture in picture(12),
        ids in prop::collection::vec(0..20_u16, 144),
        count in 1..=20_u16,
    ) {
        let pixels = usize::from(picture.width) * usize::from(picture.height);
        let labels: Vec<u16> = ids[..pixels].iter().map(|id| id % count).collect();
        let map = SuperpixelMap::new(&labels, picture.width, picture.height, count).unwrap();
        let (mut memory, mut order) = (vec![0; words(count)], vec![0; usize::from(count)]);
        let all_used = (0..count).all(|id| labels.contains(&id));
        match group(picture.view(), ColourSpace::Lab, map, &mut memory, &mut order) {
            Ok(tree) => prop_assert!(all_used && tree.len() == 2 * usize::from(count) - 1),
            Err(error) => prop_assert_eq!(error, ProposalError::Map),
        }
    }
}

#[test]
fn refuses_too_little_memory_and_other_maps() {
    let picture = Picture::noise(4, 3);
    let labels = [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 2, 2];
    let map = SuperpixelMap::new(&labels, 4, 3, 3).unwrap();
    let run = |picture: &Picture, words, order: usize| {
        let (words, order) = (&mut vec![0; words], &mut vec![0; order]);
        group(picture.view(), ColourSpace::Rgb, map, words, order).map(|tree| tree.len())
    };
    assert_eq!(run(&picture, words(3), 3), Ok(5));
    for less in 0..words(3) {
        assert_eq!(run(&picture, less, 3), Err(ProposalError::Words));
    }
    assert_eq!(run(&picture, words(3), 2), Err(ProposalError::Labels));
    let turned = Picture::noise(3, 4);
    assert_eq!(run(&turned, words(3), 3), Err(ProposalError::Map));
}
