//! Error codes, one for each cause, and what they mean.
#![allow(unsafe_code)] // symbols with C's names; nothing here dereferences a pointer

use core::ffi::{CStr, c_char};

use cfm_core::executor::ExecuteError;
use cfm_core::labelling::LabelError;
use cfm_core::model::{ModelError, ModelErrorKind};
use cfm_core::scorer::ScoreError;
use cfm_core::segment::SegmentError;
use cfm_proposals::{ParamsError, ProposalError};

/// What a function returns: `CFM_OK`, or why it did nothing. Codes keep their numbers from version to version.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum cfm_error {
    /// Everything went well.
    CFM_OK = 0,
    /// A pointer is null that must not be.
    CFM_ERROR_NULL = 1,
    /// A pointer is not aligned for its type.
    CFM_ERROR_MISALIGNED = 2,
    /// An object was not initialised, was copied or moved, or is not yet (or no more) at the stage of this call.
    CFM_ERROR_STATE = 3,
    /// A buffer is longer than the address space allows.
    CFM_ERROR_LENGTH = 4,
    /// There is no class, map or proposal of that index.
    CFM_ERROR_INDEX = 5,
    /// A segment has neither runs nor members, or both.
    CFM_ERROR_SEGMENT_FORM = 6,
    /// Something went wrong that this list does not name.
    CFM_ERROR_UNKNOWN = 7,
    /// The arena is smaller than the model's `arena_bytes`.
    CFM_ERROR_ARENA = 20,
    /// A row, or the image, does not have the size of the model's input.
    CFM_ERROR_INPUT_SIZE = 21,
    /// All rows of the image have been pushed already.
    CFM_ERROR_TOO_MANY_ROWS = 22,
    /// Rows of the image are missing.
    CFM_ERROR_INCOMPLETE = 23,
    /// There is not one logit per class of the model.
    CFM_ERROR_LOGIT_COUNT = 24,
    /// The model's classifier is a set of support vector machines, whose scores are no probabilities.
    CFM_ERROR_NO_PROBABILITIES = 25,
    /// The model's weights are in another order than this library reads; `cfm pack --order rows` puts them into that.
    CFM_ERROR_WEIGHT_ORDER = 26,
    /// The segment holds no pixel.
    CFM_ERROR_SEGMENT_EMPTY = 40,
    /// A run ends before it starts, or leaves the image.
    CFM_ERROR_RUN_OUTSIDE = 41,
    /// Runs are not sorted by row and column, or overlap.
    CFM_ERROR_RUN_ORDER = 42,
    /// The superpixel map does not have the size of the model's input.
    CFM_ERROR_MAP_SIZE = 43,
    /// A segment names a superpixel map that the image does not have.
    CFM_ERROR_MAP_INDEX = 44,
    /// A superpixel id is not below the map's count.
    CFM_ERROR_SUPERPIXEL_ID = 45,
    /// The map has more than 8192 superpixels.
    CFM_ERROR_TOO_MANY_SUPERPIXELS = 46,
    /// The segment names a superpixel twice.
    CFM_ERROR_DUPLICATE = 47,
    /// The memory for a superpixel map is too small.
    CFM_ERROR_MAP_MEMORY = 48,
    /// The image has `CFM_MAX_MAPS` superpixel maps already.
    CFM_ERROR_TOO_MANY_MAPS = 49,
    /// The memory for labelling is too small.
    CFM_ERROR_LABEL_MEMORY = 60,
    /// The label map does not have the size of the model's input.
    CFM_ERROR_LABEL_COUNT = 61,
    /// There are 2^32 - 1 segments or more.
    CFM_ERROR_TOO_MANY_SEGMENTS = 62,
    /// The image does not have the superpixel map that the rule refines by.
    CFM_ERROR_REFINEMENT_MAP = 63,
    /// A field of the labelling rule is out of range.
    CFM_ERROR_RULE = 64,
    /// Proposals are made of images with one or three samples a pixel only.
    CFM_ERROR_CHANNELS = 80,
    /// Proposals are made of images of at most 2^22 pixels only.
    CFM_ERROR_TOO_MANY_PIXELS = 81,
    /// The `uint32_t` memory for proposals is too small.
    CFM_ERROR_PROPOSAL_WORDS = 82,
    /// The `uint16_t` memory for proposals is too small.
    CFM_ERROR_PROPOSAL_LABELS = 83,
    /// The model's proposal parameters are broken, or of a later version.
    CFM_ERROR_PROPOSAL_PARAMS = 84,
    /// Model file: the file is shorter than a header, or shorter or longer than its header says.
    CFM_ERROR_MODEL_LENGTH = 100,
    /// Model file: the first four bytes are not `CFMM`.
    CFM_ERROR_MODEL_MAGIC = 101,
    /// Model file: the major version is not the one this crate reads.
    CFM_ERROR_MODEL_VERSION = 102,
    /// Model file: the CRC-32 does not match.
    CFM_ERROR_MODEL_CHECKSUM = 103,
    /// Model file: a section leaves the file, is not aligned, occurs twice or shares bytes with another, or there are too many.
    CFM_ERROR_MODEL_SECTION_TABLE = 104,
    /// Model file: a required section is not known to this reader.
    CFM_ERROR_MODEL_UNKNOWN_SECTION = 105,
    /// Model file: a required section is missing.
    CFM_ERROR_MODEL_MISSING_SECTION = 106,
    /// Model file: a section's length does not fit its content.
    CFM_ERROR_MODEL_SECTION_LENGTH = 107,
    /// Model file: reserved bytes, or fields that a layer kind does not use, are not what the format fixes them to.
    CFM_ERROR_MODEL_RESERVED = 108,
    /// Model file: a height, width or channel count is zero or too large, or the channels of pooling or an addition are
    /// not its input's.
    CFM_ERROR_MODEL_DIMENSION = 109,
    /// Model file: a kernel, stride or dilation is zero, or no window fits into the padded input.
    CFM_ERROR_MODEL_WINDOW = 110,
    /// Model file: a pooling window lies in the padding alone.
    CFM_ERROR_MODEL_POOL_PADDING = 111,
    /// Model file: groups are zero or do not divide the channels.
    CFM_ERROR_MODEL_GROUPS = 112,
    /// Model file: there are no layers, or too many.
    CFM_ERROR_MODEL_LAYER_COUNT = 113,
    /// Model file: a kind (of layer, design, classifier, mask rule, class or labelling rule) is unknown.
    CFM_ERROR_MODEL_KIND = 114,
    /// Model file: a layer reads a tensor that is not computed before it.
    CFM_ERROR_MODEL_INPUT = 115,
    /// Model file: the inputs of an addition differ in shape or in the spacing of their receptive fields, or the
    /// exponents of inputs and output are too far apart.
    CFM_ERROR_MODEL_ADD_INPUTS = 116,
    /// Model file: a tensor other than the last is read by no layer.
    CFM_ERROR_MODEL_DEAD_TENSOR = 117,
    /// Model file: an exponent or clamp range is out of range, or a pooling layer's scale is not its input's.
    CFM_ERROR_MODEL_OUTPUT_SCALE = 118,
    /// Model file: weights or channel records leave their section.
    CFM_ERROR_MODEL_PARAMETER_RANGE = 119,
    /// Model file: a weight is -128.
    CFM_ERROR_MODEL_WEIGHT_VALUE = 120,
    /// Model file: a mantissa or shift is out of range.
    CFM_ERROR_MODEL_MULTIPLIER = 121,
    /// Model file: `sum |w| * 255 + |bias|` of a channel exceeds 2^31 - 1: the accumulator could overflow.
    CFM_ERROR_MODEL_ACCUMULATOR = 122,
    /// Model file: the receptive fields' spacing or offset is absurd.
    CFM_ERROR_MODEL_GEOMETRY = 123,
    /// Model file: the threshold of the average rule is 0, or another rule has one.
    CFM_ERROR_MODEL_THRESHOLD = 124,
    /// Model file: a pyramid has no levels, too many, a level of 0 or above 32, or a level twice.
    CFM_ERROR_MODEL_LEVELS = 125,
    /// Model file: the head has no classifier or too many fully connected layers.
    CFM_ERROR_MODEL_FULLY_CONNECTED_COUNT = 126,
    /// Model file: the two paths of Design A end with different scales.
    CFM_ERROR_MODEL_PATH_SCALES = 127,
    /// Model file: the classifier's exponent is not the logits', or out of range.
    CFM_ERROR_MODEL_LOGIT_SCALE = 128,
    /// Model file: the class list does not fit the classifier, two classes have one label or one has 255, or no class can
    /// label a pixel.
    CFM_ERROR_MODEL_CLASSES = 129,
    /// Model file: a power, the area factor or the superpixel map of the labelling rule is out of range.
    CFM_ERROR_MODEL_LABELLING = 130,
    /// Model file: a class name or the provenance is not UTF-8.
    CFM_ERROR_MODEL_TEXT = 131,
    /// Model file: line buffers, feature map and scratch would exceed 1 GiB.
    CFM_ERROR_MODEL_MEMORY = 132,
    /// Model file: a coefficient of the calibration is no finite number.
    CFM_ERROR_MODEL_CALIBRATION = 133,
}

