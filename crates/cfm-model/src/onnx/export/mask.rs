//! Masks of pixels to masks of cells, or of pyramid bins, by the model's rule.
//!
//! `inside` counts come from matrix products with the 0/1 matrix that says which pixel belongs to which cell; they are
//! exact in f32, since an exported model has fewer than 2^24 pixels.

use cfm_core::model::{MaskRule, Model};
use cfm_core::receptive_field::Axis;

use super::graph::{Attribute, Graph, Value};
use crate::onnx::proto::DataType;

/// One axis of every segment's window of cells: i64 `[n, 1]`, the end exclusive.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: Value,
    pub(super) end: Value,
}

/// What is known of the segments on the feature map.
#[derive(Debug)]
pub(super) struct Projection {
    /// Pixels of the segment in every cell: f32 `[n, rows, columns]`.
    pub(super) counts: Value,
    /// The window.
    pub(super) rows: Span,
    pub(super) columns: Span,
}

/// Cells, or bins, as the mask rules see them.
#[derive(Debug)]
pub(super) struct Areas {
    /// Rows and columns of areas.
    pub(super) shape: [usize; 2],
    /// Pixels of the segment: i64 `[n, rows, columns]`.
    pub(super) inside: Value,
    /// Pixels of the image: i64 `[n or 1, rows, columns]`.
    pub(super) total: Value,
    /// Whether the pixel nearest the centre belongs to the segment: bool `[n, rows, columns]`; for [`MaskRule::Nearest`].
    pub(super) nearest: Option<Value>,
    /// The areas that lie in the window: bool `[n, rows, columns]`; all of them without it.
    pub(super) allowed: Option<Value>,
}

/// The number of pixels of every cell of an axis.
pub(super) fn pixels_per_cell(axis: &Axis) -> Vec<f32> {
    (0..axis.cells())
        .map(|cell| f32::from(axis.start(cell + 1) - axis.start(cell)))
        .collect()
}

/// Projects `masks` onto the feature map.
pub(super) fn project(graph: &mut Graph, model: &Model<'_>, masks: &str) -> Projection {
    let counts = count_inside(graph, model.rows(), model.columns(), masks);
    // The window is that of the cells with pixels of the segment, since cells follow each other as pixels do.
    let zero = graph.scalar(0_f32);
    let occupied = graph.apply("Greater", &[&counts, &zero]);
    let occupied = graph.cast(&occupied, DataType::Float);
    Projection {
        rows: span(graph, &occupied, 2),
        columns: span(graph, &occupied, 1),
        counts,
    }
}

/// The low-resolution masks: bool `[n, rows, columns]`, called `mask`.
pub(super) fn mask_cells(
    graph: &mut Graph,
    model: &Model<'_>,
    masks: &str,
    projection: &Projection,
) -> Value {
    let (rows, columns) = (model.rows(), model.columns());
    let in_rows = cells_in(graph, &projection.rows, rows.cells());
    let in_rows = graph.unsqueeze(&in_rows, &[2]);
    let in_columns = cells_in(graph, &projection.columns, columns.cells());
    let in_columns = graph.unsqueeze(&in_columns, &[1]);
    let window = graph.apply("And", &[&in_rows, &in_columns]);

    let shape = [rows, columns].map(|axis| usize::from(axis.cells()));
    let column_pixels = pixels_per_cell(columns);
    let total: Vec<i64> = pixels_per_cell(rows)
        .iter()
        .flat_map(|row| {
            column_pixels
                .iter()
                .map(move |column| (row * column) as i64)
        })
        .collect();
    let rule = model.head().mask_rule;
    let nearest = (rule == MaskRule::Nearest).then(|| {
        let rows = gather_centres(graph, rows, masks, 1);
        gather_centres(graph, columns, &rows, 2)
    });
    let areas = Areas {
        shape,
        inside: graph.cast(&projection.counts, DataType::Int64),
        total: graph.constant(&[1, shape[0], shape[1]], &total),
        nearest,
        allowed: Some(window),
    };
    bits(graph, rule, &areas, "mask")
}

/// The pixels of every segment in every cell: f32 `[n, rows, columns]`.
fn count_inside(graph: &mut Graph, rows: &Axis, columns: &Axis, masks: &str) -> Value {
    let member = |pixel: u16, cell: u16, axis: &Axis| f32::from(u8::from(axis.cell(pixel) == cell));
    let cell_rows: Vec<f32> = (0..rows.cells())
        .flat_map(|cell| (0..rows.pixels()).map(move |pixel| member(pixel, cell, rows)))
        .collect();
    let cell_columns: Vec<f32> = (0..columns.pixels())
        .flat_map(|pixel| (0..columns.cells()).map(move |cell| member(pixel, cell, columns)))
        .collect();
    let [row_shape, column_shape] =
        [rows, columns].map(|axis| [axis.cells(), axis.pixels()].map(usize::from));
    let cell_rows = graph.constant(&row_shape, &cell_rows);
    let cell_columns = graph.constant(&[column_shape[1], column_shape[0]], &cell_columns);
    let pixels = graph.cast(masks, DataType::Float);
    let by_row = graph.apply("MatMul", &[&cell_rows, &pixels]);
    graph.apply("MatMul", &[&by_row, &cell_columns])
}

