//! Which layer runs when, as rows arrive, and how many rows each tensor must keep.
//!
//! One rule drives the plan and the execution: *run the deepest layer whose next output row is computable*. Draining
//! from the back keeps line buffers as short as the windows allow; a residual branch becomes a row FIFO by itself.

use super::format::{MAX_LAYERS, MAX_TENSORS};
use super::{Model, Window};

/// How far every tensor of a model has been computed, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowSchedule {
    produced: [u16; MAX_TENSORS],
    windows: [(Window, u16, u16); MAX_LAYERS],
    layers: usize,
}

impl RowSchedule {
    /// Nothing computed yet.
    pub(crate) const fn new(model: &Model<'_>) -> Self {
        let mut windows = [(Window::UNIT, 0, 0); MAX_LAYERS];
        let mut i = 0;
        while i < model.layer_count && i < MAX_LAYERS {
            if let Some(layer) = model.layer(i) {
                let second = match layer.operation.second() {
                    Some(second) => second,
                    None => layer.input,
                };
                windows[i] = (layer.operation.window(), layer.input as u16, second as u16);
            }
            i += 1;
        }
        Self {
            produced: [0; MAX_TENSORS],
            windows,
            layers: model.layer_count,
        }
    }

    /// Rows of `tensor` computed so far.
    pub(crate) const fn produced(&self, tensor: usize) -> u16 {
        if tensor < MAX_TENSORS {
            self.produced[tensor]
        } else {
            0
        }
    }

    /// Counts one more row of `tensor`.
    pub(crate) const fn advance(&mut self, tensor: usize) {
        if tensor < MAX_TENSORS {
            self.produced[tensor] = self.produced[tensor].saturating_add(1);
        }
    }

    /// The deepest layer whose next output row is computable.
    pub(crate) const fn next_layer(&self, model: &Model<'_>) -> Option<usize> {
        let mut i = self.layers;
        while i > 0 {
            i -= 1;
            if i < MAX_LAYERS && self.is_ready(model, i) {
                return Some(i);
            }
        }
        None
    }

    const fn is_ready(&self, model: &Model<'_>, layer: usize) -> bool {
        let (window, first, second) = self.windows[layer];
        let y = self.produced(layer + 1);
        if y >= height(model, layer + 1) {
            return false;
        }
        let (first, second) = (first as usize, second as usize);
        let (_, end) = window.input_rows(y, height(model, first));
        end <= self.produced(first) && end <= self.produced(second)
    }

    /// The oldest row of `tensor` that a layer still has to read; all produced ones if none has.
    const fn oldest_needed(&self, model: &Model<'_>, tensor: usize) -> u16 {
        let rows = height(model, tensor);
        let mut oldest = self.produced(tensor);
        let mut i = 0;
        // There are no more; said again, it keeps the panic path out.
        while i < self.layers && i < MAX_LAYERS {
            let (window, first, second) = self.windows[i];
            if first as usize == tensor || second as usize == tensor {
                let y = self.produced(i + 1);
                if y < height(model, i + 1) {
                    let (start, _) = window.input_rows(y, rows);
                    if start < oldest {
                        oldest = start;
                    }
                }
            }
            i += 1;
        }
        oldest
    }
}

/// Rows of a tensor; 0 beyond the last one, which keeps the panic path out.
const fn height(model: &Model<'_>, tensor: usize) -> u16 {
    if tensor < MAX_TENSORS {
        model.tensors[tensor].shape.height
    } else {
        0
    }
}

/// The rows that each tensor keeps, by running the schedule over a whole image.
pub(super) const fn plan_rows(model: &Model<'_>) -> [u16; MAX_TENSORS] {
    let mut schedule = RowSchedule::new(model);
    let mut rows = [1; MAX_TENSORS];
    let mut y = 0;
    while y < model.tensors[0].shape.height {
        produce(&mut schedule, model, 0, &mut rows);
        while let Some(layer) = schedule.next_layer(model) {
            produce(&mut schedule, model, layer + 1, &mut rows);
        }
        y += 1;
    }
    rows
}

const fn produce(
    schedule: &mut RowSchedule,
    model: &Model<'_>,
    tensor: usize,
    rows: &mut [u16; MAX_TENSORS],
) {
    // The row being written and the rows that its own reading still needs are alive together.
    let oldest = schedule.oldest_needed(model, tensor);
    schedule.advance(tensor);
    let alive = schedule.produced(tensor) - oldest;
    if alive > rows[tensor] {
        rows[tensor] = alive;
    }
}
