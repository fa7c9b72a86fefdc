//! Mask projection: a segment's pixels become a bit for every cell of its window.

use super::decode::Header;
use super::memory::Words;
use super::{Cells, Fault};

/// A segment as the mask stream has it.
#[derive(Debug, Clone)]
pub(super) struct Mask<'a> {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
    words: &'a [u32],
}

impl Mask<'_> {
    const fn row_words(&self) -> u32 {
        (self.right - self.left + 1).div_ceil(32)
    }

    /// Whether a pixel belongs to the segment; none outside its box does.
    fn contains(&self, x: u32, y: u32) -> bool {
        if !(self.left..=self.right).contains(&x) || !(self.top..=self.bottom).contains(&y) {
            return false;
        }
        let (i, j) = (x - self.left, y - self.top);
        let at = j * self.row_words() + i / 32;
        self.words
            .get(at as usize)
            .is_some_and(|w| w >> (i % 32) & 1 == 1)
    }
}

/// The mask stream.
#[derive(Debug)]
pub(super) struct Masks<'a> {
    words: &'a [u32],
}

impl<'a> Masks<'a> {
    pub(super) const fn new(words: &'a [u32]) -> Self {
        Self { words }
    }

    /// The next segment, `None` at the end of the frame.
    pub(super) fn next_segment(&mut self) -> Result<Option<Mask<'a>>, Fault> {
        let early = Fault::Stream("mask");
        let [first, rest @ ..] = self.words else {
            return Err(early);
        };
        if *first == u32::MAX {
            return Ok(None);
        }
        let [second, rest @ ..] = rest else {
            return Err(early);
        };
        let mut mask = Mask {
            left: first & 0xFFFF,
            top: first >> 16,
            right: second & 0xFFFF,
            bottom: second >> 16,
            words: &[],
        };
        if mask.right < mask.left || mask.bottom < mask.top {
            return Err(Fault::Segment);
        }
        let words = mask.row_words() as usize * (mask.bottom - mask.top + 1) as usize;
        let (words, rest) = rest.split_at_checked(words).ok_or(early)?;
        mask.words = words;
        self.words = rest;
        Ok(Some(mask))
    }
}

/// The geometry of an axis in the scoring memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    words: &'a Words,
    base: u32,
    cells: u32,
}

impl<'a> Axis<'a> {
    pub(super) const fn columns(words: &'a Words, header: &Header) -> Self {
        Self {
            words,
            base: 0,
            cells: header.map_width,
        }
    }

    pub(super) const fn rows(words: &'a Words, header: &Header, side: u32) -> Self {
        Self {
            words,
            base: side,
            cells: header.map_height,
        }
    }

    fn start(&self, cell: u32) -> Result<u32, Fault> {
        Ok(self.words.get(self.base + cell)? & 0xFFFF)
    }

    fn nearest(&self, cell: u32) -> Result<u32, Fault> {
        Ok(self.words.get(self.base + cell)? >> 16)
    }

    /// The cell that a pixel belongs to.
    fn cell(&self, pixel: u32) -> Result<u32, Fault> {
        for cell in 0..self.cells {
            if pixel < self.start(cell + 1)? {
                return Ok(cell);
            }
        }
        Err(Fault::Segment)
    }

    /// Pixels of the cells `first .. end`.
    fn pixels(&self, first: u32, end: u32) -> Result<u64, Fault> {
        Ok(u64::from(self.start(end)? - self.start(first)?))
    }
}

/// What is inside a cell or a bin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    inside: u64,
    total: u64,
}

impl Share {
    /// The bit by the header's rule, but for that of the nearest pixel.
    fn bit(&self, header: &Header) -> bool {
        self.total > 0
            && match header.rule {
                0 => self.inside * 65536 >= u64::from(header.threshold) * self.total,
                1 => self.inside >= 1,
                _ => true,
            }
    }
}

