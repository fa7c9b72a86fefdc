//! Components of pixels.

use crate::edges::SortedEdges;
use crate::params::MAX_SUPERPIXELS;

/// A root's parent word: this bit and the size, in pixels.
const ROOT: u32 = 1 << 31;
/// A root's parent word once it is numbered: these bits and the id.
const NUMBERED: u32 = 3 << 30;

/// Components of pixels: a union-find forest.
pub(crate) struct Forest<'m> {
    /// A pixel's parent, or [`ROOT`] and the component's size.
    parents: &'m mut [u32],
    /// Number of components.
    pub count: usize,
}

impl<'m> Forest<'m> {
    /// Every pixel by itself; one word for each.
    pub(crate) fn new(parents: &'m mut [u32]) -> Self {
        parents.fill(ROOT | 1);
        let count = parents.len();
        Self { parents, count }
    }

    /// Joins components below the smallest size across the edges in order, and doubles that size (from 1 at least)
    /// until no more than `max_count` components are left.
    pub(crate) fn absorb(
        &mut self,
        edges: &mut SortedEdges<'_, '_>,
        min_size: u16,
        max_count: u16,
    ) {
        let max_count = usize::from(max_count.clamp(1, MAX_SUPERPIXELS));
        let mut min_size = u32::from(min_size);
        loop {
            if min_size > 1 {
                edges.for_each(|a, b, _| {
                    let (a, b) = (self.find(a), self.find(b));
                    if a != b && (self.size(a) < min_size || self.size(b) < min_size) {
                        self.join(a, b);
                    }
                });
            }
            if self.count <= max_count {
                break;
            }
            min_size = min_size.max(1) * 2;
        }
    }

    /// A pixel's word.
    fn word(&self, pixel: usize) -> u32 {
        // Pixels that there are not are roots, so that a search ends.
        self.parents.get(pixel).copied().unwrap_or(ROOT)
    }

    fn set(&mut self, pixel: usize, word: u32) {
        if let Some(parent) = self.parents.get_mut(pixel) {
            *parent = word;
        }
    }

    /// The root of a pixel's component; halves the path on the way.
    pub(crate) fn find(&mut self, mut pixel: usize) -> usize {
        loop {
            let parent = self.word(pixel);
            if parent & ROOT != 0 {
                return pixel;
            }
            let above = self.word(parent as usize);
            if above & ROOT != 0 {
                return parent as usize;
            }
            self.set(pixel, above);
            pixel = above as usize;
        }
    }

    pub(crate) fn size(&self, root: usize) -> u32 {
        self.word(root) & !ROOT
    }

    /// Joins two roots and returns the root of the whole.
    pub(crate) fn join(&mut self, a: usize, b: usize) -> usize {
        let (size_a, size_b) = (self.size(a), self.size(b));
        let (root, child) = if size_a >= size_b { (a, b) } else { (b, a) };
        self.set(root, ROOT | (size_a + size_b));
        self.set(child, root as u32);
        self.count -= 1;
        root
    }

    /// Numbers the components by first appearance, writes the labels and returns how many there are.
    pub(crate) fn number(&mut self, labels: &mut [u16]) -> u16 {
        let mut count = 0;
        for (pixel, label) in labels.iter_mut().enumerate() {
            let root = self.find(pixel);
            if self.word(root) & NUMBERED != NUMBERED {
                self.set(root, NUMBERED | u32::from(count));
                count += 1;
            }
            *label = (self.word(root) & 0xffff) as u16;
        }
        count
    }
}
