//! What goes into the engine besides its configuration: the image and the segments' masks.

use cfm_core::image::ImageView;
use cfm_core::segment::{Run, Segment, SuperpixelMap};

use crate::folding::Folding;

/// Ends the masks of a frame.
pub const END_OF_FRAME: u32 = u32::MAX;

/// The beats of the image stream, one after the other, a byte a channel: spare channels are 0.
#[must_use]
pub fn image_beats(image: &ImageView<'_>, folding: Folding) -> Vec<u8> {
    let channels = usize::from(image.channels()).max(1);
    let pe = folding.pe as usize;
    let mut beats = Vec::new();
    for pixel in image.pixels().chunks_exact(channels) {
        for group in pixel.chunks(pe) {
            beats.extend_from_slice(group);
            beats.extend(std::iter::repeat_n(0, pe - group.len()));
        }
    }
    beats
}

/// A segment as sorted runs of pixels; superpixels are those of `maps`. Empty if the segment names what is not there.
#[must_use]
pub fn runs(segment: &Segment<'_>, maps: &[SuperpixelMap<'_>]) -> Vec<Run> {
    match *segment {
        Segment::Runs(runs) => runs.to_vec(),
        Segment::Superpixels { map, members } => {
            let Some(map) = maps.get(map) else {
                return Vec::new();
            };
            let mut chosen = vec![false; usize::from(map.count())];
            for &id in members {
                if let Some(chosen) = chosen.get_mut(usize::from(id)) {
                    *chosen = true;
                }
            }
            let mut runs: Vec<Run> = Vec::new();
            let rows = map.labels().chunks_exact(usize::from(map.width()));
            for (y, row) in (0..).zip(rows) {
                for (x, &id) in (0_u16..).zip(row) {
                    if !chosen[usize::from(id)] {
                        continue;
                    }
                    match runs.last_mut() {
                        Some(run) if run.y == y && run.x1 == x => run.x1 += 1,
                        _ => runs.push(Run {
                            y,
                            x0: x,
                            x1: x + 1,
                        }),
                    }
                }
            }
            runs
        }
    }
}

/// Appends the words of a segment, given as sorted runs, to the mask stream; nothing for a segment without pixels.
pub fn push_mask(runs: &[Run], words: &mut Vec<u32>) {
    let (Some(top), Some(bottom), Some(left), Some(end)) = (
        runs.iter().map(|run| run.y).min(),
        runs.iter().map(|run| run.y).max(),
        runs.iter().map(|run| run.x0).min(),
        runs.iter().map(|run| run.x1).max(),
    ) else {
        return;
    };
    words.push(u32::from(left) | u32::from(top) << 16);
    words.push(u32::from(end - 1) | u32::from(bottom) << 16);
    let row_words = usize::from(end - left).div_ceil(32);
    let first = words.len();
    words.resize(first + row_words * usize::from(bottom - top + 1), 0);
    for run in runs {
        let row = first + row_words * usize::from(run.y - top);
        for x in run.x0..run.x1 {
            let at = usize::from(x - left);
            words[row + at / 32] |= 1 << (at % 32);
        }
    }
}

/// The mask stream of a frame.
#[must_use]
pub fn mask_words(segments: &[Vec<Run>]) -> Vec<u32> {
    let mut words = Vec::new();
    for runs in segments {
        push_mask(runs, &mut words);
    }
    words.push(END_OF_FRAME);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_its_box_and_its_rows() {
        let run = |y, x0, x1| Run { y, x0, x1 };
        let words = mask_words(&[vec![run(2, 3, 5), run(2, 6, 7), run(4, 40, 41)]]);
        let (left, right) = (3, 40);
        assert_eq!(
            words,
            [
                left | 2 << 16,
                right | 4 << 16,
                0b1011,
                0,
                0,
                0,
                0,
                1 << 5,
                END_OF_FRAME
            ]
        );
    }

    #[test]
    fn superpixels_become_runs() {
        let labels = [0, 1, 1, 1, 0, 0];
        let map = SuperpixelMap::new(&labels, 3, 2, 2).unwrap();
        let segment = |members| Segment::Superpixels { map: 0, members };
        let run = |y, x0, x1| Run { y, x0, x1 };
        assert_eq!(runs(&segment(&[1]), &[map]), [run(0, 1, 3), run(1, 0, 1)]);
        assert_eq!(runs(&segment(&[0, 1]), &[map]).len(), 2);
    }
}
