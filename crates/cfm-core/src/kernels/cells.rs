//! What pooling by pyramid bins reads: a rectangle of cells, of which a mask may leave some out.

use crate::mask::CellWindow;

/// A rectangle of cells, each with all its channels; those outside of the mask are left out.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    /// From the first cell on.
    values: &'a [i8],
    channels: usize,
    row_len: usize,
    height: usize,
    width: usize,
    mask: Option<Mask<'a>>,
}

/// The bits of a mask over a window, row-major: cells of bit 1 are inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask<'a> {
    pub(crate) bits: &'a [i8],
    pub(crate) window: CellWindow,
}

impl Mask<'_> {
    /// The bits from a cell of the window on.
    fn after(self, row: u16, column: u16) -> Self {
        let at = self.window.index(row, column);
        Self {
            bits: self.bits.get(at..).unwrap_or(&[]),
            ..self
        }
    }
}

impl<'a> Cells<'a> {
    /// The cells `part` of a map of cells, row-major, of `map_width` cells in a row; those without a bit in `mask`, whose
    /// window contains `part`, are left out.
    pub(crate) fn new(
        map: &'a [i8],
        map_width: usize,
        channels: usize,
        part: &CellWindow,
        mask: Option<Mask<'a>>,
    ) -> Self {
        let first = usize::from(part.top) * map_width + usize::from(part.left);
        Self {
            values: map.get(first * channels..).unwrap_or(&[]),
            channels,
            row_len: map_width * channels,
            height: part.height().into(),
            width: part.width().into(),
            mask: mask.map(|mask| mask.after(part.top, part.left)),
        }
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The channels of a cell; `None` for one that is left out.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, row: usize, column: usize) -> Option<&'a [i8]> {
        if !self.is_inside(row, column) {
            return None;
        }
        let start = row * self.row_len + column * self.channels;
        self.values.get(start..start + self.channels)
    }

    /// Whether none is left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.mask.is_none()
            || (0..self.height).all(|row| (0..self.width).all(|column| self.is_inside(row, column)))
    }

    #[inline(always)]
    fn is_inside(&self, row: usize, column: usize) -> bool {
        match &self.mask {
            None => true,
            Some(mask) => {
                let at = row * usize::from(mask.window.width()) + column;
                mask.bits.get(at) == Some(&1)
            }
        }
    }
}
