//! One image: rows in, segments scored, pixels labelled.
#![allow(unsafe_code)] // functions that C calls, with pointers that C made

use core::ffi::c_void;
use core::mem;

use cfm_core::executor::Executor;
use cfm_core::kernels::{Native, native};
use cfm_core::labelling::{ScoredSegment, label_pixels, memory_words};
use cfm_core::model::{LabellingRule, Model};
use cfm_core::scorer::Scorer;
use cfm_core::segment::{Run, Segment, SuperpixelMap};
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex, SuperpixelTally};
use heapless::Vec;

use crate::error::cfm_error;
use crate::error::cfm_error as E;
use crate::memory::{Out, reference, slice, slice_mut};
use crate::storage::{clear, get, get_mut, put};
use crate::types::{
    CFM_CELL_COUNT_WORDS, CFM_MAX_MAPS, CFM_SUPERPIXEL_WORDS, cfm_extent, cfm_image, cfm_map,
    cfm_model, cfm_rule, cfm_run, cfm_scored_segment, cfm_segment,
};

/// What lies in a `cfm_image`. The caller keeps model, arena and maps in place, hence `'static`.
pub(crate) struct Image {
    model: &'static Model<'static>,
    stage: Stage,
}

// One of them lives in the caller's storage, which has room for the larger.
#[allow(clippy::large_enum_variant)]
enum Stage {
    /// Rows are coming in.
    Rows(Executor<'static, 'static, Native>),
    /// The feature map is there.
    Features {
        scorer: Scorer<'static, 'static, Native>,
        maps: Vec<SuperpixelIndex<'static>, CFM_MAX_MAPS>,
    },
    /// Something failed on the way from one to the other.
    Lost,
}

const _: () = {
    assert!(size_of::<Superpixel>() == CFM_SUPERPIXEL_WORDS * size_of::<u32>());
    assert!(size_of::<CellCount>() == CFM_CELL_COUNT_WORDS * size_of::<u32>());
    assert!(align_of::<Superpixel>() <= align_of::<u32>());
    assert!(align_of::<CellCount>() <= align_of::<u32>());
    // A `cfm_run` has the fields of a `Run`; `segment_of` relies on the same layout.
    assert!(size_of::<cfm_run>() == size_of::<Run>() && align_of::<cfm_run>() == align_of::<Run>());
    assert!(mem::offset_of!(cfm_run, y) == mem::offset_of!(Run, y));
    assert!(mem::offset_of!(cfm_run, x0) == mem::offset_of!(Run, x0));
    assert!(mem::offset_of!(cfm_run, x1) == mem::offset_of!(Run, x1));
};

/// Begins an image: nothing of it is there yet.
///
/// The arena has `arena_bytes` bytes, at least as many as `cfm_info` and the exported model's header say. Any alignment
/// will do; 16 is best. An image that is begun again in the same storage starts anew, at any stage. After an error the
/// storage holds no image, and what is in the arena is not specified.
///
/// # Safety
/// `image` is valid for writes, `model` for reads, and the arena for reads and writes. As long as the image is in use,
/// the model stays in place and nobody else touches the arena.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_begin(
    image: *mut cfm_image,
    model: *const cfm_model,
    arena: *mut c_void,
    arena_bytes: usize,
) -> cfm_error {
    let begin = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image`.
        unsafe { clear(image)? };
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        // SAFETY: the caller's promise for the arena.
        let arena = unsafe { slice_mut(arena.cast(), arena_bytes)? };
        let stage = Stage::Rows(Executor::with_kernels(model, arena, native())?);
        // SAFETY: the caller's promise for `image`.
        unsafe { put(image, Image { model, stage }) }
    };
    E::of(begin())
}

/// Takes the next row of the image, from the top, and computes what it makes possible.
///
/// A row has `length` bytes: one for each sample, pixel by pixel, `row_bytes` of `cfm_info` altogether. After an error
/// the image is as it was before.
///
/// # Safety
/// `image` is valid for reads and writes, `row` for reads of `length` bytes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_push_row(
    image: *mut cfm_image,
    row: *const u8,
    length: usize,
) -> cfm_error {
    let push = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image`.
        let image = unsafe { get_mut(image)? };
        // SAFETY: the caller's promise for `row`.
        let row = unsafe { slice(row, length)? };
        match &mut image.stage {
            Stage::Rows(executor) => Ok(executor.push_row(row)?),
            Stage::Features { .. } => Err(E::CFM_ERROR_TOO_MANY_ROWS),
            Stage::Lost => Err(E::CFM_ERROR_STATE),
        }
    };
    E::of(push())
}

