//! The float network before quantization: what training made, in f32, on the same proposals, masks and labelling.
//!
//! Only what quantization changes is computed in floating point: convolutions, activations, pooling, fully connected
//! layers. Masks are integer work and the core's. For the labelling, logits are rounded to the 16 bits that the model
//! gives them, after those of a softmax have been moved below 0, where none saturates that matters.

pub(crate) mod head;
pub(crate) mod layers;

pub use head::SegmentMask;
pub use layers::Tensor;

use cfm_core::executor::ExecuteError;
use cfm_core::feature_map::FeatureMap;
use cfm_core::image::ImageView;
use cfm_core::labelling::{LabelError, ScoredSegment};
use cfm_core::model::{Classifier, Model, Path, Shape};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::SegmentError;
use cfm_model::Place;
use cfm_model::float_model::{FloatAdd, FloatHead, FloatLayer, FloatModel};
use cfm_model::shape::ShapeError;
use cfm_model::spec::PoolSpec;

use crate::core_trace::IndexMemory;
use crate::labelling::label;
use crate::memory_bound::{MemoryError, check_float, check_float_tensors};
use crate::trace::Inputs;
use layers::{Convolution, add, avg_pool, max_pool};

/// Why a float network cannot compute.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FloatNetworkError {
    /// The layers of the float network do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The float network and the quantized model are of different structure.
    #[error("the float weights are not those of this model")]
    OtherModel,
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ExecuteError),
    /// A superpixel map is refused.
    #[error("superpixel map {0}: {1}")]
    Map(usize, SegmentError),
    /// The masks cannot be computed.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A segment is refused.
    #[error("segment {0}: {1}")]
    Segment(usize, SegmentError),
    /// The labelling is refused.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The tensors would take too much memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Somebody who watches a float network compute, layer by layer in the order of the model file.
pub trait Observer {
    /// The sums of a convolution or a fully connected layer before its activation, channel last.
    fn sums(&mut self, place: Place, sums: &[f32]) {
        let _ = (place, sums);
    }

    /// The output of a layer, channel last.
    fn output(&mut self, place: Place, output: &[f32]) {
        let _ = (place, output);
    }
}

/// Watches nothing.
impl Observer for () {}

/// A float network beside the model that was quantized from it.
#[derive(Debug, Clone)]
pub struct FloatNetwork<'m> {
    model: &'m Model<'m>,
    layers: Vec<Layer>,
    head: FloatHead,
}

#[derive(Debug, Clone)]
enum Layer {
    Convolution(Convolution),
    MaxPool(PoolSpec),
    AvgPool(PoolSpec),
    Add(FloatAdd),
}

impl Layer {
    /// The tensors it reads.
    fn inputs(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, second) = match self {
            Self::Convolution(layer) => (layer.input(), None),
            Self::MaxPool(pool) | Self::AvgPool(pool) => (pool.input, None),
            Self::Add(layer) => (layer.inputs[0], Some(layer.inputs[1])),
        };
        std::iter::once(first).chain(second)
    }
}

/// What the float network makes of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatScores {
    /// The logits of every segment.
    pub logits: Vec<Vec<f32>>,
    /// The class index of every pixel, 255 where there is none.
    pub labels: Vec<u8>,
}

impl<'m> FloatNetwork<'m> {
    /// The float network `float` of `model`.
    ///
    /// # Errors
    /// [`FloatNetworkError::OtherModel`] or [`FloatNetworkError::Shape`] when the two do not fit together,
    /// [`FloatNetworkError::Memory`] when a photograph would take more than [`check_float`] allows.
    pub fn new(model: &'m Model<'m>, float: FloatModel) -> Result<Self, FloatNetworkError> {
        let shapes = float.tensor_shapes()?;
        let same_tensors = shapes
            .iter()
            .eq(model.tensors().iter().map(|tensor| &tensor.shape));
        let head = model.head();
        let same_head = head.design == float.head.design
            && head.segment_levels.as_slice() == float.head.segment_levels
            && head.region_levels.as_slice() == float.head.region_levels;
        if !same_tensors || !same_head || !has_all_weights(&float, &shapes) {
            return Err(FloatNetworkError::OtherModel);
        }
        check_float(model)?;
        let layers = float.layers.into_iter().map(|layer| match layer {
            FloatLayer::Conv2d(conv) => Layer::Convolution(Convolution::new(conv)),
            FloatLayer::MaxPool(pool) => Layer::MaxPool(pool),
            FloatLayer::AvgPool(pool) => Layer::AvgPool(pool),
            FloatLayer::Add(layer) => Layer::Add(layer),
        });
        Ok(Self {
            model,
            layers: layers.collect(),
            head: float.head,
        })
    }

