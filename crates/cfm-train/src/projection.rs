//! Segments on the feature map: the core's own mask projection, so that training and device cannot disagree.

use cfm_core::feature_map::FeatureMap;
use cfm_core::mask::CellWindow;
use cfm_core::model::{Design, Model};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Segment, SegmentError, SuperpixelMap};
use cfm_sim::core_trace::IndexMemory;

use crate::proposals::{Candidate, Map};

/// A segment's low-resolution mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projected {
    /// The cells of its bounding box.
    pub window: CellWindow,
    /// One byte per cell of the window, row-major: 1 inside, 0 outside.
    pub mask: Vec<i8>,
    /// Design B: one byte per bin of the finest level, row-major: 1 inside, 0 outside. Empty otherwise.
    pub bins: Vec<i8>,
    /// Pixels.
    pub area: u32,
}

/// Why segments cannot be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// A superpixel map or a segment is refused.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The scorer is refused.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// Projects `segments` onto the feature map of `model`, of which only geometry, mask rule, design and levels
/// matter.
///
/// # Errors
/// When a map does not have the size of the model's input, or a segment has no pixel.
pub fn project<'c>(
    model: &Model<'_>,
    maps: &[Map],
    segments: impl Iterator<Item = &'c Candidate>,
) -> Result<Vec<Projected>, ProjectionError> {
    let input = model.input();
    let mut memory: Vec<IndexMemory> = maps.iter().map(|_| IndexMemory::default()).collect();
    let indices = maps
        .iter()
        .zip(&mut memory)
        .map(|(map, memory)| {
            let map = SuperpixelMap::new(&map.labels, input.width, input.height, map.count)?;
            memory.build(map, model)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let nothing = vec![0; model.feature().shape.len()];
    let features = FeatureMap::new(&nothing, model.feature()).ok_or(ScoreError::FeatureMap)?;
    let mut scratch = vec![0; model.scratch_bytes()];
    let mut scorer = Scorer::new(model, features, &mut scratch)?;
    segments
        .map(|candidate| {
            let segment = Segment::Superpixels {
                map: candidate.map,
                members: &candidate.members,
            };
            let masked = scorer.project(&segment, &indices)?;
            let (window, area) = (masked.window(), masked.extent().area);
            let mask = masked.mask().to_vec();
            let bins = match model.head().design {
                Design::Plain | Design::A => Vec::new(),
                Design::B => masked.pool().bin_mask().to_vec(),
            };
            Ok(Projected {
                window,
                mask,
                bins,
                area,
            })
        })
        .collect()
}
