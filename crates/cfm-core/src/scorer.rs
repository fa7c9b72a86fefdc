//! Scoring a segment: mask, pool, classify. Cheap, and repeated thousands of times on one feature map.
//!
//! The three steps are separate calls, so that each can be timed, shown, or done elsewhere:
//! [`Scorer::project`] → [`Masked::pool`] → [`Pooled::classify`]. [`Scorer::score`] does them in one go.

use crate::feature_map::FeatureMap;
use crate::kernels::{Kernels, Mask, Portable, fully_connected_scratch};
use crate::mask::{
    CellWindow, Coverage, Extent, Members, contains, count_inside, measure, set_bits,
};
use crate::model::{Design, FullyConnected, Model, Path};
use crate::segment::{MAX_SUPERPIXELS, Segment, SegmentError};
use crate::spatial_pyramid::{bins, place, pool_levels};
use crate::superpixel_index::SuperpixelIndex;

/// Why segments cannot be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ScoreError {
    /// The scratch memory is smaller than [`Model::scratch_bytes`].
    ScratchTooSmall,
    /// The feature map is not this model's.
    FeatureMap,
    /// The slice for the logits does not have one element per class.
    LogitsLength,
    /// The model's weights are in another order than the kernels read.
    WeightOrder,
    /// The segment is refused.
    Segment(SegmentError),
}

impl ScoreError {
    /// The error in words.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::ScratchTooSmall => {
                "the scratch memory is smaller than the model's scratch_bytes()"
            }
            Self::FeatureMap => "the feature map does not have the model's shape",
            Self::LogitsLength => "there must be one logit per class of the model",
            Self::WeightOrder => {
                "the model's weights are not in the order that these kernels read (cfm pack)"
            }
            Self::Segment(error) => error.message(),
        }
    }
}

impl core::fmt::Display for ScoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for ScoreError {}

impl From<SegmentError> for ScoreError {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

/// The scratch memory, split by purpose.
#[derive(Debug)]
struct Scratch<'s> {
    /// Pixels of the segment in each cell of its window.
    counts: &'s mut [[i8; 4]],
    /// The mask bits of the window: 0 or 1.
    mask: &'s mut [i8],
    /// The superpixels of the segment, one bit each.
    members: Members<'s>,
    /// Design B: the mask bits of the finest level's bins.
    bins: &'s mut [i8],
    /// Pyramid vectors: segment path, region path.
    segment: &'s mut [i8],
    region: &'s mut [i8],
    /// Concatenated outputs of the paths.
    joint: &'s mut [i8],
    /// Outputs of the fully connected layers, in turn.
    ping: &'s mut [i8],
    pong: &'s mut [i8],
    /// What the kernels work in.
    kernel: &'s mut [i8],
}

/// Scores segments on one feature map.
#[derive(Debug)]
pub struct Scorer<'m, 's, K = Portable> {
    model: &'m Model<'m>,
    features: FeatureMap<'s>,
    scratch: Scratch<'s>,
    kernels: K,
}

impl<'m, 's> Scorer<'m, 's> {
    /// A scorer with the portable kernels.
    ///
    /// # Errors
    /// As [`Scorer::with_kernels`].
    pub fn new(
        model: &'m Model<'m>,
        features: FeatureMap<'s>,
        scratch: &'s mut [i8],
    ) -> Result<Self, ScoreError> {
        Self::with_kernels(model, features, scratch, Portable)
    }
}

impl<'m, 's, K: Kernels> Scorer<'m, 's, K> {
    /// A scorer with kernels of the caller's choice.
    ///
    /// # Errors
    /// [`ScoreError::ScratchTooSmall`] when `scratch` has fewer than [`Model::scratch_bytes`] bytes,
    /// [`ScoreError::FeatureMap`] when the feature map is not this model's, [`ScoreError::WeightOrder`] when the kernels
    /// read weights in another order than the model has them.
    pub fn with_kernels(
        model: &'m Model<'m>,
        features: FeatureMap<'s>,
        scratch: &'s mut [i8],
        kernels: K,
    ) -> Result<Self, ScoreError> {
        if features.tensor() != model.feature() {
            return Err(ScoreError::FeatureMap);
        }
        if model.weight_order() != K::WEIGHT_ORDER {
            return Err(ScoreError::WeightOrder);
        }
        let scratch = split(model, scratch).ok_or(ScoreError::ScratchTooSmall)?;
        Ok(Self {
            model,
            features,
            scratch,
            kernels,
        })
    }

