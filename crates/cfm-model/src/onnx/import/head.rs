//! The float head while it is read: pooled bins, vectors, fully connected layers; and how they make pathways.

use crate::float_model::{Activation, ActivationScale, FloatFc, FloatHead};
use crate::spec::Design;

use super::HeadOptions;
use super::affine::Affine;
use super::backbone::{fold_before, fold_behind, later};
use super::error::{ImportError, Reason, Result};

/// What a stretch of a vector holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Level `level` of a pyramid, `level x level` bins, `[channel][bin row][bin column]` as ONNX flattens it.
    Level {
        /// Whether it is of the region rather than of the segment.
        region: bool,
        /// Bins along each side.
        level: u8,
        /// Channels of the feature map.
        channels: usize,
    },
    /// A whole pyramid in the project's order.
    Pyramid {
        /// Whether it is of the region rather than of the segment.
        region: bool,
        /// Length of the vector.
        length: usize,
    },
    /// The output of a fully connected layer.
    Layer(usize),
}

/// A vector of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Whether nobody else reads it.
    pub exclusive: bool,
    /// What has not become part of a layer yet.
    pub pending: Option<Affine>,
}

#[derive(Debug)]
struct Layer {
    inputs: Vec<Part>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

/// The fully connected layers so far.
#[derive(Debug, Default)]
pub struct Layers(Vec<Layer>);

impl Layers {
    /// Length of a part.
    fn part_len(&self, part: Part) -> usize {
        match part {
            Part::Level {
                level, channels, ..
            } => usize::from(level) * usize::from(level) * channels,
            Part::Pyramid { length, .. } => length,
            Part::Layer(layer) => self.0[layer].bias.len(),
        }
    }

    /// Length of a vector.
    pub fn len(&self, vector: &Vector) -> usize {
        vector.parts.iter().map(|&part| self.part_len(part)).sum()
    }

    /// A fully connected layer with weights `[out][in]`, the inputs in ONNX's order.
    pub fn fully_connected(
        &mut self,
        vector: Vector,
        mut weights: Vec<f32>,
        mut bias: Vec<f32>,
    ) -> std::result::Result<Vector, Reason> {
        let inputs = self.len(&vector);
        if weights.len() != inputs * bias.len() || weights.is_empty() {
            return Err(format!(
                "it reads a vector of {inputs}, but has {} weights for {} outputs",
                weights.len(),
                bias.len()
            ));
        }
        if let Some(affine) = &vector.pending {
            fold_before(&mut weights, &mut bias, affine, inputs, 1 << 30);
        }
        let weights = self.in_project_order(&vector.parts, &weights, inputs);
        self.0.push(Layer {
            inputs: vector.parts,
            weights,
            bias,
            activation: Activation::None,
        });
        Ok(Vector {
            parts: vec![Part::Layer(self.0.len() - 1)],
            exclusive: true,
            pending: None,
        })
    }

    /// `[channel][bin]` of every level to `[bin][channel]`.
    fn in_project_order(&self, parts: &[Part], weights: &[f32], inputs: usize) -> Vec<f32> {
        let mut ordered = Vec::with_capacity(weights.len());
        for row in weights.chunks_exact(inputs) {
            let mut start = 0;
            for &part in parts {
                let stretch = &row[start..start + self.part_len(part)];
                start += stretch.len();
                match part {
                    Part::Level {
                        level, channels, ..
                    } => {
                        let bins = usize::from(level) * usize::from(level);
                        for bin in 0..bins {
                            ordered.extend((0..channels).map(|c| stretch[c * bins + bin]));
                        }
                    }
                    Part::Pyramid { .. } | Part::Layer(_) => ordered.extend(stretch),
                }
            }
        }
        ordered
    }

    /// The layer whose output `vector` is and which can still be changed.
    fn open(&mut self, vector: &Vector) -> Option<&mut Layer> {
        match *vector.parts {
            [Part::Layer(layer)] if vector.exclusive && vector.pending.is_none() => {
                (self.0.get_mut(layer)).filter(|layer| layer.activation == Activation::None)
            }
            _ => None,
        }
    }

