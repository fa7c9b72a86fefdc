//! Combinatorial grouping, after "Multiscale Combinatorial Grouping", Arbelaez, Pont-Tuset, Barron, Marques and Malik,
//! CVPR 2014: a hierarchy by boundary strength, and pairs and triples of neighbouring regions.
//!
//! # Hierarchy
//!
//! [`group`] merges the two neighbours with the weakest boundary until one region is left, like an ultrametric contour
//! map (section 3 of the paper). The strength of a boundary comes from the pixels on its two sides, with integer
//! divisions rounded down:
//!
//! - of two pixels, 4-neighbours in different superpixels: the largest of three colour distances over 1, 3 and 5
//!   pixels, straight across the boundary and within the image; Euclidean, rounded down to quarters of a level. So
//!   both sharp and blurred boundaries count;
//! - of a boundary: the mean over its pairs of pixels, in 16ths of a quarter, squared, times the harmonic mean of the
//!   two areas. The areas make small regions merge early, as the size term of selective search does.
//!
//! Sums and lengths add up exactly under merging (a sum saturates at 2^32 - 1). Of equally weak boundaries, the one
//! with the smallest first superpixel id goes first, then with the smallest second.
//!
//! # Combinations
//!
//! Going through a hierarchy from the whole image down, merge by merge, each level splits one region into two
//! (section 5 of the paper). Each of the two, with one or two of the other regions of that level, neither its sibling,
//! makes a pair or a triple, if they hang together. How many levels take part: [`Combinations`].

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;
use cfm_core::sort::sort_by;

use crate::adjacency::{collect, ids, max_pairs, move_item, pair, table_words};
use crate::arena::take;
use crate::colour::ColourSpace;
use crate::error::ProposalError;
use crate::felzenszwalb::check_image;
use crate::grouping::{Dendrogram, Node};
use crate::smooth::row;
use crate::tree::{NODE, Nodes};

/// Most levels from which regions are combined.
pub const MAX_LEVELS: u8 = 63;

/// A pair counts as a single region this many times its level.
pub(crate) const PAIR_COST: usize = 8;
/// A triple counts as a single region this many times its level.
pub(crate) const TRIPLE_COST: usize = 32;
/// First of the numbers that tell triples of one level apart; pairs are numbered below.
const TRIPLES_FROM: usize = 128;

/// How many levels of each hierarchy, from the whole image down, give pairs and triples; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Combinations {
    /// Levels that give pairs; at most [`MAX_LEVELS`].
    pub pairs: u8,
    /// Levels that give triples; at most [`MAX_LEVELS`].
    pub triples: u8,
}

impl Combinations {
    /// Neither pairs nor triples.
    pub const NONE: Self = Self {
        pairs: 0,
        triples: 0,
    };

    pub(crate) const fn levels(self) -> u8 {
        if self.pairs < self.triples {
            self.triples
        } else {
            self.pairs
        }
    }
}

/// Words that [`group`] needs for a map of `count` superpixels.
#[must_use]
pub const fn words(count: u16) -> usize {
    let count = count as usize;
    let nodes = (2 * count).saturating_sub(1);
    nodes * NODE + 3 * count + table_words(count) + 4 * max_pairs(count)
}

