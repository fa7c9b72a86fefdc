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
use cfm_core::model::{ClassKind, Classifier, Design, Model};
use cfm_core::segment::SegmentError;

use crate::trace::{Inputs, SegmentTrace, Trace};
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
    /// There is no superpixel map to refine the labels by.
    #[error("the labels are refined by a superpixel map that there is not")]
    RefinementMap,
    /// A segment is broken.
    #[error("segment {0}: {1}")]
    Segment(usize, SegmentError),
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
/// [`ReferenceError`] for an image of another size than the model's input, a broken segment, or a missing superpixel map.
pub fn trace(model: &Model<'_>, inputs: &Inputs<'_>) -> Result<Trace, ReferenceError> {
    let Inputs {
        image,
        maps,
        segments,
        rule,
    } = *inputs;
    let tensors = backbone(model, &image)?;
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
    let superpixels = match rule.refinement {
        None => None,
        Some(map) => {
            let map = maps.get(usize::from(map));
            Some(map.ok_or(ReferenceError::RefinementMap)?.labels())
        }
    };
    let scene = labelling::Scene {
        classifier: model.head().classifier,
        kinds: &kinds,
        height: size.0,
        width: size.1,
        superpixels,
    };
    let labels = labelling::label(rule.combination, &scene, &scored);
    Ok(Trace {
        tensors: tensors.into_iter().map(|tensor| tensor.data).collect(),
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
        let mask = project(
            segment,
            head.mask_rule,
            (&self.rows, &single_cells(&window.rows)),
            (&self.columns, &single_cells(&window.columns)),
        );
        let (bin_mask, segment_vector) = match head.design {
            Design::Plain | Design::A => {
                let pooled = pyramid::pool(self.feature, &window, levels, Some(&mask));
                (Vec::new(), pooled)
            }
            Design::B => {
                let finest = usize::from(levels.iter().copied().max().unwrap_or(1));
                let bin_mask = project(
                    segment,
                    head.mask_rule,
                    (&self.rows, &bins(&window.rows, finest)),
                    (&self.columns, &bins(&window.columns, finest)),
                );
                let mut pooled = pyramid::pool(self.feature, &window, levels, None);
                pyramid::mask_finest(
                    &mut pooled,
                    levels,
                    usize::from(self.feature.shape.channels),
                    &bin_mask,
                    self.feature.scale.zero_point,
                );
                (bin_mask, pooled)
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
            window: [
                window.rows.start,
                window.columns.start,
                window.rows.end,
                window.columns.end,
            ]
            .map(|cell| cell as u16),
            mask: mask.into_iter().map(u8::from).collect(),
            bin_mask: bin_mask.into_iter().map(u8::from).collect(),
            segment_vector,
            region_vector,
            hidden: scores.hidden,
            logits: scores.logits,
            probabilities,
        }
    }
}

#[cfg(test)]
mod tests;
