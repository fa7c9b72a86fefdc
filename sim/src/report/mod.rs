//! Everything about a model and a photograph, measured and put on one page that a browser opens without a network.
//!
//! | what | module |
//! |---|---|
//! | measuring | [`measure()`] |
//! | the segments that are shown, with masks, pyramids and scores | [`segments`] |
//! | which integers the layers compute | [`values`] |
//! | where the label map is labelled | [`anchors`] |
//! | the page | [`html()`] |

pub mod anchors;
mod html;
mod measure;
pub mod segments;
pub mod values;

pub use html::html;
pub use measure::{PHOTO_SIDE, ReportError, STEPS, Subject, measure};

use image::{GrayImage, RgbImage, RgbaImage};
use serde::Serialize;

use crate::arena_map::ArenaMap;
use crate::evaluate::Evaluation;
use crate::inspect::Inspection;
use crate::parity::ParityReport;
use crate::pipeline::Times;
use crate::post_training::LayerReport;
use anchors::Anchor;
use segments::ShownSegment;
use values::LayerValues;

/// What a report says. All pictures are left out of its JSON form.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What the picture is: the name of its file, or words.
    pub subject: String,
    /// Width and height of the photograph in pixels.
    pub photo_size: [u32; 2],
    /// The command that made the report, word by word.
    pub command: Vec<String>,
    /// The version of this program.
    pub version: &'static str,
    /// The model's file or name.
    pub model: String,
    /// The checksum (CRC-32) of the model, in hexadecimal.
    pub fingerprint: String,
    /// What the model is made of.
    pub inspection: Inspection,
    /// Every class, in the order of the model.
    pub classes: Vec<ClassShare>,
    /// Share of the pixels that have no class.
    pub unlabelled: f64,
    /// How many segments were scored.
    pub segments: usize,
    /// Superpixels of each map.
    pub superpixels: Vec<u16>,
    /// Some of the segments, best first.
    pub shown: Vec<ShownSegment>,
    /// The core against the float reference.
    pub parity: ParityReport,
    /// The integers of every layer.
    pub values: Vec<LayerValues>,
    /// The integers against the float network, or why they were not compared.
    pub noise: Noise,
    /// How long each stage took; none when times were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<Times>,
    /// The memory of each stage.
    pub memory: Vec<StageMemory>,
    /// Who occupies the arena.
    pub arena: ArenaMap,
    /// The model on a data set, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<OnDataset>,
    /// The pictures.
    #[serde(skip)]
    pub pictures: Pictures,
}

impl Report {
    /// Whether core and reference agree.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.parity.is_exact()
    }
}

/// Pictures, and what pictures are made of.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// The photograph, not larger than [`PHOTO_SIDE`].
    pub photo: RgbImage,
    /// The photograph at the size of the network's input.
    pub input: RgbImage,
    /// The classes' colours, of the photograph's size.
    pub labels: RgbaImage,
    /// The superpixels of every map, in their mean colours.
    pub superpixels: Vec<RgbImage>,
    /// The mean magnitude of every cell of the feature map, as grey.
    pub features: GrayImage,
}

/// A class, and how much of the picture it has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub name: String,
    /// Stuff, object or background.
    pub kind: &'static str,
    /// Its RGB colour.
    pub color: [u8; 3],
    /// Share of the pixels of the network's input.
    pub share: f64,
    /// Where its number stands in the label map.
    #[serde(skip)]
    pub anchor: Option<Anchor>,
}

/// The integers of every layer against the float network.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// What they lose.
    Measured {
        /// Every layer.
        layers: Vec<LayerReport>,
        /// Share of the pixels that both give the same class.
        same_labels: f64,
    },
    /// Why there is nothing to compare with.
    NotMeasured(String),
}

/// The memory of a stage in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageMemory {
    /// The stage.
    pub stage: &'static str,
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes outside the arena.
    pub outside: usize,
    /// What these are.
    pub what: &'static str,
}

/// The model, measured on a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OnDataset {
    /// Name of the data set.
    pub dataset: String,
    /// Which photographs.
    pub split: String,
    /// The measures.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}
