//! Segments as the engine's mask stream takes them: the box, then its rows as bits.

use cfm_core::segment::{MAX_SUPERPIXELS, PixelBox, Segment};
use cfm_core::superpixel_index::SuperpixelIndex;

/// In place of a segment's first word: there are no more segments in this frame.
pub const END_OF_FRAME: u32 = u32::MAX;

/// The segment's bounding box; `None` if it has no pixels or refers to superpixels that are not there.
#[must_use]
pub fn segment_bounds(segment: &Segment<'_>, maps: &[SuperpixelIndex<'_>]) -> Option<PixelBox> {
    match *segment {
        Segment::Runs(runs) => runs
            .iter()
            .filter_map(|run| {
                Some(PixelBox {
                    left: run.x0,
                    top: run.y,
                    right: run.x1.checked_sub(1)?,
                    bottom: run.y,
                })
            })
            .reduce(PixelBox::union),
        Segment::Superpixels { map, members } => {
            let index = maps.get(map)?;
            members
                .iter()
                .filter_map(|&id| index.bounds(id))
                .reduce(PixelBox::union)
        }
    }
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
