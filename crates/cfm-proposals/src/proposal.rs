//! Proposals: the superpixels and groups of all scales and mixes, each set of pixels once.

use core::iter::FusedIterator;

use cfm_core::image::ImageView;
use cfm_core::segment::{PixelBox, Segment, SuperpixelMap};
use heapless::Vec;

use crate::arena::take;
use crate::collector::{Collector, ENTRY, Place, RECORD};
use crate::combinatorial::{self, combine};
use crate::error::ProposalError;
use crate::felzenszwalb::{check_image, superpixels_in};
use crate::grouping::group_in;
use crate::memory::Workspace;
use crate::params::{MAX_SCALES, Params};
use crate::region::Region;
use crate::slic;

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
    /// The proposal as [`cfm_core::scorer::Scorer`] takes it, with [`Proposals::maps`] as the image's maps.
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
    let &[start, len_map, _, _, _, a, b, c, d, e] = entry else {
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
/// Every scale gives a superpixel map, and every map and mix a hierarchy ([`grouping`](crate::grouping)); the
/// proposals are the nodes of all hierarchies, and of each hierarchy the chosen combinations
/// ([`crate::combinatorial`]). They are found by scale, then by mix, then superpixels by id, then
/// merges as they happened, then combinations by level. That is their order, too, unless another
/// [`Ranking`](crate::Ranking) puts the best first.
///
/// Left out are
/// - merges that add too little to the larger region ([`Params::with_min_growth`]),
/// - nodes outside the limits on the area ([`Params::with_area`]),
/// - nodes with the same pixels as an earlier one: sets of pixels are taken for the same when area, bounding box and a
///   64-bit sum of pixel hashes agree,
/// - where more than [`Params::max_segments`] are left, the smallest, of equal areas the later ones, or the last ones
///   of another ranking.
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
    let mut collector = Collector::new(
        params,
        take(&mut words, capacity * ENTRY)?,
        take(&mut words, capacity * (RECORD - ENTRY))?,
    );
    let combining = take(&mut words, params.combine_words(pixels))?;
    let scales = params.scales();
    // Exactly as much as is asked for, as the members of combinations depend on it.
    let (labels, orders) = labels
        .get_mut(..params.labels(image.width(), image.height()))
        .and_then(|labels| labels.split_at_mut_checked(pixels * scales.len()))
        .ok_or(ProposalError::Labels)?;
    let mut used = 0;
    let mut maps = Vec::new();
    for ((index, &scale), labels) in scales
        .iter()
        .enumerate()
        .zip(labels.chunks_exact_mut(pixels.max(1)))
    {
        let space = params.scale_space(index);
        let smoothing = params.smoothing();
        let limit = params.max_superpixels();
        let map = match params.slic(index) {
            Some(slic) => slic::superpixels(image, space, smoothing, slic, limit, words, labels)?,
            None => superpixels_in(image, space, smoothing, scale, limit, words, labels)?,
        };
        // There is room for as many maps as scales.
        let _ = maps.push(map);
        let count = usize::from(map.count());
        let (neighbours, regions) = if params.combined() {
            combinatorial::neighbours(map, combining)?
        } else {
            (&[][..], &mut [][..])
        };
        for mix in 0..params.orders() {
            let order = orders
                .get_mut(used..used + count)
                .ok_or(ProposalError::Labels)?;
            let place = Place {
                map: index,
                start: used,
                hierarchy: index * params.orders() + mix,
            };
            let tree = if let Some(&weights) = params.mixes().get(mix) {
                group_in(image, params.mix_space(mix), map, weights, words, order)?
            } else if params.contours() {
                combinatorial::group(image, space, map, words, order)?
            } else {
                for (id, member) in (0..map.count()).zip(order) {
                    *member = id;
                }
                collector.add_superpixels(image, map, place, words)?;
                used += count;
                continue;
            };
            collector.add_nodes(tree, place);
            let combinations = params.combinations();
            combine(
                tree,
                combinations,
                neighbours,
                regions,
                |level, number, parts| {
                    collector.add_combination(place, level, number, parts);
                },
            );
            used += count;
        }
    }
    let members = used + params.combined_members(pixels);
    let orders = orders.get_mut(..members).ok_or(ProposalError::Labels)?;
    let entries = collector.finish(orders, used);
    Ok(Proposals {
        maps,
        orders,
        entries,
    })
}