/// Groups the superpixels of `map` over `image` by the strength of their boundaries in a colour space.
///
/// `words` is memory of at least [`words`]`(map.count())`; `order` receives the order and must have exactly
/// `map.count()` items. The result depends on neither's content. Maps as for
/// [`grouping::group`](crate::grouping::group).
///
/// # Errors
/// [`ProposalError::Channels`], [`ProposalError::TooManyPixels`], [`ProposalError::Map`], [`ProposalError::Words`] or
/// [`ProposalError::Labels`].
pub fn group<'m>(
    image: ImageView<'_>,
    space: ColourSpace,
    map: SuperpixelMap<'_>,
    mut words: &'m mut [u32],
    order: &'m mut [u16],
) -> Result<Dendrogram<'m>, ProposalError> {
    check_image(image)?;
    let leaves = usize::from(map.count());
    if (map.width(), map.height()) != (image.width(), image.height()) {
        return Err(ProposalError::Map);
    }
    if order.len() != leaves {
        return Err(ProposalError::Labels);
    }
    let node_words = take(&mut words, (2 * leaves - 1) * NODE)?;
    let current = take(&mut words, leaves)?;
    let seen = take(&mut words, 2 * leaves)?.as_chunks_mut::<2>().0;
    let pairs = take(&mut words, table_words(leaves))?;
    let limit = max_pairs(leaves);
    let boundaries = take(&mut words, 4 * limit)?.as_chunks_mut::<4>().0;

    let mut nodes = Nodes(&mut *node_words);
    nodes.leaves(image, map)?;
    for (id, current) in (0..).zip(current.iter_mut()) {
        *current = id;
    }
    let mut count = collect(map.labels(), usize::from(image.width()), pairs, limit)?;
    sort_by(pairs.get_mut(..count).unwrap_or_default(), |a, b| a < b);
    boundaries.fill([0; 4]);
    measure(
        image,
        space,
        map,
        pairs.get(..count).unwrap_or(&[]),
        boundaries,
    );
    let strength = |nodes: &Nodes<'_>, current: &[u32], pair: u32, [sum, length, ..]: [u32; 4]| {
        let (a, b) = ids(pair);
        let area = |slot: u16| u64::from(nodes.get(at(current, slot)).region.area);
        let mean = (16 * u64::from(sum))
            .checked_div(u64::from(length))
            .unwrap_or(0);
        // Below 2^30 times 2^22.
        let areas = (2 * area(a) * area(b)).checked_div(area(a) + area(b));
        let strength = mean * mean * areas.unwrap_or(0);
        [sum, length, strength as u32, (strength >> 32) as u32]
    };
    for (&pair, boundary) in pairs.iter().take(count).zip(boundaries.iter_mut()) {
        *boundary = strength(&nodes, current, pair, *boundary);
    }
    seen.fill([0; 2]);
    for node in leaves..2 * leaves - 1 {
        let weakest = pairs
            .iter()
            .take(count)
            .zip(boundaries.iter())
            .min_by_key(|&(&pair, &[.., low, high])| (high, low, pair));
        let (a, b) = weakest
            .map(|(&pair, _)| ids(pair))
            .ok_or(ProposalError::Map)?;
        nodes.merge(at(current, a), at(current, b), node);
        if let Some(current) = current.get_mut(usize::from(a)) {
            *current = node as u32;
        }
        let mut i = 0;
        while i < count {
            let (p, q) = ids(pairs.get(i).copied().unwrap_or(0));
            let other = if p == a || p == b {
                q
            } else if q == a || q == b {
                p
            } else {
                i += 1;
                continue;
            };
            let inside = other == a || other == b;
            let Some([stamp, first]) = seen.get_mut(usize::from(other)) else {
                return Err(ProposalError::Map);
            };
            if inside || *stamp == node as u32 {
                // The boundary is gone, or part of the one that both had with the other region.
                if !inside {
                    let [sum, length, ..] = boundaries.get(i).copied().unwrap_or_default();
                    if let Some(whole) = boundaries.get_mut(*first as usize) {
                        whole[0] = whole[0].saturating_add(sum);
                        whole[1] += length;
                    }
                }
                count -= 1;
                move_item(pairs, count, i);
                move_item(boundaries, count, i);
                continue;
            }
            (*stamp, *first) = (node as u32, i as u32);
            if let Some(joined) = pairs.get_mut(i) {
                *joined = pair(a, other);
            }
            i += 1;
        }
        for (&pair, boundary) in pairs.iter().take(count).zip(boundaries.iter_mut()) {
            let (p, q) = ids(pair);
            if p == a || q == a {
                *boundary = strength(&nodes, current, pair, *boundary);
            }
        }
    }
    nodes.arrange(order);
    Ok(Dendrogram::new(order, node_words))
}

/// The word of superpixel `id`, as an index.
fn at(words: &[u32], id: u16) -> usize {
    words.get(usize::from(id)).copied().unwrap_or(0) as usize
}

/// Adds up sum and length of each boundary; `pairs` are sorted.
fn measure(
    image: ImageView<'_>,
    space: ColourSpace,
    map: SuperpixelMap<'_>,
    pairs: &[u32],
    boundaries: &mut [[u32; 4]],
) {
    // Never 0, which the compiler does not know.
    let width = usize::from(image.width()).max(1);
    let height = usize::from(image.height());
    let sample = |x: usize, y: usize| space.sample(row(image, y), usize::from(image.channels()), x);
    let distance = |a: (usize, usize), b: (usize, usize)| {
        let (a, b) = (sample(a.0, a.1), sample(b.0, b.1));
        let square = |(a, b): (u8, u8)| u32::from(a.abs_diff(b)).pow(2);
        let sum: u32 = a.into_iter().zip(b).map(square).sum();
        (16 * sum).isqrt()
    };
    let mut add = |a: u16, b: u16, strength: u32| {
        if let Ok(at) = pairs.binary_search(&pair(a, b))
            && let Some([sum, length, ..]) = boundaries.get_mut(at)
        {
            *sum = sum.saturating_add(strength);
            *length += 1;
        }
    };
    let back = |value: usize, reach: usize| value.saturating_sub(reach);
    for (pixel, &label) in map.labels().iter().enumerate() {
        let (x, y) = (pixel % width, pixel / width);
        if let Some(&right) = map.labels().get(pixel + 1)
            && x + 1 < width
            && right != label
        {
            let across = |reach: usize| {
                let right = (x + 1 + reach).min(width - 1);
                distance((back(x, reach), y), (right, y))
            };
            add(label, right, across(0).max(across(1)).max(across(2)));
        }
        if let Some(&below) = map.labels().get(pixel + width)
            && below != label
        {
            let across = |reach: usize| {
                let below = (y + 1 + reach).min(height - 1);
                distance((x, back(y, reach)), (x, below))
            };
            add(label, below, across(0).max(across(1)).max(across(2)));
        }
    }
}

