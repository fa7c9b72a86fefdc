//! The model file: parsed without copying, validated completely, in `const fn`.
//!
//! [`format`] documents the bytes. [`Model::parse`] checks everything that the kernels rely on (bounds, shapes,
//! accumulators, checksum), so an embedded model that is broken does not compile, and at run time it is an `Err`.

pub(crate) mod bytes;
mod classes;
mod crc32;
mod error;
pub mod format;
mod head;
mod labelling;
mod layer;
mod parse_head;
mod parse_layers;
pub mod reorder;
mod schedule;
mod weight_order;

pub use classes::{Class, ClassKind};
pub use crc32::crc32;
pub use error::{ModelError, ModelErrorKind, Part};
pub use head::{Classifier, Design, FullyConnected, Head, Levels, MaskRule, Path};
pub use labelling::{AreaFactor, Combination, LabellingRule};
pub use layer::{Channels, Conv2d, Layer, Operation, Parameters, Shape, Tensor, Window};
pub(crate) use schedule::RowSchedule;
pub use weight_order::WeightOrder;

use crate::calibration::Calibration;
use crate::kernels::{conv2d_scratch, fully_connected_scratch};
use crate::receptive_field::Axis;
use crate::segment::MAX_SUPERPIXELS;
use bytes::{slice, u16_at, u32_at, zeros};
use error::{attempt, ensure};
use format::{
    CHECKED_FROM, HEADER_LEN, LAYER_LEN, MAGIC, MAX_ARENA, MAX_SECTIONS, MAX_SIDE, MAX_TENSORS,
    SECTION_ALIGN, SECTION_ENTRY_LEN, SECTION_REQUIRED, VERSION_MAJOR, tag,
};
use weight_order::WeightSection;

/// A validated model over borrowed bytes.
///
/// ```
/// use cfm_core::model::{Model, ModelErrorKind};
/// assert_eq!(Model::parse(b"not a model").unwrap_err().kind, ModelErrorKind::Length);
/// ```
///
/// In firmware, [`include_model!`](crate::include_model) parses at compile time.
// Not `Copy`: it is some 2 KB, and a silent copy on a microcontroller's stack would hurt.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    bytes: &'a [u8],
    sections: Sections<'a>,
    tensors: [Tensor; MAX_TENSORS],
    layer_count: usize,
    rows: Axis,
    columns: Axis,
    head: Head<'a>,
    labelling: LabellingRule,
    calibration: Option<Calibration>,
    scratch_bytes: usize,
    line_bytes: usize,
    kernel_bytes: usize,
}

/// The sections that this crate reads; a missing optional one is empty.
#[derive(Debug, Clone, Copy)]
struct Sections<'a> {
    input: &'a [u8],
    layers: &'a [u8],
    channels: &'a [u8],
    weights: WeightSection<'a>,
    head: &'a [u8],
    classes: &'a [u8],
    labelling: Option<&'a [u8]>,
    calibration: Option<&'a [u8]>,
    provenance: Option<&'a [u8]>,
}

impl<'a> Model<'a> {
    /// Reads and validates a model file.
    ///
    /// # Errors
    /// A [`ModelError`] that names the first thing found wrong and where it is.
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        attempt!(check_header(bytes));
        let sections = attempt!(read_sections(bytes));

        let image = Tensor {
            shape: attempt!(read_input(sections.input)),
            zero_point: 0,
            exponent: -7,
            rows: 1,
        };
        let mut tensors = [image; MAX_TENSORS];
        let (layer_count, rows, columns) = attempt!(parse_layers::parse(
            sections.layers,
            sections.weights,
            sections.channels,
            &mut tensors,
        ));
        // Always so; asked, to keep the panic path out.
        ensure!(
            layer_count < MAX_TENSORS,
            LayerCount,
            Part::Section(tag::LAYERS)
        );
        let head = attempt!(parse_head::parse(
            sections.head,
            sections.weights,
            sections.channels,
            tensors[layer_count],
        ));
        attempt!(classes::validate(sections.classes, &head));
        let labelling = match sections.labelling {
            Some(section) => attempt!(LabellingRule::from_bytes(section)),
            None => LabellingRule::DEFAULT,
        };
        let calibration = match sections.calibration {
            Some(section) => Some(attempt!(parse_calibration(section))),
            None => None,
        };
        if let Some(text) = sections.provenance {
            ensure!(
                core::str::from_utf8(text).is_ok(),
                Text,
                Part::Section(tag::PROVENANCE)
            );
        }

