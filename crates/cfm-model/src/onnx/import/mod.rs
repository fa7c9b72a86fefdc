#![doc = include_str!("../../../docs/import.md")]

mod chain;
mod constant;
mod error;
mod float;
mod graph;
mod image;
mod integers;
mod order;
mod pathways;
mod scan;
mod window;

pub use error::ImportError;
pub use image::Pixels;
pub use scan::MAX_ENTRIES;

use crate::float_model::FloatModel;
use crate::onnx::proto::ModelProto;
use crate::spec::{ClassKind, ClassSpec, Classifier, Design, MaskRule, ModelSpec};

use cfm_core::model::format::MAX_LEVELS;
use fixed::types::U0F16;

use error::Result;
use graph::Graph;
use image::image_size;

/// Most weights of a network.
pub const MAX_PARAMETERS: usize = 1 << 25;
/// Longest file that is read, in bytes.
pub const MAX_FILE: u64 = 1 << 28;

/// How the head is to be understood, where the file does not say it. What it says, by its structure or, as a file that this
/// project exported, by its metadata, goes before these; whoever asks for something else finds that in the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadOptions {
    /// The design; what the graph looks like if `None`.
    pub design: Option<Design>,
    /// Levels of the pyramid, where a head reads whole vectors.
    pub pyramid: Vec<u8>,
    /// Those of the region path; the same if `None`.
    pub region_pyramid: Option<Vec<u8>>,
    /// How segments become masks.
    pub mask_rule: MaskRule,
    /// What the logits mean.
    pub classifier: Classifier,
}

impl Default for HeadOptions {
    /// A softmax over a pyramid of levels 3, 2 and 1, masked where half of a cell is in the segment.
    fn default() -> Self {
        Self {
            design: None,
            pyramid: vec![3, 2, 1],
            region_pyramid: None,
            mask_rule: MaskRule::Average {
                threshold: U0F16::from_bits(1 << 15),
            },
            classifier: Classifier::Softmax,
        }
    }
}

/// How a float network is imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What the network takes for pixels.
    pub pixels: Pixels,
    /// Rows and columns of the image, where the file leaves them open or others are wanted.
    pub size: Option<(u16, u16)>,
    /// The value that is the feature map; the graph's output if `None`.
    pub output: Option<String>,
    /// Spend a layer on an exact border, where padding would show that zero has moved.
    pub exact_border: bool,
    /// The head.
    pub head: HeadOptions,
    /// The classes; numbered ones if `None`.
    pub classes: Option<Vec<ClassSpec>>,
}

impl Default for Options {
    /// A network of images in `0 ..= 1`, as the file has it.
    fn default() -> Self {
        Self {
            pixels: Pixels::default(),
            size: None,
            output: None,
            exact_border: true,
            head: HeadOptions::default(),
            classes: None,
        }
    }
}

/// A float network that was imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The network; its activations have no scales yet.
    pub model: FloatModel,
    /// What was done that the user may want to know.
    pub notes: Vec<String>,
}

/// A quantized network that was imported, with the integers of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedIntegers {
    /// The network.
    pub model: ModelSpec,
    /// What was done that the user may want to know.
    pub notes: Vec<String>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Import {
    /// A float network, still to be calibrated and quantized.
    Float(Box<Imported>),
    /// A quantized network.
    Integers(Box<ImportedIntegers>),
}

/// Reads a network from the bytes of `backbone`, and of `head` if the first is only a backbone.
///
/// # Errors
/// An [`ImportError`] that names what cannot be represented.
pub fn import(backbone: &[u8], head: Option<&[u8]>, options: &Options) -> Result<Import> {
    if options.head.pyramid.len() > MAX_LEVELS {
        return Err(ImportError::Head(format!(
            "a pyramid has at most {MAX_LEVELS} levels"
        )));
    }
    let model = graph::decode(backbone)?;
    let graph = Graph::new(&model, options.output.as_deref())?;
    let image = match &*graph.inputs {
        [image] => image_size(image, options.size)?,
        inputs => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
            return Err(ImportError::Model(format!(
                "a network has one input, the image; this has {}: {}",
                names.len(),
                names.join(", ")
            )));
        }
    };
    if integers::is_quantized(&graph) {
        let imported = integers::import(&model, &graph, image, head, options)?;
        Ok(Import::Integers(Box::new(imported)))
    } else {
        let imported = float::import(&model, &graph, image, head, options)?;
        Ok(Import::Float(Box::new(imported)))
    }
}

/// Where a network comes from.
fn imported_from(model: &ModelProto) -> Vec<(String, String)> {
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    let words: Vec<&str> = producer.split_whitespace().collect();
    let from = match words.as_slice() {
        [] => "from ONNX".to_owned(),
        words => format!("from ONNX by {}", words.join(" ")),
    };
    vec![("imported".to_owned(), from)]
}

/// Classes for which no names are known, in colours that differ.
fn numbered_classes(count: usize) -> Vec<ClassSpec> {
    (0..count)
        .map(|index| {
            // The bits of the index, spread over red, green and blue from the highest on, as in PASCAL VOC.
            let mut color = [0; 3];
            for bit in 0..8 {
                for (channel, value) in color.iter_mut().enumerate() {
                    let set = (index + 1) >> (3 * bit + channel) & 1;
                    *value |= (set as u8) << (7 - bit);
                }
            }
            ClassSpec {
                name: format!("class {index}"),
                kind: ClassKind::Stuff,
                color,
                label: u8::try_from(index).unwrap_or(u8::MAX),
            }
        })
        .collect()
}
