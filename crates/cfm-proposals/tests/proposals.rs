//! Proposals against superpixels and groups collected plainly, as sets of pixels.

mod common;

use std::collections::HashSet;

use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_proposals::combinatorial::Combinations;
use cfm_proposals::grouping::{Dendrogram, Node};
use cfm_proposals::{
    MAX_SUPERPIXELS, Mix, Params, Proposal, ProposalError, Proposals, Ranking, Scale, Workspace,
    combinatorial, felzenszwalb, grouping, propose, slic,
};
use common::{Picture, check_map, connected, diversify, diversity, mix, picture, scale, smoothing};
use proptest::prelude::*;

/// Memory of some size, filled with something.
struct Memory {
    words: Vec<u32>,
    labels: Vec<u16>,
}

impl Memory {
    fn new(words: usize, labels: usize, garbage: u32) -> Self {
        Self {
            words: vec![garbage; words],
            labels: vec![garbage as u16; labels],
        }
    }

    fn workspace(&mut self) -> Workspace<'_> {
        Workspace {
            words: &mut self.words,
            labels: &mut self.labels,
        }
    }

    fn run(&mut self, picture: &Picture, params: &Params) -> Result<Proposals<'_>, ProposalError> {
        propose(picture.view(), params, self.workspace())
    }
}

fn params() -> impl Strategy<Value = Params> {
    (
        prop::collection::vec(scale(), 1..=4),
        prop::collection::vec(mix(), 0..=3),
        smoothing(),
        prop_oneof![1..40_u16, Just(MAX_SUPERPIXELS)],
        prop_oneof![1..60_u16, Just(u16::MAX)],
        (0..5_u32, prop_oneof![0..100_u32, Just(u32::MAX)]),
        prop_oneof![Just(0), any::<u8>()],
        diversity(),
    )
        .prop_map(
            |(scales, mixes, smoothing, superpixels, segments, (min, max), growth, diversity)| {
                let params = Params::new(&scales, &mixes)
                    .unwrap()
                    .with_smoothing(smoothing)
                    .with_max_superpixels(superpixels)
                    .unwrap()
                    .with_max_segments(segments)
                    .unwrap()
                    .with_area(min, max.max(min))
                    .unwrap()
                    .with_min_growth(growth);
                diversify(params, &diversity)
            },
        )
}

fn pixels(map: &SuperpixelMap<'_>, members: &[u16]) -> Vec<usize> {
    (0..map.labels().len())
        .filter(|&pixel| members.contains(&map.labels()[pixel]))
        .collect()
}

/// A set of pixels as it is found.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    map: usize,
    /// Sorted.
    members: Vec<u16>,
    pixels: Vec<usize>,
    /// Level, hierarchy and sibling.
    rank: (usize, usize, usize),
}

/// Level, number and parts of every combination of a hierarchy.
fn combinations<'a>(
    map: &SuperpixelMap<'_>,
    tree: Dendrogram<'a>,
    params: &Params,
) -> Vec<(usize, usize, Vec<Node<'a>>)> {
    let (width, height) = (usize::from(map.width()), usize::from(map.height()));
    let together = |parts: &[&Node<'_>]| {
        connected(width, height, |pixel| {
            parts
                .iter()
                .any(|node| node.members.contains(&map.labels()[pixel]))
        })
    };
    let Combinations { pairs, triples } = params.combinations();
    let mut found = Vec::new();
    let mut regions = vec![tree.len() - 1];
    for level in 1..=usize::from(pairs.max(triples)).min(tree.leaf_count() - 1) {
        let split = tree.len() - level;
        let (a, b) = tree.node(split).unwrap().children.unwrap();
        let place = regions.iter().position(|&region| region == split).unwrap();
        regions[place] = usize::from(a);
        regions.push(usize::from(b));
        let nodes: Vec<Node<'_>> = regions.iter().map(|&i| tree.node(i).unwrap()).collect();
        let (mut pair, mut triple) = (2, 128);
        for (new, sibling) in [(place, level), (level, place)] {
            let others: Vec<usize> = (0..=level).filter(|&i| i != new && i != sibling).collect();
            let mut known = HashSet::new();
            for &q in others
                .iter()
                .filter(|&&q| together(&[&nodes[new], &nodes[q]]))
            {
                if level <= usize::from(pairs) {
                    found.push((8 * level, pair, vec![nodes[new], nodes[q]]));
                    pair += 1;
                }
                for &r in others.iter().filter(|&&r| r != q) {
                    if level <= usize::from(triples)
                        && together(&[&nodes[new], &nodes[q], &nodes[r]])
                        && known.insert((q.min(r), q.max(r)))
                    {
                        found.push((32 * level, triple, vec![nodes[new], nodes[q], nodes[r]]));
                        triple += 1;
                    }
                }
            }
        }
    }
    found
}

