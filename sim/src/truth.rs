//! Ground-truth segments: the objects and pieces of stuff that people drew, to measure proposals against.

use crate::dataset::{Dataset, DatasetError, Description, Kind, Sample};
use crate::label_map::LabelMap;

/// Most ground-truth segments of an image.
pub const MAX_SEGMENTS: usize = 65535;

/// The segment of pixels that belong to none.
pub(crate) const NONE: u16 = u16::MAX;

/// A ground-truth segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruthSegment {
    /// Position of its class in the list of classes.
    pub class: usize,
    /// Its pixels.
    pub area: u32,
}

/// The ground truth of an image: segments that do not overlap, and the class of every pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    width: usize,
    height: usize,
    ids: Vec<u16>,
    classes: Vec<Option<u8>>,
    segments: Vec<TruthSegment>,
}

/// Why there is no ground truth.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruthError {
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Regions and labels have different sizes.
    #[error("{path}: {regions:?} pixels, but the labels have {labels:?}")]
    Size {
        /// The image of regions.
        path: String,
        /// Its columns and rows.
        regions: (usize, usize),
        /// Those of the labels.
        labels: (usize, usize),
    },
    /// The labels are in too many pieces.
    #[error("{path}: {problem}")]
    Pieces {
        /// The image of labels.
        path: String,
        /// What is wrong.
        problem: PiecesError,
    },
}

/// Labels in more than [`MAX_SEGMENTS`] pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the labels are in more than {MAX_SEGMENTS} pieces")]
pub struct PiecesError;

/// The classes that label values stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthClasses {
    /// Position by label value.
    positions: [Option<u8>; 256],
    /// Object or stuff, where that is known.
    kinds: Vec<Option<Kind>>,
}

impl TruthClasses {
    /// The classes of a data set.
    #[must_use]
    pub fn of(description: &Description) -> Self {
        let mut positions = [None; 256];
        for (position, class) in (0..=u8::MAX).zip(&description.classes) {
            positions[usize::from(class.index)] = Some(position);
        }
        Self {
            positions,
            kinds: description.classes.iter().map(|c| Some(c.kind)).collect(),
        }
    }

