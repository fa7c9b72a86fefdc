//! Who occupies which bytes of the arena, and when.
//!
//! Two phases share it: rows arrive and are convolved, then segments are scored. The feature map lies at the beginning
//! in both. The executor and the scorer split the rest themselves; the tests compare this map with the addresses of
//! what they show.

use cfm_core::kernels::fully_connected_scratch;
use cfm_core::model::Model;
use cfm_core::segment::MAX_SUPERPIXELS;
use serde::Serialize;

/// What a block is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// The feature map, in both phases.
    FeatureMap,
    /// The last rows of the image or of a layer's output.
    Ring,
    /// What kernels work in.
    Kernel,
    /// What the scorer works in.
    Scorer,
}

/// Neighbouring bytes with one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// What it holds.
    pub name: String,
    /// What it is used for.
    pub usage: Use,
    /// Its first byte.
    pub start: usize,
    /// Its length in bytes; not 0.
    pub bytes: usize,
}

impl Block {
    /// The byte behind its last one.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + self.bytes
    }
}

/// The blocks of the arena: without gaps from its beginning, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArenaMap {
    /// Bytes of the arena.
    pub bytes: usize,
    /// While rows arrive.
    pub convolving: Vec<Block>,
    /// While segments are scored.
    pub scoring: Vec<Block>,
}

/// Blocks laid one behind the other.
#[derive(Default)]
struct Layout(Vec<Block>);

impl Layout {
    fn push(&mut self, name: impl Into<String>, usage: Use, bytes: usize) {
        if bytes > 0 {
            self.0.push(Block {
                name: name.into(),
                usage,
                start: self.0.last().map_or(0, Block::end),
                bytes,
            });
        }
    }
}

impl ArenaMap {
    /// The arena of a model.
    #[must_use]
    pub fn new(model: &Model<'_>) -> Self {
        let mut convolving = Layout::default();
        convolving.push("feature map", Use::FeatureMap, model.feature_bytes());
        // The last tensor is the feature map.
        let rings = model.tensors().iter().take(model.layer_count());
        for (at, tensor) in rings.enumerate() {
            let name = match at.checked_sub(1) {
                None => "image".to_owned(),
                Some(layer) => format!("layer {layer}"),
            };
            let bytes = usize::from(tensor.rows) * tensor.shape.row_len();
            convolving.push(name, Use::Ring, bytes);
        }
        convolving.push("kernels", Use::Kernel, model.kernel_bytes());

        let mut scoring = Layout::default();
        scoring.push("feature map", Use::FeatureMap, model.feature_bytes());
        let head = model.head();
        let shape = model.feature().shape;
        let cells = usize::from(shape.height) * usize::from(shape.width);
        let channels = usize::from(shape.channels);
        for (name, bytes) in [
            ("pixels per cell", 4 * cells),
            ("mask", cells),
            (
                "superpixels of the segment",
                usize::from(MAX_SUPERPIXELS) / 8,
            ),
            ("mask over bins", head.finest_bins()),
            (
                "segment pyramid",
                head.segment_levels.bin_count() * channels,
            ),
            ("region pyramid", head.region_levels.bin_count() * channels),
            ("joint vector", head.joint_inputs().iter().sum()),
            ("layer outputs, even", head.longest_output()),
            ("layer outputs, odd", head.longest_output()),
        ] {
            scoring.push(name, Use::Scorer, bytes);
        }
        let kernel = fully_connected_scratch(head.longest_input());
        scoring.push("kernels", Use::Kernel, kernel);
        Self {
            bytes: model.arena_bytes(),
            convolving: convolving.0,
            scoring: scoring.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::executor::Executor;
    use cfm_core::model::Path;
    use cfm_core::scorer::Scorer;
    use cfm_core::segment::{Run, Segment};
    use cfm_model::random::{Options, random_model};

    fn block<'a>(blocks: &'a [Block], name: &str) -> &'a Block {
        let found = blocks.iter().find(|block| block.name == name);
        found.unwrap_or_else(|| panic!("no block {name}: {blocks:?}"))
    }

    /// Checks that `slice`, part of the arena at `base`, lies inside the block `name`.
    #[track_caller]
    fn inside(blocks: &[Block], name: &str, base: usize, slice: &[i8]) {
        let block = block(blocks, name);
        let start = slice.as_ptr() as usize - base;
        assert!(
            block.start <= start && start + slice.len() <= block.end(),
            "{name}: {start} + {}, but {block:?}",
            slice.len()
        );
    }

    #[test]
    fn blocks_lie_where_executor_and_scorer_put_them() {
        for seed in 0..60 {
            let spec = random_model(seed, &Options::default());
            let bytes = spec.to_bytes().unwrap();
            let model = Model::parse(&bytes).unwrap();
            let map = ArenaMap::new(&model);
            for (blocks, working) in [
                (&map.convolving, model.line_bytes() + model.kernel_bytes()),
                (&map.scoring, model.scratch_bytes()),
            ] {
                let end = model.feature_bytes() + working;
                assert_eq!(blocks.last().unwrap().end(), end, "seed {seed}");
                assert!(end <= map.bytes);
                assert!(blocks.windows(2).all(|two| two[0].end() == two[1].start));
            }

            let mut arena = vec![0; map.bytes];
            let base = arena.as_ptr() as usize;
            let input = model.input();
            let last = model.layer_count();
            let mut executor = Executor::new(&model, &mut arena).unwrap();
            for y in 0..input.height {
                let row = vec![y as u8; input.row_len()];
                let observe = |tensor: usize, _: u16, row: &[i8]| {
                    let name = match tensor {
                        _ if tensor == last => "feature map".to_owned(),
                        0 => "image".to_owned(),
                        _ => format!("layer {}", tensor - 1),
                    };
                    inside(&map.convolving, &name, base, row);
                };
                executor.push_row_observed(&row, observe).unwrap();
            }
            let (features, scratch) = executor.finish().unwrap();
            inside(&map.scoring, "feature map", base, features.data());
            let mut scorer = Scorer::new(&model, features, scratch).unwrap();
            let runs = [Run {
                y: 0,
                x0: 0,
                x1: input.width,
            }];
            let segment = Segment::Runs(&runs);
            let masked = scorer.project(&segment, &[]).unwrap();
            inside(&map.scoring, "mask", base, masked.mask());
            let pooled = masked.pool();
            for (name, slice) in [
                ("mask over bins", pooled.bin_mask()),
                ("segment pyramid", pooled.segment_vector()),
                ("region pyramid", pooled.region_vector()),
            ] {
                if !slice.is_empty() {
                    inside(&map.scoring, name, base, slice);
                    assert_eq!(slice.len(), block(&map.scoring, name).bytes);
                }
            }
            let mut logits = vec![0; model.class_count()];
            let observe = |_: Path, _: usize, values: &[i8]| {
                let start = values.as_ptr() as usize - base;
                let blocks = &map.scoring;
                let even = block(blocks, "layer outputs, even");
                let odd = block(blocks, "layer outputs, odd");
                assert!((even.start..odd.end()).contains(&start), "{start}");
            };
            pooled.classify_observed(&mut logits, observe).unwrap();
        }
    }
}
