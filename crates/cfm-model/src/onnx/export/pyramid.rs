//! Spatial pyramids over the windows of all segments.
//!
//! A bin's maximum is taken over its rows first and its columns then, one row of bins at a time, so that no value is much
//! larger than one feature map per segment. Activations are u8 here, so 0 never wins against a cell of a bin.

use cfm_core::model::{Design, MaskRule, Model};
use cfm_core::receptive_field::Axis;

use super::graph::{Attribute, Graph, Value};
use super::mask::{Areas, Projection, Span, bits, cells_in, mask_cells, pixels_per_cell};
use super::requantize::unsigned;
use crate::onnx::proto::DataType;

/// The bins of a level along one axis.
struct Bins {
    /// First and last cell, the end exclusive: i64 `[n, bins]`.
    start: Value,
    end: Value,
    /// Which cells they have: bool `[n, bins, cells]`.
    cells: Value,
}

impl Bins {
    /// Level `n` over a window: `[floor(i w / n), ceil((i + 1) w / n))`, all of it in integers that are not negative.
    fn new(graph: &mut Graph, window: &Span, n: u8, cells: u16) -> Self {
        let bins: Vec<i64> = (0..i64::from(n)).collect();
        let following: Vec<i64> = bins.iter().map(|bin| bin + 1).collect();
        let [bins, following] = [bins, following].map(|b| graph.constant(&[1, b.len()], &b));
        let [count, most] = [i64::from(n), i64::from(n) - 1].map(|c| graph.scalar(c));
        let width = graph.apply("Sub", &[&window.end, &window.start]);
        let start = graph.apply("Mul", &[&width, &bins]);
        let start = graph.apply("Div", &[&start, &count]);
        let start = graph.apply("Add", &[&window.start, &start]);
        let end = graph.apply("Mul", &[&width, &following]);
        let end = graph.apply("Add", &[&end, &most]);
        let end = graph.apply("Div", &[&end, &count]);
        let end = graph.apply("Add", &[&window.start, &end]);
        let span = Span {
            start: graph.unsqueeze(&start, &[2]),
            end: graph.unsqueeze(&end, &[2]),
        };
        let cells = cells_in(graph, &span, cells);
        Self { start, end, cells }
    }

    /// The pixel nearest the middle of each bin: i64 `[n, bins]`.
    fn centre_pixels(&self, graph: &mut Graph, axis: &Axis) -> Value {
        let one = graph.scalar(1_i64);
        let last = graph.apply("Sub", &[&self.end, &one]);
        let both = graph.apply("Add", &[&self.start, &last]);
        let jump = graph.scalar(i64::from(axis.jump()));
        let offset = graph.scalar(i64::from(axis.offset2()));
        let centre = graph.apply("Mul", &[&both, &jump]);
        let centre = graph.apply("Add", &[&centre, &offset]);
        // Clamped before it is halved: what is not negative is rounded down by the division.
        let [zero, two] = [0_i64, 2].map(|c| graph.scalar(c));
        let centre = graph.apply("Max", &[&centre, &zero]);
        let centre = graph.apply("Div", &[&centre, &two]);
        let edge = graph.scalar(i64::from(axis.pixels()) - 1);
        graph.apply("Min", &[&centre, &edge])
    }

    /// The cells as f32 `[n, bins, cells]`, for counting.
    fn weights(&self, graph: &mut Graph) -> Value {
        graph.cast(&self.cells, DataType::Float)
    }
}

/// Adds the pyramids that the design asks for: `segment_vector`, and `region_vector` for Design A.
pub(super) fn pool(
    graph: &mut Graph,
    model: &Model<'_>,
    features: &str,
    masks: &str,
    projection: &Projection,
) {
    let head = model.head();
    let zero_point = graph.scalar(unsigned(model.feature().zero_point));
    let masked = if head.design == Design::B {
        features.to_owned()
    } else {
        let mask = mask_cells(graph, model, masks, projection);
        let mask = graph.unsqueeze(&mask, &[1]);
        graph.apply("Where", &[&mask, features, &zero_point])
    };
    let mut vectors = Vec::new();
    for &level in head.segment_levels.as_slice() {
        let (rows, columns) = bins(graph, model, projection, level);
        let mut vector = pool_level(graph, &masked, &rows, &columns, level);
        if head.design == Design::B && level == head.segment_levels.finest() {
            let mask = mask_bins(graph, model, masks, projection, [&rows, &columns], level);
            let bins = usize::from(level) * usize::from(level);
            let mask = graph.reshape(&mask, &[bins, 1]);
            let channels = usize::from(model.feature().shape.channels);
            let cells = graph.reshape(&vector, &[bins, channels]);
            let cells = graph.apply("Where", &[&mask, &cells, &zero_point]);
            vector = graph.flatten(&cells);
        }
        vectors.push(vector);
    }
    let vector = graph.concat(&vectors);
    graph.rename(&vector, "segment_vector");
    if head.design == Design::A {
        let mut vectors = Vec::new();
        for &level in head.region_levels.as_slice() {
            let (rows, columns) = bins(graph, model, projection, level);
            vectors.push(pool_level(graph, features, &rows, &columns, level));
        }
        let vector = graph.concat(&vectors);
        graph.rename(&vector, "region_vector");
    }
}