        let mut model = Self {
            bytes,
            sections,
            tensors,
            layer_count,
            rows,
            columns,
            head,
            labelling,
            calibration,
            scratch_bytes: 0,
            line_bytes: 0,
            kernel_bytes: 0,
        };
        let plan = schedule::plan_rows(&model);
        let mut line_bytes = 0_u64;
        let mut t = 0;
        while t < layer_count {
            model.tensors[t].rows = plan[t];
            line_bytes += plan[t] as u64 * model.tensors[t].shape.row_len() as u64;
            t += 1;
        }
        let mut kernel_bytes = 0;
        let mut i = 0;
        while i < layer_count {
            if let Some(layer) = model.layer(i)
                && let Operation::Conv2d(conv) = layer.operation
                && layer.input < MAX_TENSORS
            {
                let bytes = conv2d_scratch(&conv, model.tensors[layer.input].shape.channels);
                if bytes > kernel_bytes {
                    kernel_bytes = bytes;
                }
            }
            i += 1;
        }
        let feature = model.tensors[layer_count].shape;
        model.tensors[layer_count].rows = feature.height;
        let scratch_bytes = scratch_bytes(feature, &head);
        let feature_bytes = feature.height as u64 * feature.row_len() as u64;
        let convolving = line_bytes + kernel_bytes as u64;
        let working = if convolving > scratch_bytes {
            convolving
        } else {
            scratch_bytes
        };
        ensure!(feature_bytes + working <= MAX_ARENA, Memory, Part::File);
        model.line_bytes = line_bytes as usize;
        model.kernel_bytes = kernel_bytes;
        model.scratch_bytes = scratch_bytes as usize;
        Ok(model)
    }

    /// The file's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// CRC-32 of the file behind its first 16 bytes, which it holds itself: tells models apart.
    #[must_use]
    pub const fn fingerprint(&self) -> u32 {
        u32_at(self.bytes, 12)
    }

    /// The shape of the image: height, width, samples per pixel.
    #[must_use]
    pub const fn input(&self) -> Shape {
        self.tensors[0].shape
    }

    /// The shape of the feature map.
    #[must_use]
    pub const fn feature(&self) -> Tensor {
        // Always so; asked, to keep the panic path out.
        let last = if self.layer_count < MAX_TENSORS {
            self.layer_count
        } else {
            0
        };
        self.tensors[last]
    }

    /// All tensors: the image, then each layer's output; the last is the feature map.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        self.tensors.get(..=self.layer_count).unwrap_or(&[])
    }

    /// Number of layers in the backbone.
    #[must_use]
    pub const fn layer_count(&self) -> usize {
        self.layer_count
    }

    /// Layer `index` of the backbone, `None` beyond the last.
    #[must_use]
    pub const fn layer(&self, index: usize) -> Option<Layer<'a>> {
        if index >= self.layer_count {
            return None;
        }
        match slice(
            self.sections.layers,
            (index * LAYER_LEN) as u64,
            LAYER_LEN as u64,
        ) {
            Some(record) => Some(parse_layers::layer(
                record,
                self.sections.weights,
                self.sections.channels,
                &self.tensors,
            )),
            None => None,
        }
    }

    /// The layers of the backbone, in order.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'a>> + '_ {
        (0..self.layer_count).filter_map(|i| self.layer(i))
    }

    /// Vertical geometry: image rows to feature-map rows.
    #[must_use]
    pub const fn rows(&self) -> &Axis {
        &self.rows
    }

    /// Horizontal geometry: image columns to feature-map columns.
    #[must_use]
    pub const fn columns(&self) -> &Axis {
        &self.columns
    }

    /// The head.
    #[must_use]
    pub const fn head(&self) -> &Head<'a> {
        &self.head
    }

    /// How segments become pixels, unless the caller chooses another rule.
    #[must_use]
    pub const fn labelling(&self) -> LabellingRule {
        self.labelling
    }

    /// Calibration of scores, if the model has one.
    #[must_use]
    pub const fn calibration(&self) -> Option<Calibration> {
        self.calibration
    }

    /// Number of outputs of the classifier, background classes included.
    #[must_use]
    pub const fn class_count(&self) -> usize {
        u16_at(self.sections.classes, 0) as usize
    }

    /// Class `index`, `None` beyond the last.
    #[must_use]
    pub fn class(&self, index: usize) -> Option<Class<'a>> {
        self.classes().nth(index)
    }

    /// The classes, one per output of the classifier.
    pub fn classes(&self) -> impl Iterator<Item = Class<'a>> + 'a {
        classes::iterate(self.sections.classes)
    }

    /// How the model was made: UTF-8 lines of `key = value`; empty if the file does not say.
    #[must_use]
    pub const fn provenance(&self) -> &'a str {
        match self.sections.provenance {
            Some(text) => match core::str::from_utf8(text) {
                Ok(text) => text,
                Err(_) => "",
            },
            None => "",
        }
    }

    /// The bytes of a section by tag, for sections that other crates read.
    #[must_use]
    pub const fn section(&self, tag: [u8; 4]) -> Option<&'a [u8]> {
        let mut i = 0;
        while i < section_count(self.bytes) {
            if let Some((name, _, content)) = section_at(self.bytes, i)
                && same(name, tag)
            {
                return Some(content);
            }
            i += 1;
        }
        None
    }

    /// Bytes that the feature map takes.
    #[must_use]
    pub const fn feature_bytes(&self) -> usize {
        self.feature().shape.len()
    }

    /// Bytes that the line buffers of the row-by-row executor take.
    #[must_use]
    pub const fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Bytes that the kernels need to work in while rows arrive.
    #[must_use]
    pub const fn kernel_bytes(&self) -> usize {
        self.kernel_bytes
    }

    /// The order of the weights.
    #[must_use]
    pub const fn weight_order(&self) -> WeightOrder {
        self.sections.weights.order
    }

    /// Bytes of scratch memory that scoring a segment takes.
    #[must_use]
    pub const fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }

    /// Bytes of memory for everything: the feature map, and the larger of line buffers (with what the kernels need
    /// beside them) and scratch, which share their place (the line buffers are done when the first segment is scored).
    #[must_use]
    pub const fn arena_bytes(&self) -> usize {
        let convolving = self.line_bytes + self.kernel_bytes;
        let working = if convolving > self.scratch_bytes {
            convolving
        } else {
            self.scratch_bytes
        };
        self.feature_bytes() + working
    }
}