    /// Projects a segment onto the feature map: its low-resolution mask.
    ///
    /// `maps` are the image's superpixel maps, which segments made of superpixels refer to by index.
    ///
    /// # Errors
    /// Whatever is wrong with the segment.
    pub fn project<'x>(
        &'x mut self,
        segment: &'x Segment<'x>,
        maps: &'x [SuperpixelIndex<'x>],
    ) -> Result<Masked<'x, 'm, 's, K>, SegmentError> {
        let model = self.model;
        let scratch = &mut self.scratch;
        let extent = measure(segment, maps, model, &mut scratch.members)?;
        let window = CellWindow::of(&extent.bounds, model.rows(), model.columns());
        let counts = scratch
            .counts
            .get_mut(..window.len())
            .ok_or(SegmentError::Memory)?;
        count_inside(segment, maps, model, &window, counts);
        let areas = Coverage::of_cells(model, window, counts);
        let members = &scratch.members;
        set_bits(
            model,
            areas,
            |x, y| contains(segment, maps, members, x, y),
            scratch.mask,
        );
        Ok(Masked {
            scorer: self,
            segment,
            maps,
            extent,
            window,
        })
    }

    /// Masks, pools and classifies a segment; writes one logit per class.
    ///
    /// # Errors
    /// Whatever is wrong with the segment, or [`ScoreError::LogitsLength`].
    pub fn score(
        &mut self,
        segment: &Segment<'_>,
        maps: &[SuperpixelIndex<'_>],
        logits: &mut [i16],
    ) -> Result<Extent, ScoreError> {
        if logits.len() != self.model.class_count() {
            return Err(ScoreError::LogitsLength);
        }
        let masked = self.project(segment, maps)?;
        let extent = masked.extent();
        masked.pool().classify(logits)?;
        Ok(extent)
    }
}

/// A segment with its low-resolution mask.
#[derive(Debug)]
pub struct Masked<'x, 'm, 's, K> {
    scorer: &'x mut Scorer<'m, 's, K>,
    segment: &'x Segment<'x>,
    maps: &'x [SuperpixelIndex<'x>],
    extent: Extent,
    window: CellWindow,
}

impl<'x, 'm, 's, K: Kernels> Masked<'x, 'm, 's, K> {
    /// The segment's area and box in pixels.
    #[must_use]
    pub const fn extent(&self) -> Extent {
        self.extent
    }

    /// The segment's box in cells, which the mask covers.
    #[must_use]
    pub const fn window(&self) -> CellWindow {
        self.window
    }

    /// The bits of the mask over the window, row-major: 1 inside the segment, 0 outside.
    #[must_use]
    pub fn mask(&self) -> &[i8] {
        self.scorer
            .scratch
            .mask
            .get(..self.window.len())
            .unwrap_or(&[])
    }

    /// Pools the masked features (and, as the design says, the unmasked ones) with the spatial pyramids.
    #[must_use]
    pub fn pool(self) -> Pooled<'x, 'm, 's, K> {
        let Scorer {
            model,
            features,
            scratch,
            kernels,
        } = &mut *self.scorer;
        let head = model.head();
        let window = self.window;
        let levels = head.segment_levels.as_slice();
        if head.design == Design::B {
            pool_levels(kernels, features, window, levels, None, scratch.segment);
            let finest = head.segment_levels.finest();
            let (counts, members) = (&*scratch.counts, &scratch.members);
            set_bits(
                model,
                bins(window, finest).map(|bin| Coverage::of(model, &window, counts, &bin)),
                |x, y| contains(self.segment, self.maps, members, x, y),
                scratch.bins,
            );
            let channels = usize::from(features.tensor().shape.channels).max(1);
            let vector = scratch.segment.get_mut(place(levels, finest, channels));
            let masked_out = vector
                .unwrap_or_default()
                .chunks_exact_mut(channels)
                .zip(&*scratch.bins)
                .filter(|(_, bit)| **bit == 0);
            for (out, _) in masked_out {
                out.fill(features.tensor().zero_point);
            }
        } else {
            let mask = Mask {
                bits: &*scratch.mask,
                window,
            };
            pool_levels(
                kernels,
                features,
                window,
                levels,
                Some(mask),
                scratch.segment,
            );
        }
        let levels = head.region_levels.as_slice();
        pool_levels(kernels, features, window, levels, None, scratch.region);
        Pooled {
            scorer: self.scorer,
        }
    }
}

/// A segment with its pyramid vectors.
#[derive(Debug)]
pub struct Pooled<'x, 'm, 's, K> {
    scorer: &'x mut Scorer<'m, 's, K>,
}

