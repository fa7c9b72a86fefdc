//! How many cycles an engine takes.
//!
//! Loop bounds give the products' cycles; a fetch or the requantization may be slower, and weights from outside may be.
//! [`Overheads`] has what lies between: the depth of the pipeline. `examples/compare_cycles.rs` compares it with simulations of
//! the RTL.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::description::{Description, Stage};
use crate::error::Part;
use crate::folding::Folding;
use crate::operation::{Kind, Operation};

/// Cycles beside the loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overheads {
    /// From the start of an operation to its first product, and from its last product to the start of the next operation,
    /// beside `PE` cycles for the last word's requantization.
    pub operation: u64,
    /// What a general scale adds.
    pub general_scale: u64,
    /// What is prepared for an operation while the one before it runs: none is shorter.
    pub preparation: u64,
    /// From a row of the image that was taken to the next one, beside the row itself.
    pub row: u64,
    /// Between two batches.
    pub batch: u64,
    /// A level of the pyramid.
    pub level: u64,
    /// A bin of it.
    pub bin: u64,
    /// A row of pixels of a segment's mask, beside its words and cells.
    pub mask_row: u64,
}

impl Overheads {
    /// Of the RTL in `hls/rtl`: the latencies that its modules state.
    pub const RTL: Self = Self {
        operation: 32,
        general_scale: 4,
        preparation: 50,
        row: 5,
        batch: 57,
        level: 25,
        bin: 6,
        mask_row: 8,
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
    /// Of masking or pooling, whichever is slower, a segment half as wide and half as high as the image.
    pub segment: u64,
    /// Useful products by products that all cycles of an image have room for.
    pub image_utilization: f64,
}

impl Cycles {
    /// The cycles of an engine whose weights from outside come at `external_bits` a cycle, and whose image comes at a pixel
    /// word a cycle.
    #[must_use]
    pub fn of(description: &Description, external_bits: u32, overheads: &Overheads) -> Self {
        let parameters = &description.parameters;
        let folding = parameters.folding;
        let word_cycles = (8 * folding.pe).div_ceil(external_bits.max(1));
        let lanes = f64::from(folding.lanes);
        let scale = if parameters.general_scale {
            overheads.general_scale
        } else {
            0
        };
        let of = |stage: &Stage, segments: f64| {
            let (loops, bound) = loops(&stage.operation, folding, word_cycles);
            let operation = loops + overheads.operation + scale + u64::from(folding.pe);
            let operation = operation.max(overheads.preparation);
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
        let image = backbone + rows(description, overheads);
        let head: Vec<StageCycles> = description
            .head()
            .iter()
            .map(|stage| of(stage, lanes))
            .collect();
        let batch = overheads.batch + head.iter().map(|stage| stage.all).sum::<u64>();
        stages.extend(head);
        let products: u64 = description.backbone().iter().map(|s| s.products).sum();
        let room = image as f64 * f64::from(folding.products());
        Self {
            stages,
            image,
            batch,
            segment: segment(description, overheads),
            image_utilization: products as f64 / room.max(1.0),
        }
    }

    /// Of an image with `segments` segments, of which each takes [`segment`](Self::segment) to pool: a batch is pooled while
    /// the one before it is scored.
    #[must_use]
    pub fn frame(&self, segments: u32, folding: Folding) -> u64 {
        let lanes = u64::from(folding.lanes.max(1));
        let segments = u64::from(segments);
        let batches = segments.div_ceil(lanes);
        let first = self.segment * lanes.min(segments);
        self.image + first + batches * self.batch.max(self.segment * lanes)
    }

    /// Seconds that cycles take within a budget.
    #[must_use]
    pub fn seconds(cycles: u64, budget: &Budget) -> f64 {
        cycles as f64 / (budget.clock_hz.max(1)) as f64
    }
}

/// Waiting for rows of the image. One row arrives while the rows before it are worked on; what the first layer takes beyond
/// one for each of its own rows has to be waited for.
fn rows(description: &Description, overheads: &Overheads) -> u64 {
    let [height, width, samples] = description.image;
    let row = u64::from(width) * u64::from(description.parameters.folding.groups(samples.into()));
    let runs = description.backbone().first().map_or(0, |stage| stage.runs);
    let beyond = u64::from(height).saturating_sub(runs.into());
    row + beyond * (row + overheads.row)
}

/// Masking and pooling of a segment half as wide and as high as the image; the one goes on while the other does.
fn segment(description: &Description, overheads: &Overheads) -> u64 {
    let half = |n: u16| u64::from(n).div_ceil(2);
    let [height, width, _] = description.image.map(half);
    let [rows, columns, channels] = description.feature_map;
    let (rows, columns) = (half(rows), half(columns));
    let folding = description.parameters.folding;
    let groups = u64::from(folding.groups(channels.into()));
    let mask = height * (width.div_ceil(32) + columns + overheads.mask_row) + rows * columns;
    // A read is a block of lanes; a bin is cut out of some.
    let level = |&level: &u32| {
        let (bins, level) = (u64::from(level) * u64::from(level), u64::from(level).max(1));
        let blocks = columns
            .div_ceil(level)
            .div_ceil(folding.lanes.max(1).into())
            + 1;
        overheads.level + bins * (overheads.bin + groups * rows.div_ceil(level) * blocks)
    };
    mask.max(description.levels.iter().map(level).sum())
}

/// Cycles of an operation's loops, and what bounds them.
fn loops(operation: &Operation, folding: Folding, word_cycles: u32) -> (u64, Bound) {
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
        Kind::Add => (2, 2),
        Kind::Depthwise | Kind::MaxPool | Kind::AvgPool => (taps, taps * stride),
    };
    let weights = if operation.external {
        let words = u64::from(operation.weight_words) / u64::from(operation.out_groups.max(1));
        words * u64::from(word_cycles)
    } else {
        0
    };
    let requantization = match operation.kind {
        // Maxima are results as they are.
        Kind::MaxPool => 1,
        // A channel's quotient takes 16 cycles.
        Kind::AvgPool => 16 * pe + 9,
        Kind::Dense | Kind::Depthwise | Kind::Add => pe,
    };
    let group = [
        (products, Bound::Products),
        (fetched, Bound::Fetch),
        (requantization, Bound::Requantization),
        (weights, Bound::Weights),
    ]
    .into_iter()
    // The first of equals: products before what only keeps up with them.
    .reduce(|best, other| if other.0 > best.0 { other } else { best });
    let (group, bound) = group.unwrap_or((0, Bound::Products));
    let groups = u64::from(operation.blocks) * u64::from(operation.out_groups);
    // The last group's requantization belongs to the overhead.
    let last = match bound {
        Bound::Requantization => products.max(fetched),
        _ => group,
    };
    (groups.saturating_sub(1) * group + last, bound)
}