    /// Applies an affine map, in the layer before it or later.
    pub fn affine(&mut self, vector: Vector, affine: &Affine) -> Vector {
        if let Some(layer) = self.open(&vector) {
            fold_behind(&mut layer.weights, &mut layer.bias, affine);
            return vector;
        }
        let pending = match &vector.pending {
            Some(pending) => pending.then(affine),
            None => affine.clone(),
        };
        Vector {
            pending: Some(pending),
            ..vector
        }
    }

    /// Applies an activation in the layer before it.
    pub fn activate(
        &mut self,
        vector: Vector,
        activation: Activation,
    ) -> std::result::Result<Vector, Reason> {
        let layer = self.open(&vector).ok_or(
            "the activation does not follow directly after a fully connected layer that only it reads",
        )?;
        layer.activation = activation;
        Ok(vector)
    }

    /// The head that computes `output` over a feature map of `channels` channels.
    pub fn head(self, output: &Vector, channels: u16, options: &HeadOptions) -> Result<FloatHead> {
        let refuse = |reason: &str| ImportError::Head(reason.to_owned());
        let [Part::Layer(last)] = *output.parts else {
            return Err(refuse("the output is not that of a fully connected layer"));
        };
        if output.pending.is_some() || self.0[last].activation != Activation::None {
            return Err(refuse(
                "something follows after the classifier's fully connected layer",
            ));
        }
        let mut joint = vec![last];
        let mut inputs = &self.0[last].inputs;
        while let [Part::Layer(layer)] = **inputs {
            joint.push(layer);
            inputs = &self.0[layer].inputs;
        }
        joint.reverse();
        let mut paths = self.paths(inputs)?;
        let (mut segment, region) = match paths.len() {
            1 => (paths.remove(0), None),
            2 => {
                let second = paths.remove(1);
                (paths.remove(0), Some(second))
            }
            n => return Err(ImportError::Head(format!("{n} pathways are concatenated"))),
        };
        let design = match (options.design, &region) {
            (Some(Design::A), None) => {
                return Err(refuse("Design A has two pathways, and there is one"));
            }
            (Some(Design::Plain | Design::B), Some(_)) => {
                return Err(refuse("two pathways are concatenated: that is Design A"));
            }
            (_, Some(_)) => Design::A,
            (design, None) => design.unwrap_or(Design::Plain),
        };
        let mut layers: Vec<Option<Layer>> = self.0.into_iter().map(Some).collect();
        let (mut segment_fcs, mut region_fcs, mut joint_fcs) = (vec![], vec![], vec![]);
        let mut region = region.unwrap_or_default();
        if design == Design::A && segment.region && !region.region {
            let first = joint[0];
            let lengths = [segment.length, region.length];
            std::mem::swap(&mut segment, &mut region);
            if let Some(layer) = &mut layers[first] {
                let inputs = lengths.iter().sum();
                for row in layer.weights.chunks_exact_mut(inputs) {
                    row.rotate_left(lengths[0]);
                }
            }
        } else if design == Design::A && segment.region == region.region && segment.region {
            return Err(refuse("both pathways read the region"));
        } else if design != Design::A {
            // One path: what comes before the classifier is the segment's.
            let hidden = joint.drain(..joint.len() - 1);
            segment.layers.extend(hidden);
        }
        let fcs = [
            (&mut segment_fcs, &segment.layers),
            (&mut region_fcs, &region.layers),
            (&mut joint_fcs, &joint),
        ];
        for (fcs, indices) in fcs {
            for &index in indices {
                let layer = layers[index]
                    .take()
                    .ok_or_else(|| refuse("a layer belongs to two pathways"))?;
                fcs.push(layer.finished()?);
            }
        }
        let segment_levels = segment.levels(&options.pyramid, channels)?;
        let region_levels = match design {
            Design::A => {
                let pyramid = options.region_pyramid.as_ref().unwrap_or(&options.pyramid);
                region.levels(pyramid, channels)?
            }
            Design::Plain | Design::B => Vec::new(),
        };
        const LOGIT_EXPONENT: i8 = -8;
        if let Some(classifier) = joint_fcs.last_mut() {
            classifier.output = ActivationScale::logits(LOGIT_EXPONENT);
        }
        Ok(FloatHead {
            design,
            classifier: options.classifier,
            mask_rule: options.mask_rule,
            segment_levels,
            region_levels,
            segment_fcs,
            region_fcs,
            joint_fcs,
            logit_exponent: LOGIT_EXPONENT,
        })
    }