/// If no bit is set, that of the largest share, the first of equals, is; a cell without pixels has none.
fn at_least_one(bits: &mut [bool], shares: &[Share]) {
    if bits.iter().any(|&bit| bit) {
        return;
    }
    let mut best: Option<(usize, Share)> = None;
    for (at, share) in shares.iter().enumerate() {
        let larger = match best {
            None => share.total > 0,
            Some((_, best)) => share.inside * best.total > best.inside * share.total,
        };
        if larger {
            best = Some((at, *share));
        }
    }
    if let Some((at, _)) = best {
        bits[at] = true;
    }
}

/// A segment on the feature map.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    /// Top, left, bottom, right; the last two exclusive.
    pub(super) window: [u32; 4],
    counts: Vec<u64>,
    pub(super) bits: Vec<bool>,
}

impl Projection {
    pub(super) fn of(
        header: &Header,
        scoring: &Words,
        side: u32,
        mask: &Mask<'_>,
    ) -> Result<Self, Fault> {
        let columns = Axis::columns(scoring, header);
        let rows = Axis::rows(scoring, header, side);
        if mask.right >= header.pixels[0] || mask.bottom >= header.pixels[1] {
            return Err(Fault::Segment);
        }
        let [top, left] = [rows.cell(mask.top)?, columns.cell(mask.left)?];
        let [bottom, right] = [rows.cell(mask.bottom)? + 1, columns.cell(mask.right)? + 1];
        let (width, height) = (right - left, bottom - top);
        let mut projection = Self {
            window: [top, left, bottom, right],
            counts: vec![0; (width * height) as usize],
            bits: Vec::new(),
        };
        for y in mask.top..=mask.bottom {
            let row = rows.cell(y)?;
            for x in mask.left..=mask.right {
                if mask.contains(x, y) {
                    let at = projection.index(row, columns.cell(x)?);
                    projection.counts[at] += 1;
                }
            }
        }
        let mut shares = Vec::new();
        for row in top..bottom {
            for column in left..right {
                let share =
                    projection.share(&rows, &columns, [row, column, row + 1, column + 1])?;
                let mut bit = share.bit(header);
                if header.rule == 2 {
                    bit &= mask.contains(columns.nearest(column)?, rows.nearest(row)?);
                }
                projection.bits.push(bit);
                shares.push(share);
            }
        }
        at_least_one(&mut projection.bits, &shares);
        Ok(projection)
    }

    const fn index(&self, row: u32, column: u32) -> usize {
        let [top, left, _, right] = self.window;
        ((row - top) * (right - left) + column - left) as usize
    }

    pub(super) fn bit(&self, row: u32, column: u32) -> bool {
        self.bits[self.index(row, column)]
    }

    fn share(
        &self,
        rows: &Axis<'_>,
        columns: &Axis<'_>,
        [top, left, bottom, right]: [u32; 4],
    ) -> Result<Share, Fault> {
        let mut inside = 0;
        for row in top..bottom {
            for column in left..right {
                inside += self.counts[self.index(row, column)];
            }
        }
        let total = rows.pixels(top, bottom)? * columns.pixels(left, right)?;
        Ok(Share { inside, total })
    }

    /// The bits of bins, by the same rule.
    pub(super) fn bin_bits(
        &self,
        header: &Header,
        rows: &Axis<'_>,
        columns: &Axis<'_>,
        bins: &[[u32; 4]],
    ) -> Result<Vec<bool>, Fault> {
        let shares = bins
            .iter()
            .map(|&bin| self.share(rows, columns, bin))
            .collect::<Result<Vec<_>, _>>()?;
        let mut bits: Vec<bool> = shares.iter().map(|share| share.bit(header)).collect();
        at_least_one(&mut bits, &shares);
        Ok(bits)
    }

    pub(super) fn cells(&self) -> Cells {
        Cells {
            window: self.window.map(|cell| cell as u16),
            bits: self.bits.clone(),
        }
    }
}
