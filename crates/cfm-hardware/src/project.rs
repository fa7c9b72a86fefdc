//! A model, an image and segments as the text files that test benches and tools read; `hls/ENGINE.md` lists them.

use std::fmt::Write as _;

use cfm_core::image::ImageView;
use cfm_core::model::{Model, Path};
use cfm_core::segment::Run;
use serde::Serialize;

use crate::engine::Engine;
use crate::golden::{Bytes, GoldenError, golden};
use crate::interpret::Cells;
use crate::parameters::Parameters;
use crate::stream::{image_beats, mask_words};

/// Why a project cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The core refuses the image or a segment.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The description cannot be written as JSON.
    #[error("description.json: {0}")]
    Json(#[from] serde_json::Error),
}

/// The language of an engine's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// SystemVerilog, in `hls/rtl`.
    Rtl,
    /// C++ for HLS, in `hls/cpp`.
    Hls,
}

impl Language {
    /// A file with an instance's parameters: its name and its text.
    #[must_use]
    pub fn parameters(self, parameters: &Parameters) -> (&'static str, String) {
        let pairs = parameters.pairs();
        match self {
            Self::Rtl => (
                "parameters.svh",
                lines(pairs, |line, (name, value)| {
                    write!(line, "localparam {name} = {value};")
                }),
            ),
            Self::Hls => (
                "parameters.hpp",
                lines(pairs, |line, (name, value)| {
                    write!(line, "#define CFM_{name} {value}")
                }),
            ),
        }
    }
}

/// How much a project holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Segments of the frame.
    pub segments: usize,
    /// Beats of the image stream.
    pub image_beats: usize,
    /// Writes on the configuration bus.
    pub config_writes: usize,
    /// Words of the mask stream.
    pub mask_words: usize,
    /// Words of the weights outside.
    pub external_words: usize,
    /// Words that the array's path writes, of all lanes.
    pub writes: usize,
    /// Words that the pooling writes.
    pub pooled: usize,
    /// Words of the logits stream.
    pub logits: usize,
}

