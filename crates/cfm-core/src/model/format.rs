//! The `.cfm` file, byte by byte.
//!
//! All numbers are little-endian. A file is a header, a section table and sections that start at multiples of 16.
//! Reserved bytes are zero and refused otherwise, so that a later minor version can give them a meaning.
//!
//! # Header (32 bytes)
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | 4 bytes | magic `CFMM` |
//! | 4 | u16 | major version, [`VERSION_MAJOR`]; another one is refused |
//! | 6 | u16 | minor version; a newer one is read, unknown optional sections are ignored |
//! | 8 | u32 | length of the file in bytes |
//! | 12 | u32 | CRC-32 (IEEE 802.3, reflected, as in zlib) of the bytes from offset 16 to the end |
//! | 16 | u32 | number of sections, at most [`MAX_SECTIONS`] |
//! | 20 | 12 bytes | reserved |
//!
//! # Section table (16 bytes each, from offset 32)
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | 4 bytes | tag |
//! | 4 | u32 | flags: bit 0 = required; a reader that does not know a required section refuses the file; the others are reserved |
//! | 8 | u32 | offset of the section in the file, a multiple of 16 |
//! | 12 | u32 | length in bytes, without padding |
//!
//! Sections lie behind the table, in any order, padded with zeros; bytes outside all sections mean nothing (but count
//! for the checksum), and none shares a byte with another. A tag occurs at most once. There must be `INPT`, `LAYR`, `CHAN`, one of `WGTS` and `WQAD`, `HEAD`
//! and `CLAS`, and there may be `LABL`, `CALB` (read by this crate), `PROP` (proposal parameters, 64 bytes, laid out in
//! the documentation of `cfm_proposals::Params::to_bytes`) and `PROV` (provenance, UTF-8 lines of `key = value`, for
//! people; a key has no `=`). The flag changes nothing for these; a writer sets it for those that must be there.
//!
//! Where a length is given below, a section has exactly that length.
//!
//! # `INPT` (8 bytes): the image
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | u16 | height in pixels |
//! | 2 | u16 | width in pixels |
//! | 4 | u16 | samples per pixel (3 for RGB) |
//! | 6 | u16 | reserved |
//!
//! The image is tensor 0: `q = sample - 128`, zero point 0, exponent -7. Height and width of the image, and of every
//! other tensor, are `1 ..= 8192` ([`MAX_SIDE`]), and there is at least one channel. No tensor is larger than 2^30 bytes
//! ([`MAX_ARENA`]), nor is all that is in memory at a time: feature map, line buffers and scratch.
//!
//! # `LAYR`: the backbone, 32 bytes a layer, 1 to 64 layers ([`MAX_LAYERS`])
//!
//! Layer `i` writes tensor `i + 1` and reads earlier ones. Every tensor but the last has a reader; the last is the
//! feature map.
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | u8 | kind: 0 conv2d, 1 maximum pooling, 2 average pooling, 3 add |
//! | 1 | u8 | reserved |
//! | 2 | u16 | input tensor |
//! | 4 | u16 | second input tensor (add), otherwise 0 |
//! | 6 | u16 | output channels (pooling and add: those of the input) |
//! | 8 | u8, u8 | kernel height, width (add: 1) |
//! | 10 | u8, u8 | stride, vertical and horizontal (add: 1) |
//! | 12 | u8, u8 | dilation, vertical and horizontal (pooling and add: 1) |
//! | 14 | 4 x u8 | padding: top, left, bottom, right (add: 0) |
//! | 18 | u16 | groups, a divisor of input and output channels (pooling and add: 1) |
//! | 20 | i8, i8 | output zero point and exponent |
//! | 22 | i8, i8 | lowest and highest output (fused activation) |
//! | 24 | u32 | conv2d: offset of the weights in `WGTS`; otherwise 0 |
//! | 28 | u32 | conv2d: index of the first record in `CHAN`; otherwise 0 |
//!
//! - Kernel, stride and dilation are at least 1. Along each axis an input of length `n` becomes an output of length
//!   `floor((n + padding - extent) / stride) + 1`, where `padding` is that of both ends and the window's extent,
//!   `dilation * (kernel - 1) + 1`, is at most `n + padding`.
//! - The centre of the receptive field of cell 0 is within 2^24 half pixels of the first pixel's centre, and the centres of
//!   neighbouring cells at most 2^24 pixels apart ([`receptive_field`](crate::receptive_field)).
//! - Exponents are in `-64 ..= 63` and `low <= high`; the zero point may lie outside the clamp range.
//! - Pooling keeps channels, zero point and exponent of its input, and its clamp is `-128 ..= 127`. Every window has a
//!   cell inside the image: the leading padding is less than the kernel, and the last window starts before the end of
//!   the input. The windows of a convolution may lie in the padding.
//! - The inputs of an addition have the same shape and the same spacing of receptive fields; the output's centres are
//!   those of the first input. The exponents of both inputs and the output are within 32 of each other.
//!
//! # `CHAN`: 8 bytes an output channel
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | i32 | bias at the accumulator's scale, holding `-z_in * sum(w)` |
//! | 4 | u16 | mantissa m, `2^14 ..= 2^15 - 1` |
//! | 6 | u8 | shift s, `0 ..= 62` |
//! | 7 | u8 | reserved |
//!
//! Accumulators have 32 bits: for each output of a convolution or of a fully connected layer,
//! `255 * sum(|w|) + |bias| <= 2^31 - 1`.
//!
//! # `WGTS`: i8 weights, `-127 ..= 127`
//!
//! Convolution: `[out][kernel row][kernel column][in / groups]`; fully connected: `[out][in]`. Layers may share
//! weights or channel records, and there may be gaps between them.
//!
//! # `WQAD`: weights in quads
//!
//! In the place of `WGTS` and of the same length, for kernels that read weights in this order. A
//! layer of one group, whose outputs are a multiple of four and whose weights start at a multiple of four, has the
//! weights of four filters `w0 .. w3` of n weights each in `4 n` bytes, little-endian halfwords of the value
//! `256 * second + first`:
//!
//! - for each pair of inputs i, i + 1: `(w0[i], w1[i])`, `(w0[i+1], w1[i+1])`, `(w2[i], w3[i])`, `(w2[i+1], w3[i+1])`;
//! - for an odd last input i: `(w0[i], w1[i])`, `(w2[i], w3[i])`.
//!
//! So one word holds two inputs of two filters: a dual multiply-accumulate of the whole word counts 256 times the second
//! filter plus the first, and one of its sign-extended low bytes the first alone. Other layers are as in `WGTS`.
//!
//! # `HEAD`: 32 bytes, then 16 bytes a fully connected layer
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | u8 | design: 0 plain, 1 Design A, 2 Design B |
//! | 1 | u8 | classifier: 0 softmax, 1 one-against-the-rest SVM |
//! | 2 | u8 | mask rule: 0 average, 1 maximum, 2 nearest, 3 off |
//! | 3 | u8 | number of pyramid levels of the segment path, `1 ..= 8` |
//! | 4 | u16 | threshold of the average rule as U0F16, not 0; other rules: 0 |
//! | 6 | i8 | exponent of the logits, `-30 ..= 8` |
//! | 7 | u8 | number of pyramid levels of the region path (Design A: `1 ..= 8`, otherwise 0) |
//! | 8 | 8 x u8 | levels of the segment path (n for n x n bins, `1 ..= 32`, no duplicates), then zeros |
//! | 16 | 8 x u8 | levels of the region path, likewise |
//! | 24 | u8 | fully connected layers of the segment path |
//! | 25 | u8 | fully connected layers of the region path (0 unless Design A) |
//! | 26 | u8 | fully connected layers after the paths, the last of which is the classifier (at least 1) |
//! | 27 | 5 bytes | reserved |
//!
//! A fully connected layer (segment path first, then region path, then joint; at most [`MAX_FC`]):
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | u16 | outputs, at least 1 |
//! | 2 | i8, i8 | output zero point and exponent (classifier: 0 and the logits' exponent) |
//! | 4 | i8, i8 | lowest and highest output (classifier: 0 and 0, it saturates to i16) |
//! | 6 | u16 | reserved |
//! | 8 | u32 | offset of the weights in `WGTS` |
//! | 12 | u32 | index of the first record in `CHAN` |
//!
//! The first layer of a path reads the pooled vector: level (as listed), bin row, bin column, channel of the feature map.
//! The first joint layer reads what the segment path ends with and then, in Design A, what the region path ends with; a
//! path without layers ends with its pooled vector. The two paths of Design A end with the same zero point and exponent.
//! Exponents and clamps are limited as those of the backbone are.
//!
//! # `CLAS`: the classifier's outputs
//!
//! u16 count (that of the classifier's outputs, at most [`MAX_CLASSES`]), then per class: u8 kind (0 stuff, 1 object,
//! 2 background: never labels a pixel), 3 x u8 colour (RGB), u8 value in label images, u8 length of the name, the
//! name in UTF-8. The section ends with the last name. At least one class is not background. Label values of the others are distinct and below
//! 255; those of background classes mean nothing.
//!
//! # `LABL` (8 bytes, optional): how segments become pixels
//!
//! | offset | type | meaning |
//! |---:|---|---|
//! | 0 | u8 | rule: 0 paste, 1 vote |
//! | 1 | u8 | vote: power of the score, `1 ..= 4`; paste: 0 |
//! | 2 | u8 | vote: weights are 0 not divided, 1 divided by the square root of the area, 2 divided by the area; paste: 0 |
//! | 3 | u8 | vote: power of the purity, `0 ..= 4`; paste: 0 |
//! | 4 | u16 | paste: threshold of the inhibition as U0F16, 0 for none; vote: 0 |
//! | 6 | u8 | refinement by superpixels: 0 none, `1 ..= 4` by map 0 to 3 |
//! | 7 | u8 | reserved |
//!
//! Without it: vote, power 3, divided by the root of the area, no refinement. Version 1.0 knew no purity, inhibition,
//! refinement or division by the area: its bytes 3 to 7 are 0, and mean the same today.
//!
//! # `CALB` (8 bytes, optional): calibrated scores
//!
//! f32 slope `a`, f32 intercept `b`, both finite: `P(class) = 1 / (1 + exp(-(a x + b)))` for a logit of real value x
//! (Platt). Information only: labels never depend on it.