const fn check_header(bytes: &[u8]) -> Result<(), ModelError> {
    ensure!(bytes.len() >= HEADER_LEN, Length, Part::File);
    ensure!(
        same([bytes[0], bytes[1], bytes[2], bytes[3]], MAGIC),
        Magic,
        Part::File
    );
    ensure!(u16_at(bytes, 4) == VERSION_MAJOR, Version, Part::File);
    ensure!(
        u32_at(bytes, 8) as u64 == bytes.len() as u64,
        Length,
        Part::File
    );
    let (_, checked) = bytes.split_at(CHECKED_FROM);
    ensure!(u32_at(bytes, 12) == crc32(checked), Checksum, Part::File);
    ensure!(
        section_count(bytes) <= MAX_SECTIONS,
        SectionTable,
        Part::File
    );
    ensure!(zeros(bytes, 20, HEADER_LEN), Reserved, Part::File);
    Ok(())
}

const fn section_count(bytes: &[u8]) -> usize {
    u32_at(bytes, 16) as usize
}

const fn same(a: [u8; 4], b: [u8; 4]) -> bool {
    u32::from_le_bytes(a) == u32::from_le_bytes(b)
}

/// Tag, flags and content of entry `index` of the section table; `None` if it is misplaced.
const fn section_at(bytes: &[u8], index: usize) -> Option<([u8; 4], u32, &[u8])> {
    let at = HEADER_LEN + index * SECTION_ENTRY_LEN;
    let name = u32_at(bytes, at).to_le_bytes();
    let offset = u32_at(bytes, at + 8);
    let table_end = HEADER_LEN + section_count(bytes) * SECTION_ENTRY_LEN;
    if !(offset as usize).is_multiple_of(SECTION_ALIGN) || (offset as usize) < table_end {
        return None;
    }
    match slice(bytes, offset as u64, u32_at(bytes, at + 12) as u64) {
        Some(content) => Some((name, u32_at(bytes, at + 4), content)),
        None => None,
    }
}