/// Words that [`combine`] needs for a map of `count` superpixels: the pairs, and which region each is in.
pub(crate) const fn combine_words(count: usize) -> usize {
    table_words(count) + count
}

fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// Calls `visit` with each combination's level as a single region, a number that tells it from others of its kind and
/// level, and its parts. `neighbours` are the touching pairs of superpixels, `regions` has a word for each superpixel.
pub(crate) fn combine(
    tree: Dendrogram<'_>,
    combinations: Combinations,
    neighbours: &[u32],
    regions: &mut [u32],
    mut visit: impl FnMut(usize, usize, &[Node<'_>]),
) {
    let last = tree.len() - 1;
    // The regions of a level; the first child takes its parent's place, the second one a new place at the end.
    let mut nodes = [0; MAX_LEVELS as usize + 1];
    if let Some(whole) = nodes.first_mut() {
        *whole = last;
    }
    regions.fill(0);
    for level in 1..=usize::from(combinations.levels().min(MAX_LEVELS)) {
        let split = last + 1 - level;
        let children = tree.node(split).and_then(|node| node.children);
        let (Some((a, b)), Some(place)) = (children, nodes.iter().position(|&n| n == split)) else {
            return;
        };
        for (place, node) in [(place, a), (level, b)] {
            if let Some(slot) = nodes.get_mut(place) {
                *slot = usize::from(node);
            }
        }
        for &member in tree
            .node(usize::from(b))
            .map_or(&[][..], |node| node.members)
        {
            if let Some(region) = regions.get_mut(usize::from(member)) {
                *region = level as u32;
            }
        }
        let mut touching = [0_u64; MAX_LEVELS as usize + 1];
        for &pair in neighbours {
            let (p, q) = ids(pair);
            let (p, q) = (at(regions, p), at(regions, q));
            if p != q {
                for (one, other) in [(p, q), (q, p)] {
                    if let Some(neighbours) = touching.get_mut(one) {
                        *neighbours |= 1 << other;
                    }
                }
            }
        }
        let (mut pairs, mut triples) = (2, TRIPLES_FROM);
        for (new, sibling) in [(place, level), (level, place)] {
            let touching = |place: usize| touching.get(place).copied().unwrap_or(0);
            let around = touching(new) & !(1 << sibling);
            let node = |place: usize| tree.node(nodes.get(place).copied()?);
            for second in bits(around) {
                let (Some(one), Some(two)) = (node(new), node(second)) else {
                    continue;
                };
                if level <= usize::from(combinations.pairs) {
                    visit(PAIR_COST * level, pairs, &[one, two]);
                    pairs += 1;
                }
                if level > usize::from(combinations.triples) {
                    continue;
                }
                let known = around & ((1 << second) - 1);
                let more = around | touching(second);
                for third in bits(more & !(1 << new | 1 << sibling | 1 << second | known)) {
                    if let Some(three) = node(third) {
                        visit(TRIPLE_COST * level, triples, &[one, two, three]);
                        triples += 1;
                    }
                }
            }
        }
    }
}

/// Collects what [`combine`] wants to know of a map; the two parts of `words`.
pub(crate) fn neighbours<'m>(
    map: SuperpixelMap<'_>,
    mut words: &'m mut [u32],
) -> Result<(&'m [u32], &'m mut [u32]), ProposalError> {
    let count = usize::from(map.count());
    let table = take(&mut words, table_words(count))?;
    let regions = take(&mut words, count)?;
    let limit = max_pairs(count);
    let pairs = collect(map.labels(), usize::from(map.width()), table, limit)?;
    Ok((table.get(..pairs).unwrap_or(&[]), regions))
}