/// Ends the rows: from now on, segments can be scored.
///
/// While rows are missing the result is `CFM_ERROR_INCOMPLETE`, and more rows can be pushed.
///
/// # Safety
/// `image` is valid for reads and writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_finish(image: *mut cfm_image) -> cfm_error {
    let finish = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image`.
        let image = unsafe { get_mut(image)? };
        match &image.stage {
            Stage::Rows(executor) if !executor.is_complete() => {
                return Err(E::CFM_ERROR_INCOMPLETE);
            }
            Stage::Rows(_) => {}
            Stage::Features { .. } | Stage::Lost => return Err(E::CFM_ERROR_STATE),
        }
        if let Stage::Rows(executor) = mem::replace(&mut image.stage, Stage::Lost) {
            let (features, scratch) = executor.finish()?;
            let scorer = Scorer::with_kernels(image.model, features, scratch, native())?;
            image.stage = Stage::Features {
                scorer,
                maps: Vec::new(),
            };
        }
        Ok(())
    };
    E::of(finish())
}

/// Adds a superpixel map to an image, so that segments can name its superpixels. Maps are counted in the order in which
/// they are added, from 0; there are at most `CFM_MAX_MAPS`.
///
/// `memory` has `words` words of 32 bits: `CFM_SUPERPIXEL_WORDS` for each superpixel and `CFM_CELL_COUNT_WORDS` for each
/// pair of a superpixel and a feature cell that it touches. `used`, unless null, becomes the number of words that the
/// image keeps; the others are free for the next map. After `CFM_ERROR_MAP_MEMORY` it becomes the number that it takes,
/// or 0 if `memory` is not even enough for the superpixels, without which nothing can be counted.
///
/// # Safety
/// `image` is valid for reads and writes, `map` for reads, its labels for reads of `width * height` values, `memory` for
/// reads and writes of `words` values, `used` for writes if it is not null. As long as the image is in use, nobody
/// changes the labels or touches the used memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_add_map(
    image: *mut cfm_image,
    map: *const cfm_map,
    memory: *mut u32,
    words: usize,
    used: *mut usize,
) -> cfm_error {
    let add = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image`.
        let image = unsafe { get_mut(image)? };
        // SAFETY: the caller's promise for `used`.
        let used = unsafe { Out::optional(used)? };
        let Stage::Features { maps, .. } = &mut image.stage else {
            return Err(E::CFM_ERROR_STATE);
        };
        if maps.is_full() {
            return Err(E::CFM_ERROR_TOO_MANY_MAPS);
        }
        // SAFETY: the caller's promise for `map`.
        let map = unsafe { *reference(map)? };
        let pixels = usize::from(map.width) * usize::from(map.height);
        // SAFETY: the caller's promise for the map's labels.
        let labels = unsafe { slice(map.labels, pixels)? };
        let map = SuperpixelMap::new(labels, map.width, map.height, map.count)?;
        // SAFETY: the caller's promise for `memory`.
        let memory: &'static mut [u32] = unsafe { slice_mut(memory, words)? };
        let superpixel_words = usize::from(map.count()) * CFM_SUPERPIXEL_WORDS;
        let Some((superpixels, counts)) = memory.split_at_mut_checked(superpixel_words) else {
            used.write(0);
            return Err(E::CFM_ERROR_MAP_MEMORY);
        };
        let superpixels = fill(superpixels, Superpixel::EMPTY, map.count().into());
        let tally = SuperpixelTally::new(map, image.model, superpixels)?;
        let needed = tally.counts_needed();
        let total = superpixel_words + needed * CFM_CELL_COUNT_WORDS;
        let Some(counts) = counts.get_mut(..total - superpixel_words) else {
            used.write(total);
            return Err(E::CFM_ERROR_MAP_MEMORY);
        };
        let counts = fill(counts, CellCount::EMPTY, needed);
        maps.push(tally.build(counts)?)
            .map_err(|_| E::CFM_ERROR_TOO_MANY_MAPS)?;
        used.write(total);
        Ok(())
    };
    E::of(add())
}

