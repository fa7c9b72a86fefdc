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
use cfm_core::segment::{PixelBox, SuperpixelMap};

use crate::adjacency::{collect, ids, max_pairs, pair, table_words};
use crate::arena::take;
use crate::colour::ColourSpace;
use crate::error::ProposalError;
use crate::felzenszwalb::check_image;
use crate::histogram::{BINS, COLOUR_BINS, count, intersection};
use crate::params::Mix;
use crate::region::{Region, for_each_pixel};

/// Words of a stored node: children, range, region.
const NODE: usize = 2 + Region::WORDS;

/// Words that [`group`] needs for a map of `count` superpixels.
#[must_use]
pub const fn words(count: u16) -> usize {
    let count = count as usize;
    let nodes = (2 * count).saturating_sub(1);
    nodes * NODE + count * (BINS + 2) + table_words(count) + max_pairs(count)
}

/// A binary tree over the superpixels of a map: the leaves are the superpixels, every other node is the union of its
/// two children.
///
/// The leaves have an order in which every node's superpixels follow each other, so that a node's members are a
/// slice of one permutation.
#[derive(Debug, Clone, Copy)]
pub struct Dendrogram<'a> {
    order: &'a [u16],
    nodes: &'a [u32],
}

/// A node of a [`Dendrogram`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Superpixel ids.
    pub members: &'a [u16],
    /// Where `members` starts in the [order](Dendrogram::order).
    pub start: usize,
    /// Indices of the two merged nodes; `None` for a superpixel.
    pub children: Option<(u16, u16)>,
    /// Pixels.
    pub area: u32,
    /// Smallest box around the pixels.
    pub bbox: PixelBox,
    /// A hash of the set of pixels, equal for equal sets in images of the same width, whatever the map.
    pub hash: u64,
}

impl<'a> Dendrogram<'a> {
    /// The superpixel ids in the tree's order: a permutation.
    #[must_use]
    pub const fn order(&self) -> &'a [u16] {
        self.order
    }

    /// Number of leaves; node `i` below it is superpixel `i`.
    #[must_use]
    pub const fn leaf_count(&self) -> usize {
        self.order.len()
    }

    /// Number of nodes: one less than twice the leaves. Above the leaves, nodes are numbered as they were merged; the
    /// last one is the whole image.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len() / NODE
    }

    /// Whether there is no node; never true.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Node `index`.
    #[must_use]
    pub fn node(&self, index: usize) -> Option<Node<'a>> {
        let Stored {
            children,
            range,
            region,
        } = load(self.nodes.chunks_exact(NODE).nth(index)?);
        let (start, len) = (usize::from(range.0), usize::from(range.1));
        Some(Node {
            members: self.order.get(start..start + len)?,
            start,
            children: (index >= self.leaf_count()).then_some(children),
            area: region.area,
            bbox: region.bbox,
            hash: region.hash,
        })
    }

    /// All nodes: superpixels by id, then merges as they happened.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'a>> + use<'a> {
        let this = *self;
        (0..this.len()).map(move |index| {
            this.node(index).unwrap_or(Node {
                members: &[],
                start: 0,
                children: None,
                area: 0,
                bbox: Region::EMPTY.bbox,
                hash: 0,
            })
        })
    }
}

/// A node as it is stored.
#[derive(Clone, Copy)]
struct Stored {
    children: (u16, u16),
    /// Start and length in the order.
    range: (u16, u16),
    region: Region,
}

fn halves(word: u32) -> (u16, u16) {
    (word as u16, (word >> 16) as u16)
}

fn join((low, high): (u16, u16)) -> u32 {
    u32::from(low) | u32::from(high) << 16
}

fn load(words: &[u32]) -> Stored {
    match *words {
        [children, range, a, b, c, d, e] => Stored {
            children: halves(children),
            range: halves(range),
            region: Region::from_words([a, b, c, d, e]),
        },
        _ => Stored {
            children: (0, 0),
            range: (0, 0),
            region: Region::EMPTY,
        },
    }
}

/// The nodes while they are made.
struct Nodes<'m>(&'m mut [u32]);

