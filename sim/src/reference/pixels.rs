//! A segment as nothing but the set of its pixels.

use cfm_core::segment::{Segment, SegmentError, SuperpixelMap};

/// The pixels of a segment, each once, with their bounding box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelSet {
    /// Row and column of every pixel, row by row.
    pub pixels: Vec<(u16, u16)>,
    /// First and last row.
    pub rows: (u16, u16),
    /// First and last column.
    pub columns: (u16, u16),
}

impl PixelSet {
    /// Collects the pixels of a segment of an image of `height` x `width` pixels.
    ///
    /// # Errors
    /// The [`SegmentError`] that says what is wrong with the segment.
    pub fn new(
        segment: &Segment<'_>,
        maps: &[SuperpixelMap<'_>],
        height: u16,
        width: u16,
    ) -> Result<Self, SegmentError> {
        let pixels = match *segment {
            Segment::Runs(runs) => {
                if runs
                    .iter()
                    .any(|run| run.x0 >= run.x1 || run.x1 > width || run.y >= height)
                {
                    return Err(SegmentError::RunOutside);
                }
                if runs
                    .windows(2)
                    .any(|pair| (pair[0].y, pair[0].x1) > (pair[1].y, pair[1].x0))
                {
                    return Err(SegmentError::RunOrder);
                }
                runs.iter()
                    .flat_map(|run| (run.x0..run.x1).map(|x| (run.y, x)))
                    .collect()
            }
            Segment::Superpixels { map, members } => {
                let map = maps.get(map).ok_or(SegmentError::MapIndex)?;
                if (map.height(), map.width()) != (height, width) {
                    return Err(SegmentError::MapSize);
                }
                let mut is_member = vec![false; usize::from(map.count())];
                for &member in members {
                    let flag = is_member
                        .get_mut(usize::from(member))
                        .ok_or(SegmentError::SuperpixelId)?;
                    if std::mem::replace(flag, true) {
                        return Err(SegmentError::Duplicate);
                    }
                }
                positions(height, width)
                    .zip(map.labels())
                    .filter(|&(_, &label)| is_member[usize::from(label)])
                    .map(|(position, _)| position)
                    .collect::<Vec<_>>()
            }
        };
        Self::from_pixels(pixels).ok_or(SegmentError::Empty)
    }

    fn from_pixels(pixels: Vec<(u16, u16)>) -> Option<Self> {
        let range = |values: &dyn Fn(&(u16, u16)) -> u16| {
            let low = pixels.iter().map(values).min()?;
            let high = pixels.iter().map(values).max()?;
            Some((low, high))
        };
        let rows = range(&|pixel| pixel.0)?;
        let columns = range(&|pixel| pixel.1)?;
        Some(Self {
            pixels,
            rows,
            columns,
        })
    }

    /// Number of pixels.
    #[must_use]
    pub fn area(&self) -> u32 {
        self.pixels.len() as u32
    }
}

/// Every position of an image, row by row.
fn positions(height: u16, width: u16) -> impl Iterator<Item = (u16, u16)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::segment::Run;

    #[test]
    fn runs_and_superpixels_give_the_same_pixels() {
        let labels = [0, 1, 1, 0, 2, 1];
        let map = SuperpixelMap::new(&labels, 3, 2, 3).unwrap();
        let members = Segment::Superpixels {
            map: 0,
            members: &[2, 1],
        };
        let runs = [
            Run { y: 0, x0: 1, x1: 3 },
            Run { y: 1, x0: 1, x1: 2 },
            Run { y: 1, x0: 2, x1: 3 },
        ];
        let a = PixelSet::new(&members, &[map], 2, 3).unwrap();
        let b = PixelSet::new(&Segment::Runs(&runs), &[], 2, 3).unwrap();
        assert_eq!(a, b);
        assert_eq!((a.area(), a.rows, a.columns), (4, (0, 1), (1, 2)));
    }

    #[test]
    fn bad_segments_are_refused() {
        let labels = [0, 0];
        let map = SuperpixelMap::new(&labels, 2, 1, 2).unwrap();
        let error = |segment: Segment<'_>| PixelSet::new(&segment, &[map], 1, 2).unwrap_err();
        let members = |members| Segment::Superpixels { map: 0, members };
        assert_eq!(error(Segment::Runs(&[])), SegmentError::Empty);
        assert_eq!(error(members(&[1])), SegmentError::Empty);
        assert_eq!(error(members(&[2])), SegmentError::SuperpixelId);
        assert_eq!(error(members(&[0, 0])), SegmentError::Duplicate);
        let outside = [Run { y: 0, x0: 1, x1: 3 }];
        assert_eq!(error(Segment::Runs(&outside)), SegmentError::RunOutside);
        let overlap = [Run { y: 0, x0: 0, x1: 2 }, Run { y: 0, x0: 1, x1: 2 }];
        assert_eq!(error(Segment::Runs(&overlap)), SegmentError::RunOrder);
    }
}