fn bins(graph: &mut Graph, model: &Model<'_>, projection: &Projection, level: u8) -> (Bins, Bins) {
    (
        Bins::new(graph, &projection.rows, level, model.rows().cells()),
        Bins::new(graph, &projection.columns, level, model.columns().cells()),
    )
}

/// The bins of one level: u8 `[n, bins * bins * channels]` of features `[n or 1, channels, rows, columns]`.
fn pool_level(graph: &mut Graph, features: &str, rows: &Bins, columns: &Bins, level: u8) -> Value {
    let lowest = graph.scalar(0_u8);
    let in_columns = graph.unsqueeze(&columns.cells, &[2]);
    let mut vectors = Vec::new();
    for row in 0..i64::from(level) {
        let row = graph.constant(&[1], &[row]);
        let in_row = graph.apply_with(
            "Gather",
            &[&rows.cells, &row],
            &[("axis", Attribute::Int(1))],
        );
        // [n, 1, rows, 1]
        let in_row = graph.unsqueeze(&in_row, &[3]);
        let cells = graph.apply("Where", &[&in_row, features, &lowest]);
        let line = graph.reduce_max(&cells, 2, false);
        let line = graph.unsqueeze(&line, &[1]);
        // [n, bins, channels, columns]
        let cells = graph.apply("Where", &[&in_columns, &line, &lowest]);
        let bins = graph.reduce_max(&cells, 3, false);
        vectors.push(graph.flatten(&bins));
    }
    graph.concat(&vectors)
}

/// The bits of Design B's finest level: bool `[n, bins, bins]`, called `bin_mask`.
fn mask_bins(
    graph: &mut Graph,
    model: &Model<'_>,
    masks: &str,
    projection: &Projection,
    [rows, columns]: [&Bins; 2],
    level: u8,
) -> Value {
    let level = usize::from(level);
    let row_cells = rows.weights(graph);
    let column_cells = columns.weights(graph);
    let transposed = |graph: &mut Graph, value: &str| {
        let order = Attribute::Ints(vec![0, 2, 1]);
        graph.apply_with("Transpose", &[value], &[("perm", order)])
    };
    let by_row = graph.apply("MatMul", &[&row_cells, &projection.counts]);
    let cells = transposed(graph, &column_cells);
    let inside = graph.apply("MatMul", &[&by_row, &cells]);
    // Pixels of the image: those of the bin's rows times those of its columns.
    let [row_pixels, column_pixels] = [model.rows(), model.columns()].map(|axis| {
        let pixels = pixels_per_cell(axis);
        graph.constant(&[pixels.len(), 1], &pixels)
    });
    let row_pixels = graph.apply("MatMul", &[&row_cells, &row_pixels]);
    let column_pixels = graph.apply("MatMul", &[&column_cells, &column_pixels]);
    let column_pixels = transposed(graph, &column_pixels);
    let total = graph.apply("Mul", &[&row_pixels, &column_pixels]);
    let rule = model.head().mask_rule;
    let nearest = (rule == MaskRule::Nearest).then(|| {
        let rows = rows.centre_pixels(graph, model.rows());
        let rows = graph.unsqueeze(&rows, &[2]);
        let columns = columns.centre_pixels(graph, model.columns());
        let columns = graph.unsqueeze(&columns, &[1]);
        let width = graph.scalar(i64::from(model.columns().pixels()));
        let at = graph.apply("Mul", &[&rows, &width]);
        let at = graph.apply("Add", &[&at, &columns]);
        let at = graph.flatten(&at);
        let pixels = graph.flatten(masks);
        let axis = [("axis", Attribute::Int(1))];
        let bits = graph.apply_with("GatherElements", &[&pixels, &at], &axis);
        graph.reshape(&bits, &[level, level])
    });
    let areas = Areas {
        shape: [level, level],
        inside: graph.cast(&inside, DataType::Int64),
        total: graph.cast(&total, DataType::Int64),
        nearest,
        allowed: None,
    };
    bits(graph, rule, &areas, "bin_mask")
}