impl<K: Kernels> Pooled<'_, '_, '_, K> {
    /// The vector of the segment path: level, bin row, bin column, channel.
    #[must_use]
    pub fn segment_vector(&self) -> &[i8] {
        self.scorer.scratch.segment
    }

    /// The vector of the region path; empty unless the model is of Design A.
    #[must_use]
    pub fn region_vector(&self) -> &[i8] {
        self.scorer.scratch.region
    }

    /// Design B: the mask bits of the finest level's bins, row-major; empty otherwise.
    #[must_use]
    pub fn bin_mask(&self) -> &[i8] {
        self.scorer.scratch.bins
    }

    /// Classifies the segment; writes one logit per class.
    ///
    /// # Errors
    /// [`ScoreError::LogitsLength`].
    pub fn classify(self, logits: &mut [i16]) -> Result<(), ScoreError> {
        self.classify_observed(logits, |_, _, _| {})
    }

    /// [`classify`](Self::classify), showing the output of every fully connected layer but the classifier to
    /// `observe(path, index, values)`.
    ///
    /// # Errors
    /// [`ScoreError::LogitsLength`].
    pub fn classify_observed(
        self,
        logits: &mut [i16],
        mut observe: impl FnMut(Path, usize, &[i8]),
    ) -> Result<(), ScoreError> {
        let Scorer {
            model,
            scratch,
            kernels,
            ..
        } = self.scorer;
        if logits.len() != model.class_count() {
            return Err(ScoreError::LogitsLength);
        }
        let head = model.head();
        let (segment_joint, region_joint) = scratch
            .joint
            .split_at_mut_checked(head.joint_inputs()[0])
            .ok_or(ScoreError::ScratchTooSmall)?;
        let (ping, pong) = (&mut *scratch.ping, &mut *scratch.pong);
        let kernel = &mut *scratch.kernel;
        for (path, input, out) in [
            (Path::Segment, &*scratch.segment, segment_joint),
            (Path::Region, &*scratch.region, region_joint),
        ] {
            let last = run_layers(
                kernels,
                input,
                head.layers(path),
                [&mut *ping, &mut *pong],
                kernel,
                |i, values| {
                    observe(path, i, values);
                },
            );
            out.copy_from_slice(last.get(..out.len()).ok_or(ScoreError::ScratchTooSmall)?);
        }
        let hidden = head.layer_count(Path::Joint).saturating_sub(1);
        let last = run_layers(
            kernels,
            scratch.joint,
            head.layers(Path::Joint).take(hidden),
            [ping, pong],
            kernel,
            |i, values| observe(Path::Joint, i, values),
        );
        if let Some(classifier) = head.layers(Path::Joint).last() {
            kernels.classifier(last, &classifier.parameters, kernel, logits);
        }
        Ok(())
    }
}

/// Runs a chain of fully connected layers, and returns its output: `input` itself if the chain is empty.
fn run_layers<'b, 'a, K: Kernels>(
    kernels: &K,
    input: &'b [i8],
    layers: impl Iterator<Item = FullyConnected<'a>>,
    [ping, pong]: [&'b mut [i8]; 2],
    kernel: &mut [i8],
    mut observe: impl FnMut(usize, &[i8]),
) -> &'b [i8] {
    // `from` is empty until the first layer has run: that one reads `input`.
    let (mut from, mut to) = (ping, pong);
    let mut length = None;
    for (i, layer) in layers.enumerate() {
        let values = match length {
            None => input,
            Some(length) => from.get(..length).unwrap_or(&[]),
        };
        let Some(out) = to.get_mut(..layer.outputs) else {
            return &[];
        };
        kernels.fully_connected(values, &layer.parameters, kernel, out);
        observe(i, out);
        length = Some(layer.outputs);
        core::mem::swap(&mut from, &mut to);
    }
    match length {
        None => input,
        Some(length) => from.get(..length).unwrap_or(&[]),
    }
}

/// Splits the scratch memory as [`Model::scratch_bytes`] counts it; `None` if it is too small.
fn split<'s>(model: &Model<'_>, scratch: &'s mut [i8]) -> Option<Scratch<'s>> {
    let head = model.head();
    let shape = model.feature().shape;
    let (cells, channels) = (
        usize::from(shape.height) * usize::from(shape.width),
        usize::from(shape.channels),
    );
    let (counts, rest) = scratch.split_at_mut_checked(4 * cells)?;
    let (counts, _) = counts.as_chunks_mut::<4>();
    let (mask, rest) = rest.split_at_mut_checked(cells)?;
    let (members, rest) = rest.split_at_mut_checked(usize::from(MAX_SUPERPIXELS) / 8)?;
    let (bins, rest) = rest.split_at_mut_checked(head.finest_bins())?;
    let (segment, rest) = rest.split_at_mut_checked(head.segment_levels.bin_count() * channels)?;
    let (region, rest) = rest.split_at_mut_checked(head.region_levels.bin_count() * channels)?;
    let (joint, rest) = rest.split_at_mut_checked(head.joint_inputs().iter().sum())?;
    let (ping, rest) = rest.split_at_mut_checked(head.longest_output())?;
    let (pong, rest) = rest.split_at_mut_checked(head.longest_output())?;
    let kernel = rest.get_mut(..fully_connected_scratch(head.longest_input()))?;
    Some(Scratch {
        counts,
        mask,
        members: Members::new(members),
        bins,
        segment,
        region,
        joint,
        ping,
        pong,
        kernel,
    })
}
