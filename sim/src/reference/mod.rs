//! The float reference: every number of the pipeline once more, in f64 and straight from the arithmetic contract.
//!
//! Activations and weights are turned into the real numbers they stand for, each layer is computed on whole tensors,
//! and results are re-quantized with f64's own rounding. Every operation but that rounding is exact (a 46-bit sum of
//! integers times a power of two), so the integers that come out must equal the core's to the last bit.
//!
//! Nothing here shares code with the core's kernels, geometry, masks, pyramid, softmax or labelling: only the model
//! reader and plain data types.

pub mod geometry;
pub mod head;
pub mod labelling;
pub mod layers;
pub mod mask;
pub mod pixels;
pub mod pyramid;
pub mod real;
pub mod softmax;

use cfm_core::image::ImageView;
use cfm_core::model::{ClassKind, Classifier, Design, LabellingRule, Model};
use cfm_core::segment::{Segment, SegmentError, SuperpixelMap};

use geometry::AxisMap;
use head::RealHead;
use labelling::Scored;
use mask::{CellWindow, bins, project, single_cells};
use pixels::PixelSet;
use real::Activation;

/// Why the reference cannot compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The image is not the size of the model's input.
    #[error("the image is not the size of the model's input")]
    ImageShape,
    /// A segment is broken.
    #[error("segment {0}: {1}")]
    Segment(usize, SegmentError),
}

/// Everything the reference computes for a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTrace {
    /// Number of pixels.
    pub area: u32,
    /// The cells of its bounding box.
    pub window: CellWindow,
    /// The low-resolution mask, row-major: over the window's cells, or (Design B) over the finest level's bins.
    pub mask: Vec<bool>,
    /// The segment path's pyramid; in Design B that of the only path, its finest level masked.
    pub segment_vector: Vec<i8>,
    /// The region path's pyramid (Design A, otherwise empty).
    pub region_vector: Vec<i8>,
    /// The outputs of every fully connected layer but the classifier, in the order of the model file.
    pub hidden: Vec<Vec<i8>>,
    /// The classifier's outputs.
    pub logits: Vec<i16>,
    /// Probabilities as U0F16 bits (softmax classifier, otherwise empty).
    pub probabilities: Vec<u16>,
}

/// Everything the reference computes for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The image and each layer's output; the last is the feature map.
    pub tensors: Vec<Activation>,
    /// One trace per segment.
    pub segments: Vec<SegmentTrace>,
    /// The class of every pixel, [`labelling::VOID`] where there is none.
    pub labels: Vec<u8>,
}

/// The backbone alone: the image as a tensor, then each layer's output.
///
/// # Errors
/// [`ReferenceError::ImageShape`] for an image of another size than the model's input.
pub fn backbone(
    model: &Model<'_>,
    image: &ImageView<'_>,
) -> Result<Vec<Activation>, ReferenceError> {
    let input = model.input();
    if (image.height(), image.width(), image.channels())
        != (input.height, input.width, input.channels)
    {
        return Err(ReferenceError::ImageShape);
    }
    let shapes = model.tensors();
    let mut tensors = vec![layers::image(shapes[0], image.pixels())];
    for (layer, &shape) in model.layers().zip(&shapes[1..]) {
        tensors.push(layers::forward(&layer, shape, &tensors));
    }
    Ok(tensors)
}

/// Computes everything for an image and its segments.
///
/// # Errors
/// [`ReferenceError`] for an image of another size than the model's input, or a broken segment.
pub fn trace(
    model: &Model<'_>,
    image: &ImageView<'_>,
    maps: &[SuperpixelMap<'_>],
    segments: &[Segment<'_>],
    rule: LabellingRule,
) -> Result<Trace, ReferenceError> {
    let tensors = backbone(model, image)?;
    let size = (image.height(), image.width());
    let feature = &tensors[tensors.len() - 1];
    let scorer = Scorer {
        model,
        feature,
        rows: AxisMap::new(model, 0),
        columns: AxisMap::new(model, 1),
        head: RealHead::new(model.head(), feature.scale),
    };
    let pixels = segments
        .iter()
        .enumerate()
        .map(|(index, segment)| {
            PixelSet::new(segment, maps, size.0, size.1)
                .map_err(|error| ReferenceError::Segment(index, error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let traces: Vec<SegmentTrace> = pixels.iter().map(|pixels| scorer.score(pixels)).collect();
    let kinds: Vec<ClassKind> = model.classes().map(|class| class.kind).collect();
    let scored: Vec<Scored<'_>> = pixels
        .iter()
        .zip(&traces)
        .map(|(pixels, trace)| Scored {
            pixels,
            logits: &trace.logits,
            probabilities: &trace.probabilities,
        })
        .collect();
    let labels = labelling::label(rule, model.head().classifier, &kinds, &scored, size);
    Ok(Trace {
        tensors,
        segments: traces,
        labels,
    })
}

/// Scores segments against one feature map.
struct Scorer<'a, 'm> {
    model: &'a Model<'m>,
    feature: &'a Activation,
    rows: AxisMap,
    columns: AxisMap,
    head: RealHead<'m>,
}

impl Scorer<'_, '_> {
    fn score(&self, segment: &PixelSet) -> SegmentTrace {
        let head = self.model.head();
        let window = CellWindow::new(segment, &self.rows, &self.columns);
        let levels = head.segment_levels.as_slice();
        let masked_bins = |n: Option<u8>| {
            let elements = |cells| match n {
                Some(n) => bins(cells, usize::from(n)),
                None => single_cells(cells),
            };
            project(
                segment,
                head.mask_rule,
                (&self.rows, &elements(&window.rows)),
                (&self.columns, &elements(&window.columns)),
            )
        };
        let (mask, segment_vector) = match head.design {
            Design::Plain | Design::A => {
                let mask = masked_bins(None);
                let pooled = pyramid::pool(self.feature, &window, levels, Some(&mask));
                (mask, pooled)
            }
            Design::B => {
                let mask = masked_bins(levels.iter().copied().max());
                let mut pooled = pyramid::pool(self.feature, &window, levels, None);
                pyramid::mask_finest(
                    &mut pooled,
                    levels,
                    usize::from(self.feature.shape.channels),
                    &mask,
                    self.feature.scale.zero_point,
                );
                (mask, pooled)
            }
        };
        let region_vector = match head.design {
            Design::A => pyramid::pool(self.feature, &window, head.region_levels.as_slice(), None),
            Design::Plain | Design::B => Vec::new(),
        };
        let scores = self.head.forward(&segment_vector, &region_vector);
        let probabilities = match head.classifier {
            Classifier::Softmax => softmax::softmax(&scores.logits, head.logit_exponent),
            Classifier::Svm => Vec::new(),
        };
        SegmentTrace {
            area: segment.area(),
            window,
            mask,
            segment_vector,
            region_vector,
            hidden: scores.hidden,
            logits: scores.logits,
            probabilities,
        }
    }
}