impl Nodes<'_> {
    fn get(&self, index: usize) -> Stored {
        load(self.0.get(index * NODE..(index + 1) * NODE).unwrap_or(&[]))
    }

    fn set(&mut self, index: usize, node: Stored) {
        if let Some(words) = self.0.get_mut(index * NODE..(index + 1) * NODE) {
            words[0] = join(node.children);
            words[1] = join(node.range);
            words[2..].copy_from_slice(&node.region.to_words());
        }
    }
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
    for (pair, similarity) in pairs[..pair_count].iter().zip(similarities.iter_mut()) {
        let (a, b) = ids(*pair);
        *similarity = grouper.similarity(a, b);
    }
    seen.fill(0);
    for node in leaves..2 * leaves - 1 {
        let (a, b) = best(&pairs[..pair_count], similarities).ok_or(ProposalError::Map)?;
        grouper.merge(a, b, node);
        let mut i = 0;
        while i < pair_count {
            let (p, q) = ids(pairs[i]);
            let other = if p == a || p == b {
                q
            } else if q == a || q == b {
                p
            } else {
                i += 1;
                continue;
            };
            // Of the pairs that now join the same two regions, one stays.
            let stamp = &mut seen[usize::from(other)];
            if other == a || other == b || *stamp == node as u32 {
                pair_count -= 1;
                pairs.swap(i, pair_count);
                similarities.swap(i, pair_count);
                continue;
            }
            *stamp = node as u32;
            pairs[i] = pair(a, other);
            similarities[i] = grouper.similarity(a, other);
            i += 1;
        }
    }
    grouper.arrange(order);
    Ok(Dendrogram {
        order,
        nodes: node_words,
    })
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
        for id in 0..map.count() {
            let leaf = Stored {
                children: (id, id),
                range: (0, 1),
                region: Region::EMPTY,
            };
            self.nodes.set(usize::from(id), leaf);
            self.current[usize::from(id)] = u32::from(id);
        }
        for_each_pixel(image, map.labels(), |id, pixel| {
            let mut leaf = self.nodes.get(usize::from(id));
            leaf.region = leaf.region.union(pixel);
            self.nodes.set(usize::from(id), leaf);
        });
        if (0..map.count()).any(|id| self.nodes.get(usize::from(id)).region.area == 0) {
            return Err(ProposalError::Map);
        }
        if self.mix.colour != 0 || self.mix.texture != 0 {
            count(image, space, map.labels(), self.bins);
        } else {
            self.bins.fill(0);
        }
        Ok(())
    }

    fn region(&self, slot: u16) -> Region {
        self.nodes
            .get(self.current[usize::from(slot)] as usize)
            .region
    }

    fn similarity(&self, a: u16, b: u16) -> u32 {
        let (region_a, region_b) = (self.region(a), self.region(b));
        let whole = region_a.union(region_b);
        let histogram = |slot: u16| &self.bins[usize::from(slot) * BINS..][..BINS];
        let (colour_a, texture_a) = histogram(a).split_at(COLOUR_BINS);
        let (colour_b, texture_b) = histogram(b).split_at(COLOUR_BINS);
        let (area_a, area_b) = (region_a.area, region_b.area);
        // `part` never exceeds the image's pixels.
        let rest = |part: u64| ((self.pixels - part) << 16) / self.pixels;
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
        let (node_a, node_b) = (
            self.current[usize::from(a)] as usize,
            self.current[usize::from(b)] as usize,
        );
        let (stored_a, stored_b) = (self.nodes.get(node_a), self.nodes.get(node_b));
        self.nodes.set(
            index,
            Stored {
                children: (node_a as u16, node_b as u16),
                range: (0, stored_a.range.1 + stored_b.range.1),
                region: stored_a.region.union(stored_b.region),
            },
        );
        self.current[usize::from(a)] = index as u32;
        // `a` is the smaller id.
        let (head, tail) = self.bins.split_at_mut(usize::from(b) * BINS);
        for (to, from) in head[usize::from(a) * BINS..].iter_mut().zip(&tail[..BINS]) {
            *to += from;
        }
    }

    /// Gives every node its place in the order, from the root down: the first child's members come first.
    fn arrange(&mut self, order: &mut [u16]) {
        let leaves = order.len();
        for index in (leaves..2 * leaves - 1).rev() {
            let Stored {
                children: (a, b),
                range: (start, _),
                ..
            } = self.nodes.get(index);
            let (a, b) = (usize::from(a), usize::from(b));
            let mut first = self.nodes.get(a);
            let mut second = self.nodes.get(b);
            first.range.0 = start;
            second.range.0 = start + first.range.1;
            self.nodes.set(a, first);
            self.nodes.set(b, second);
        }
        for id in 0..leaves {
            order[usize::from(self.nodes.get(id).range.0)] = id as u16;
        }
    }
}
