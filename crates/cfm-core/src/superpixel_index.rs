//! Per-superpixel counts over the feature map's cells, so that a segment's mask is a sum over its members.
//!
//! Built once per image and superpixel map; scoring a union of superpixels then touches no pixel but, with
//! [`MaskRule::Nearest`](crate::model::MaskRule::Nearest), those at the centres of cells.

use crate::model::Model;
use crate::receptive_field::Axis;
use crate::segment::{PixelBox, Run, SegmentError, SuperpixelMap};

/// One superpixel: its area, box and place in the list of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superpixel {
    area: u32,
    bounds: Option<PixelBox>,
    /// First of this superpixel's counts. While they are tallied: a mark of the cell seen last.
    first: u32,
    /// One past the last count. While they are tallied: their number.
    end: u32,
}

/// How many of a cell's pixels belong to one superpixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellCount {
    row: u16,
    column: u16,
    pixels: u32,
}

impl Superpixel {
    /// A superpixel without pixels: what memory is filled with before an index is built in it.
    pub const EMPTY: Self = Self {
        area: 0,
        bounds: None,
        first: 0,
        end: 0,
    };
}

impl CellCount {
    /// No pixels: what memory is filled with before an index is built in it.
    pub const EMPTY: Self = Self {
        row: 0,
        column: 0,
        pixels: 0,
    };

    pub(crate) const fn row(&self) -> u16 {
        self.row
    }

    pub(crate) const fn column(&self) -> u16 {
        self.column
    }

    pub(crate) const fn pixels(&self) -> u32 {
        self.pixels
    }
}

/// A superpixel map together with its counts per feature cell.
#[derive(Debug, Clone, Copy)]
pub struct SuperpixelIndex<'a> {
    map: SuperpixelMap<'a>,
    superpixels: &'a [Superpixel],
    counts: &'a [CellCount],
    rows: Axis,
    columns: Axis,
}

/// A superpixel map whose superpixels are measured; an index as soon as there is memory for the counts.
#[derive(Debug)]
pub struct SuperpixelTally<'a> {
    map: SuperpixelMap<'a>,
    superpixels: &'a mut [Superpixel],
    rows: Axis,
    columns: Axis,
}

impl<'a> SuperpixelTally<'a> {
    /// Measures the superpixels of `map` in the caller's memory: `map.count()` of them (more is fine).
    ///
    /// # Errors
    /// [`SegmentError::MapSize`] when the map is not the size of the model's input, [`SegmentError::Memory`] when
    /// `superpixels` is shorter than the map's count.
    pub fn new(
        map: SuperpixelMap<'a>,
        model: &Model<'_>,
        superpixels: &'a mut [Superpixel],
    ) -> Result<Self, SegmentError> {
        let (rows, columns) = (*model.rows(), *model.columns());
        Ok(Self {
            map,
            superpixels: tally(&map, model, superpixels)?,
            rows,
            columns,
        })
    }

    /// How many [`CellCount`]s the index needs; at most the number of pixels.
    #[must_use]
    pub fn counts_needed(&self) -> usize {
        self.superpixels.iter().map(|s| s.end as usize).sum()
    }

    /// Builds the index in the caller's memory: [`counts_needed`](Self::counts_needed) counts (more is fine).
    ///
    /// # Errors
    /// [`SegmentError::Memory`] when `counts` is too short.
    pub fn build(self, counts: &'a mut [CellCount]) -> Result<SuperpixelIndex<'a>, SegmentError> {
        let Self {
            map,
            superpixels,
            rows,
            columns,
        } = self;
        let mut first = 0_u32;
        for superpixel in superpixels.iter_mut() {
            let length = superpixel.end;
            superpixel.first = first;
            superpixel.end = first;
            first += length;
        }
        if first as usize > counts.len() {
            return Err(SegmentError::Memory);
        }
        for_each_run(&map, &rows, &columns, |label, run, cell| {
            let Some(superpixel) = superpixels.get_mut(label) else {
                return;
            };
            let pixels = u32::from(run.x1 - run.x0);
            let last = (superpixel.end > superpixel.first)
                .then(|| counts.get_mut(superpixel.end as usize - 1))
                .flatten();
            match last {
                Some(count) if (count.row, count.column) == cell => count.pixels += pixels,
                _ => {
                    if let Some(count) = counts.get_mut(superpixel.end as usize) {
                        *count = CellCount {
                            row: cell.0,
                            column: cell.1,
                            pixels,
                        };
                        superpixel.end += 1;
                    }
                }
            }
        });
        Ok(SuperpixelIndex {
            map,
            superpixels,
            counts,
            rows,
            columns,
        })
    }
}

impl<'a> SuperpixelIndex<'a> {
    /// Measures the superpixels and builds the index, in memory of a size that is known: `map.count()` superpixels and
    /// [`counts_needed`](SuperpixelTally::counts_needed) counts (more is fine).
    ///
    /// # Errors
    /// Those of [`SuperpixelTally`].
    pub fn build(
        map: SuperpixelMap<'a>,
        model: &Model<'_>,
        superpixels: &'a mut [Superpixel],
        counts: &'a mut [CellCount],
    ) -> Result<Self, SegmentError> {
        SuperpixelTally::new(map, model, superpixels)?.build(counts)
    }

