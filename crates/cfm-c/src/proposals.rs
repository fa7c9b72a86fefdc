//! Proposals: candidate segments of an image, as the model's parameters say.
#![allow(unsafe_code)] // functions that C calls, with pointers that C made

use core::ptr;

use ::cfm_proposals::{Params, Workspace, propose};
use cfm_core::image::ImageView;
use cfm_core::model::Model;
use cfm_core::model::format::tag;

use crate::error::cfm_error;
use crate::error::cfm_error as E;
use crate::memory::{Out, slice, slice_mut};
use crate::storage::{clear, get, put};
use crate::types::{cfm_extent, cfm_map, cfm_model, cfm_proposals, cfm_segment, cfm_sizes};

/// The parameters that the model carries, or the default ones.
fn params(model: &Model<'_>) -> Result<Params, E> {
    let Some(section) = model.section(tag::PROPOSALS) else {
        return Ok(Params::DEFAULT);
    };
    let bytes = section
        .try_into()
        .map_err(|_| E::CFM_ERROR_PROPOSAL_PARAMS)?;
    Ok(Params::from_bytes(bytes)?)
}

/// Says how much memory the proposals of a model's images need.
///
/// # Safety
/// `model` is valid for reads, `sizes` for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_proposals_sizes(
    model: *const cfm_model,
    sizes: *mut cfm_sizes,
) -> cfm_error {
    let measure = || -> Result<(), E> {
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        // SAFETY: the caller's promise for `sizes`.
        let sizes = unsafe { Out::new(sizes)? };
        let params = params(model)?;
        let (width, height) = (model.input().width, model.input().height);
        sizes.write(cfm_sizes {
            words: params.words(width, height),
            min_words: params.min_words(width, height),
            labels: params.labels(width, height),
            max_segments: params.max_segments().into(),
            maps: params.scales().len(),
            max_superpixels: params.max_superpixels().into(),
        });
        Ok(())
    };
    E::of(measure())
}

/// Makes the proposals of an image: the candidate segments that the model was trained to classify.
///
/// The image has the size and the samples of the model's input, `length` bytes, row by row. `words` and `labels` are
/// memory of `word_count` and `label_count` items, as many as `cfm_proposals_sizes` says; the proposals live in it. With
/// fewer words than best, down to `min_words`, the same takes longer. After an error the storage holds no proposals, and
/// what is in `words` and `labels` is not specified.
///
/// # Safety
/// `proposals` is valid for writes, `model` for reads, `pixels` for reads of `length` bytes during the call. `words` and
/// `labels` are valid for reads and writes, and as long as the proposals (or an image that their maps were added to) are
/// in use, nobody else changes them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_proposals_make(
    proposals: *mut cfm_proposals,
    model: *const cfm_model,
    pixels: *const u8,
    length: usize,
    words: *mut u32,
    word_count: usize,
    labels: *mut u16,
    label_count: usize,
) -> cfm_error {
    let make = || -> Result<(), E> {
        // SAFETY: the caller's promise for `proposals`.
        unsafe { clear(proposals)? };
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        // SAFETY: the caller's promise for `pixels`.
        let pixels = unsafe { slice(pixels, length)? };
        // SAFETY: the caller's promise for `words`.
        let words: &'static mut [u32] = unsafe { slice_mut(words, word_count)? };
        // SAFETY: the caller's promise for `labels`.
        let labels: &'static mut [u16] = unsafe { slice_mut(labels, label_count)? };
        let input = model.input();
        let image = ImageView::new(pixels, input.width, input.height, input.channels)
            .map_err(|_| E::CFM_ERROR_INPUT_SIZE)?;
        let made = propose(image, &params(model)?, Workspace { words, labels })?;
        // SAFETY: the caller's promise for `proposals`.
        unsafe { put(proposals, made) }
    };
    E::of(make())
}

/// Says how many superpixel maps and how many segments there are. Either pointer may be null.
///
/// # Safety
/// `proposals` is valid for reads, the others for writes if they are not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_proposals_count(
    proposals: *const cfm_proposals,
    maps: *mut usize,
    segments: *mut usize,
) -> cfm_error {
    let count = || -> Result<(), E> {
        // SAFETY: the caller's promise for `proposals`.
        let proposals = unsafe { get(proposals)? };
        // SAFETY: the caller's promise for `maps` and `segments`.
        let (maps, segments) = unsafe { (Out::optional(maps)?, Out::optional(segments)?) };
        maps.write(proposals.maps().len());
        segments.write(proposals.len());
        Ok(())
    };
    E::of(count())
}

/// Superpixel map `index`, from 0. All maps have to be added to the image in this order, as segments name them by it.
///
/// # Safety
/// `proposals` is valid for reads, `map` for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_proposals_map(
    proposals: *const cfm_proposals,
    index: usize,
    map: *mut cfm_map,
) -> cfm_error {
    let find = || -> Result<(), E> {
        // SAFETY: the caller's promise for `proposals`.
        let proposals = unsafe { get(proposals)? };
        // SAFETY: the caller's promise for `map`.
        let map = unsafe { Out::new(map)? };
        let found = proposals.maps().get(index).ok_or(E::CFM_ERROR_INDEX)?;
        map.write(cfm_map {
            labels: found.labels().as_ptr(),
            width: found.width(),
            height: found.height(),
            count: found.count(),
        });
        Ok(())
    };
    E::of(find())
}

/// Segment `index`, from 0, and, unless `extent` is null, its area and box.
///
/// # Safety
/// `proposals` is valid for reads, `segment` for writes, `extent` for writes if it is not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_proposals_get(
    proposals: *const cfm_proposals,
    index: usize,
    segment: *mut cfm_segment,
    extent: *mut cfm_extent,
) -> cfm_error {
    let find = || -> Result<(), E> {
        // SAFETY: the caller's promise for `proposals`.
        let proposals = unsafe { get(proposals)? };
        // SAFETY: the caller's promise for `segment` and `extent`.
        let (segment, extent) = unsafe { (Out::new(segment)?, Out::optional(extent)?) };
        let found = proposals.get(index).ok_or(E::CFM_ERROR_INDEX)?;
        segment.write(cfm_segment {
            runs: ptr::null(),
            members: found.members.as_ptr(),
            count: found.members.len(),
            map: found.map,
        });
        extent.write(cfm_extent {
            area: found.area,
            left: found.bbox.left,
            top: found.bbox.top,
            right: found.bbox.right,
            bottom: found.bbox.bottom,
        });
        Ok(())
    };
    E::of(find())
}