impl Summary {
    fn pairs(&self) -> [(&'static str, usize); 8] {
        [
            ("SEGMENTS", self.segments),
            ("IMAGE_BEATS", self.image_beats),
            ("CONFIG_WRITES", self.config_writes),
            ("MASK_WORDS", self.mask_words),
            ("EXTERNAL_WORDS", self.external_words),
            ("WRITES", self.writes),
            ("POOLED_WRITES", self.pooled),
            ("LOGIT_WORDS", self.logits),
        ]
    }
}

/// A project, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// How much of everything there is.
    pub summary: Summary,
    /// Name and content of every file.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Most bytes that [`project`] takes for a model of this engine and this many segments: every word that the engine must
/// show is there as bytes, and then as text, in lists that grow to twice their length and are copied as they do.
#[must_use]
pub fn most_bytes(model: &Model<'_>, engine: &Engine, segments: usize) -> u64 {
    let folding = engine.folding();
    let (pe, lanes) = (u64::from(folding.pe), u64::from(folding.lanes));
    let segments = segments as u64;
    let shown = |words: u64, bytes: u64| words * (3 * size_of::<(u32, Bytes)>() as u64 + 4 * bytes);
    let text = |lines: u64, characters: u64| 3 * lines * characters;
    // The words that the array writes: for every row of a layer's output, and for every batch of segments.
    let groups = |channels: u64| channels.div_ceil(pe);
    let rows = model.tensors().iter().skip(1).map(|tensor| {
        let shape = tensor.shape;
        let row = u64::from(shape.width).div_ceil(lanes) * groups(shape.channels.into());
        u64::from(shape.height) * row
    });
    let head = model.head();
    let layers = Path::ALL.into_iter().flat_map(|path| head.layers(path));
    let hidden: u64 = layers.map(|layer| groups(layer.outputs as u64)).sum();
    let written = rows.sum::<u64>() + segments.div_ceil(lanes) * hidden;
    let feature = model.feature().shape;
    let bins = (head.segment_levels.bin_count() + head.region_levels.bin_count()) as u64;
    let pooled = segments * bins * groups(feature.channels.into());
    let cells = u64::from(feature.height) * u64::from(feature.width);
    let logits = segments * (model.class_count() as u64 + 1);
    let input = model.input();
    let (height, width) = (u64::from(input.height), u64::from(input.width));
    let masks = segments * (height * width.div_ceil(32) + 2) + 1;
    let beats = height * width * groups(input.channels.into());
    // An address and data for each of the engine's own words; bytes and words of its file.
    let own = (engine.control.len() + 2 * engine.channels.len() + engine.scoring.len()) as u64;
    let own = own + engine.resident.len() as u64 / 4;
    let external = engine.external.len() as u64;
    shown(written, pe * lanes)
        + text(written, 3 * pe * lanes + 3)
        + shown(pooled, pe)
        + text(pooled, 3 * pe + 6)
        + segments * (3 * size_of::<Cells>() as u64 + cells + 3 * (cells + 32))
        + 12 * (logits + masks)
        + text(logits + masks, 9)
        + 3 * beats * pe
        + text(beats, 2 * pe + 1)
        + own * (4 + 8 + 16)
        + text(own, 15)
        + text(external / pe, 2 * pe + 1)
        + 24 * external
}

/// Makes a project. What the engine must show comes from the core.
///
/// It takes memory in proportion to all tensors, at most [`most_bytes`], which the caller may want to check.
///
/// # Errors
/// A [`ProjectError`] when the core refuses the image or a segment.
pub fn project(
    model: &Model<'_>,
    engine: &Engine,
    image: &ImageView<'_>,
    segments: &[Vec<Run>],
    language: Language,
) -> Result<Project, ProjectError> {
    let folding = engine.folding();
    let pe = folding.pe as usize;
    let golden = golden(model, folding, image, segments)?;
    let config = engine.config();
    let beats = image_beats(image, folding);
    let masks = mask_words(segments);
    let summary = Summary {
        segments: segments.len(),
        image_beats: beats.len() / pe,
        config_writes: config.len(),
        mask_words: masks.len(),
        external_words: engine.external.len() / pe,
        writes: golden.writes.len(),
        pooled: golden.pooled.len(),
        logits: golden.logits.len(),
    };
    let mut files = Vec::new();
    let mut file = |name, text: String| files.push((name, text.into_bytes()));
    let parameters = engine.description.parameters.pairs();
    let parameters = parameters.map(|(name, value)| (name, value as usize));
    let pairs = parameters
        .iter()
        .chain(&summary.pairs())
        .copied()
        .collect::<Vec<_>>();
    file(
        "parameters.txt",
        lines(pairs, |line, (name, value)| write!(line, "{name} {value}")),
    );
    let (name, text) = language.parameters(&engine.description.parameters);
    file(name, text);
    file(
        "config.hex",
        lines(config, |line, write| {
            write!(line, "{:05x} {:08x}", write.address, write.data)
        }),
    );
    file("image.hex", lines(beats.chunks_exact(pe), hex));
    file("weights.hex", lines(engine.external_words(), hex));
    file(
        "masks.hex",
        lines(masks, |line, word| write!(line, "{word:08x}")),
    );
    file(
        "writes.hex",
        lines(golden.writes, |line, bytes| expected(line, &bytes)),
    );
    file(
        "pooled.hex",
        lines(golden.pooled, |line, (lane, bytes)| {
            write!(line, "{lane:02x} ")?;
            expected(line, &bytes)
        }),
    );
    file(
        "cells.hex",
        lines(golden.cells, |line, cells| {
            let [top, left, bottom, right] = cells.window;
            write!(line, "{top:04x} {left:04x} {bottom:04x} {right:04x} ")?;
            bits(line, &cells.bits)
        }),
    );
    file(
        "logits.hex",
        lines(golden.logits, |line, word| write!(line, "{word:08x}")),
    );
    let mut json = serde_json::to_string_pretty(&engine.description)?;
    json.push('\n');
    file("description.json", json);
    files.push(("engine.bin", engine.file()));
    Ok(Project { summary, files })
}

fn lines<T>(
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T) -> std::fmt::Result,
) -> String {
    let mut text = String::new();
    for item in items {
        // Writing to a string cannot fail.
        let _ = write(&mut text, item);
        text.push('\n');
    }
    text
}

/// Bytes as one number, the first lowest.
fn hex(line: &mut String, bytes: &[u8]) -> std::fmt::Result {
    bytes
        .iter()
        .rev()
        .try_for_each(|byte| write!(line, "{byte:02x}"))
}

/// Bits as one number, the first lowest.
fn bits(line: &mut String, bits: &[bool]) -> std::fmt::Result {
    bits.chunks(4).rev().try_for_each(|digit| {
        let value = digit
            .iter()
            .rev()
            .fold(0, |value, &bit| 2 * value + u8::from(bit));
        write!(line, "{value:x}")
    })
}

fn expected(line: &mut String, bytes: &Bytes) -> std::fmt::Result {
    hex(line, &bytes.data)?;
    line.push(' ');
    bits(line, &bytes.used)
}
