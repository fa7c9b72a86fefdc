//! How many cycles an engine takes.
//!
//! Loop bounds give the products' cycles; a fetch or the requantization may be slower, and weights from outside may be.
//! The overheads are those of [`Overheads`].

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::description::{Description, Stage};
use crate::error::Part;
use crate::folding::Folding;
use crate::operation::{Kind, Operation};

/// Cycles beside the loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overheads {
    /// From a record to its first fetch: reading the record and the descriptor.
    pub operation: u64,
    /// From one block to the next.
    pub block: u64,
    /// From one group of output channels to the next.
    pub group: u64,
    /// From the last product to the last write, beside the requantization itself.
    pub drain: u64,
    /// A record that waits for a row that is there already.
    pub wait: u64,
    /// From a request for weights to the first word.
    pub request: u64,
    /// A segment, beside its words, cells and bins.
    pub segment: u64,
}

impl Overheads {
    /// Of the RTL in `hls/rtl`: assumed, not measured; for layers of the built-in models they are a few percent.
    pub const RTL: Self = Self {
        operation: 40,
        block: 2,
        group: 0,
        drain: 12,
        wait: 6,
        request: 16,
        segment: 40,
    };
}

/// What keeps a stage from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The multipliers.
    Products,
    /// Reading the feature memory.
    Fetch,
    /// Requantization.
    Requantization,
    /// Weights from outside.
    Weights,
}

/// The cycles of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageCycles {
    /// Which layer.
    pub part: Part,
    /// Cycles of one operation: of a row, or of a batch.
    pub operation: u64,
    /// Cycles of an image, or of a batch.
    pub all: u64,
    /// What bounds it.
    pub bound: Bound,
    /// Useful products by products that all cycles have room for.
    pub utilization: f64,
}

/// The cycles of an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// Stages of the backbone, then of the head.
    pub stages: Vec<StageCycles>,
    /// Of an image, until its feature map is complete.
    pub image: u64,
    /// Of a batch's scoring program.
    pub batch: u64,
    /// Of masking and pooling a segment that covers all of the image, at most.
    pub largest_segment: u64,
    /// Useful products by products that all cycles of an image have room for.
    pub image_utilization: f64,
}

impl Cycles {
    /// The cycles of an engine whose weights from outside come at `external_bits` a cycle.
    #[must_use]
    pub fn of(description: &Description, external_bits: u32, overheads: &Overheads) -> Self {
        let folding = description.parameters.folding;
        let word_cycles = (8 * folding.pe).div_ceil(external_bits.max(1));
        let lanes = f64::from(folding.lanes);
        let of = |stage: &Stage, segments: f64| {
            let (operation, bound) = operation(&stage.operation, folding, word_cycles, overheads);
            let all = operation * u64::from(stage.runs);
            let room = all as f64 * f64::from(folding.products());
            StageCycles {
                part: stage.part,
                operation,
                all,
                bound,
                utilization: stage.products as f64 * segments / room.max(1.0),
            }
        };
        let mut stages: Vec<StageCycles> = description
            .backbone()
            .iter()
            .map(|stage| of(stage, 1.0))
            .collect();
        let backbone: u64 = stages.iter().map(|stage| stage.all).sum();
        let waits = u64::from(description.image[0]) * overheads.wait;
        let first_row = u64::from(description.image[1])
            * u64::from(folding.groups(description.image[2].into()));
        let image = backbone + waits + first_row;
        let head: Vec<StageCycles> = description
            .head()
            .iter()
            .map(|stage| of(stage, lanes))
            .collect();
        let batch = head.iter().map(|stage| stage.all).sum();
        stages.extend(head);
        let products: u64 = description.backbone().iter().map(|s| s.products).sum();
        let room = image as f64 * f64::from(folding.products());
        Self {
            stages,
            image,
            batch,
            largest_segment: largest_segment(description, overheads),
            image_utilization: products as f64 / room.max(1.0),
        }
    }

    /// Of an image with `segments` segments, each of which covers a quarter of the image: pooling and scoring overlap.
    #[must_use]
    pub fn frame(&self, segments: u32, folding: Folding) -> u64 {
        let batches = u64::from(segments.div_ceil(folding.lanes.max(1)));
        let pooling = self.largest_segment.div_ceil(4) * u64::from(folding.lanes);
        self.image + batches * self.batch.max(pooling)
    }

    /// Seconds that cycles take within a budget.
    #[must_use]
    pub fn seconds(cycles: u64, budget: &Budget) -> f64 {
        cycles as f64 / (budget.clock_hz.max(1)) as f64
    }
}

/// Words of the mask of the whole image, and all bins' cells.
fn largest_segment(description: &Description, overheads: &Overheads) -> u64 {
    let [height, width, _] = description.image.map(u64::from);
    let [rows, columns, channels] = description.feature_map.map(u64::from);
    let groups = channels.div_ceil(description.parameters.folding.pe.into());
    let words = height * width.div_ceil(32);
    // Every level covers all cells, and its bins share some at their edges.
    let levels = u64::from(description.levels);
    overheads.segment + words + rows * columns + levels * groups * (rows * columns)
}

/// Cycles of one operation, and what bounds them.
fn operation(
    operation: &Operation,
    folding: Folding,
    word_cycles: u32,
    overheads: &Overheads,
) -> (u64, Bound) {
    let stride = u64::from(operation.stride);
    let taps = u64::from(operation.kernel[0]) * u64::from(operation.kernel[1]);
    let pe = u64::from(folding.pe);
    // Of one output group: products alone, and with the fetches that they wait for.
    let (products, fetched) = match operation.kind {
        Kind::Dense => {
            let inputs = u64::from(operation.inputs);
            let (whole, rest) = (inputs / pe, inputs % pe);
            let last = if rest > 0 { rest.max(stride) } else { 0 };
            (taps * inputs, taps * (whole * pe.max(stride) + last))
        }
        Kind::Depthwise | Kind::Add | Kind::MaxPool | Kind::AvgPool => (taps, taps * stride),
    };
    let weights = if operation.external {
        let words = u64::from(operation.weight_words) / u64::from(operation.out_groups.max(1));
        words * u64::from(word_cycles)
    } else {
        0
    };
    let group = [
        (products, Bound::Products),
        (fetched, Bound::Fetch),
        (pe, Bound::Requantization),
        (weights, Bound::Weights),
    ]
    .into_iter()
    // The first of equals: products before what only keeps up with them.
    .reduce(|best, other| if other.0 > best.0 { other } else { best });
    let (group, bound) = group.unwrap_or((0, Bound::Products));
    let request = if operation.external {
        overheads.request
    } else {
        0
    };
    let block =
        overheads.block + request + u64::from(operation.out_groups) * (group + overheads.group);
    let cycles = overheads.operation + u64::from(operation.blocks) * block + pe + overheads.drain;
    (cycles, bound)
}