    /// A class of unknown kind for every label value but `ignore`.
    #[must_use]
    pub fn of_values(ignore: u8) -> Self {
        let mut positions = [None; 256];
        let mut count = 0;
        for (value, position) in positions.iter_mut().enumerate() {
            if value != usize::from(ignore) {
                *position = Some(count);
                count += 1;
            }
        }
        Self {
            positions,
            kinds: vec![None; usize::from(count)],
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// Object or stuff, where that is known.
    ///
    /// # Panics
    /// When there is no such class.
    #[must_use]
    pub fn kind(&self, class: usize) -> Option<Kind> {
        self.kinds[class]
    }
}

impl Truth {
    /// The ground truth of an image of a data set: its regions where the data set has them
    /// ([`Truth::from_regions`]), else the pieces of its label image ([`Truth::from_labels`]).
    ///
    /// # Errors
    /// When the regions cannot be read, do not belong to the labels, or are too many pieces.
    pub fn open(
        dataset: &Dataset,
        classes: &TruthClasses,
        sample: &Sample,
    ) -> Result<Self, TruthError> {
        let (id, labels) = (&sample.id, &sample.labels);
        let Some(regions) = dataset.regions(id)? else {
            return Self::from_labels(labels, classes).map_err(|problem| TruthError::Pieces {
                path: dataset.labels_path(id).display().to_string(),
                problem,
            });
        };
        Self::from_regions(labels, &regions, classes).ok_or_else(|| TruthError::Size {
            path: dataset.regions_path(id).display().to_string(),
            regions: (regions.width(), regions.height()),
            labels: (labels.width(), labels.height()),
        })
    }

    /// A segment for each value of `regions` but 0, of the class that most of its labelled pixels have (of equally
    /// many, the first). Regions without a labelled pixel count for nothing. `None` when the sizes differ.
    #[must_use]
    pub fn from_regions(
        labels: &LabelMap,
        regions: &LabelMap,
        classes: &TruthClasses,
    ) -> Option<Self> {
        if (labels.width(), labels.height()) != (regions.width(), regions.height()) {
            return None;
        }
        let mut votes = vec![vec![0_u32; classes.count()]; 256];
        let mut areas = [0_u32; 256];
        for (&region, &label) in regions.labels().iter().zip(labels.labels()) {
            areas[usize::from(region)] += 1;
            if let Some(class) = classes.positions[usize::from(label)] {
                votes[usize::from(region)][usize::from(class)] += 1;
            }
        }
        let mut segments = Vec::new();
        let mut id_of = [NONE; 256];
        for region in 1..256 {
            let most = votes[region].iter().copied().max().filter(|&most| most > 0);
            let class = votes[region].iter().position(|&count| Some(count) == most);
            if let Some(class) = class {
                id_of[region] = segments.len() as u16;
                segments.push(TruthSegment {
                    class,
                    area: areas[region],
                });
            }
        }
        let ids = regions.labels().iter().map(|&r| id_of[usize::from(r)]);
        Some(Self {
            width: labels.width(),
            height: labels.height(),
            ids: ids.collect(),
            classes: pixel_classes(labels, classes),
            segments,
        })
    }

    /// A segment for each 8-connected piece of pixels with one label.
    ///
    /// # Errors
    /// [`PiecesError`] when there are too many.
    pub fn from_labels(labels: &LabelMap, classes: &TruthClasses) -> Result<Self, PiecesError> {
        let (width, height) = (labels.width(), labels.height());
        let pixels = pixel_classes(labels, classes);
        let mut ids = vec![NONE; pixels.len()];
        let mut segments = Vec::new();
        // Half as long as indices would be: of a square of one label, a quarter of the pixels wait at a time.
        let mut stack: Vec<u32> = Vec::new();
        for first in 0..pixels.len() {
            let Some(class) = pixels[first].filter(|_| ids[first] == NONE) else {
                continue;
            };
            if segments.len() == MAX_SEGMENTS {
                return Err(PiecesError);
            }
            let id = segments.len() as u16;
            let mut area = 0;
            ids[first] = id;
            stack.push(first as u32);
            while let Some(pixel) = stack.pop() {
                let pixel = pixel as usize;
                area += 1;
                let (x, y) = (pixel % width, pixel / width);
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    for x in x.saturating_sub(1)..(x + 2).min(width) {
                        let next = y * width + x;
                        if ids[next] == NONE && pixels[next] == Some(class) {
                            ids[next] = id;
                            stack.push(next as u32);
                        }
                    }
                }
            }
            segments.push(TruthSegment {
                class: class.into(),
                area,
            });
        }
        Ok(Self {
            width,
            height,
            ids,
            classes: pixels,
            segments,
        })
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The segments.
    #[must_use]
    pub fn segments(&self) -> &[TruthSegment] {
        &self.segments
    }

    /// The segment of every pixel, row-major.
    pub fn pixel_segments(&self) -> impl ExactSizeIterator<Item = Option<usize>> {
        self.ids.iter().map(|&id| (id != NONE).then_some(id.into()))
    }

    /// The segment of every pixel, row-major, or [`NONE`].
    pub(crate) fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// The class of every pixel, row-major.
    pub fn pixel_classes(&self) -> impl ExactSizeIterator<Item = Option<usize>> {
        self.classes.iter().map(|class| class.map(usize::from))
    }
}

fn pixel_classes(labels: &LabelMap, classes: &TruthClasses) -> Vec<Option<u8>> {
    let labels = labels.labels().iter();
    labels
        .map(|&label| classes.positions[usize::from(label)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(width: usize, height: usize, labels: Vec<u8>) -> LabelMap {
        LabelMap::new(width, height, labels).unwrap()
    }

    proptest! {
        /// Two pixels share a segment exactly if a path of like neighbours joins them: closure by brute force.
        #[test]
        fn pieces_are_connected(
            width in 1..7_usize,
            height in 1..7_usize,
            values in prop::collection::vec(0..3_u8, 36),
        ) {
            let labels = values[..width * height].to_vec();
            let truth = Truth::from_labels(
                &map(width, height, labels.clone()),
                &TruthClasses::of_values(0),
            )
            .unwrap();
            let ids: Vec<_> = truth.pixel_segments().collect();
            let near = |a: usize, b: usize| {
                (a % width).abs_diff(b % width) <= 1 && (a / width).abs_diff(b / width) <= 1
            };
            let count = width * height;
            let mut joined = vec![vec![false; count]; count];
            for a in 0..count {
                for b in 0..count {
                    joined[a][b] = labels[a] != 0 && labels[a] == labels[b] && near(a, b);
                }
            }
            for via in 0..count {
                for a in 0..count {
                    for b in 0..count {
                        joined[a][b] |= joined[a][via] && joined[via][b];
                    }
                }
            }
            for a in 0..count {
                prop_assert_eq!(ids[a].is_none(), labels[a] == 0);
                for b in 0..count {
                    prop_assert_eq!(ids[a].is_some() && ids[a] == ids[b], joined[a][b]);
                }
            }
            for (id, segment) in truth.segments().iter().enumerate() {
                let area = ids.iter().filter(|&&other| other == Some(id)).count();
                prop_assert_eq!(area, segment.area as usize);
                let first = ids.iter().position(|&other| other == Some(id)).unwrap();
                prop_assert_eq!(truth.pixel_classes().nth(first).unwrap(), Some(segment.class));
            }
        }
    }

    #[test]
    fn regions_have_the_class_of_their_majority() {
        let labels = map(4, 2, vec![9, 5, 5, 9, 7, 7, 9, 9]);
        let regions = map(4, 2, vec![0, 2, 2, 4, 2, 2, 3, 3]);
        let classes = TruthClasses::of_values(9);
        let truth = Truth::from_regions(&labels, &regions, &classes).unwrap();
        // Region 2 is a tie of 5 and 7; 3 and 4 hold no labelled pixel.
        assert_eq!(truth.segments(), [TruthSegment { class: 5, area: 4 }]);
        let ids: Vec<_> = truth.pixel_segments().map(|id| id.is_some()).collect();
        assert_eq!(ids, [false, true, true, false, true, true, false, false]);
        assert!(Truth::from_regions(&labels, &map(2, 4, vec![0; 8]), &classes).is_none());
    }

    #[test]
    fn as_many_segments_as_there_may_be() {
        // Single pixels on every second row and column.
        let mut labels = vec![0; 512 * 256];
        for place in 0..256 * 128 {
            labels[place / 256 * 2 * 512 + place % 256 * 2] = 1;
        }
        let classes = TruthClasses::of_values(0);
        let count = |labels: &[u8]| {
            let truth =
                Truth::from_labels(&map(512, labels.len() / 512, labels.to_vec()), &classes);
            truth.map(|truth| {
                let last = truth.pixel_segments().flatten().max();
                assert_eq!(last, Some(truth.segments().len() - 1));
                truth.segments().len()
            })
        };
        assert_eq!(count(&labels), Ok(32768));
        let mut twice = [&labels[..], &labels].concat();
        assert_eq!(count(&twice), Err(PiecesError));
        twice[0] = 0;
        assert_eq!(count(&twice), Ok(65535));
    }
}
