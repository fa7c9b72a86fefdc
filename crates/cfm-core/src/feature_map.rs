//! The feature map: the backbone's last tensor, computed once per image.

use crate::model::Tensor;

/// A borrowed feature map, `[row][column][channel]`.
#[derive(Debug, Clone, Copy)]
pub struct FeatureMap<'a> {
    data: &'a [i8],
    tensor: Tensor,
}

impl<'a> FeatureMap<'a> {
    /// Views `data` as a feature map; `None` unless it has exactly the tensor's length.
    #[must_use]
    pub const fn new(data: &'a [i8], tensor: Tensor) -> Option<Self> {
        if data.len() == tensor.shape.len() {
            Some(Self { data, tensor })
        } else {
            None
        }
    }

    /// All values, row-major, channels last.
    #[must_use]
    pub const fn data(&self) -> &'a [i8] {
        self.data
    }

    /// Shape and scale.
    #[must_use]
    pub const fn tensor(&self) -> Tensor {
        self.tensor
    }

    /// The channels of one cell; empty outside the map.
    #[must_use]
    pub fn cell(&self, row: u16, column: u16) -> &'a [i8] {
        let shape = self.tensor.shape;
        if row >= shape.height || column >= shape.width {
            return &[];
        }
        let channels = usize::from(shape.channels);
        let start = usize::from(row) * shape.row_len() + usize::from(column) * channels;
        self.data.get(start..start + channels).unwrap_or(&[])
    }
}