const fn parse_calibration(section: &[u8]) -> Result<Calibration, ModelError> {
    let part = Part::Section(tag::CALIBRATION);
    ensure!(section.len() == 8, SectionLength, part);
    match Calibration::new(bytes::f32_at(section, 0), bytes::f32_at(section, 4)) {
        Some(calibration) => Ok(calibration),
        None => Err(ModelError::new(ModelErrorKind::Calibration, part)),
    }
}

/// Whether two sections share a byte.
const fn overlap(bytes: &[u8], a: usize, b: usize) -> bool {
    let entries = HEADER_LEN + 8;
    let (a, b) = (
        entries + a * SECTION_ENTRY_LEN,
        entries + b * SECTION_ENTRY_LEN,
    );
    let (a_start, b_start) = (u32_at(bytes, a) as u64, u32_at(bytes, b) as u64);
    let (a_end, b_end) = (
        a_start + u32_at(bytes, a + 4) as u64,
        b_start + u32_at(bytes, b + 4) as u64,
    );
    // An empty section shares nothing.
    a_start < a_end && b_start < b_end && a_start < b_end && b_start < a_end
}

const fn read_sections(bytes: &[u8]) -> Result<Sections<'_>, ModelError> {
    let mut input = None;
    let mut layers = None;
    let mut channels = None;
    let mut rows = None;
    let mut quads = None;
    let mut head = None;
    let mut classes = None;
    let mut labelling = None;
    let mut calibration = None;
    let mut provenance = None;
    let mut i = 0;
    while i < section_count(bytes) {
        let Some((name, flags, content)) = section_at(bytes, i) else {
            return Err(ModelError::new(ModelErrorKind::SectionTable, Part::File));
        };
        let part = Part::Section(name);
        ensure!(flags & !SECTION_REQUIRED == 0, Reserved, part);
        let mut earlier = 0;
        while earlier < i {
            if let Some((other, _, _)) = section_at(bytes, earlier) {
                ensure!(!same(other, name), SectionTable, part);
                ensure!(!overlap(bytes, earlier, i), SectionTable, part);
            }
            earlier += 1;
        }
        match name {
            tag::INPUT => input = Some(content),
            tag::LAYERS => layers = Some(content),
            tag::CHANNELS => channels = Some(content),
            tag::WEIGHTS => rows = Some(content),
            tag::WEIGHT_QUADS => quads = Some(content),
            tag::HEAD => head = Some(content),
            tag::CLASSES => classes = Some(content),
            tag::LABELLING => labelling = Some(content),
            tag::CALIBRATION => calibration = Some(content),
            tag::PROVENANCE => provenance = Some(content),
            // Known, but another crate's to read.
            tag::PROPOSALS => {}
            _ => ensure!(flags & SECTION_REQUIRED == 0, UnknownSection, part),
        }
        i += 1;
    }
    Ok(Sections {
        input: attempt!(required(input, tag::INPUT)),
        layers: attempt!(required(layers, tag::LAYERS)),
        channels: attempt!(required(channels, tag::CHANNELS)),
        weights: match (rows, quads) {
            (None, Some(bytes)) => WeightSection {
                bytes,
                order: WeightOrder::Quads,
            },
            (rows, None) => WeightSection {
                bytes: attempt!(required(rows, tag::WEIGHTS)),
                order: WeightOrder::Rows,
            },
            (Some(_), Some(_)) => {
                return Err(ModelError::new(
                    ModelErrorKind::SectionTable,
                    Part::Section(tag::WEIGHT_QUADS),
                ));
            }
        },
        head: attempt!(required(head, tag::HEAD)),
        classes: attempt!(required(classes, tag::CLASSES)),
        labelling,
        calibration,
        provenance,
    })
}