/// The words as `count` values of another type, each `value`. The caller has seen to the length.
fn fill<T: Copy>(words: &'static mut [u32], value: T, count: usize) -> &'static mut [T] {
    const { assert!(align_of::<T>() <= align_of::<u32>()) };
    let fits = count
        .checked_mul(size_of::<T>())
        .is_some_and(|bytes| bytes <= size_of_val(words));
    let count = if fits { count } else { 0 };
    let start: *mut T = words.as_mut_ptr().cast();
    for i in 0..count {
        // SAFETY: the first `count` values lie within the words, which are aligned at least as a `T` must be.
        unsafe { start.add(i).write(value) };
    }
    // SAFETY: `count` values that were just written, in memory that is borrowed for good.
    unsafe { core::slice::from_raw_parts_mut(start, count) }
}

/// A segment as the core takes it.
///
/// # Safety
/// Its pointers, where not null, are valid for reads of `count` values that nothing changes during `'a`.
unsafe fn segment_of<'a>(segment: &cfm_segment) -> Result<Segment<'a>, E> {
    match (segment.runs.is_null(), segment.members.is_null()) {
        (false, true) => {
            // SAFETY: the caller's promise; a `cfm_run` has the layout of a `Run`, as is checked above.
            let runs = unsafe { slice(segment.runs.cast(), segment.count)? };
            Ok(Segment::Runs(runs))
        }
        (true, false) => {
            // SAFETY: the caller's promise.
            let members = unsafe { slice(segment.members, segment.count)? };
            Ok(Segment::Superpixels {
                map: segment.map,
                members,
            })
        }
        _ => Err(E::CFM_ERROR_SEGMENT_FORM),
    }
}

/// Masks, pools and classifies a segment: writes `logit_count` logits, one per class of the model.
///
/// A logit is a 16-bit integer in a scale that is the model's; the largest is the segment's class. `extent`, unless
/// null, becomes the segment's area and box.
///
/// # Safety
/// `image` is valid for reads and writes, `segment` and what it refers to for reads, `logits` for writes of
/// `logit_count` values, `extent` for writes if it is not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_score(
    image: *mut cfm_image,
    segment: *const cfm_segment,
    logits: *mut i16,
    logit_count: usize,
    extent: *mut cfm_extent,
) -> cfm_error {
    let score = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image`.
        let image = unsafe { get_mut(image)? };
        // SAFETY: the caller's promise for `extent`.
        let extent = unsafe { Out::optional(extent)? };
        let Stage::Features { scorer, maps } = &mut image.stage else {
            return Err(E::CFM_ERROR_STATE);
        };
        // SAFETY: the caller's promise for `segment`.
        let segment = unsafe { segment_of(reference(segment)?)? };
        // SAFETY: the caller's promise for `logits`.
        let logits = unsafe { slice_mut(logits, logit_count)? };
        let found = scorer.score(&segment, maps, logits)?;
        extent.write(cfm_extent {
            area: found.area,
            left: found.bounds.left,
            top: found.bounds.top,
            right: found.bounds.right,
            bottom: found.bounds.bottom,
        });
        Ok(())
    };
    E::of(score())
}

/// What labelling starts from.
struct Labelling {
    model: &'static Model<'static>,
    rule: LabellingRule,
    maps: Vec<SuperpixelMap<'static>, CFM_MAX_MAPS>,
}

/// The model of an image and its maps, and the rule, or the model's.
///
/// # Safety
/// The pointers are valid for reads; `rule` may be null.
unsafe fn labelling(image: *const cfm_image, rule: *const cfm_rule) -> Result<Labelling, E> {
    // SAFETY: the caller's promise for `image`.
    let image = unsafe { get(image)? };
    let Stage::Features { maps, .. } = &image.stage else {
        return Err(E::CFM_ERROR_STATE);
    };
    let rule = if rule.is_null() {
        image.model.labelling()
    } else {
        // SAFETY: the caller's promise for `rule`.
        let rule = unsafe { *reference(rule)? };
        let [low, high] = rule.inhibition.to_le_bytes();
        let bytes = [
            rule.combination,
            rule.power,
            rule.area,
            rule.purity,
            low,
            high,
            rule.refinement,
            0,
        ];
        LabellingRule::from_bytes(&bytes).map_err(|_| E::CFM_ERROR_RULE)?
    };
    // Not collected, for that panics where there is no room, though here always is.
    let mut plain = Vec::new();
    for index in maps {
        plain
            .push(*index.map())
            .map_err(|_| E::CFM_ERROR_TOO_MANY_MAPS)?;
    }
    Ok(Labelling {
        model: image.model,
        rule,
        maps: plain,
    })
}

/// How many words of memory `cfm_image_label` needs for `count` segments and the maps that the image has.
///
/// `rule` is null for the model's own.
///
/// # Safety
/// `image` is valid for reads, `rule` for reads if it is not null, `words` for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_label_words(
    image: *const cfm_image,
    rule: *const cfm_rule,
    count: usize,
    words: *mut usize,
) -> cfm_error {
    let measure = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image` and `rule`.
        let Labelling { model, rule, maps } = unsafe { labelling(image, rule)? };
        // SAFETY: the caller's promise for `words`.
        let words = unsafe { Out::new(words)? };
        words.write(memory_words(rule, model, &maps, count));
        Ok(())
    };
    E::of(measure())
}