    /// The superpixel map.
    #[must_use]
    pub const fn map(&self) -> &SuperpixelMap<'a> {
        &self.map
    }

    /// Whether the index was built for the geometry of `model`.
    pub(crate) fn fits(&self, model: &Model<'_>) -> bool {
        (&self.rows, &self.columns) == (model.rows(), model.columns())
    }

    /// Pixels of superpixel `id`; 0 for an unknown id.
    #[must_use]
    pub fn area(&self, id: u16) -> u32 {
        self.superpixels.get(usize::from(id)).map_or(0, |s| s.area)
    }

    /// The box around superpixel `id`; `None` for one without pixels.
    #[must_use]
    pub fn bounds(&self, id: u16) -> Option<PixelBox> {
        self.superpixels.get(usize::from(id))?.bounds
    }

    /// The counts of superpixel `id`, by cell in row-major order.
    pub(crate) fn counts(&self, id: u16) -> &'a [CellCount] {
        self.superpixels
            .get(usize::from(id))
            .and_then(|s| self.counts.get(s.first as usize..s.end as usize))
            .unwrap_or(&[])
    }
}

/// Areas, boxes and the number of cells that each superpixel touches (in `end`).
fn tally<'s>(
    map: &SuperpixelMap<'_>,
    model: &Model<'_>,
    superpixels: &'s mut [Superpixel],
) -> Result<&'s mut [Superpixel], SegmentError> {
    let input = model.input();
    if (map.height(), map.width()) != (input.height, input.width) {
        return Err(SegmentError::MapSize);
    }
    let superpixels = superpixels
        .get_mut(..usize::from(map.count()))
        .ok_or(SegmentError::Memory)?;
    superpixels.fill(Superpixel::EMPTY);
    let columns = u32::from(model.columns().cells());
    for_each_run(
        map,
        model.rows(),
        model.columns(),
        |label, run, (row, column)| {
            let Some(superpixel) = superpixels.get_mut(label) else {
                return;
            };
            // `first` remembers the cell of the previous run; all runs of a cell come together.
            let mark = u32::from(row) * columns + u32::from(column) + 1;
            if superpixel.first != mark {
                superpixel.first = mark;
                superpixel.end += 1;
            }
            superpixel.area += u32::from(run.x1 - run.x0);
            let here = PixelBox {
                left: run.x0,
                top: run.y,
                right: run.x1 - 1,
                bottom: run.y,
            };
            superpixel.bounds = Some(superpixel.bounds.map_or(here, |b| b.union(here)));
        },
    );
    Ok(superpixels)
}

/// Calls `visit(label, run, (cell row, cell column))` for every run of equal labels inside a cell, cell by cell.
fn for_each_run(
    map: &SuperpixelMap<'_>,
    rows: &Axis,
    columns: &Axis,
    mut visit: impl FnMut(usize, Run, (u16, u16)),
) {
    let width = usize::from(map.width());
    for row in 0..rows.cells() {
        for column in 0..columns.cells() {
            let (left, right) = (columns.start(column), columns.start(column + 1));
            for y in rows.start(row)..rows.start(row + 1) {
                let start = usize::from(y) * width;
                let labels = map
                    .labels()
                    .get(start + usize::from(left)..start + usize::from(right))
                    .unwrap_or(&[]);
                let mut x0 = left;
                // `chunk_by` would link a panicking path into firmware.
                let mut rest = labels;
                while let Some(&label) = rest.first() {
                    let len = rest.iter().take_while(|&&other| other == label).count();
                    // No longer than the row, whose length came from 16 bits.
                    let x1 = x0 + len as u16;
                    visit(usize::from(label), Run { y, x0, x1 }, (row, column));
                    x0 = x1;
                    rest = rest.get(len..).unwrap_or(&[]);
                }
            }
        }
    }
}