/// What `propose` should find; and whether that is all that can be said. It is not where a combination is left out for
/// want of room whose pixels are a single region, too: which of the two counts depends on when there were too many.
fn plain(picture: &Picture, params: &Params) -> (Vec<Found>, bool) {
    let mut found = Vec::new();
    let mut hierarchy = 0;
    let smoothing = params.smoothing();
    let (limit, size) = (params.max_superpixels(), (picture.width, picture.height));
    for (index, &scale) in params.scales().iter().enumerate() {
        let mut labels = vec![0; usize::from(picture.width) * usize::from(picture.height)];
        let mut words = vec![0; 10_000];
        let (image, space) = (picture.view(), params.scale_space(index));
        let map = if let Some(slic) = params.slic(index) {
            slic::superpixels(
                image,
                space,
                smoothing,
                slic,
                limit,
                &mut words,
                &mut labels,
            )
        } else {
            felzenszwalb::superpixels_in(
                image,
                space,
                smoothing,
                scale,
                limit,
                &mut words,
                &mut labels,
            )
        }
        .unwrap();
        assert_eq!(size, (map.width(), map.height()));
        let mut add = |ids: &[u16], rank| {
            let mut members = ids.to_vec();
            members.sort_unstable();
            found.push(Found {
                map: index,
                members,
                pixels: pixels(&map, ids),
                rank,
            });
        };
        if params.mixes().is_empty() && !params.contours() {
            for id in 0..map.count() {
                add(&[id], (usize::from(id), hierarchy, 0));
            }
            hierarchy += 1;
        }
        for i in 0..params.mixes().len() + usize::from(params.contours()) {
            let mut words = vec![0; 60_000];
            let mut order = vec![0; usize::from(map.count())];
            let tree = if let Some(&mix) = params.mixes().get(i) {
                grouping::group_in(image, params.mix_space(i), map, mix, &mut words, &mut order)
            } else {
                combinatorial::group(image, space, map, &mut words, &mut order)
            }
            .unwrap();
            // The whole and its two parts have levels 0 and 1.
            let mut ranks = vec![(0, hierarchy, 0); tree.len()];
            for (split, node) in tree.nodes().enumerate() {
                if let Some((a, b)) = node.children {
                    ranks[usize::from(a)] = (tree.len() - split, hierarchy, 0);
                    ranks[usize::from(b)] = (tree.len() - split, hierarchy, 1);
                }
            }
            for (node, rank) in tree.nodes().zip(ranks) {
                if let Some((a, b)) = node.children {
                    let area = |child: u16| tree.node(usize::from(child)).unwrap().area;
                    if 256 * area(a).min(area(b)) < u32::from(params.min_growth()) * node.area {
                        continue;
                    }
                }
                add(node.members, rank);
            }
            for (level, number, parts) in combinations(&map, tree, params) {
                let areas = || parts.iter().map(|node| node.area);
                let whole: u32 = areas().sum();
                if 256 * areas().min().unwrap() >= u32::from(params.min_growth()) * whole {
                    let ids: Vec<_> = parts.iter().map(|node| node.members).collect();
                    add(&ids.concat(), (level, hierarchy, number));
                }
            }
            hierarchy += 1;
        }
    }
    if params.ranking() == Ranking::Level {
        found.sort_by_key(|found| found.rank);
    }
    let single = |found: &&Found| found.rank.2 < 2;
    let singles: HashSet<Vec<usize>> = found
        .iter()
        .filter(single)
        .map(|found| found.pixels.clone())
        .collect();
    let mut known = HashSet::new();
    found.retain(|Found { pixels, .. }| {
        (params.min_area()..=params.max_area()).contains(&(pixels.len() as u32))
            && known.insert(pixels.clone())
    });
    // The largest, of equals the first.
    let mut order: Vec<usize> = (0..found.len()).collect();
    // The members of combinations, as long as there is room.
    let pixels = usize::from(picture.width) * usize::from(picture.height);
    let bound = usize::from(limit).min(pixels).min(64);
    let mut room = bound * usize::from(params.max_segments());
    let mut exact = true;
    if params.ranking() == Ranking::Area {
        order.sort_by_key(|&i| std::cmp::Reverse(found[i].pixels.len()));
        order.retain(|&i| {
            let Found {
                members, pixels, ..
            } = &found[i];
            if single(&&found[i]) {
                return true;
            }
            let left = room.checked_sub(members.len());
            room = left.unwrap_or(0);
            exact &= left.is_some() || !singles.contains(pixels);
            left.is_some()
        });
    }
    order.truncate(usize::from(params.max_segments()));
    order.sort_unstable();
    if params.ranking() == Ranking::Level {
        order.retain(|&i| {
            let Found { members, .. } = &found[i];
            let needed = if single(&&found[i]) { 0 } else { members.len() };
            let fits = needed <= room;
            room -= if fits { needed } else { 0 };
            fits
        });
    }
    (order.into_iter().map(|i| found[i].clone()).collect(), exact)
}

