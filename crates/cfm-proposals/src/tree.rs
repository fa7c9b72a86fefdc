//! Hierarchies of superpixels as binary trees.

use cfm_core::image::ImageView;
use cfm_core::segment::{PixelBox, SuperpixelMap};

use crate::error::ProposalError;
use crate::region::{Region, for_each_pixel};

/// Words of a stored node: children, range, region.
pub(crate) const NODE: usize = 2 + Region::WORDS;

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
    /// A tree of [`Nodes`] that are arranged in an order.
    pub(crate) const fn new(order: &'a [u16], nodes: &'a [u32]) -> Self {
        Self { order, nodes }
    }

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
pub(crate) struct Stored {
    children: (u16, u16),
    /// Start and length in the order.
    pub range: (u16, u16),
    pub region: Region,
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
pub(crate) struct Nodes<'m>(pub &'m mut [u32]);

impl Nodes<'_> {
    pub(crate) fn get(&self, index: usize) -> Stored {
        load(self.0.get(index * NODE..(index + 1) * NODE).unwrap_or(&[]))
    }

    fn set(&mut self, index: usize, node: Stored) {
        if let Some(words) = self.0.get_mut(index * NODE..(index + 1) * NODE) {
            words[0] = join(node.children);
            words[1] = join(node.range);
            words[2..].copy_from_slice(&node.region.to_words());
        }
    }

    /// Makes the leaves: one for each superpixel.
    pub(crate) fn leaves(
        &mut self,
        image: ImageView<'_>,
        map: SuperpixelMap<'_>,
    ) -> Result<(), ProposalError> {
        for id in 0..map.count() {
            let leaf = Stored {
                children: (id, id),
                range: (0, 1),
                region: Region::EMPTY,
            };
            self.set(usize::from(id), leaf);
        }
        for_each_pixel(image, map.labels(), |id, pixel| {
            let mut leaf = self.get(usize::from(id));
            leaf.region = leaf.region.union(pixel);
            self.set(usize::from(id), leaf);
        });
        if (0..map.count()).any(|id| self.get(usize::from(id)).region.area == 0) {
            return Err(ProposalError::Map);
        }
        Ok(())
    }

    /// Makes node `index` of two others.
    pub(crate) fn merge(&mut self, a: usize, b: usize, index: usize) {
        let (first, second) = (self.get(a), self.get(b));
        let whole = Stored {
            children: (a as u16, b as u16),
            range: (0, first.range.1 + second.range.1),
            region: first.region.union(second.region),
        };
        self.set(index, whole);
    }

    /// Gives every node its place in the order, from the root down: the first child's members come first.
    pub(crate) fn arrange(&mut self, order: &mut [u16]) {
        let leaves = order.len();
        for index in (leaves..2 * leaves - 1).rev() {
            let Stored {
                children: (a, b),
                range: (start, _),
                ..
            } = self.get(index);
            let (a, b) = (usize::from(a), usize::from(b));
            let mut first = self.get(a);
            let mut second = self.get(b);
            first.range.0 = start;
            second.range.0 = start + first.range.1;
            self.set(a, first);
            self.set(b, second);
        }
        for id in 0..leaves {
            if let Some(place) = order.get_mut(usize::from(self.get(id).range.0)) {
                *place = id as u16;
            }
        }
    }
}
