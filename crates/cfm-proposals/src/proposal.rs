//! Proposals: the superpixels and groups of all scales and mixes, each set of pixels once.

use core::iter::FusedIterator;

use cfm_core::image::ImageView;
use cfm_core::segment::{PixelBox, Segment, SuperpixelMap};
use heapless::Vec;

use crate::arena::take;
use crate::error::ProposalError;
use crate::felzenszwalb::{check_image, superpixels};
use crate::grouping::{Dendrogram, group};
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
/// Left out are
/// - merges that add too little to the larger region ([`Params::with_min_growth`]),
/// - nodes outside the limits on the area ([`Params::with_area`]),
/// - nodes with the same pixels as an earlier one: sets of pixels are taken for the same when area, bounding box and a
///   64-bit sum of pixel hashes agree,
/// - where more than [`Params::max_segments`] are left, the smallest, of equal areas the later ones.
///
/// Without limits on area and number, every pixel is in at least one proposal.
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
    };
    collector.table.fill(0);
    let scales = params.scales();
    let (labels, orders) = labels
        .split_at_mut_checked(pixels * scales.len())
        .ok_or(ProposalError::Labels)?;
    let mut used = 0;
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
            if let Some(&mix) = params.mixes().get(mix) {
                let dendrogram = group(image, map, mix, words, order)?;
                collector.add_nodes(dendrogram, index, used);
            } else {
                for (id, member) in (0..map.count()).zip(order) {
                    *member = id;
                }
                collector.add_superpixels(image, map, index, used, words)?;
            }
            used += count;
        }
    }
    collector.keep_largest(usize::from(params.max_segments()));
    let Collector { entries, len, .. } = collector;
    Ok(Proposals {
        maps,
        orders,
        entries: entries.get(..len * ENTRY).unwrap_or(&[]),
    })
}

/// Keeps each set of pixels once, and the largest ones when there are too many.
struct Collector<'m, 'p> {
    params: &'p Params,
    /// [`ENTRY`] words per proposal.
    entries: &'m mut [u32],
    /// An open-addressing hash table: 0, or one more than a proposal's index. At most half full.
    table: &'m mut [u32],
    /// Proposals so far.
    len: usize,
}

impl Collector<'_, '_> {
    /// Adds the nodes of a hierarchy whose order starts at `start`.
    fn add_nodes(&mut self, dendrogram: Dendrogram<'_>, map: usize, start: usize) {
        let area = |index: u16| {
            let node = dendrogram.node(usize::from(index));
            node.map_or(0, |node| u64::from(node.area))
        };
        let min_growth = u64::from(self.params.min_growth());
        for node in dendrogram.nodes() {
            let grows = node.children.is_none_or(|(a, b)| {
                area(a).min(area(b)) << 8 >= min_growth * u64::from(node.area)
            });
            if grows {
                let region = Region {
                    area: node.area,
                    bbox: node.bbox,
                    hash: node.hash,
                };
                self.add(map, start + node.start, node.members.len(), region);
            }
        }
    }

    /// Adds the superpixels of a map that is not grouped.
    fn add_superpixels(
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

    /// Adds a set of pixels unless it is known, too small or too large.
    ///
    /// When the memory is full, the smaller half goes. What goes then is not among the largest in the end either, nor
    /// is a later set with the same pixels: it would come after at least as many that are larger or earlier.
    fn add(&mut self, map: usize, start: usize, len: usize, region: Region) {
        let allowed = self.params.min_area()..=self.params.max_area();
        if !allowed.contains(&region.area) {
            return;
        }
        if self.len * ENTRY == self.entries.len() {
            self.keep_largest(usize::from(self.params.max_segments()));
        }
        let key = region.to_words();
        let Some(slot) = find(self.table, self.entries, &key) else {
            return;
        };
        *slot = self.len as u32 + 1;
        if let Some(entry) = entry_mut(self.entries, self.len) {
            entry[0] = start as u32;
            entry[1] = (map as u32) << 16 | len as u32;
            entry[2..].copy_from_slice(&key);
            self.len += 1;
        }
    }

    /// Drops all but the `count` largest, of equal areas the later ones; the others keep their order.
    fn keep_largest(&mut self, count: usize) {
        if self.len <= count {
            return;
        }
        let areas = || {
            self.entries
                .chunks_exact(ENTRY)
                .take(self.len)
                .map(|entry| entry[2])
        };
        // The largest area that at least `count` have or exceed.
        let (mut enough, mut too_few) = (0, u64::from(u32::MAX) + 1);
        while too_few - enough > 1 {
            let middle = enough.midpoint(too_few);
            if areas().filter(|&area| u64::from(area) >= middle).count() >= count {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        let above = areas().filter(|&area| u64::from(area) > enough).count();
        let mut equal = count.saturating_sub(above);
        let mut kept = 0;
        self.table.fill(0);
        for index in 0..self.len {
            let from = index * ENTRY;
            let area = u64::from(self.entries[from + 2]);
            if area < enough || (area == enough && equal == 0) {
                continue;
            }
            equal -= usize::from(area == enough);
            self.entries.copy_within(from..from + ENTRY, kept * ENTRY);
            let mut key = [0; Region::WORDS];
            key.copy_from_slice(&self.entries[kept * ENTRY + 2..][..Region::WORDS]);
            if let Some(slot) = find(self.table, self.entries, &key) {
                *slot = kept as u32 + 1;
            }
            kept += 1;
        }
        self.len = kept;
    }
}

fn entry_mut(entries: &mut [u32], index: usize) -> Option<&mut [u32]> {
    entries.get_mut(index * ENTRY..(index + 1) * ENTRY)
}

/// The table's free slot for a region; `None` if it is known already.
fn find<'t>(
    table: &'t mut [u32],
    entries: &[u32],
    key: &[u32; Region::WORDS],
) -> Option<&'t mut u32> {
    // The upper half of the hash, spread over the table.
    let spread = u64::from(key[Region::WORDS - 1]) * table.len() as u64;
    let mut at = (spread >> 32) as usize;
    while let Some(&slot) = table.get(at) {
        if slot == 0 {
            return table.get_mut(at);
        }
        let entry = (slot as usize - 1) * ENTRY;
        if entries.get(entry + 2..entry + ENTRY) == Some(&key[..]) {
            return None;
        }
        at += 1;
        if at == table.len() {
            at = 0;
        }
    }
    None
}
