//! Segments as the engine's mask stream takes them: the box, then its rows as bits.

use cfm_core::segment::{MAX_SUPERPIXELS, PixelBox, Segment};
use cfm_core::superpixel_index::SuperpixelIndex;

/// In place of a segment's first word: there are no more segments in this frame.
pub const END_OF_FRAME: u32 = u32::MAX;

/// The segment's bounding box in an image of this size; `None` if the segment is not one that the engine may see: without
/// pixels, with pixels outside of the image, runs that are empty or not in order, or superpixels that are not there or are
/// listed twice. (What `cfm-core` refuses, which says why.)
#[must_use]
pub fn segment_bounds(
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
    width: u16,
    height: u16,
) -> Option<PixelBox> {
    let mut bounds: Option<PixelBox> = None;
    let mut grow = |here: PixelBox| bounds = Some(bounds.map_or(here, |all| all.union(here)));
    match *segment {
        Segment::Runs(runs) => {
            let mut after = (0, 0);
            for run in runs {
                if run.x0 >= run.x1 || run.x1 > width || run.y >= height || after > (run.y, run.x0)
                {
                    return None;
                }
                after = (run.y, run.x1);
                grow(PixelBox {
                    left: run.x0,
                    top: run.y,
                    right: run.x1 - 1,
                    bottom: run.y,
                });
            }
        }
        Segment::Superpixels { map, members } => {
            let index = maps.get(map)?;
            if (index.map().width(), index.map().height()) != (width, height) {
                return None;
            }
            let mut seen = [0_u32; MAX_SUPERPIXELS as usize / 32];
            for &id in members {
                let word = seen.get_mut(usize::from(id / 32))?;
                let bit = 1 << (id % 32);
                if id >= index.map().count() || *word & bit != 0 {
                    return None;
                }
                *word |= bit;
                if let Some(here) = index.bounds(id) {
                    grow(here);
                }
            }
        }
    }
    bounds
}

/// How many words follow a segment's box in an image of this size; `None` if the words are no box inside of it.
pub(crate) fn words_behind(first: u32, second: u32, width: u32, height: u32) -> Option<usize> {
    let (left, top) = (first & 0xFFFF, first >> 16);
    let (right, bottom) = (second & 0xFFFF, second >> 16);
    if left > right || right >= width || top > bottom || bottom >= height {
        return None;
    }
    Some(((right - left + 1).div_ceil(32) * (bottom - top + 1)) as usize)
}

/// The words of a segment with this box.
pub fn segment_words<'a>(
    segment: &'a Segment<'a>,
    maps: &'a [SuperpixelIndex<'a>],
    bounds: PixelBox,
) -> impl Iterator<Item = u32> + 'a {
    let mut members = [0_u32; MAX_SUPERPIXELS as usize / 32];
    let mut labels: &[u16] = &[];
    let mut width = 0;
    let mut runs: &[_] = &[];
    match *segment {
        Segment::Runs(all) => runs = all,
        Segment::Superpixels { map, members: ids } => {
            if let Some(index) = maps.get(map) {
                labels = index.map().labels();
                width = usize::from(index.map().width());
            }
            for &id in ids {
                if let Some(word) = members.get_mut(usize::from(id / 32)) {
                    *word |= 1 << (id % 32);
                }
            }
        }
    }
    let contains = move |x: u16, y: u16| {
        if labels.is_empty() {
            let after = runs.partition_point(|run| (run.y, run.x0) <= (y, x));
            let run = after.checked_sub(1).and_then(|i| runs.get(i));
            return run.is_some_and(|run| run.y == y && x < run.x1);
        }
        labels
            .get(usize::from(y) * width + usize::from(x))
            .and_then(|id| {
                members
                    .get(usize::from(id / 32))
                    .map(|word| word >> (id % 32) & 1)
            })
            == Some(1)
    };
    let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    let header = [
        pair(bounds.left, bounds.top),
        pair(bounds.right, bounds.bottom),
    ];
    let rows = (bounds.top..=bounds.bottom).flat_map(move |y| {
        (bounds.left..=bounds.right)
            .step_by(32)
            .map(move |left| (left, y))
    });
    let bits = rows.map(move |(left, y)| {
        (0..32_u16)
            .filter_map(|i| Some((i, left.checked_add(i)?)))
            .take_while(|&(_, x)| x <= bounds.right)
            .fold(0, |word, (i, x)| word | u32::from(contains(x, y)) << i)
    });
    header.into_iter().chain(bits)
}
