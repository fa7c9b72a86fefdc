//! Proposals: the superpixels and groups of all scales and mixes, each set of pixels once.

use core::iter::FusedIterator;

use cfm_core::image::ImageView;
use cfm_core::segment::{PixelBox, Segment, SuperpixelMap};
use heapless::Vec;

use crate::arena::take;
use crate::error::ProposalError;
use crate::felzenszwalb::{check_image, superpixels};
use crate::grouping::group;
use crate::memory::Workspace;
use crate::params::{MAX_SCALES, Params};
use crate::region::{Region, for_each_pixel};

/// Words of a proposal: its place in the orders, its length and map, its region.
const ENTRY: usize = 2 + Region::WORDS;
/// Words per proposal, with its share of the hash table.
pub(crate) const RECORD: usize = ENTRY + 2;

/// A candidate segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// Which of the [`Proposals::maps`] the members belong to.
    pub map: usize,
    /// Superpixel ids, each once, in no particular order.
    pub members: &'a [u16],
    /// Pixels.
    pub area: u32,
    /// Smallest box around the pixels.
    pub bbox: PixelBox,
}

impl<'a> Proposal<'a> {
    /// The proposal as the executor takes it, with [`Proposals::maps`] as the image's maps.
    #[must_use]
    pub const fn segment(&self) -> Segment<'a> {
        Segment::Superpixels {
            map: self.map,
            members: self.members,
        }
    }
}

/// The proposals of an image.
#[derive(Debug, Clone)]
pub struct Proposals<'a> {
    maps: Vec<SuperpixelMap<'a>, MAX_SCALES>,
    orders: &'a [u16],
    entries: &'a [u32],
}

impl<'a> Proposals<'a> {
    /// One superpixel map per scale, in the order of [`Params::scales`]; each covers the whole image.
    #[must_use]
    pub fn maps(&self) -> &[SuperpixelMap<'a>] {
        &self.maps
    }

    /// Number of proposals.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// Whether there is no proposal; only limits on the area can bring that about.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Proposal `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Proposal<'a>> {
        proposal(self.entries.chunks_exact(ENTRY).nth(index)?, self.orders)
    }

    /// All proposals, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            entries: self.entries.chunks_exact(ENTRY),
            orders: self.orders,
        }
    }
}

impl<'a> IntoIterator for &Proposals<'a> {
    type Item = Proposal<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over [`Proposals`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    entries: core::slice::ChunksExact<'a, u32>,
    orders: &'a [u16],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Proposal<'a>;

    fn next(&mut self) -> Option<Proposal<'a>> {
        proposal(self.entries.next()?, self.orders)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

fn proposal<'a>(entry: &[u32], orders: &'a [u16]) -> Option<Proposal<'a>> {
    let &[start, len_map, a, b, c, d, e] = entry else {
        return None;
    };
    let region = Region::from_words([a, b, c, d, e]);
    let start = start as usize;
    let len = (len_map & 0xffff) as usize;
    Some(Proposal {
        map: (len_map >> 16) as usize,
        members: orders.get(start..start + len)?,
        area: region.area,
        bbox: region.bbox,
    })
}

