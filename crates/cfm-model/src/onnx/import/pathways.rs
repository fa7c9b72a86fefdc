//! How fully connected layers of a graph make the pathways of a head, whatever their numbers are.

use crate::spec::Design;

use super::error::{ImportError, Reason, Result};
use super::{HeadOptions, MAX_PARAMETERS};

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

/// A fully connected layer and what it reads.
#[derive(Debug)]
pub struct Layer<P> {
    /// The vector that it reads.
    pub inputs: Vec<Part>,
    /// Length of the vector that it writes.
    pub outputs: usize,
    /// Whether it belongs to the joint path, where one path alone does not tell.
    pub joint: bool,
    /// Its numbers.
    pub numbers: P,
}

/// The fully connected layers so far.
#[derive(Debug)]
pub struct Layers<P>(pub Vec<Layer<P>>);

/// A head without its numbers, and the numbers of every path's layers.
#[derive(Debug)]
pub struct Pathways<P> {
    /// The design.
    pub design: Design,
    /// Levels of the segment path.
    pub segment_levels: Vec<u8>,
    /// Levels of the region path.
    pub region_levels: Vec<u8>,
    /// The layers of the segment, the region and the joint path.
    pub layers: [Vec<Layer<P>>; 3],
    /// How far the columns of the first joint layer have to be rotated to the left: the region came first.
    pub rotate: usize,
}

impl<P> Layers<P> {
    /// Length of a part.
    pub fn part_len(&self, part: Part) -> usize {
        match part {
            Part::Level {
                level, channels, ..
            } => usize::from(level) * usize::from(level) * channels,
            Part::Pyramid { length, .. } => length,
            Part::Layer(layer) => self.0[layer].outputs,
        }
    }

    /// Lengths of parts.
    pub fn part_lens(&self, parts: &[Part]) -> Vec<usize> {
        parts.iter().map(|&part| self.part_len(part)).collect()
    }

    /// The pathways that end in layer `last`, over a feature map of `channels` channels. `named` is whether the head has
    /// inputs of its own, whose names say which of them is the region; without, both pathways pool the same map.
    pub fn pathways(
        self,
        last: usize,
        channels: u16,
        named: bool,
        options: &HeadOptions,
    ) -> Result<Pathways<P>> {
        let refuse = |reason: &str| ImportError::Head(reason.to_owned());
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
            0 => return Err(refuse("no pathways are concatenated")),
            _ => return Err(refuse("more than two pathways are concatenated")),
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
        let mut region = region.unwrap_or_default();
        let mut rotate = 0;
        if design == Design::A && segment.region && !region.region {
            rotate = segment.length;
            std::mem::swap(&mut segment, &mut region);
        } else if design == Design::A && segment.region == region.region && segment.region {
            return Err(refuse("both pathways read the region"));
        } else if design == Design::A && segment.region == region.region && named {
            return Err(refuse(
                "both pathways read the segment: the region's input has a name that starts with region",
            ));
        } else if design != Design::A && segment.region {
            return Err(refuse("the only pathway reads the region, not the segment"));
        } else if design != Design::A {
            // One path: what comes before the classifier is the segment's, unless it says otherwise.
            let first = joint.iter().position(|&layer| self.0[layer].joint);
            let first = first.unwrap_or(joint.len()).min(joint.len() - 1);
            segment.layers.extend(joint.drain(..first));
        }
        let mut layers: Vec<Option<Layer<P>>> = self.0.into_iter().map(Some).collect();
        let mut take = |indices: &[usize]| {
            indices
                .iter()
                .map(|&index| layers[index].take())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| refuse("a layer belongs to two pathways"))
        };
        let layers = [take(&segment.layers)?, take(&region.layers)?, take(&joint)?];
        let region_levels = match design {
            Design::A => {
                let pyramid = options.region_pyramid.as_ref().unwrap_or(&options.pyramid);
                region.levels(pyramid, channels)?
            }
            Design::Plain | Design::B => Vec::new(),
        };
        Ok(Pathways {
            design,
            segment_levels: segment.levels(&options.pyramid, channels)?,
            region_levels,
            layers,
            rotate,
        })
    }

    /// The pathways that end in `parts`, which are concatenated: no more than two.
    fn paths(&self, parts: &[Part]) -> Result<Vec<Pathway>> {
        let mut paths: Vec<Pathway> = Vec::new();
        for &part in parts {
            // A vector may have millions of parts, with thousands of layers behind each.
            if paths.len() > 2 {
                break;
            }
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

/// The outputs of a fully connected layer, as the format counts them.
pub fn outputs(outputs: usize) -> Result<u16> {
    u16::try_from(outputs)
        .map_err(|_| ImportError::Head(format!("{outputs} outputs are more than 65535")))
}

/// The length of a vector, if a layer can read it: one with more elements would have more weights than a network.
pub fn readable(length: usize) -> std::result::Result<usize, Reason> {
    if length > MAX_PARAMETERS {
        return Err(format!(
            "a vector of {length} elements, longer than any layer reads"
        ));
    }
    Ok(length)
}

/// Refuses a second feature map, or one that is not the last of `layers` layers' outputs.
pub fn check_feature(
    feature: &mut Option<usize>,
    tensor: usize,
    layers: usize,
) -> std::result::Result<(), Reason> {
    if *feature.get_or_insert(tensor) != tensor {
        return Err("the head pools more than one feature map".to_owned());
    }
    if tensor != layers || tensor == 0 {
        return Err("the feature map is not what the last layer computes".to_owned());
    }
    Ok(())
}

/// Whether `shape` makes a vector of `length` of the values of one image.
pub fn flattens(shape: &[i32], length: usize) -> bool {
    match *shape {
        [0 | 1, -1] => true,
        [-1..=1, rest] => usize::try_from(rest) == Ok(length),
        _ => false,
    }
}