/// Labels every pixel of the image with the index of a class, or `CFM_VOID`, by `count` segments that were scored.
///
/// `rule` is null for the model's own. `memory` has `words` words of 32 bits, as many as `cfm_image_label_words` says or
/// more. `labels` has `label_count` bytes, one for each pixel of the model's input, row by row; it is unspecified after
/// an error.
///
/// # Safety
/// `image` is valid for reads, `rule` for reads if it is not null, `segments` and everything that they refer to for
/// reads (logits of as many values as the model has classes), `memory` and `labels` for reads and writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_image_label(
    image: *const cfm_image,
    rule: *const cfm_rule,
    segments: *const cfm_scored_segment,
    count: usize,
    memory: *mut u32,
    words: usize,
    labels: *mut u8,
    label_count: usize,
) -> cfm_error {
    let label = || -> Result<(), E> {
        // SAFETY: the caller's promise for `image` and `rule`.
        let Labelling { model, rule, maps } = unsafe { labelling(image, rule)? };
        // SAFETY: the caller's promise for `segments`.
        let segments = unsafe { slice(segments, count)? };
        let scored = |scored: &cfm_scored_segment| -> Result<ScoredSegment<'_>, E> {
            // SAFETY: the caller's promise for what the segments refer to.
            let segment = unsafe { segment_of(&scored.segment)? };
            // SAFETY: as above.
            let logits = unsafe { slice(scored.logits, model.class_count())? };
            Ok(ScoredSegment {
                segment,
                area: scored.area,
                logits,
            })
        };
        for segment in segments {
            scored(segment)?;
        }
        // SAFETY: the caller's promise for `memory`.
        let memory = unsafe { slice_mut(memory, words)? };
        // SAFETY: the caller's promise for `labels`.
        let labels = unsafe { slice_mut(labels, label_count)? };
        // Without logits, the core refuses it; but all segments have just been looked at.
        let none = ScoredSegment {
            segment: Segment::Runs(&[]),
            area: 0,
            logits: &[],
        };
        let segment = |i: usize| {
            let found = segments.get(i).and_then(|segment| scored(segment).ok());
            found.unwrap_or(none)
        };
        label_pixels(model, rule, &maps, count, segment, memory, labels)?;
        Ok(())
    };
    E::of(label())
}
