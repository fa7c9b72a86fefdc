//! What is known of a set of pixels: area, bounding box and hash. Sets without common pixels are joined by addition.

use cfm_core::image::ImageView;
use cfm_core::segment::PixelBox;

/// A set of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// Pixels.
    pub area: u32,
    /// Smallest box around the pixels.
    pub bbox: PixelBox,
    /// Sum of [`pixel_hash`] over the pixels, modulo 2^64: the same for the same set, however it was put together.
    pub hash: u64,
}

/// The hash of one pixel by its index in raster order: the SplitMix64 generator's finalizer (Steele, Lea and Flood,
/// OOPSLA 2014), so that sums over different sets of pixels differ in all but about one in 2^64 pairs.
pub(crate) fn pixel_hash(index: u32) -> u64 {
    let z = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Region {
    /// Words of a stored region.
    pub(crate) const WORDS: usize = 5;

    /// No pixel.
    pub(crate) const EMPTY: Self = Self {
        area: 0,
        bbox: PixelBox {
            left: u16::MAX,
            top: u16::MAX,
            right: 0,
            bottom: 0,
        },
        hash: 0,
    };

    /// The union with a region that has no pixel in common.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            area: self.area + other.area,
            bbox: self.bbox.union(other.bbox),
            hash: self.hash.wrapping_add(other.hash),
        }
    }

    /// Area of the bounding box, in pixels.
    pub(crate) fn box_area(&self) -> u64 {
        let side = |from: u16, to: u16| (u64::from(to) + 1).saturating_sub(u64::from(from));
        side(self.bbox.left, self.bbox.right) * side(self.bbox.top, self.bbox.bottom)
    }

    pub(crate) fn to_words(self) -> [u32; Self::WORDS] {
        let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        [
            self.area,
            pair(self.bbox.left, self.bbox.top),
            pair(self.bbox.right, self.bbox.bottom),
            self.hash as u32,
            (self.hash >> 32) as u32,
        ]
    }

    pub(crate) fn from_words(words: [u32; Self::WORDS]) -> Self {
        let [area, top_left, bottom_right, low, high] = words;
        Self {
            area,
            bbox: PixelBox {
                left: top_left as u16,
                top: (top_left >> 16) as u16,
                right: bottom_right as u16,
                bottom: (bottom_right >> 16) as u16,
            },
            hash: u64::from(low) | u64::from(high) << 32,
        }
    }
}

/// Calls `visit` with each superpixel id in raster order and its pixel as a region.
pub(crate) fn for_each_pixel(
    image: ImageView<'_>,
    labels: &[u16],
    mut visit: impl FnMut(u16, Region),
) {
    let mut index = 0;
    let rows = labels.chunks_exact(usize::from(image.width()).max(1));
    for (y, row) in (0..image.height()).zip(rows) {
        for (x, &label) in (0..image.width()).zip(row) {
            visit(
                label,
                Region {
                    area: 1,
                    bbox: PixelBox {
                        left: x,
                        top: y,
                        right: x,
                        bottom: y,
                    },
                    hash: pixel_hash(index),
                },
            );
            index += 1;
        }
    }
}
