//! The structs of the header: opaque storage for objects, and plain values.

use core::ffi::c_char;

/// Size of a `cfm_model`, in 64-bit words.
pub const CFM_MODEL_WORDS: usize = 320;
/// Size of a `cfm_image`, in 64-bit words.
pub const CFM_IMAGE_WORDS: usize = 384;
/// Size of a `cfm_proposals`, in 64-bit words.
pub const CFM_PROPOSALS_WORDS: usize = 24;

/// Most superpixel maps of an image.
pub const CFM_MAX_MAPS: usize = 4;
/// `uint32_t` words that an image needs for each superpixel of a map. See `cfm_image_add_map`.
pub const CFM_SUPERPIXEL_WORDS: usize = 6;
/// `uint32_t` words that an image needs for each pair of a superpixel and a feature cell that it touches; there are
/// never more such pairs than pixels. See `cfm_image_add_map`.
pub const CFM_CELL_COUNT_WORDS: usize = 2;

/// The label of a pixel that no segment labels.
pub const CFM_VOID: u8 = 255;

/// The kind of a class: amorphous, like sky, road or grass.
pub const CFM_CLASS_STUFF: u8 = 0;
/// The kind of a class: countable, like cars or people.
pub const CFM_CLASS_OBJECT: u8 = 1;
/// The kind of a class: neither, for segments that fit no class. Never labels a pixel.
pub const CFM_CLASS_BACKGROUND: u8 = 2;

/// A parsed model; made by `cfm_model_parse`. It refers to the model's bytes and must not be copied or moved.
#[repr(C)]
#[derive(Debug)]
pub struct cfm_model {
    /// Of no concern to the caller.
    opaque: [u64; CFM_MODEL_WORDS],
}

/// One image on its way through a model; made by `cfm_image_begin`. It refers to the model, the arena and superpixel
/// maps, and must not be copied or moved.
#[repr(C)]
#[derive(Debug)]
pub struct cfm_image {
    /// Of no concern to the caller.
    opaque: [u64; CFM_IMAGE_WORDS],
}

/// The proposals of one image; made by `cfm_proposals_make`. They refer to the memory given there and must not be copied
/// or moved.
#[repr(C)]
#[derive(Debug)]
pub struct cfm_proposals {
    /// Of no concern to the caller.
    opaque: [u64; CFM_PROPOSALS_WORDS],
}

impl cfm_model {
    /// Storage without an object in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            opaque: [0; CFM_MODEL_WORDS],
        }
    }
}

impl cfm_image {
    /// Storage without an object in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            opaque: [0; CFM_IMAGE_WORDS],
        }
    }
}

impl cfm_proposals {
    /// Storage without an object in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            opaque: [0; CFM_PROPOSALS_WORDS],
        }
    }
}

impl Default for cfm_model {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for cfm_image {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for cfm_proposals {
    fn default() -> Self {
        Self::new()
    }
}

/// What a caller has to know of a model.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_info {
    /// Width of the image, in pixels.
    pub width: u16,
    /// Height of the image, in pixels.
    pub height: u16,
    /// Samples per pixel, 8 bits each: 3 for RGB.
    pub channels: u16,
    /// Outputs of the classifier, background classes included.
    pub class_count: u16,
    /// Bytes of one row of the image: `width * channels`.
    pub row_bytes: usize,
    /// Bytes of the arena of `cfm_image_begin`.
    pub arena_bytes: usize,
}

/// A class of a model.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct cfm_class {
    /// Name in UTF-8, in the model's bytes, without a zero byte at its end.
    pub name: *const c_char,
    /// Bytes of the name.
    pub name_length: usize,
    /// `CFM_CLASS_STUFF`, `CFM_CLASS_OBJECT` or `CFM_CLASS_BACKGROUND`.
    pub kind: u8,
    /// Colour in pictures: red, 0 to 255.
    pub red: u8,
    /// Colour in pictures: green, 0 to 255.
    pub green: u8,
    /// Colour in pictures: blue, 0 to 255.
    pub blue: u8,
    /// Value in label images. (Labels of `cfm_image_label` are class indices.)
    pub label: u8,
}

/// A horizontal run of the pixels `x0 .. x1` (without `x1`) in row `y`, in pixels of the model's input.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_run {
    /// Row.
    pub y: u16,
    /// First column.
    pub x0: u16,
    /// One past the last column.
    pub x1: u16,
}

/// A candidate segment: either runs or members of a superpixel map; the other pointer is null.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_segment {
    /// `count` runs, sorted by row and column, not overlapping; or null.
    pub runs: *const cfm_run,
    /// `count` superpixel ids, each at most once, in any order; or null.
    pub members: *const u16,
    /// Number of runs or members.
    pub count: usize,
    /// The map that the members belong to: 0 for the first that was added to the image, and so on. Unused with runs.
    pub map: usize,
}

/// How large a segment is and where, in pixels of the model's input.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_extent {
    /// Pixels.
    pub area: u32,
    /// Leftmost column.
    pub left: u16,
    /// Topmost row.
    pub top: u16,
    /// Rightmost column (inclusive).
    pub right: u16,
    /// Bottom row (inclusive).
    pub bottom: u16,
}

/// A segment with its scores, for `cfm_image_label`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_scored_segment {
    /// The segment.
    pub segment: cfm_segment,
    /// One logit per class of the model, as `cfm_image_score` wrote them.
    pub logits: *const i16,
    /// Pixels, as `cfm_image_score` counted them.
    pub area: u32,
}

/// A superpixel map: every pixel carries the id of its superpixel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_map {
    /// `width * height` ids below `count`, row by row.
    pub labels: *const u16,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Number of superpixels, at most 8192.
    pub count: u16,
}

/// How segments become pixels, where the model's own rule is not wanted. Fields of the other combination must be 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_rule {
    /// 0: a pixel takes the class of the best segment that covers it. 1: segments vote.
    pub combination: u8,
    /// Voting: the weight is the score to this power, 1 to 4.
    pub power: u8,
    /// Voting: the weight is divided by 1 (0), by the square root of the area (1), or by the area (2).
    pub area: u8,
    /// Voting: the weight is multiplied by the segment's largest score to this power, 0 to 4.
    pub purity: u8,
    /// Pasting: a segment is dropped if better ones have claimed this share of it, in 1/65536; 0 drops none.
    pub inhibition: u16,
    /// 0, or one more than the superpixel map whose superpixels take one class each at the end.
    pub refinement: u8,
}

/// Sizes of the memory for proposals, and limits on what comes out.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct cfm_sizes {
    /// `uint32_t` words with which proposals are made fastest.
    pub words: usize,
    /// Fewest `uint32_t` words; the proposals are the same.
    pub min_words: usize,
    /// `uint16_t` items.
    pub labels: usize,
    /// Most proposals of an image.
    pub max_segments: usize,
    /// Superpixel maps of an image.
    pub maps: usize,
    /// Most superpixels of a map.
    pub max_superpixels: usize,
}
