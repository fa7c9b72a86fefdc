//! Hierarchical grouping of superpixels: "Selective Search for Object Recognition", Uijlings, van de Sande, Gevers
//! and Smeulders, IJCV 2013, section 3.
//!
//! The two most similar neighbouring regions are merged until one is left. Similarity is a weighted sum ([`Mix`]) of
//! four terms, each 0 to 65536 and rounded down, with areas a and b, their union's bounding box, and the image's area:
//!
//! | term | value |
//! |---|---|
//! | colour | intersection of the colour histograms, 3 x 16 bins |
//! | texture | intersection of the gradient histograms, 8 orientations x 3 strengths and one bin without gradient |
//! | size | `1 - (a + b) / image` |
//! | fill | `1 - (box - a - b) / image` |
//!
//! Histograms are kept as counts, so merging adds them exactly. A region is known by its smallest superpixel id;
//! among equally similar pairs the one with the smallest first id is merged, then with the smallest second id.

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;

use crate::adjacency::{collect, ids, max_pairs, move_item, pair, table_words};
use crate::arena::take;
use crate::colour::ColourSpace;
use crate::error::ProposalError;
use crate::felzenszwalb::check_image;
use crate::histogram::{BINS, COLOUR_BINS, count, intersection};
use crate::params::Mix;
use crate::region::Region;
pub use crate::tree::{Dendrogram, Node};
use crate::tree::{NODE, Nodes};

/// Words that [`group`] needs for a map of `count` superpixels.
#[must_use]
pub const fn words(count: u16) -> usize {
    let count = count as usize;
    let nodes = (2 * count).saturating_sub(1);
    nodes * NODE + count * (BINS + 2) + table_words(count) + max_pairs(count)
}

/// Groups the superpixels of `map` over `image`.
///
/// `words` is memory of at least [`words`]`(map.count())`; `order` receives the order and must have exactly
/// `map.count()` items. The result depends on neither's content.
///
/// Every id needs at least one pixel, and superpixels should be 4-connected, as those of
/// [`superpixels`](crate::felzenszwalb::superpixels) are. Time grows with the square of the number of superpixels.
///
/// # Errors
/// [`ProposalError::Channels`], [`ProposalError::TooManyPixels`], [`ProposalError::Map`], [`ProposalError::Words`] or
/// [`ProposalError::Labels`].
pub fn group<'m>(
    image: ImageView<'_>,
    map: SuperpixelMap<'_>,
    mix: Mix,
    words: &'m mut [u32],
    order: &'m mut [u16],
) -> Result<Dendrogram<'m>, ProposalError> {
    group_in(image, ColourSpace::Rgb, map, mix, words, order)
}

/// As [`group`], with the colour histograms of another colour space.
///
/// # Errors
/// As [`group`].
pub fn group_in<'m>(
    image: ImageView<'_>,
    space: ColourSpace,
    map: SuperpixelMap<'_>,
    mix: Mix,
    mut words: &'m mut [u32],
    order: &'m mut [u16],
) -> Result<Dendrogram<'m>, ProposalError> {
    let pixels = check_image(image)?;
    let leaves = usize::from(map.count());
    if (map.width(), map.height()) != (image.width(), image.height()) {
        return Err(ProposalError::Map);
    }
    if order.len() != leaves {
        return Err(ProposalError::Labels);
    }
    // A map is never empty, so there is at least one leaf.
    let node_words = take(&mut words, (2 * leaves - 1) * NODE)?;
    let mut grouper = Grouper {
        mix,
        pixels: pixels as u64,
        bins: take(&mut words, leaves * BINS)?,
        nodes: Nodes(&mut *node_words),
        current: take(&mut words, leaves)?,
    };
    let seen = take(&mut words, leaves)?;
    let pairs = take(&mut words, table_words(leaves))?;
    let similarities = take(&mut words, max_pairs(leaves))?;

    grouper.start(image, space, map)?;
    let mut pair_count = collect(
        map.labels(),
        usize::from(image.width()),
        pairs,
        similarities.len(),
    )?;
    for (pair, similarity) in pairs.iter().take(pair_count).zip(similarities.iter_mut()) {
        let (a, b) = ids(*pair);
        *similarity = grouper.similarity(a, b);
    }
    seen.fill(0);
    for node in leaves..2 * leaves - 1 {
        let (a, b) = pairs
            .get(..pair_count)
            .and_then(|pairs| best(pairs, similarities))
            .ok_or(ProposalError::Map)?;
        grouper.merge(a, b, node);
        let mut i = 0;
        while i < pair_count {
            let (p, q) = ids(pairs.get(i).copied().unwrap_or(0));
            let other = if p == a || p == b {
                q
            } else if q == a || q == b {
                p
            } else {
                i += 1;
                continue;
            };
            // Of the pairs that now join the same two regions, one stays.
            let stamp = seen.get_mut(usize::from(other));
            let stamp = stamp.filter(|stamp| **stamp != node as u32);
            let Some(stamp) = stamp.filter(|_| other != a && other != b) else {
                pair_count -= 1;
                move_item(pairs, pair_count, i);
                move_item(similarities, pair_count, i);
                continue;
            };
            *stamp = node as u32;
            if let (Some(pair_at), Some(similarity)) = (pairs.get_mut(i), similarities.get_mut(i)) {
                *pair_at = pair(a, other);
                *similarity = grouper.similarity(a, other);
            }
            i += 1;
        }
    }
    grouper.nodes.arrange(order);
    Ok(Dendrogram::new(order, node_words))
}