    /// All tensors: the image and each layer's output; the last is the feature map.
    ///
    /// # Errors
    /// [`ExecuteError::InputSize`] for an image of another size than the model's input, [`FloatNetworkError::Memory`] when
    /// all tensors together would take more than [`check_float_tensors`] allows.
    pub fn tensors(&self, image: &ImageView<'_>) -> Result<Vec<Tensor>, FloatNetworkError> {
        check_float_tensors(self.model)?;
        Ok(self.forward(image, &mut (), |_, _| true)?)
    }

    /// The feature map, with somebody who watches all layers. Other tensors are kept until their last reader has read them.
    ///
    /// # Errors
    /// [`ExecuteError::InputSize`] for an image of another size than the model's input.
    pub fn features(
        &self,
        image: &ImageView<'_>,
        observer: &mut impl Observer,
    ) -> Result<Tensor, ExecuteError> {
        let is_read = |tensor, from| {
            let later = self.layers.iter().skip(from);
            later.flat_map(Layer::inputs).any(|input| input == tensor)
        };
        let mut tensors = self.forward(image, observer, is_read)?;
        // The image is there, at the least.
        Ok(tensors.swap_remove(tensors.len() - 1))
    }

    /// The image and each layer's output; `keep` says of a tensor whether it is kept when the layer of that number is next.
    fn forward(
        &self,
        image: &ImageView<'_>,
        observer: &mut impl Observer,
        keep: impl Fn(usize, usize) -> bool,
    ) -> Result<Vec<Tensor>, ExecuteError> {
        let shape = self.model.input();
        if (image.height(), image.width(), image.channels())
            != (shape.height, shape.width, shape.channels)
        {
            return Err(ExecuteError::InputSize);
        }
        let mut tensors = vec![Tensor::image(shape, image.pixels())];
        for (i, (layer, out)) in self
            .layers
            .iter()
            .zip(&self.model.tensors()[1..])
            .enumerate()
        {
            let (place, out) = (Place::Layer(i), out.shape);
            let tensor = match layer {
                Layer::Convolution(layer) => {
                    let mut tensor = layer.sums(&tensors[layer.input()], out);
                    observer.sums(place, &tensor.data);
                    for value in &mut tensor.data {
                        *value = layer.activation().apply(*value);
                    }
                    tensor
                }
                Layer::MaxPool(pool) => max_pool(&pool.window, &tensors[pool.input], out),
                Layer::AvgPool(pool) => avg_pool(&pool.window, &tensors[pool.input], out),
                Layer::Add(layer) => {
                    let [first, second] = layer.inputs;
                    add(layer, &tensors[first], &tensors[second])
                }
            };
            observer.output(place, &tensor.data);
            tensors.push(tensor);
            for input in layer.inputs() {
                if !keep(input, i + 1) {
                    tensors[input].data = Vec::new();
                }
            }
        }
        Ok(tensors)
    }

    /// The masks of all segments.
    ///
    /// # Errors
    /// [`FloatNetworkError`] for a broken map or segment.
    pub fn masks(&self, inputs: &Inputs<'_>) -> Result<Vec<SegmentMask>, FloatNetworkError> {
        self.for_each_mask(inputs, |mask| mask)
    }