/// Makes the proposals of `image`.
///
/// Every scale gives a superpixel map, and every map and mix a hierarchy ([`group`]); the proposals are the nodes of
/// all hierarchies. The order is by scale, then by mix, then superpixels by id, then merges as they happened.
///
/// Left out are nodes outside the limits on the area, and nodes with the same pixels as an earlier proposal. Sets of
/// pixels are taken for the same when area, bounding box and a 64-bit sum of pixel hashes agree.
///
/// When there are more than [`Params::max_segments`], the hierarchies share them: each may add its equal share of
/// what its predecessors left, so that every scale and mix is heard, and of a hierarchy the last merges are dropped.
///
/// # Errors
/// [`ProposalError::Channels`], [`ProposalError::TooManyPixels`], [`ProposalError::Words`] or
/// [`ProposalError::Labels`].
pub fn propose<'a>(
    image: ImageView<'_>,
    params: &Params,
    workspace: Workspace<'a>,
) -> Result<Proposals<'a>, ProposalError> {
    let pixels = check_image(image)?;
    let Workspace { mut words, labels } = workspace;
    let capacity = params.capacity(pixels);
    let mut collector = Collector {
        params,
        entries: take(&mut words, capacity * ENTRY)?,
        table: take(&mut words, capacity * (RECORD - ENTRY))?,
        len: 0,
        limit: 0,
    };
    collector.table.fill(0);
    let scales = params.scales();
    let (labels, orders) = labels
        .split_at_mut_checked(pixels * scales.len())
        .ok_or(ProposalError::Labels)?;
    let mut used = 0;
    let mut hierarchies = scales.len() * params.orders();
    let mut maps = Vec::new();
    for ((index, &scale), labels) in scales
        .iter()
        .enumerate()
        .zip(labels.chunks_exact_mut(pixels))
    {
        let map = superpixels(
            image,
            params.smoothing(),
            scale,
            params.max_superpixels(),
            words,
            labels,
        )?;
        // There is room for as many maps as scales.
        let _ = maps.push(map);
        let count = usize::from(map.count());
        for mix in 0..params.orders() {
            let order = orders
                .get_mut(used..used + count)
                .ok_or(ProposalError::Labels)?;
            collector.share(capacity, hierarchies);
            if let Some(&mix) = params.mixes().get(mix) {
                for node in group(image, map, mix, words, order)?.nodes() {
                    let region = Region {
                        area: node.area,
                        bbox: node.bbox,
                        hash: node.hash,
                    };
                    collector.add(index, used + node.start, node.members.len(), region);
                }
            } else {
                for (id, member) in (0..map.count()).zip(order) {
                    *member = id;
                }
                collector.add_leaves(image, map, index, used, words)?;
            }
            used += count;
            hierarchies -= 1;
        }
    }
    let Collector { entries, len, .. } = collector;
    Ok(Proposals {
        maps,
        orders,
        entries: entries.get(..len * ENTRY).unwrap_or(&[]),
    })
}

/// Keeps each set of pixels once.
struct Collector<'m, 'p> {
    params: &'p Params,
    /// [`ENTRY`] words per proposal.
    entries: &'m mut [u32],
    /// An open-addressing hash table: 0, or one more than a proposal's index. At most half full.
    table: &'m mut [u32],
    /// Proposals so far.
    len: usize,
    /// Most proposals for now.
    limit: usize,
}

impl Collector<'_, '_> {
    /// Lets the next of the `hierarchies` left add its share.
    fn share(&mut self, capacity: usize, hierarchies: usize) {
        self.limit = self.len + (capacity - self.len).div_ceil(hierarchies);
    }

    /// Adds the superpixels of a map that is not grouped.
    fn add_leaves(
        &mut self,
        image: ImageView<'_>,
        map: SuperpixelMap<'_>,
        index: usize,
        start: usize,
        words: &mut [u32],
    ) -> Result<(), ProposalError> {
        let regions = words
            .get_mut(..usize::from(map.count()) * Region::WORDS)
            .ok_or(ProposalError::Words)?
            .as_chunks_mut()
            .0;
        regions.fill(Region::EMPTY.to_words());
        for_each_pixel(image, map.labels(), |id, pixel| {
            if let Some(words) = regions.get_mut(usize::from(id)) {
                *words = Region::from_words(*words).union(pixel).to_words();
            }
        });
        for (id, &words) in regions.iter().enumerate() {
            self.add(index, start + id, 1, Region::from_words(words));
        }
        Ok(())
    }

    /// Adds a set of pixels unless it is known, too small, too large or one too many.
    fn add(&mut self, map: usize, start: usize, len: usize, region: Region) {
        let allowed = self.params.min_area()..=self.params.max_area();
        if self.len == self.limit || !allowed.contains(&region.area) {
            return;
        }
        let key = region.to_words();
        let spread = (region.hash >> 32) * self.table.len() as u64;
        let mut at = (spread >> 32) as usize;
        loop {
            match self.table.get_mut(at) {
                Some(slot) if *slot == 0 => {
                    *slot = self.len as u32 + 1;
                    break;
                }
                Some(slot) => {
                    let entry = (*slot as usize - 1) * ENTRY;
                    if self.entries.get(entry + 2..entry + ENTRY) == Some(&key[..]) {
                        return;
                    }
                    at += 1;
                }
                None => at = 0,
            }
        }
        if let Some(entry) = self.entries.chunks_exact_mut(ENTRY).nth(self.len) {
            entry[0] = start as u32;
            entry[1] = (map as u32) << 16 | len as u32;
            entry[2..].copy_from_slice(&key);
        }
        self.len += 1;
    }
}