/// The most similar pair; of equals the first by ids.
fn best(pairs: &[u32], similarities: &[u32]) -> Option<(u16, u16)> {
    let (mut best, mut most) = (pairs.first().copied()?, 0);
    for (&pair, &similarity) in pairs.iter().zip(similarities) {
        if similarity > most || (similarity == most && pair < best) {
            (best, most) = (pair, similarity);
        }
    }
    Some(ids(best))
}

/// Regions while they are grouped. A region lives in the slot of its smallest superpixel id.
struct Grouper<'m> {
    mix: Mix,
    /// Pixels of the image.
    pixels: u64,
    /// Histograms by slot.
    bins: &'m mut [u32],
    nodes: Nodes<'m>,
    /// Node index by slot.
    current: &'m mut [u32],
}

impl Grouper<'_> {
    /// Makes the leaves.
    fn start(
        &mut self,
        image: ImageView<'_>,
        space: ColourSpace,
        map: SuperpixelMap<'_>,
    ) -> Result<(), ProposalError> {
        self.nodes.leaves(image, map)?;
        for (id, current) in (0..).zip(self.current.iter_mut()) {
            *current = id;
        }
        if self.mix.colour != 0 || self.mix.texture != 0 {
            count(image, space, map.labels(), self.bins);
        } else {
            self.bins.fill(0);
        }
        Ok(())
    }

    /// The node that is in a slot.
    fn node(&self, slot: u16) -> usize {
        self.current.get(usize::from(slot)).copied().unwrap_or(0) as usize
    }

    fn region(&self, slot: u16) -> Region {
        self.nodes.get(self.node(slot)).region
    }

    fn similarity(&self, a: u16, b: u16) -> u32 {
        let (region_a, region_b) = (self.region(a), self.region(b));
        let whole = region_a.union(region_b);
        let histogram = |slot: u16| {
            let from = usize::from(slot) * BINS;
            let bins = self.bins.get(from..from + BINS).unwrap_or(&[]);
            bins.split_at_checked(COLOUR_BINS).unwrap_or((&[], &[]))
        };
        let (colour_a, texture_a) = histogram(a);
        let (colour_b, texture_b) = histogram(b);
        let (area_a, area_b) = (region_a.area, region_b.area);
        // `part` never exceeds the image's pixels, of which there is at least one.
        let rest = |part: u64| ((self.pixels - part) << 16) / self.pixels.max(1);
        let mut sum = 0;
        if self.mix.colour != 0 {
            let term = intersection(colour_a, area_a, colour_b, area_b, 3);
            sum += u32::from(self.mix.colour) * term;
        }
        if self.mix.texture != 0 {
            let term = intersection(texture_a, area_a, texture_b, area_b, 1);
            sum += u32::from(self.mix.texture) * term;
        }
        let area = u64::from(whole.area);
        let size = rest(area) as u32;
        let fill = rest(whole.box_area() - area) as u32;
        sum + u32::from(self.mix.size) * size + u32::from(self.mix.fill) * fill
    }

    /// Merges slot `b` into slot `a` as node `index`.
    fn merge(&mut self, a: u16, b: u16, index: usize) {
        self.nodes.merge(self.node(a), self.node(b), index);
        if let Some(current) = self.current.get_mut(usize::from(a)) {
            *current = index as u32;
        }
        // `a` is the smaller id.
        let Some((head, tail)) = self.bins.split_at_mut_checked(usize::from(b) * BINS) else {
            return;
        };
        let to = head.get_mut(usize::from(a) * BINS..).unwrap_or_default();
        for (to, from) in to.iter_mut().zip(tail.iter().take(BINS)) {
            *to += from;
        }
    }
}
