//! Superpixels by graph: "Efficient Graph-Based Image Segmentation", Felzenszwalb and Huttenlocher, IJCV 2004.
//!
//! Pixels start as components. Edges are taken by rising weight (the order is stated in [`superpixels`]); an edge
//! joins its two components when its weight is at most `Int(C) + k / |C|` of both, `Int(C)` being the heaviest edge
//! of the component's spanning tree (section 4 of the paper). Then the edges are taken once more, in the same order,
//! to join components below the smallest size.
//!
//! All comparisons are exact: `w <= Int + k / |C|` is decided as `(w - Int) * |C| <= k`.

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;

use crate::MAX_PIXELS;
use crate::arena::take;
use crate::colour::ColourSpace;
use crate::edges::{SortedEdges, edge_count, fixed_words};
use crate::error::ProposalError;
use crate::forest::Forest;
use crate::params::{Scale, Smoothing};

/// The fewest words [`superpixels`] works with; less than [`words`] costs more passes over the image.
#[must_use]
pub const fn min_words(width: u16, height: u16) -> usize {
    (width as usize)
        .saturating_mul(height as usize)
        .saturating_add(fixed_words(width))
}

/// The words with which [`superpixels`] is fastest.
#[must_use]
pub const fn words(width: u16, height: u16) -> usize {
    min_words(width, height).saturating_add(edge_count(width, height))
}

/// Checks that an image is one this crate can work on, and returns its number of pixels.
pub(crate) fn check_image(image: ImageView<'_>) -> Result<usize, ProposalError> {
    if image.channels() != 1 && image.channels() != 3 {
        return Err(ProposalError::Channels);
    }
    let pixels = u32::from(image.width()) * u32::from(image.height());
    if pixels > MAX_PIXELS {
        return Err(ProposalError::TooManyPixels);
    }
    Ok(pixels as usize)
}

/// Writes the superpixels of `image` to `labels` (one id per pixel, row-major) and returns them as a map.
///
/// - Pixels are joined to their four neighbours, so every superpixel is 4-connected.
/// - The weight of an edge is the Euclidean distance of the colours after smoothing, rounded down to quarters of a
///   grey level. Equal weights are taken in raster order of the upper or left pixel, the edge to the right before
///   the edge down.
/// - Ids are numbered by first appearance in raster order.
/// - When there are more than `max_count` superpixels, the smallest size is doubled (from 1 at least) and joining
///   repeated until there are not; `max_count` counts as 1 to [`MAX_SUPERPIXELS`](crate::MAX_SUPERPIXELS). So no
///   image has too many.
///
/// `words` is scratch memory, at least [`min_words`]. The result does not depend on its size or content.
///
/// # Errors
/// [`ProposalError::Channels`], [`ProposalError::TooManyPixels`], [`ProposalError::Words`], or
/// [`ProposalError::Labels`] unless there is exactly one label per pixel.
pub fn superpixels<'l>(
    image: ImageView<'_>,
    smoothing: Smoothing,
    scale: Scale,
    max_count: u16,
    words: &mut [u32],
    labels: &'l mut [u16],
) -> Result<SuperpixelMap<'l>, ProposalError> {
    superpixels_in(
        image,
        ColourSpace::Rgb,
        smoothing,
        scale,
        max_count,
        words,
        labels,
    )
}

/// As [`superpixels`], with the distances of another colour space.
///
/// # Errors
/// As [`superpixels`].
pub fn superpixels_in<'l>(
    image: ImageView<'_>,
    space: ColourSpace,
    smoothing: Smoothing,
    scale: Scale,
    max_count: u16,
    mut words: &mut [u32],
    labels: &'l mut [u16],
) -> Result<SuperpixelMap<'l>, ProposalError> {
    let pixels = check_image(image)?;
    if labels.len() != pixels {
        return Err(ProposalError::Labels);
    }
    let mut forest = Forest::new(take(&mut words, pixels)?);
    let mut edges = SortedEdges::new(image, space, smoothing, words)?;

    // Until the labels are known, a root's label is its component's `Int`.
    let internal = &mut *labels;
    internal.fill(0);
    let k = u64::from(scale.k) * 4;
    edges.for_each(|a, b, weight| {
        let (a, b) = (forest.find(a), forest.find(b));
        if a == b {
            return;
        }
        let fits = |root: usize, size: u32| {
            let heaviest = internal.get(root).copied().unwrap_or(0);
            u64::from(weight.saturating_sub(heaviest)) * u64::from(size) <= k
        };
        if fits(a, forest.size(a)) && fits(b, forest.size(b)) {
            let root = forest.join(a, b);
            if let Some(heaviest) = internal.get_mut(root) {
                *heaviest = weight;
            }
        }
    });

    forest.absorb(&mut edges, scale.min_size, max_count);
    let count = forest.number(labels);
    SuperpixelMap::new(labels, image.width(), image.height(), count)
        .map_err(|_| ProposalError::Labels)
}