/// First and last index along what is left of `[n, rows, columns]` without `axis`, where `occupied` is 1.
fn span(graph: &mut Graph, occupied: &str, axis: i64) -> Span {
    let line = graph.reduce_max(occupied, axis, false);
    let mut extreme = |last: bool| {
        let attributes = [
            ("axis", Attribute::Int(1)),
            ("keepdims", Attribute::Int(1)),
            ("select_last_index", Attribute::Int(last.into())),
        ];
        graph.apply_with("ArgMax", &[&line], &attributes)
    };
    let (start, last) = (extreme(false), extreme(true));
    let one = graph.scalar(1_i64);
    Span {
        start,
        end: graph.apply("Add", &[&last, &one]),
    }
}

/// Whether each of `cells` cells lies in a span: bool, the span's shape with its last axis as long as that.
pub(super) fn cells_in(graph: &mut Graph, span: &Span, cells: u16) -> Value {
    let indices: Vec<i64> = (0..i64::from(cells)).collect();
    let indices = graph.constant(&[indices.len()], &indices);
    let after = graph.apply("GreaterOrEqual", &[&indices, &span.start]);
    let before = graph.apply("Less", &[&indices, &span.end]);
    graph.apply("And", &[&after, &before])
}

/// Along `axis` of the masks, the pixels nearest the cells' centres instead of all pixels.
fn gather_centres(graph: &mut Graph, cells: &Axis, masks: &str, axis: i64) -> Value {
    let centres: Vec<i64> = (0..cells.cells())
        .map(|cell| cells.centre_pixel(cell, cell).into())
        .collect();
    let centres = graph.constant(&[centres.len()], &centres);
    graph.apply_with(
        "Gather",
        &[masks, &centres],
        &[("axis", Attribute::Int(axis))],
    )
}

/// The bits of the areas, with the fall-back: bool `[n, rows, columns]`, called `name`.
pub(super) fn bits(graph: &mut Graph, rule: MaskRule, areas: &Areas, name: &str) -> Value {
    let zero = graph.scalar(0_i64);
    let has_pixels = graph.apply("Greater", &[&areas.total, &zero]);
    let set = match rule {
        MaskRule::Average { threshold } => {
            let (unit, threshold) = (1_i64 << 16, i64::from(threshold.to_bits()));
            let [unit, threshold] = [unit, threshold].map(|factor| graph.scalar(factor));
            let share = graph.apply("Mul", &[&areas.inside, &unit]);
            let least = graph.apply("Mul", &[&areas.total, &threshold]);
            Some(graph.apply("GreaterOrEqual", &[&share, &least]))
        }
        MaskRule::Max => Some(graph.apply("Greater", &[&areas.inside, &zero])),
        MaskRule::Nearest => areas.nearest.clone(),
        MaskRule::Off => None,
    };
    // Of what there is, all must hold; without pixels of the image no bit is set.
    let mut all = has_pixels;
    for condition in [&set, &areas.allowed].into_iter().flatten() {
        all = graph.apply("And", &[condition, &all]);
    }
    with_fall_back(graph, &all, areas, name)
}

/// If none of the bits is set, sets that of the area with the largest `inside / total`, the first in row-major order.
///
/// The quotients are compared in f64. Two different ones with denominators below 2^24 are at least 2^-48 apart, and
/// each is rounded by at most 2^-54, so they stay different and in order; equal ones stay equal. An area without pixels
/// of the image counts as 0 / 1, which never wins, since some area has pixels of the segment.
fn with_fall_back(graph: &mut Graph, bits: &str, areas: &Areas, name: &str) -> Value {
    let [rows, columns] = areas.shape;
    let one = graph.scalar(1_i64);
    let total = graph.apply("Max", &[&areas.total, &one]);
    let inside = graph.cast(&areas.inside, DataType::Double);
    let total = graph.cast(&total, DataType::Double);
    let share = graph.apply("Div", &[&inside, &total]);
    let share = graph.flatten(&share);
    let first_of_equals = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(1))];
    let best = graph.apply_with("ArgMax", &[&share], &first_of_equals);
    let indices: Vec<i64> = (0..(rows * columns) as i64).collect();
    let indices = graph.constant(&[1, indices.len()], &indices);
    let is_best = graph.apply("Equal", &[&indices, &best]);

    let flat = graph.flatten(bits);
    let numbers = graph.cast(&flat, DataType::Float);
    let any = graph.reduce_max(&numbers, 1, true);
    let any = graph.cast(&any, DataType::Bool);
    let none = graph.apply("Not", &[&any]);
    let fall_back = graph.apply("And", &[&none, &is_best]);
    let flat = graph.apply("Or", &[&flat, &fall_back]);
    let whole = graph.reshape(&flat, &areas.shape);
    graph.rename(&whole, name)
}