use cfm_error as E;

impl cfm_error {
    /// Every code.
    const ALL: &[Self] = &[
        E::CFM_OK,
        E::CFM_ERROR_NULL,
        E::CFM_ERROR_MISALIGNED,
        E::CFM_ERROR_STATE,
        E::CFM_ERROR_LENGTH,
        E::CFM_ERROR_INDEX,
        E::CFM_ERROR_SEGMENT_FORM,
        E::CFM_ERROR_UNKNOWN,
        E::CFM_ERROR_ARENA,
        E::CFM_ERROR_INPUT_SIZE,
        E::CFM_ERROR_TOO_MANY_ROWS,
        E::CFM_ERROR_INCOMPLETE,
        E::CFM_ERROR_LOGIT_COUNT,
        E::CFM_ERROR_NO_PROBABILITIES,
        E::CFM_ERROR_WEIGHT_ORDER,
        E::CFM_ERROR_SEGMENT_EMPTY,
        E::CFM_ERROR_RUN_OUTSIDE,
        E::CFM_ERROR_RUN_ORDER,
        E::CFM_ERROR_MAP_SIZE,
        E::CFM_ERROR_MAP_INDEX,
        E::CFM_ERROR_SUPERPIXEL_ID,
        E::CFM_ERROR_TOO_MANY_SUPERPIXELS,
        E::CFM_ERROR_DUPLICATE,
        E::CFM_ERROR_MAP_MEMORY,
        E::CFM_ERROR_TOO_MANY_MAPS,
        E::CFM_ERROR_LABEL_MEMORY,
        E::CFM_ERROR_LABEL_COUNT,
        E::CFM_ERROR_TOO_MANY_SEGMENTS,
        E::CFM_ERROR_REFINEMENT_MAP,
        E::CFM_ERROR_RULE,
        E::CFM_ERROR_CHANNELS,
        E::CFM_ERROR_TOO_MANY_PIXELS,
        E::CFM_ERROR_PROPOSAL_WORDS,
        E::CFM_ERROR_PROPOSAL_LABELS,
        E::CFM_ERROR_PROPOSAL_PARAMS,
        E::CFM_ERROR_MODEL_LENGTH,
        E::CFM_ERROR_MODEL_MAGIC,
        E::CFM_ERROR_MODEL_VERSION,
        E::CFM_ERROR_MODEL_CHECKSUM,
        E::CFM_ERROR_MODEL_SECTION_TABLE,
        E::CFM_ERROR_MODEL_UNKNOWN_SECTION,
        E::CFM_ERROR_MODEL_MISSING_SECTION,
        E::CFM_ERROR_MODEL_SECTION_LENGTH,
        E::CFM_ERROR_MODEL_RESERVED,
        E::CFM_ERROR_MODEL_DIMENSION,
        E::CFM_ERROR_MODEL_WINDOW,
        E::CFM_ERROR_MODEL_POOL_PADDING,
        E::CFM_ERROR_MODEL_GROUPS,
        E::CFM_ERROR_MODEL_LAYER_COUNT,
        E::CFM_ERROR_MODEL_KIND,
        E::CFM_ERROR_MODEL_INPUT,
        E::CFM_ERROR_MODEL_ADD_INPUTS,
        E::CFM_ERROR_MODEL_DEAD_TENSOR,
        E::CFM_ERROR_MODEL_OUTPUT_SCALE,
        E::CFM_ERROR_MODEL_PARAMETER_RANGE,
        E::CFM_ERROR_MODEL_WEIGHT_VALUE,
        E::CFM_ERROR_MODEL_MULTIPLIER,
        E::CFM_ERROR_MODEL_ACCUMULATOR,
        E::CFM_ERROR_MODEL_GEOMETRY,
        E::CFM_ERROR_MODEL_THRESHOLD,
        E::CFM_ERROR_MODEL_LEVELS,
        E::CFM_ERROR_MODEL_FULLY_CONNECTED_COUNT,
        E::CFM_ERROR_MODEL_PATH_SCALES,
        E::CFM_ERROR_MODEL_LOGIT_SCALE,
        E::CFM_ERROR_MODEL_CLASSES,
        E::CFM_ERROR_MODEL_LABELLING,
        E::CFM_ERROR_MODEL_TEXT,
        E::CFM_ERROR_MODEL_MEMORY,
        E::CFM_ERROR_MODEL_CALIBRATION,
    ];

