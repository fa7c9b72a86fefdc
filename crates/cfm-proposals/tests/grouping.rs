//! Grouping against the definition, recomputed from pixels at every step.

mod common;

use cfm_core::segment::SuperpixelMap;
use cfm_proposals::grouping::{Node, group, words};
use cfm_proposals::{Mix, ProposalError, felzenszwalb};
use common::{Picture, connected, mix, picture, scale, smoothing};
use proptest::prelude::*;

/// A region: its superpixels and its pixels, both sorted.
#[derive(Debug, Clone, PartialEq)]
struct Plain {
    ids: Vec<u16>,
    pixels: Vec<usize>,
}

struct Definition<'p> {
    picture: &'p Picture,
    mix: Mix,
}

impl Definition<'_> {
    fn brightness(&self, x: usize, y: usize) -> i64 {
        let [r, g, b] = self.picture.colour(x, y);
        r + 2 * g + b
    }

    fn colour_counts(&self, region: &Plain) -> Vec<u128> {
        let width = usize::from(self.picture.width);
        let mut counts = vec![0; 48];
        for &pixel in &region.pixels {
            let colour = self.picture.colour(pixel % width, pixel / width);
            for (channel, value) in colour.into_iter().enumerate() {
                counts[16 * channel + value as usize / 16] += 1;
            }
        }
        counts
    }

    fn texture_counts(&self, region: &Plain) -> Vec<u128> {
        let (width, height) = (
            usize::from(self.picture.width),
            usize::from(self.picture.height),
        );
        let mut counts = vec![0; 25];
        for &pixel in &region.pixels {
            let (x, y) = (pixel % width, pixel / width);
            let gx = self.brightness((x + 1).min(width - 1), y)
                - self.brightness(x.saturating_sub(1), y);
            let gy = self.brightness(x, (y + 1).min(height - 1))
                - self.brightness(x, y.saturating_sub(1));
            // Grey levels.
            let strength = f64::from((gx * gx + gy * gy) as i32).sqrt() / 4.0;
            let level = match strength {
                s if s < 4.0 => {
                    counts[24] += 1;
                    continue;
                }
                s if s < 12.0 => 0,
                s if s < 36.0 => 1,
                _ => 2,
            };
            // The bounds between the directions: tan 22.5 degrees, as 53 / 128.
            let slope = |a: i64, b: i64| a.abs() as f64 / b.abs() as f64;
            let direction = if gx != 0 && slope(gy, gx) < 53.0 / 128.0 {
                if gx > 0 { 0 } else { 1 }
            } else if gy != 0 && slope(gx, gy) < 53.0 / 128.0 {
                if gy > 0 { 2 } else { 3 }
            } else {
                match (gx > 0, gy > 0) {
                    (true, true) => 4,
                    (false, true) => 5,
                    (true, false) => 6,
                    (false, false) => 7,
                }
            };
            counts[8 * level + direction] += 1;
        }
        counts
    }

    fn bbox(&self, region: &Plain) -> [usize; 4] {
        let width = usize::from(self.picture.width);
        let x = || region.pixels.iter().map(|pixel| pixel % width);
        let y = || region.pixels.iter().map(|pixel| pixel / width);
        [x().min(), y().min(), x().max(), y().max()].map(Option::unwrap)
    }

    fn similarity(&self, a: &Plain, b: &Plain) -> u128 {
        let (area_a, area_b) = (a.pixels.len() as u128, b.pixels.len() as u128);
        let image = u128::from(self.picture.width) * u128::from(self.picture.height);
        let common = |a: Vec<u128>, b: Vec<u128>, parts: u128| {
            let sum: u128 = a
                .iter()
                .zip(&b)
                .map(|(a, b)| (a * area_b).min(b * area_a))
                .sum();
            sum * 65536 / (parts * area_a * area_b)
        };
        let colour = common(self.colour_counts(a), self.colour_counts(b), 3);
        let texture = common(self.texture_counts(a), self.texture_counts(b), 1);
        let [left, top, right, bottom] = self.bbox(&union(a, b));
        let size = (image - area_a - area_b) * 65536 / image;
        let gap = ((right - left + 1) * (bottom - top + 1)) as u128 - area_a - area_b;
        let fill = (image - gap) * 65536 / image;
        u128::from(self.mix.colour) * colour
            + u128::from(self.mix.texture) * texture
            + u128::from(self.mix.size) * size
            + u128::from(self.mix.fill) * fill
    }

    fn touch(&self, a: &Plain, b: &Plain) -> bool {
        let width = usize::from(self.picture.width);
        a.pixels.iter().any(|&p| {
            b.pixels.iter().any(|&q| {
                let (dx, dy) = (
                    (p % width).abs_diff(q % width),
                    (p / width).abs_diff(q / width),
                );
                dx + dy == 1
            })
        })
    }

    /// All nodes, leaves first, then as they merge.
    fn nodes(&self, map: &SuperpixelMap<'_>) -> Vec<Plain> {
        let mut nodes: Vec<Plain> = (0..map.count())
            .map(|id| Plain {
                ids: vec![id],
                pixels: (0..map.labels().len())
                    .filter(|&pixel| map.labels()[pixel] == id)
                    .collect(),
            })
            .collect();
        let mut active = nodes.clone();
        while active.len() > 1 {
            active.sort_by_key(|region| region.ids[0]);
            let mut best: Option<(u128, usize, usize)> = None;
            for i in 0..active.len() {
                for j in i + 1..active.len() {
                    if self.touch(&active[i], &active[j]) {
                        let similarity = self.similarity(&active[i], &active[j]);
                        if best.is_none_or(|(most, ..)| similarity > most) {
                            best = Some((similarity, i, j));
                        }
                    }
                }
            }
            let (_, i, j) = best.unwrap();
            let merged = union(&active[i], &active[j]);
            active.remove(j);
            active[i] = merged.clone();
            nodes.push(merged);
        }
        nodes
    }
}