    /// What `with` makes of the mask of every segment.
    fn for_each_mask<T>(
        &self,
        inputs: &Inputs<'_>,
        mut with: impl FnMut(SegmentMask) -> T,
    ) -> Result<Vec<T>, FloatNetworkError> {
        let model = self.model;
        let mut memory: Vec<IndexMemory> = Vec::new();
        memory.resize_with(inputs.maps.len(), IndexMemory::default);
        let mut indices = Vec::new();
        for (at, (map, memory)) in inputs.maps.iter().zip(&mut memory).enumerate() {
            let index = memory.build(*map, model);
            indices.push(index.map_err(|error| FloatNetworkError::Map(at, error))?);
        }
        // The scorer is here for its masks only; they do not depend on the features.
        let blank = vec![0; model.feature_bytes()];
        let blank = FeatureMap::new(&blank, model.feature()).ok_or(ScoreError::FeatureMap)?;
        let mut scratch = vec![0; model.scratch_bytes()];
        let mut scorer = Scorer::new(model, blank, &mut scratch)?;
        let segments = inputs.segments.iter().enumerate();
        segments
            .map(|(at, segment)| {
                let masked = scorer
                    .project(segment, &indices)
                    .map_err(|error| FloatNetworkError::Segment(at, error))?;
                Ok(with(SegmentMask {
                    area: masked.extent().area,
                    window: masked.window(),
                    cells: masked.mask().to_vec(),
                    bins: masked.pool().bin_mask().to_vec(),
                }))
            })
            .collect()
    }

    /// The logits of a segment over a feature map, that of [`FloatNetwork::features`].
    pub fn logits(
        &self,
        features: &Tensor,
        mask: &SegmentMask,
        observer: &mut impl Observer,
    ) -> Vec<f32> {
        head::logits(&self.head, features, mask, observer)
    }

    /// The logits of every segment, and the label of every pixel.
    ///
    /// # Errors
    /// [`FloatNetworkError`] for an image of another size than the model's input, or a broken segment.
    pub fn label(&self, inputs: &Inputs<'_>) -> Result<FloatScores, FloatNetworkError> {
        let features = self.features(&inputs.image, &mut ())?;
        // One after the other: the masks of all segments would be as large as so many feature maps.
        let scored = self.for_each_mask(inputs, |mask| {
            (mask.area, self.logits(&features, &mask, &mut ()))
        })?;
        let (areas, logits): (Vec<u32>, Vec<Vec<f32>>) = scored.into_iter().unzip();
        let rounded: Vec<Vec<i16>> = logits.iter().map(|l| self.rounded(l)).collect();
        let labels = label(
            self.model,
            inputs.rule,
            inputs.maps,
            inputs.segments.len(),
            |at| ScoredSegment {
                segment: inputs.segments[at],
                area: areas[at],
                logits: &rounded[at],
            },
        )?;
        Ok(FloatScores { logits, labels })
    }

    /// Logits in 16 bits, at the model's scale.
    fn rounded(&self, logits: &[f32]) -> Vec<i16> {
        let head = self.model.head();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let origin = match head.classifier {
            // A softmax only knows differences.
            Classifier::Softmax => largest,
            Classifier::Svm => 0.0,
        };
        let scale = f64::from(-i32::from(head.logit_exponent)).exp2();
        logits
            .iter()
            .map(|&logit| {
                let steps = f64::from(logit - origin) * scale;
                let (low, high) = (f64::from(i16::MIN), f64::from(i16::MAX));
                steps.round_ties_even().clamp(low, high) as i16
            })
            .collect()
    }
}

/// Whether every weight and bias that the structure asks for is there.
fn has_all_weights(float: &FloatModel, shapes: &[Shape]) -> bool {
    let layers = float.layers.iter().all(|layer| match layer {
        FloatLayer::Conv2d(conv) => {
            let outputs = usize::from(conv.out_channels);
            let filter_len = layer.shape().filter_len(shapes).unwrap_or(0);
            conv.bias.len() == outputs && conv.weights.len() == outputs * filter_len
        }
        FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) | FloatLayer::Add(_) => true,
    });
    let channels = shapes.last().map_or(0, |shape| shape.channels);
    let inputs = float.head.shape().fc_inputs(channels);
    let paths = Path::ALL.into_iter().zip(&inputs);
    layers
        && paths.into_iter().all(|(path, inputs)| {
            float.head.fcs(path).iter().zip(inputs).all(|(fc, inputs)| {
                let outputs = usize::from(fc.outputs);
                fc.bias.len() == outputs && fc.weights.len() == outputs * inputs
            })
        })
}

#[cfg(test)]
pub(crate) mod tests;
