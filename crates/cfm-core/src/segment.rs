//! Segments: the candidate regions that are masked, pooled and classified.
//!
//! A segment is never a full-frame byte mask. It is a list of pixel [`Run`]s, or a set of superpixels of a
//! [`SuperpixelMap`]; the second form makes mask projection a sum over precomputed per-superpixel counts.
//! Pixel coordinates are those of the network's input image.

use crate::error::display_error;

/// The most superpixels a map may have: membership of one segment is then a kilobyte of bits in the scratch memory.
pub const MAX_SUPERPIXELS: u16 = 8192;

/// A horizontal run of pixels `x0 .. x1` (end exclusive) in row `y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Run {
    /// Row, in pixels.
    pub y: u16,
    /// First column, in pixels.
    pub x0: u16,
    /// One past the last column, in pixels.
    pub x1: u16,
}

/// A box in pixels, all four bounds inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PixelBox {
    /// Leftmost column.
    pub left: u16,
    /// Topmost row.
    pub top: u16,
    /// Rightmost column (inclusive).
    pub right: u16,
    /// Bottom row (inclusive).
    pub bottom: u16,
}

impl PixelBox {
    /// The smallest box that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// An over-segmentation: every pixel carries the id of its superpixel, `0 .. count`, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperpixelMap<'a> {
    labels: &'a [u16],
    width: u16,
    height: u16,
    count: u16,
}

impl<'a> SuperpixelMap<'a> {
    /// Checks and views a label map of `width x height` superpixel ids, all below `count`.
    ///
    /// Ids without pixels are allowed.
    ///
    /// # Errors
    /// [`SegmentError::MapSize`] for a wrong length or an empty map, [`SegmentError::SuperpixelId`] for an id not
    /// below `count`, [`SegmentError::TooManySuperpixels`] for a count above [`MAX_SUPERPIXELS`].
    pub fn new(
        labels: &'a [u16],
        width: u16,
        height: u16,
        count: u16,
    ) -> Result<Self, SegmentError> {
        if width == 0 || height == 0 || labels.len() as u64 != u64::from(width) * u64::from(height)
        {
            return Err(SegmentError::MapSize);
        }
        if count > MAX_SUPERPIXELS {
            return Err(SegmentError::TooManySuperpixels);
        }
        if labels.iter().any(|&label| label >= count) {
            return Err(SegmentError::SuperpixelId);
        }
        Ok(Self {
            labels,
            width,
            height,
            count,
        })
    }

    /// The ids, row-major.
    #[must_use]
    pub const fn labels(&self) -> &'a [u16] {
        self.labels
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.height
    }

    /// Number of superpixel ids; every id is below it.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }
}

/// A candidate segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Pixel runs, sorted by row and column, not overlapping.
    Runs(&'a [Run]),
    /// A union of superpixels.
    Superpixels {
        /// Which of the image's superpixel maps the ids belong to.
        map: usize,
        /// Superpixel ids, each at most once, in any order.
        members: &'a [u16],
    },
}

/// Why a segment or a superpixel map is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SegmentError {
    /// The segment holds no pixel.
    Empty,
    /// A run ends before it starts, or leaves the image.
    RunOutside,
    /// Runs are not sorted by row and column, or overlap.
    RunOrder,
    /// A superpixel map's length is not `width * height`, or the map is not the size of the network's input.
    MapSize,
    /// The segment names a superpixel map that the image does not have.
    MapIndex,
    /// The superpixel index was built for a model with another geometry.
    IndexModel,
    /// A superpixel id is not below the map's count.
    SuperpixelId,
    /// The map has more than [`MAX_SUPERPIXELS`] superpixels.
    TooManySuperpixels,
    /// The segment names a superpixel twice.
    Duplicate,
    /// The caller's memory is too small; the operation's docs say how much it needs.
    Memory,
}

display_error!(SegmentError {
    Empty => "the segment holds no pixel",
    RunOutside => "a run is empty or leaves the image",
    RunOrder => "the runs are not sorted by row and column, or overlap",
    MapSize => "the superpixel map has not as many labels as pixels, or not the size of the network's input image",
    MapIndex => "the segment names a superpixel map that the image does not have",
    IndexModel => "the superpixel index was built for another model",
    SuperpixelId => "a superpixel id is not below the map's count",
    TooManySuperpixels => "the superpixel map has more than 8192 superpixels",
    Duplicate => "the segment names a superpixel twice",
    Memory => "the memory for the superpixel index is too small",
});