fn members(proposal: &Proposal<'_>) -> Vec<u16> {
    let mut members = proposal.members.to_vec();
    members.sort_unstable();
    members
}

/// What holds for every result.
fn check(picture: &Picture, params: &Params, proposals: &Proposals<'_>) {
    assert_eq!(proposals.maps().len(), params.scales().len());
    for map in proposals.maps() {
        assert_eq!((map.width(), map.height()), (picture.width, picture.height));
        assert!(map.count() <= params.max_superpixels());
        check_map(map);
    }
    assert!(proposals.len() <= usize::from(params.max_segments()));
    assert_eq!(proposals.iter().len(), proposals.len());
    assert_eq!(proposals.is_empty(), proposals.iter().next().is_none());
    assert_eq!(proposals.get(proposals.len()), None);
    for (index, proposal) in proposals.iter().enumerate() {
        assert_eq!(proposals.get(index), Some(proposal));
        assert!((params.min_area()..=params.max_area()).contains(&proposal.area));
        assert_eq!(
            proposal.segment(),
            Segment::Superpixels {
                map: proposal.map,
                members: proposal.members
            }
        );
        let unique: HashSet<_> = proposal.members.iter().collect();
        assert_eq!(unique.len(), proposal.members.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn equals_the_plain_collection(
        picture in picture(14),
        params in params(),
        part in 0..=2_usize,
        garbage in any::<u32>(),
    ) {
        let (width, height) = (picture.width, picture.height);
        let (least, most) = (params.min_words(width, height), params.words(width, height));
        let mut memory = Memory::new(least + (most - least) * part / 2, params.labels(width, height), garbage);
        let proposals = memory.run(&picture, &params).unwrap();
        check(&picture, &params, &proposals);

        let (expected, exact) = plain(&picture, &params);
        if !exact {
            prop_assert!(proposals.len() >= expected.len());
            return Ok(());
        }
        prop_assert_eq!(proposals.len(), expected.len());
        for (proposal, Found { map, members: ids, pixels, .. }) in proposals.iter().zip(&expected) {
            prop_assert_eq!(proposal.map, *map);
            prop_assert_eq!(&members(&proposal), ids);
            prop_assert_eq!(proposal.area as usize, pixels.len());
            let side = usize::from(width);
            let x = || pixels.iter().map(|pixel| pixel % side);
            let y = || pixels.iter().map(|pixel| pixel / side);
            let bbox = [proposal.bbox.left, proposal.bbox.top, proposal.bbox.right, proposal.bbox.bottom];
            let bounds = [x().min(), y().min(), x().max(), y().max()];
            prop_assert_eq!(bbox.map(usize::from), bounds.map(Option::unwrap));
            prop_assert!(connected(side, usize::from(height), |pixel| pixels.binary_search(&pixel).is_ok()));
        }
    }

    #[test]
    fn any_memory_works_or_is_refused(
        picture in picture(8),
        params in params(),
        words in 0..9000_usize,
        labels in 0..900_usize,
    ) {
        let (width, height) = (picture.width, picture.height);
        match Memory::new(words, labels, 7).run(&picture, &params) {
            Ok(proposals) => check(&picture, &params, &proposals),
            Err(ProposalError::Words) => prop_assert!(words < params.min_words(width, height)),
            Err(ProposalError::Labels) => prop_assert!(labels < params.labels(width, height)),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn constant_and_noise_at_the_usual_size() {
    let params = Params::DEFAULT;
    for (picture, least, most) in [
        (Picture::constant(240, 180), 1, 1),
        (Picture::noise(240, 180), 100, 1024),
    ] {
        let mut results = Vec::new();
        for words in [
            params.words(240, 180),
            params.min_words(240, 180),
            params.words(240, 180) + 999,
        ] {
            let mut memory = Memory::new(words, params.labels(240, 180), words as u32);
            let proposals = memory.run(&picture, &params).unwrap();
            check(&picture, &params, &proposals);
            assert!(
                (least..=most).contains(&proposals.len()),
                "{}",
                proposals.len()
            );
            let all: Vec<_> = proposals
                .iter()
                .map(|p| (p.map, p.members.to_vec(), p.area, p.bbox))
                .collect();
            results.push(all);
        }
        assert!(results.iter().all(|result| *result == results[0]));
    }
}

/// The largest pairs and triples have so many superpixels that there is no room for most of them.
#[test]
fn combinations_without_room_cost_no_single_region() {
    let picture = Picture::noise(96, 72);
    let scale = Scale { k: 0, min_size: 4 };
    let run = |combinations: Combinations| {
        let params = Params::new(&[scale, scale], &[Mix::SIZE_FILL])
            .unwrap()
            .with_contours(true)
            .with_min_growth(0)
            .with_max_segments(256)
            .unwrap()
            .with_combinations(combinations)
            .unwrap();
        assert_eq!(params.ranking(), Ranking::Area);
        let (words, labels) = (params.words(96, 72), params.labels(96, 72));
        let mut memory = Memory::new(words, labels, 5);
        let proposals = memory.run(&picture, &params).unwrap();
        check(&picture, &params, &proposals);
        assert!(
            proposals.maps()[0].count() > 500,
            "{:?}",
            proposals.maps()[0].count()
        );
        let areas = proposals.iter().map(|proposal| proposal.area);
        let mut areas: Vec<u32> = areas.collect();
        areas.sort_unstable_by(|a, b| b.cmp(a));
        areas
    };
    let (single, combined) = (
        run(Combinations::NONE),
        run(Combinations {
            pairs: 40,
            triples: 9,
        }),
    );
    assert_eq!(single.len(), 256);
    assert_eq!(combined.len(), 256);
    // Combinations take the place of smaller regions only.
    assert!(
        single
            .iter()
            .zip(&combined)
            .all(|(one, other)| one <= other)
    );
    assert_ne!(single, combined);
}

#[test]
fn a_single_pixel_is_one_proposal() {
    for (width, height) in [(1, 1), (1, 9), (9, 1)] {
        let picture = Picture::constant(width, height);
        let params = Params::DEFAULT;
        let mut memory = Memory::new(
            params.min_words(width, height),
            params.labels(width, height),
            0,
        );
        let proposals = memory.run(&picture, &params).unwrap();
        let areas: Vec<u32> = proposals.iter().map(|proposal| proposal.area).collect();
        assert_eq!(areas, [u32::from(width * height)]);
    }
}

#[test]
fn as_many_superpixels_as_there_can_be() {
    // Noise with nothing merged has one superpixel per pixel: more than the limit.
    let picture = Picture::noise(240, 180);
    let scale = Scale { k: 0, min_size: 0 };
    let params = Params::new(&[scale], &[])
        .unwrap()
        .with_max_superpixels(MAX_SUPERPIXELS)
        .unwrap();
    let params = params.with_max_segments(u16::MAX).unwrap();
    let mut memory = Memory::new(params.min_words(240, 180), params.labels(240, 180), 0);
    let proposals = memory.run(&picture, &params).unwrap();
    check_map(&proposals.maps()[0]);
    assert!(proposals.len() > 1000);
    assert_eq!(proposals.len(), usize::from(proposals.maps()[0].count()));
    assert_eq!(
        proposals.iter().map(|proposal| proposal.area).sum::<u32>(),
        240 * 180
    );
}

#[test]
fn memory_is_known_at_compile_time() {
    const WORDS: usize = Params::DEFAULT.words(64, 48);
    const LABELS: usize = Params::DEFAULT.labels(64, 48);
    let (mut words, mut labels) = ([0; WORDS], [0; LABELS]);
    let workspace = Workspace {
        words: &mut words,
        labels: &mut labels,
    };
    assert!(
        !propose(Picture::noise(64, 48).view(), &Params::DEFAULT, workspace)
            .unwrap()
            .is_empty()
    );
    // Sizes that no image has do not overflow.
    assert!(Params::DEFAULT.words(0, 0) < Params::DEFAULT.words(u16::MAX, u16::MAX));
    assert_eq!(Params::DEFAULT.labels(0, 7), 0);
    assert_eq!(Mix::SIZE_FILL, Mix::new(0, 0, 1, 1));
}

#[test]
fn refuses_what_it_cannot_work_on() {
    let params = Params::DEFAULT;
    let mut picture = Picture::noise(8, 8);
    picture.channels = 2;
    picture.width = 12;
    assert_eq!(
        Memory::new(90_000, 9000, 0).run(&picture, &params).err(),
        Some(ProposalError::Channels)
    );
    let picture = Picture {
        width: 2049,
        height: 2048,
        channels: 1,
        pixels: vec![0; 2049 * 2048],
    };
    assert_eq!(
        Memory::new(9, 9, 0).run(&picture, &params).err(),
        Some(ProposalError::TooManyPixels)
    );
}