fn union(a: &Plain, b: &Plain) -> Plain {
    let mut union = Plain {
        ids: [&a.ids[..], &b.ids[..]].concat(),
        pixels: [&a.pixels[..], &b.pixels[..]].concat(),
    };
    union.ids.sort_unstable();
    union.pixels.sort_unstable();
    union
}

fn sorted(node: &Node<'_>) -> Vec<u16> {
    let mut ids = node.members.to_vec();
    ids.sort_unstable();
    ids
}

/// A superpixel map of a picture.
fn labels(
    picture: &Picture,
    smoothing: cfm_proposals::Smoothing,
    scale: cfm_proposals::Scale,
) -> (Vec<u16>, u16) {
    let mut memory = vec![0; felzenszwalb::words(picture.width, picture.height)];
    let mut labels = vec![0; usize::from(picture.width) * usize::from(picture.height)];
    let count = felzenszwalb::superpixels(
        picture.view(),
        smoothing,
        scale,
        1000,
        &mut memory,
        &mut labels,
    )
    .unwrap()
    .count();
    (labels, count)
}

proptest! {
    #[test]
    fn merges_as_defined(
        picture in picture(7),
        smoothing in smoothing(),
        scale in scale(),
        mix in mix(),
        garbage in any::<u32>(),
    ) {
        let (labels, count) = labels(&picture, smoothing, scale);
        let map = SuperpixelMap::new(&labels, picture.width, picture.height, count).unwrap();
        let mut memory = vec![garbage; words(count)];
        let mut order = vec![garbage as u16; usize::from(count)];
        let tree = group(picture.view(), map, mix, &mut memory, &mut order).unwrap();

        let definition = Definition { picture: &picture, mix };
        let expected = definition.nodes(&map);
        prop_assert_eq!(tree.len(), expected.len());
        prop_assert_eq!(tree.leaf_count(), usize::from(count));
        for (node, expected) in tree.nodes().zip(&expected) {
            prop_assert_eq!(sorted(&node), expected.ids.clone());
            prop_assert_eq!(node.area as usize, expected.pixels.len());
            let bbox = [node.bbox.left, node.bbox.top, node.bbox.right, node.bbox.bottom].map(usize::from);
            prop_assert_eq!(bbox, definition.bbox(expected));
        }
    }

    #[test]
    fn is_a_tree_of_connected_regions(
        picture in picture(24),
        smoothing in smoothing(),
        scale in scale(),
        mix in mix(),
    ) {
        let (labels, count) = labels(&picture, smoothing, scale);
        let map = SuperpixelMap::new(&labels, picture.width, picture.height, count).unwrap();
        let (mut memory, mut order) = (vec![0; words(count)], vec![0; usize::from(count)]);
        let tree = group(picture.view(), map, mix, &mut memory, &mut order).unwrap();

        let mut permutation = tree.order().to_vec();
        permutation.sort_unstable();
        prop_assert!(permutation.iter().copied().eq(0..count));
        prop_assert_eq!(tree.node(tree.len()), None);
        let mut hashes = std::collections::HashMap::new();
        for (index, node) in tree.nodes().enumerate() {
            prop_assert_eq!(tree.node(index), Some(node));
            prop_assert_eq!(node.members, &tree.order()[node.start..][..node.members.len()]);
            prop_assert_eq!(node.children.is_none(), index < tree.leaf_count());
            if let Some((a, b)) = node.children {
                prop_assert!(usize::from(a.max(b)) < index);
                let children = [a, b].map(|child| tree.node(usize::from(child)).unwrap());
                prop_assert_eq!(node.members, [children[0].members, children[1].members].concat());
                prop_assert_eq!(node.area, children[0].area + children[1].area);
            }
            let inside = |pixel: usize| node.members.contains(&labels[pixel]);
            prop_assert!(connected(usize::from(map.width()), usize::from(map.height()), inside));
            prop_assert_eq!(hashes.insert(node.hash, index), None);
        }
        prop_assert_eq!(tree.node(tree.len() - 1).unwrap().members.len(), usize::from(count));
    }

    #[test]
    fn any_map_is_grouped_or_refused(
        picture in picture(12),
        ids in prop::collection::vec(0..20_u16, 144),
        count in 1..=20_u16,
        mix in mix(),
    ) {
        let pixels = usize::from(picture.width) * usize::from(picture.height);
        let labels: Vec<u16> = ids[..pixels].iter().map(|id| id % count).collect();
        let map = SuperpixelMap::new(&labels, picture.width, picture.height, count).unwrap();
        let (mut memory, mut order) = (vec![0; words(count)], vec![0; usize::from(count)]);
        let all_used = (0..count).all(|id| labels.contains(&id));
        match group(picture.view(), map, mix, &mut memory, &mut order) {
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
    let mix = Mix::COLOUR_TEXTURE_SIZE_FILL;
    let run = |picture: &Picture, map, words, order: usize| {
        group(
            picture.view(),
            map,
            mix,
            &mut vec![0; words],
            &mut vec![0; order],
        )
        .map(|tree| tree.len())
    };
    assert_eq!(run(&picture, map, words(3), 3), Ok(5));
    for less in 0..words(3) {
        assert_eq!(run(&picture, map, less, 3), Err(ProposalError::Words));
    }
    assert_eq!(run(&picture, map, words(3), 2), Err(ProposalError::Labels));
    assert_eq!(run(&picture, map, words(3), 4), Err(ProposalError::Labels));
    assert_eq!(
        run(&Picture::noise(3, 4), map, words(3), 3),
        Err(ProposalError::Map)
    );
    // An id without pixels.
    let map = SuperpixelMap::new(&labels, 4, 3, 4).unwrap();
    assert_eq!(run(&picture, map, words(4), 4), Err(ProposalError::Map));
}