/// First four bytes of a file.
pub const MAGIC: [u8; 4] = *b"CFMM";
/// The major version this crate reads and documents.
pub const VERSION_MAJOR: u16 = 1;
/// The minor version this crate documents.
pub const VERSION_MINOR: u16 = 1;
/// Length of the header.
pub const HEADER_LEN: usize = 32;
/// Offset at which the checksum starts.
pub const CHECKED_FROM: usize = 16;
/// Length of one entry of the section table.
pub const SECTION_ENTRY_LEN: usize = 16;
/// Alignment of every section.
pub const SECTION_ALIGN: usize = 16;
/// Flag of a section that a reader must know.
pub const SECTION_REQUIRED: u32 = 1;
/// Length of a layer record.
pub const LAYER_LEN: usize = 32;
/// Length of a channel record.
pub const CHANNEL_LEN: usize = 8;
/// Length of the head record before its fully connected layers.
pub const HEAD_LEN: usize = 32;
/// Length of a fully connected record.
pub const FC_LEN: usize = 16;
/// Length of the labelling record.
pub const LABELLING_LEN: usize = 8;

/// Most sections in a file.
pub const MAX_SECTIONS: usize = 32;
/// Most layers in a backbone.
pub const MAX_LAYERS: usize = 64;
/// Most tensors: the image and one per layer.
pub const MAX_TENSORS: usize = MAX_LAYERS + 1;
/// Most levels in a spatial pyramid.
pub const MAX_LEVELS: usize = 8;
/// Finest level of a spatial pyramid.
pub const MAX_LEVEL: u8 = 32;
/// Most fully connected layers in a head.
pub const MAX_FC: usize = 16;
/// Most outputs of a classifier.
pub const MAX_CLASSES: usize = 255;
/// Most superpixel maps that a labelling rule can choose from.
pub const MAX_MAPS: u8 = 4;
/// Largest height or width of the image or of a tensor.
pub const MAX_SIDE: u16 = 8192;
/// Most bytes that line buffers, feature map and scratch may take together.
pub const MAX_ARENA: u64 = 1 << 30;