    /// The pathways that end in `parts`, which are concatenated.
    fn paths(&self, parts: &[Part]) -> Result<Vec<Pathway>> {
        let mut paths: Vec<Pathway> = Vec::new();
        for &part in parts {
            match part {
                Part::Layer(mut layer) => {
                    let mut path = Pathway {
                        length: self.part_len(part),
                        layers: vec![layer],
                        ..Pathway::default()
                    };
                    let mut inputs = &self.0[layer].inputs;
                    while let [Part::Layer(before)] = **inputs {
                        layer = before;
                        path.layers.push(layer);
                        inputs = &self.0[layer].inputs;
                    }
                    path.layers.reverse();
                    for &part in inputs {
                        if matches!(part, Part::Layer(_)) {
                            return Err(ImportError::Head(
                                "pathways are concatenated more than once".to_owned(),
                            ));
                        }
                        path.read(part)?;
                    }
                    paths.push(path);
                }
                Part::Level { region, .. } | Part::Pyramid { region, .. } => {
                    let same = paths
                        .last()
                        .is_some_and(|path| path.layers.is_empty() && path.region == region);
                    if !same {
                        paths.push(Pathway {
                            region,
                            ..Pathway::default()
                        });
                    }
                    if let Some(path) = paths.last_mut() {
                        path.length += self.part_len(part);
                        path.read(part)?;
                    }
                }
            }
        }
        Ok(paths)
    }
}

impl Layer {
    fn finished(self) -> Result<FloatFc> {
        Ok(FloatFc {
            outputs: u16::try_from(self.bias.len()).map_err(|_| {
                ImportError::Head(format!("{} outputs are more than 65535", self.bias.len()))
            })?,
            weights: self.weights,
            bias: self.bias,
            output: later(self.activation),
        })
    }
}

/// One pathway of the head.
#[derive(Debug, Default)]
struct Pathway {
    region: bool,
    pooled: Vec<Part>,
    layers: Vec<usize>,
    /// Length of the vector at its end.
    length: usize,
}

impl Pathway {
    fn read(&mut self, part: Part) -> Result<()> {
        if let Part::Level { region, .. } | Part::Pyramid { region, .. } = part {
            if !self.pooled.is_empty() && region != self.region {
                return Err(ImportError::Head(
                    "a fully connected layer reads segment and region at once".to_owned(),
                ));
            }
            self.region = region;
        }
        self.pooled.push(part);
        Ok(())
    }

    /// The levels of the pyramid: those that the graph pools, or those that the user says.
    fn levels(&self, pyramid: &[u8], features: u16) -> Result<Vec<u8>> {
        if let [Part::Pyramid { length, .. }] = *self.pooled {
            let expected = crate::shape::bins(pyramid) * usize::from(features);
            if length != expected {
                return Err(ImportError::Head(format!(
                    "it reads a vector of {length}, but pyramid {pyramid:?} over {features} channels has {expected}"
                )));
            }
            return Ok(pyramid.to_vec());
        }
        let mut levels = Vec::new();
        for &part in &self.pooled {
            let Part::Level {
                level, channels, ..
            } = part
            else {
                return Err(ImportError::Head(
                    "whole pyramids and single levels are mixed".to_owned(),
                ));
            };
            if channels != usize::from(features) {
                return Err(ImportError::Head(format!(
                    "it reads {channels} channels, but the feature map has {features}"
                )));
            }
            if levels.contains(&level) {
                return Err(ImportError::Head(format!("level {level} is read twice")));
            }
            levels.push(level);
        }
        Ok(levels)
    }
}
