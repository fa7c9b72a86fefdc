//! The row-by-row executor: image rows in, feature map out, only line buffers in between.
//!
//! ```text
//! arena:  | feature map | ring of tensor 0 | ring of tensor 1 | ... | scratch of the kernels |   while rows arrive
//!         | feature map | scratch of the scorer ...                                          |   afterwards
//! ```

use heapless::Vec;

use crate::error::display_error;
use crate::feature_map::FeatureMap;
use crate::image::ImageView;
use crate::kernels::{Kernels, Portable, Rows};
use crate::model::format::MAX_TENSORS;
use crate::model::{Model, Operation, RowSchedule};

/// Why an image cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ExecuteError {
    /// The arena is smaller than [`Model::arena_bytes`].
    ArenaTooSmall,
    /// A row, or the image, does not have the size of the model's input.
    InputSize,
    /// All rows of the image have been pushed already.
    TooManyRows,
    /// Rows are missing.
    Incomplete,
    /// The model's weights are in another order than the kernels read.
    WeightOrder,
}

display_error!(ExecuteError {
    ArenaTooSmall => "the arena is smaller than the model's arena_bytes()",
    InputSize => "the row or image does not have the size of the model's input",
    TooManyRows => "all rows of the image have been pushed already",
    Incomplete => "rows of the image are missing",
    WeightOrder => "the model's weights are not in the order that these kernels read (cfm pack)",
});

/// The place of a tensor's rows in the arena.
#[derive(Debug, Clone, Copy)]
struct Ring {
    offset: usize,
    len: usize,
}

/// Computes the feature map of one image from its rows.
#[derive(Debug)]
pub struct Executor<'m, 'a, K = Portable> {
    model: &'m Model<'m>,
    arena: &'a mut [i8],
    rings: Vec<Ring, MAX_TENSORS>,
    schedule: RowSchedule,
    kernels: K,
}

impl<'m, 'a> Executor<'m, 'a> {
    /// An executor with the portable kernels.
    ///
    /// # Errors
    /// As [`Executor::with_kernels`].
    pub fn new(model: &'m Model<'m>, arena: &'a mut [i8]) -> Result<Self, ExecuteError> {
        Self::with_kernels(model, arena, Portable)
    }
}

impl<'m, 'a, K: Kernels> Executor<'m, 'a, K> {
    /// An executor with kernels of the caller's choice.
    ///
    /// # Errors
    /// [`ExecuteError::ArenaTooSmall`] when `arena` has fewer than [`Model::arena_bytes`] bytes,
    /// [`ExecuteError::WeightOrder`] when the kernels read weights in another order than the model has them.
    pub fn with_kernels(
        model: &'m Model<'m>,
        arena: &'a mut [i8],
        kernels: K,
    ) -> Result<Self, ExecuteError> {
        if arena.len() < model.arena_bytes() {
            return Err(ExecuteError::ArenaTooSmall);
        }
        if model.weight_order() != K::WEIGHT_ORDER {
            return Err(ExecuteError::WeightOrder);
        }
        let mut rings = Vec::new();
        let mut offset = model.feature_bytes();
        for (t, tensor) in model.tensors().iter().enumerate() {
            let len = usize::from(tensor.rows) * tensor.shape.row_len();
            let ring = if t == model.layer_count() {
                Ring { offset: 0, len }
            } else {
                let ring = Ring { offset, len };
                offset += len;
                ring
            };
            rings.push(ring).map_err(|_| ExecuteError::ArenaTooSmall)?;
        }
        Ok(Self {
            model,
            arena,
            rings,
            schedule: RowSchedule::new(model),
            kernels,
        })
    }

    /// Takes the next row of the image: `width * channels` samples.
    ///
    /// # Errors
    /// [`ExecuteError::InputSize`] for a row of another length, [`ExecuteError::TooManyRows`] after the last one; the
    /// state is unchanged then.
    pub fn push_row(&mut self, row: &[u8]) -> Result<(), ExecuteError> {
        self.push_row_observed(row, |_, _, _| {})
    }