/// Section tags.
pub mod tag {
    /// The image.
    pub const INPUT: [u8; 4] = *b"INPT";
    /// The backbone's layers.
    pub const LAYERS: [u8; 4] = *b"LAYR";
    /// Per-channel biases and multipliers.
    pub const CHANNELS: [u8; 4] = *b"CHAN";
    /// Weights.
    pub const WEIGHTS: [u8; 4] = *b"WGTS";
    /// Weights in quads.
    pub const WEIGHT_QUADS: [u8; 4] = *b"WQAD";
    /// Design, mask rule, pyramids, fully connected layers.
    pub const HEAD: [u8; 4] = *b"HEAD";
    /// Names, colours and kinds of the classes.
    pub const CLASSES: [u8; 4] = *b"CLAS";
    /// How segments become pixels.
    pub const LABELLING: [u8; 4] = *b"LABL";
    /// Calibrated scores.
    pub const CALIBRATION: [u8; 4] = *b"CALB";
    /// Proposal parameters.
    pub const PROPOSALS: [u8; 4] = *b"PROP";
    /// Provenance.
    pub const PROVENANCE: [u8; 4] = *b"PROV";
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Bytes of a field, as the tables write its type: `u16`, `i8, i8`, `8 x u8`, `12 bytes`.
    fn bytes(field: &str) -> usize {
        let (count, of) = match field.split_once([' ', ',']) {
            Some((count, "bytes")) => return count.parse().unwrap(),
            Some((count, of)) if of.starts_with("x ") => (count.parse().unwrap(), &of[2..]),
            _ => (field.split(", ").count(), field.split(", ").next().unwrap()),
        };
        let bits: usize = of[1..].parse().unwrap();
        count * bits / 8
    }

    #[test]
    fn the_fields_of_every_record_lie_side_by_side_and_fill_it() {
        let page = include_str!("format.rs").lines();
        let page = page.map_while(|line| line.strip_prefix("//!"));
        let mut ends = Vec::new();
        for line in page {
            if line == " | offset | type | meaning |" {
                ends.push(0);
            } else if let Some(row) = line.strip_prefix(" | ")
                && let [offset, field, _] = row.splitn(3, " | ").collect::<Vec<_>>()[..]
                && let Ok(offset) = offset.parse::<usize>()
            {
                let end = ends.last_mut().unwrap();
                assert_eq!(*end, offset, "{line}");
                *end += bytes(field);
            }
        }
        let input = 8;
        let lengths = [
            HEADER_LEN,
            SECTION_ENTRY_LEN,
            input,
            LAYER_LEN,
            CHANNEL_LEN,
            HEAD_LEN,
            FC_LEN,
            LABELLING_LEN,
        ];
        assert_eq!(ends, lengths);
    }
}