const fn required(section: Option<&[u8]>, name: [u8; 4]) -> Result<&[u8], ModelError> {
    match section {
        Some(content) => Ok(content),
        None => Err(ModelError::new(
            ModelErrorKind::MissingSection,
            Part::Section(name),
        )),
    }
}

const fn read_input(section: &[u8]) -> Result<Shape, ModelError> {
    let part = Part::Section(tag::INPUT);
    ensure!(section.len() == 8, SectionLength, part);
    ensure!(zeros(section, 6, 8), Reserved, part);
    let shape = Shape {
        height: u16_at(section, 0),
        width: u16_at(section, 2),
        channels: u16_at(section, 4),
    };
    ensure!(shape_in_range(shape), Dimension, part);
    Ok(shape)
}

/// No dimension zero, no side too long, and the tensor itself within the memory bound.
const fn shape_in_range(shape: Shape) -> bool {
    shape.height > 0
        && shape.width > 0
        && shape.channels > 0
        && shape.height <= MAX_SIDE
        && shape.width <= MAX_SIDE
        && shape.height as u64 * shape.width as u64 * shape.channels as u64 <= MAX_ARENA
}

/// Scratch memory of the scorer, in the order in which `scorer` splits it.
const fn scratch_bytes(feature: Shape, head: &Head<'_>) -> u64 {
    let cells = feature.height as u64 * feature.width as u64;
    let members = MAX_SUPERPIXELS as u64 / 8;
    let channels = feature.channels as u64;
    let pyramids = (head.segment_levels.bin_count() + head.region_levels.bin_count()) as u64;
    let joint = (head.joint_inputs[0] + head.joint_inputs[1]) as u64;
    // The counts and mask bits of the cells, ..., and what the fully connected kernels work in.
    cells * 5
        + members
        + head.finest_bins() as u64
        + pyramids * channels
        + joint
        + 2 * head.longest as u64
        + fully_connected_scratch(head.longest_input()) as u64
}

/// Embeds a model file and parses it at compile time: `include_model!("street.cfm")` is a constant expression of type
/// [`Model<'static>`](crate::model::Model), and a broken file is a compile error.
///
/// The path is relative to the current file, as for [`include_bytes!`]. The bytes are aligned to 16.
///
/// Checking every weight keeps the compiler's interpreter busy for some seconds. A crate that uses such a `const` of
/// *another* crate makes the compiler check it again, and has to say `#![allow(long_running_const_eval)]` for that;
/// a `static` is shared without either.
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        #[repr(C, align(16))]
        struct Aligned<T: ?Sized>(T);
        const BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        // Checking every weight takes the compiler's interpreter a moment, on purpose.
        #[allow(long_running_const_eval)]
        const MODEL: $crate::model::Model<'static> = match $crate::model::Model::parse(&BYTES.0) {
            Ok(model) => model,
            Err(error) => panic!("{}", error.message()),
        };
        MODEL
    }};
}