    /// The error in words.
    const fn message(self) -> &'static CStr {
        match self {
            E::CFM_OK => c"no error",
            E::CFM_ERROR_NULL => c"a pointer is null",
            E::CFM_ERROR_MISALIGNED => c"a pointer is not aligned for its type",
            E::CFM_ERROR_STATE => {
                c"an object is not initialised, was copied, or is at another stage"
            }
            E::CFM_ERROR_LENGTH => c"a buffer is longer than the address space allows",
            E::CFM_ERROR_INDEX => c"there is no class, map or proposal of that index",
            E::CFM_ERROR_SEGMENT_FORM => c"a segment must have either runs or members",
            E::CFM_ERROR_UNKNOWN => c"an error without a name",
            E::CFM_ERROR_ARENA => c"the arena is smaller than the model's arena_bytes",
            E::CFM_ERROR_INPUT_SIZE => {
                c"the row or image does not have the size of the model's input"
            }
            E::CFM_ERROR_TOO_MANY_ROWS => c"all rows of the image have been pushed already",
            E::CFM_ERROR_INCOMPLETE => c"rows of the image are missing",
            E::CFM_ERROR_LOGIT_COUNT => c"there must be one logit per class of the model",
            E::CFM_ERROR_NO_PROBABILITIES => {
                c"the scores of support vector machines are no probabilities"
            }
            E::CFM_ERROR_WEIGHT_ORDER => {
                c"the model's weights are not in the order that this library reads (cfm pack --order rows)"
            }
            E::CFM_ERROR_SEGMENT_EMPTY => c"the segment holds no pixel",
            E::CFM_ERROR_RUN_OUTSIDE => c"a run is empty or leaves the image",
            E::CFM_ERROR_RUN_ORDER => c"the runs are not sorted by row and column, or overlap",
            E::CFM_ERROR_MAP_SIZE => {
                c"the superpixel map does not have the size of the model's input"
            }
            E::CFM_ERROR_MAP_INDEX => {
                c"the segment names a superpixel map that the image does not have"
            }
            E::CFM_ERROR_SUPERPIXEL_ID => c"a superpixel id is not below the map's count",
            E::CFM_ERROR_TOO_MANY_SUPERPIXELS => {
                c"the superpixel map has more than 8192 superpixels"
            }
            E::CFM_ERROR_DUPLICATE => c"the segment names a superpixel twice",
            E::CFM_ERROR_MAP_MEMORY => c"the memory for a superpixel map is too small",
            E::CFM_ERROR_TOO_MANY_MAPS => c"the image has CFM_MAX_MAPS superpixel maps already",
            E::CFM_ERROR_LABEL_MEMORY => c"the memory for labelling is too small",
            E::CFM_ERROR_LABEL_COUNT => {
                c"the label map does not have the size of the model's input"
            }
            E::CFM_ERROR_TOO_MANY_SEGMENTS => c"there are too many segments",
            E::CFM_ERROR_REFINEMENT_MAP => {
                c"the image does not have the superpixel map that labels are refined by"
            }
            E::CFM_ERROR_RULE => c"a field of the labelling rule is out of range",
            E::CFM_ERROR_CHANNELS => c"the image has neither one sample a pixel nor three",
            E::CFM_ERROR_TOO_MANY_PIXELS => c"the image has too many pixels for proposals",
            E::CFM_ERROR_PROPOSAL_WORDS => c"the uint32_t memory for proposals is too small",
            E::CFM_ERROR_PROPOSAL_LABELS => c"the uint16_t memory for proposals is too small",
            E::CFM_ERROR_PROPOSAL_PARAMS => c"the model's proposal parameters are broken",
            E::CFM_ERROR_MODEL_LENGTH => c"the file's length is not the one in its header",
            E::CFM_ERROR_MODEL_MAGIC => c"not a .cfm file",
            E::CFM_ERROR_MODEL_VERSION => c"unsupported major version",
            E::CFM_ERROR_MODEL_CHECKSUM => c"the checksum does not match: the file is corrupted",
            E::CFM_ERROR_MODEL_SECTION_TABLE => c"the section table is broken",
            E::CFM_ERROR_MODEL_UNKNOWN_SECTION => c"a required section is unknown to this version",
            E::CFM_ERROR_MODEL_MISSING_SECTION => c"a required section is missing",
            E::CFM_ERROR_MODEL_SECTION_LENGTH => c"a section's length does not fit its content",
            E::CFM_ERROR_MODEL_RESERVED => c"a reserved or unused field is set",
            E::CFM_ERROR_MODEL_DIMENSION => {
                c"a height, width or channel count is zero or too large"
            }
            E::CFM_ERROR_MODEL_WINDOW => {
                c"kernel, stride or dilation is zero, or the window exceeds the padded input"
            }
            E::CFM_ERROR_MODEL_POOL_PADDING => c"a pooling window lies in the padding alone",
            E::CFM_ERROR_MODEL_GROUPS => c"groups are zero or do not divide the channels",
            E::CFM_ERROR_MODEL_LAYER_COUNT => c"there are no layers, or too many",
            E::CFM_ERROR_MODEL_KIND => c"an unknown kind",
            E::CFM_ERROR_MODEL_INPUT => c"an input is not computed before it is read",
            E::CFM_ERROR_MODEL_ADD_INPUTS => {
                c"the inputs of an addition differ in shape or spacing, or too much in scale"
            }
            E::CFM_ERROR_MODEL_DEAD_TENSOR => c"a tensor is read by no layer",
            E::CFM_ERROR_MODEL_OUTPUT_SCALE => {
                c"the output scale or clamp range is out of range, or not the pooled input's"
            }
            E::CFM_ERROR_MODEL_PARAMETER_RANGE => c"weights or channel records leave their section",
            E::CFM_ERROR_MODEL_WEIGHT_VALUE => c"a weight is -128",
            E::CFM_ERROR_MODEL_MULTIPLIER => c"a mantissa or shift is out of range",
            E::CFM_ERROR_MODEL_ACCUMULATOR => c"the accumulator could overflow",
            E::CFM_ERROR_MODEL_GEOMETRY => {
                c"the spacing or offset of the receptive fields is out of range"
            }
            E::CFM_ERROR_MODEL_THRESHOLD => {
                c"the mask threshold is 0, or set for a rule without one"
            }
            E::CFM_ERROR_MODEL_LEVELS => c"the levels of a pyramid are out of range or repeated",
            E::CFM_ERROR_MODEL_FULLY_CONNECTED_COUNT => {
                c"there is no classifier, or there are too many fully connected layers"
            }
            E::CFM_ERROR_MODEL_PATH_SCALES => c"the two paths end with different scales",
            E::CFM_ERROR_MODEL_LOGIT_SCALE => {
                c"the exponent of the logits is out of range or contradictory"
            }
            E::CFM_ERROR_MODEL_CLASSES => c"the class list does not fit the classifier",
            E::CFM_ERROR_MODEL_LABELLING => {
                c"a power, the area factor or the superpixel map is out of range"
            }
            E::CFM_ERROR_MODEL_TEXT => c"a name is not UTF-8",
            E::CFM_ERROR_MODEL_MEMORY => {
                c"line buffers, feature map and scratch would exceed 1 GiB"
            }
            E::CFM_ERROR_MODEL_CALIBRATION => {
                c"a coefficient of the calibration is no finite number"
            }
        }
    }

    /// What a C function returns.
    pub(crate) fn of(result: Result<(), Self>) -> Self {
        result.err().unwrap_or(E::CFM_OK)
    }
}