    /// [`push_row`](Self::push_row), showing every row of every tensor to `observe` as soon as it is computed.
    ///
    /// `observe(tensor, y, row)`: tensor 0 is the image, tensor i + 1 the output of layer i; the row holds
    /// `width * channels` values.
    ///
    /// # Errors
    /// As [`push_row`](Self::push_row).
    pub fn push_row_observed(
        &mut self,
        row: &[u8],
        mut observe: impl FnMut(usize, u16, &[i8]),
    ) -> Result<(), ExecuteError> {
        let input = self.model.input();
        if row.len() != input.row_len() {
            return Err(ExecuteError::InputSize);
        }
        let y = self.schedule.produced(0);
        if y >= input.height {
            return Err(ExecuteError::TooManyRows);
        }
        if let Some(slot) = self.row_mut(0, y) {
            for (q, &sample) in slot.iter_mut().zip(row) {
                // sample - 128 in two's complement
                *q = (sample ^ 0x80).cast_signed();
            }
            observe(0, y, slot);
        }
        self.schedule.advance(0);
        while let Some(layer) = self.schedule.next_layer(self.model) {
            let y = self.schedule.produced(layer + 1);
            // The plan puts every ring inside the arena.
            let out = self.run_row(layer, y).ok_or(ExecuteError::ArenaTooSmall)?;
            observe(layer + 1, y, out);
            self.schedule.advance(layer + 1);
        }
        Ok(())
    }

    /// Pushes all rows of an image.
    ///
    /// # Errors
    /// [`ExecuteError::InputSize`] when the image does not have the model's input shape, [`ExecuteError::TooManyRows`]
    /// when rows have been pushed already; the state is unchanged then.
    pub fn push_image(&mut self, image: &ImageView<'_>) -> Result<(), ExecuteError> {
        let input = self.model.input();
        if (image.height(), image.width(), image.channels())
            != (input.height, input.width, input.channels)
        {
            return Err(ExecuteError::InputSize);
        }
        if self.schedule.produced(0) > 0 {
            return Err(ExecuteError::TooManyRows);
        }
        image.rows().try_for_each(|row| self.push_row(row))
    }

    /// Whether the feature map is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let last = self.model.layer_count();
        self.schedule.produced(last) == self.model.feature().shape.height
    }

    /// The feature map, and the rest of the arena, which is the scorer's scratch memory.
    ///
    /// # Errors
    /// [`ExecuteError::Incomplete`] while rows are missing; the rows so far are given up then, so ask
    /// [`is_complete`](Self::is_complete) first where that can happen.
    pub fn finish(self) -> Result<(FeatureMap<'a>, &'a mut [i8]), ExecuteError> {
        if !self.is_complete() {
            return Err(ExecuteError::Incomplete);
        }
        let (features, scratch) = self
            .arena
            .split_at_mut_checked(self.model.feature_bytes())
            .ok_or(ExecuteError::ArenaTooSmall)?;
        let features =
            FeatureMap::new(features, self.model.feature()).ok_or(ExecuteError::ArenaTooSmall)?;
        Ok((features, scratch))
    }

    /// Row `y` of `tensor` in its ring.
    fn row_mut(&mut self, tensor: usize, y: u16) -> Option<&mut [i8]> {
        let info = self.model.tensors().get(tensor)?;
        let ring = self.rings.get(tensor)?;
        let slot = usize::from(y).checked_rem(usize::from(info.rows))?;
        let start = ring.offset + slot * info.shape.row_len();
        self.arena.get_mut(start..start + info.shape.row_len())
    }

    /// Computes row `y` of layer `index` into its ring, and returns it.
    fn run_row(&mut self, index: usize, y: u16) -> Option<&[i8]> {
        let model = self.model;
        let layer = model.layer(index)?;
        let info = model.tensors().get(index + 1)?;
        let ring = *self.rings.get(index + 1)?;
        let slot = usize::from(y).checked_rem(usize::from(info.rows))?;
        let start = ring.offset + slot * info.shape.row_len();
        let (tensors, scratch) = self
            .arena
            .split_at_mut_checked(model.feature_bytes() + model.line_bytes())?;
        // The row being written splits the arena; every input ring lies wholly on one side of it.
        let (before, rest) = tensors.split_at_mut_checked(start)?;
        let (out, after) = rest.split_at_mut_checked(info.shape.row_len())?;
        let after_offset = start + info.shape.row_len();
        let (before, after) = (&*before, &*after);
        let rings = &self.rings;
        let rows = |tensor: usize| -> Option<Rows<'_>> {
            let info = model.tensors().get(tensor)?;
            let Ring { offset, len } = *rings.get(tensor)?;
            let data = match offset.checked_sub(after_offset) {
                Some(offset) => after.get(offset..offset + len)?,
                None => before.get(offset..offset + len)?,
            };
            Some(Rows::new(data, info.shape, info.zero_point, info.exponent))
        };
        let input = rows(layer.input)?;
        match layer.operation {
            Operation::Conv2d(conv) => {
                self.kernels.conv2d_row(&input, &conv, y, scratch, out);
            }
            Operation::MaxPool { window } => self.kernels.max_pool_row(&input, &window, y, out),
            Operation::AvgPool { window } => self.kernels.avg_pool_row(&input, &window, y, out),
            Operation::Add { second, output } => {
                self.kernels
                    .add_row(&input, &rows(second)?, &output, y, out);
            }
        }
        Some(out)
    }
}
