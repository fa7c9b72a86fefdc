//! How much memory the proposals of an image need.

use crate::collector::RECORD;
use crate::combinatorial;
use crate::diversity::Ranking;
use crate::felzenszwalb;
use crate::grouping;
use crate::params::Params;
use crate::region::Region;
use crate::slic;

/// Memory for [`propose`](crate::propose); its content before the call does not matter.
///
/// The proposals live in it. How much is needed: [`Params::words`] or at least [`Params::min_words`], and
/// [`Params::labels`]. More than needed does no harm.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// Scratch memory, and what is known of each proposal.
    pub words: &'a mut [u32],
    /// The superpixel maps and the orders of their members.
    pub labels: &'a mut [u16],
}

/// Members that a combination may have on the average.
const MEMBERS: usize = 64;

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

const fn max(a: usize, b: usize) -> usize {
    if a < b { b } else { a }
}

const fn pixels(width: u16, height: u16) -> usize {
    (width as usize).saturating_mul(height as usize)
}

impl Params {
    /// Hierarchies per map; a map without any still has its superpixels.
    pub(crate) const fn orders(&self) -> usize {
        max(self.mixes().len() + self.contours() as usize, 1)
    }

    /// Most superpixels that a map of so many pixels can have.
    const fn superpixel_bound(&self, pixels: usize) -> usize {
        min(self.max_superpixels() as usize, pixels)
    }

    /// Most proposals of an image of so many pixels that are kept at a time: twice the limit, or all there can be. Ranked
    /// by area, combinations are kept beside as many single regions, since the last ones may find no room in the end.
    pub(crate) const fn capacity(&self, pixels: usize) -> usize {
        let nodes = 2 * self.superpixel_bound(pixels) * self.orders() * self.scales().len();
        let most = 2 * self.max_segments() as usize;
        if self.combined() {
            match self.ranking() {
                Ranking::Area => most + self.max_segments() as usize,
                Ranking::Level => most,
            }
        } else {
            min(most, nodes)
        }
    }

    /// Whether there are proposals besides superpixels and the nodes of hierarchies.
    pub(crate) const fn combined(&self) -> bool {
        self.combinations().levels() > 0 && (!self.mixes().is_empty() || self.contours())
    }

    /// Words for combining the regions of a map.
    pub(crate) const fn combine_words(&self, pixels: usize) -> usize {
        if self.combined() {
            combinatorial::combine_words(self.superpixel_bound(pixels))
        } else {
            0
        }
    }

    /// Items for the members of combinations.
    pub(crate) const fn combined_members(&self, pixels: usize) -> usize {
        if self.combined() {
            min(MEMBERS, self.superpixel_bound(pixels)) * self.max_segments() as usize
        } else {
            0
        }
    }

    /// Words for the proposals and the larger of superpixels and grouping.
    const fn words_with(&self, width: u16, height: u16, fast: bool) -> usize {
        let pixels = pixels(width, height);
        let count = self.superpixel_bound(pixels);
        let mut scratch = if !self.mixes().is_empty() {
            grouping::words(count as u16)
        } else if !self.contours() {
            Region::WORDS * count
        } else {
            0
        };
        if self.contours() {
            scratch = max(scratch, combinatorial::words(count as u16));
        }
        let limit = self.max_superpixels();
        let mut i = 0;
        while i < self.scales().len() {
            let superpixels = match (self.slic(i), fast) {
                (Some(slic), true) => slic::words(width, height, slic.spacing, limit),
                (Some(slic), false) => slic::min_words(width, height, slic.spacing, limit),
                (None, true) => felzenszwalb::words(width, height),
                (None, false) => felzenszwalb::min_words(width, height),
            };
            scratch = max(scratch, superpixels);
            i += 1;
        }
        (RECORD * self.capacity(pixels) + self.combine_words(pixels)).saturating_add(scratch)
    }

    /// The `u32` words with which [`propose`](crate::propose) is fastest on an image of this size.
    #[must_use]
    pub const fn words(&self, width: u16, height: u16) -> usize {
        self.words_with(width, height, true)
    }

    /// The fewest `u32` words with which [`propose`](crate::propose) works on an image of this size. Between this and
    /// [`Params::words`], every word more can save passes over the image; the result is the same. The fewest can take some
    /// hundred times as long as the most: where there is memory, it is well spent here.
    #[must_use]
    pub const fn min_words(&self, width: u16, height: u16) -> usize {
        self.words_with(width, height, false)
    }

    /// The `u16` items that [`propose`](crate::propose) needs for an image of this size.
    #[must_use]
    pub const fn labels(&self, width: u16, height: u16) -> usize {
        let pixels = pixels(width, height);
        let order = self.superpixel_bound(pixels) * self.orders();
        pixels
            .saturating_add(order)
            .saturating_mul(self.scales().len())
            .saturating_add(self.combined_members(pixels))
    }
}