/// The error in words, for people: a constant string that ends with a zero byte. Takes any number.
#[unsafe(no_mangle)]
pub extern "C" fn cfm_error_message(error: i32) -> *const c_char {
    E::ALL
        .iter()
        .find(|known| **known as i32 == error)
        .map_or(c"not an error code of this version", |known| {
            known.message()
        })
        .as_ptr()
}

impl From<ModelError> for cfm_error {
    fn from(error: ModelError) -> Self {
        use ModelErrorKind as K;
        match error.kind {
            K::Length => E::CFM_ERROR_MODEL_LENGTH,
            K::Magic => E::CFM_ERROR_MODEL_MAGIC,
            K::Version => E::CFM_ERROR_MODEL_VERSION,
            K::Checksum => E::CFM_ERROR_MODEL_CHECKSUM,
            K::SectionTable => E::CFM_ERROR_MODEL_SECTION_TABLE,
            K::UnknownSection => E::CFM_ERROR_MODEL_UNKNOWN_SECTION,
            K::MissingSection => E::CFM_ERROR_MODEL_MISSING_SECTION,
            K::SectionLength => E::CFM_ERROR_MODEL_SECTION_LENGTH,
            K::Reserved => E::CFM_ERROR_MODEL_RESERVED,
            K::Dimension => E::CFM_ERROR_MODEL_DIMENSION,
            K::Window => E::CFM_ERROR_MODEL_WINDOW,
            K::PoolPadding => E::CFM_ERROR_MODEL_POOL_PADDING,
            K::Groups => E::CFM_ERROR_MODEL_GROUPS,
            K::LayerCount => E::CFM_ERROR_MODEL_LAYER_COUNT,
            K::Kind => E::CFM_ERROR_MODEL_KIND,
            K::Input => E::CFM_ERROR_MODEL_INPUT,
            K::AddInputs => E::CFM_ERROR_MODEL_ADD_INPUTS,
            K::DeadTensor => E::CFM_ERROR_MODEL_DEAD_TENSOR,
            K::OutputScale => E::CFM_ERROR_MODEL_OUTPUT_SCALE,
            K::ParameterRange => E::CFM_ERROR_MODEL_PARAMETER_RANGE,
            K::WeightValue => E::CFM_ERROR_MODEL_WEIGHT_VALUE,
            K::Multiplier => E::CFM_ERROR_MODEL_MULTIPLIER,
            K::Accumulator => E::CFM_ERROR_MODEL_ACCUMULATOR,
            K::Geometry => E::CFM_ERROR_MODEL_GEOMETRY,
            K::Threshold => E::CFM_ERROR_MODEL_THRESHOLD,
            K::Levels => E::CFM_ERROR_MODEL_LEVELS,
            K::FullyConnectedCount => E::CFM_ERROR_MODEL_FULLY_CONNECTED_COUNT,
            K::PathScales => E::CFM_ERROR_MODEL_PATH_SCALES,
            K::LogitScale => E::CFM_ERROR_MODEL_LOGIT_SCALE,
            K::Classes => E::CFM_ERROR_MODEL_CLASSES,
            K::Labelling => E::CFM_ERROR_MODEL_LABELLING,
            K::Text => E::CFM_ERROR_MODEL_TEXT,
            K::Memory => E::CFM_ERROR_MODEL_MEMORY,
            K::Calibration => E::CFM_ERROR_MODEL_CALIBRATION,
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<ExecuteError> for cfm_error {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::ArenaTooSmall => E::CFM_ERROR_ARENA,
            ExecuteError::InputSize => E::CFM_ERROR_INPUT_SIZE,
            ExecuteError::TooManyRows => E::CFM_ERROR_TOO_MANY_ROWS,
            ExecuteError::Incomplete => E::CFM_ERROR_INCOMPLETE,
            ExecuteError::WeightOrder => E::CFM_ERROR_WEIGHT_ORDER,
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<SegmentError> for cfm_error {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Empty => E::CFM_ERROR_SEGMENT_EMPTY,
            SegmentError::RunOutside => E::CFM_ERROR_RUN_OUTSIDE,
            SegmentError::RunOrder => E::CFM_ERROR_RUN_ORDER,
            SegmentError::MapSize => E::CFM_ERROR_MAP_SIZE,
            SegmentError::MapIndex => E::CFM_ERROR_MAP_INDEX,
            SegmentError::SuperpixelId => E::CFM_ERROR_SUPERPIXEL_ID,
            SegmentError::TooManySuperpixels => E::CFM_ERROR_TOO_MANY_SUPERPIXELS,
            SegmentError::Duplicate => E::CFM_ERROR_DUPLICATE,
            SegmentError::Memory => E::CFM_ERROR_MAP_MEMORY,
            // An index for another model cannot be: an image builds its own.
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<ScoreError> for cfm_error {
    fn from(error: ScoreError) -> Self {
        match error {
            ScoreError::ScratchTooSmall => E::CFM_ERROR_ARENA,
            ScoreError::LogitsLength => E::CFM_ERROR_LOGIT_COUNT,
            ScoreError::WeightOrder => E::CFM_ERROR_WEIGHT_ORDER,
            ScoreError::Segment(error) => error.into(),
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<LabelError> for cfm_error {
    fn from(error: LabelError) -> Self {
        match error {
            LabelError::Memory => E::CFM_ERROR_LABEL_MEMORY,
            LabelError::LabelMapSize => E::CFM_ERROR_LABEL_COUNT,
            LabelError::LogitsLength => E::CFM_ERROR_LOGIT_COUNT,
            LabelError::TooManySegments => E::CFM_ERROR_TOO_MANY_SEGMENTS,
            LabelError::RefinementMap => E::CFM_ERROR_REFINEMENT_MAP,
            LabelError::Segment(error) => error.into(),
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<ProposalError> for cfm_error {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::Channels => E::CFM_ERROR_CHANNELS,
            ProposalError::TooManyPixels => E::CFM_ERROR_TOO_MANY_PIXELS,
            ProposalError::Words => E::CFM_ERROR_PROPOSAL_WORDS,
            ProposalError::Labels => E::CFM_ERROR_PROPOSAL_LABELS,
            _ => E::CFM_ERROR_UNKNOWN,
        }
    }
}

impl From<ParamsError> for cfm_error {
    fn from(_: ParamsError) -> Self {
        E::CFM_ERROR_PROPOSAL_PARAMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::model::Part;
    use std::collections::HashSet;

    #[test]
    fn codes_and_messages_are_distinct() {
        let count = E::ALL.len();
        let codes: HashSet<i32> = E::ALL.iter().map(|error| *error as i32).collect();
        let messages: HashSet<&CStr> = E::ALL.iter().map(|error| error.message()).collect();
        assert_eq!((codes.len(), messages.len()), (count, count));
    }

    #[test]
    fn model_errors_say_what_the_core_says() {
        for kind in [
            ModelErrorKind::Length,
            ModelErrorKind::Magic,
            ModelErrorKind::Version,
            ModelErrorKind::Checksum,
            ModelErrorKind::SectionTable,
            ModelErrorKind::UnknownSection,
            ModelErrorKind::MissingSection,
            ModelErrorKind::SectionLength,
            ModelErrorKind::Reserved,
            ModelErrorKind::Dimension,
            ModelErrorKind::Window,
            ModelErrorKind::PoolPadding,
            ModelErrorKind::Groups,
            ModelErrorKind::LayerCount,
            ModelErrorKind::Kind,
            ModelErrorKind::Input,
            ModelErrorKind::AddInputs,
            ModelErrorKind::DeadTensor,
            ModelErrorKind::OutputScale,
            ModelErrorKind::ParameterRange,
            ModelErrorKind::WeightValue,
            ModelErrorKind::Multiplier,
            ModelErrorKind::Accumulator,
            ModelErrorKind::Geometry,
            ModelErrorKind::Threshold,
            ModelErrorKind::Levels,
            ModelErrorKind::FullyConnectedCount,
            ModelErrorKind::PathScales,
            ModelErrorKind::LogitScale,
            ModelErrorKind::Classes,
            ModelErrorKind::Labelling,
            ModelErrorKind::Text,
            ModelErrorKind::Memory,
            ModelErrorKind::Calibration,
        ] {
            let error = E::from(ModelError {
                kind,
                part: Part::File,
            });
            assert_eq!(error.message().to_str(), Ok(kind.message()));
        }
    }
}
