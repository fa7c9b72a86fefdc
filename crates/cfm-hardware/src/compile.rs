//! From a model to the words that the engine executes.

use cfm_core::model::format::{MAX_FC, MAX_LAYERS};
use cfm_core::model::{MaskRule, Model};

use crate::backbone::{self, Planned};
use crate::description::{Description, Stage};
use crate::engine::Engine;
use crate::error::{CompileError, Memory};
use crate::filter::ChannelRecord;
use crate::folding::Folding;
use crate::head;
use crate::limits::Limits;
use crate::operation::{DESCRIPTOR_WORDS, Kind, RECORD_WORDS, Record};
use crate::parameters::Parameters;
use crate::scoring::{Entry, geometry};

/// First word of the control store: "CFM1".
pub const MAGIC: u32 = 0x314D_4643;
/// Words of the header.
pub const HEADER_WORDS: usize = 32;
// A record has 8 bits for its operation.
const _: () = assert!(MAX_LAYERS + MAX_FC <= 256);
/// Words of the C++ description's row buffer, at least: half a block memory of 32 bits.
const ROW_WORDS: u32 = 256;
/// Least `SIDE`, with whose words' addresses the engine calculates.
const LEAST_SIDE: u32 = 4;
/// Words of the scoring memory that the bus reaches.
const SCORING_WORDS: u32 = 1 << 17;

/// Compiles a model for a folding, with no memory larger than `limits`.
///
/// # Errors
/// A [`CompileError`] that names what the engine cannot represent, or which memory is too small.
pub fn compile(
    model: &Model<'_>,
    folding: Folding,
    limits: &Limits,
) -> Result<Engine, CompileError> {
    let folding = folding.checked()?;
    let limits = Limits {
        feature_words: limits.feature_words.min(Limits::FORMAT.feature_words),
        // The bus addresses words of 32 bits.
        weight_words: limits
            .weight_words
            .min(Limits::FORMAT.weight_words / (folding.pe / 4)),
        external_words: limits.external_words.min(Limits::FORMAT.external_words),
        channels: limits.channels.min(Limits::FORMAT.channels),
        store_words: limits.store_words.min(Limits::FORMAT.store_words),
        // A table has two words for each.
        side: limits.side.min(SCORING_WORDS / 2),
    };
    let rows: u64 = model
        .tensors()
        .iter()
        .map(|t| u64::from(t.shape.height))
        .sum();
    // Long before a program as absurd as that has been made.
    Limits::check(
        Memory::Store,
        rows * RECORD_WORDS as u64,
        limits.store_words,
    )?;
    let backbone = backbone::compile(model, folding, &limits)?;
    let first = backbone.layers.len();
    let scoring = head::compile(model, folding, &limits, first, backbone.map_words)?;
    if scoring.entries.iter().any(|entry| entry.by_bin)
        && model.head().mask_rule == MaskRule::Nearest
    {
        return Err(CompileError::NearestBins);
    }
    let mut layers = backbone.layers;
    layers.extend(scoring.layers);
    let [resident, external] = place_weights(&mut layers, folding, &limits)?;
    let channels = place_channels(&mut layers, &limits)?;

    let programs = [
        &backbone.program,
        &scoring.programs[0],
        &scoring.programs[1],
    ];
    let mut address = HEADER_WORDS + DESCRIPTOR_WORDS * layers.len();
    let starts = programs.map(|program| {
        let start = address;
        address += RECORD_WORDS * program.len();
        start as u32
    });
    let store_words = Limits::check(Memory::Store, address as u64, limits.store_words)?;

    let mut control = header(model, folding, &backbone.rings, &scoring.entries);
    control[3..8].copy_from_slice(&[
        starts[0],
        backbone.program.len() as u32,
        starts[1],
        starts[2],
        scoring.programs[0].len() as u32,
    ]);
    control[25..27].copy_from_slice(&scoring.pooled);
    for layer in &layers {
        control.extend(layer.operation.encode(folding));
    }
    for program in programs {
        control.extend(program.iter().flat_map(|record: &Record| record.encode()));
    }

    let cells = u32::from(model.rows().cells().max(model.columns().cells()));
    let side = limits
        .side
        .max(cells + 1)
        .max(LEAST_SIDE)
        .next_power_of_two();
    let table = tables(model, side, &scoring.entries);
    Limits::check(Memory::Scoring, table.len() as u64, SCORING_WORDS)?;
    let average_pool = layers.iter().any(|l| l.operation.kind == Kind::AvgPool);
    let words = |bytes: &[u8]| (bytes.len() / folding.pe as usize) as u32;
    let parameters = Parameters {
        folding,
        feature_words: backbone.words.max(scoring.words),
        weight_words: words(&resident),
        channels: channels.len() as u32,
        store_words,
        side,
        classes: model.class_count() as u32,
        general_scale: !channels.iter().all(ChannelRecord::is_shift),
        average_pool,
        row_words: row_words(&layers),
    };
    let description = Description {
        fingerprint: model.fingerprint(),
        parameters,
        external_words: words(&external),
        image: [
            model.input().height,
            model.input().width,
            model.input().channels,
        ],
        feature_map: [
            model.feature().shape.height,
            model.feature().shape.width,
            model.feature().shape.channels,
        ],
        levels: scoring
            .entries
            .iter()
            .map(|entry| entry.level.into())
            .collect(),
        stages: layers
            .iter()
            .map(|layer| Stage {
                part: layer.part,
                runs: layer.runs,
                products: layer.products,
                operation: layer.operation,
            })
            .collect(),
        backbone_stages: first,
    };
    Ok(Engine {
        description,
        control,
        channels,
        scoring: table,
        resident,
        external,
    })
}

/// Room for a block of any operation's output, and for several of most.
fn row_words(layers: &[Planned<'_>]) -> u32 {
    layers
        .iter()
        .filter(|layer| !layer.operation.logits)
        .map(|layer| layer.operation.out_groups)
        .fold(ROW_WORDS, u32::max)
}

fn header(
    model: &Model<'_>,
    folding: Folding,
    rings: &[backbone::Ring],
    entries: &[Entry],
) -> Vec<u32> {
    let mut words = vec![0; HEADER_WORDS];
    let (image, feature) = (model.input(), model.feature());
    words[..3].copy_from_slice(&[MAGIC, model.fingerprint(), folding.pe | folding.lanes << 8]);
    if let (Some(ring), Some(map)) = (rings.first(), rings.last()) {
        words[8..16].copy_from_slice(&[
            ring.first,
            ring.row_words,
            ring.rows,
            image.height.into(),
            image.width.into(),
            ring.layout.groups,
            image.width.into(),
            image.height.into(),
        ]);
        words[16..22].copy_from_slice(&[
            map.first,
            map.row_words,
            map.layout.groups,
            feature.zero_point.cast_unsigned().into(),
            feature.shape.height.into(),
            feature.shape.width.into(),
        ]);
    }
    let (rule, threshold) = match model.head().mask_rule {
        MaskRule::Average { threshold } => (0, threshold.to_bits()),
        MaskRule::Max => (1, 0),
        MaskRule::Nearest => (2, 0),
        MaskRule::Off => (3, 0),
    };
    words[22..25].copy_from_slice(&[rule, threshold.into(), entries.len() as u32]);
    words[27] = model.class_count() as u32;
    words
}

/// The scoring memory: columns, rows, pyramid.
fn tables(model: &Model<'_>, side: u32, entries: &[Entry]) -> Vec<u32> {
    let mut words = geometry(model.columns());
    words.resize(side as usize, 0);
    words.extend(geometry(model.rows()));
    words.resize(2 * side as usize, 0);
    words.extend(entries.iter().flat_map(|entry| entry.encode()));
    words
}

/// Gives weights their places, in the engine or outside, and packs them. Those that are read most often come into the
/// engine first.
fn place_weights(
    layers: &mut [Planned<'_>],
    folding: Folding,
    limits: &Limits,
) -> Result<[Vec<u8>; 2], CompileError> {
    let words: Vec<u64> = layers
        .iter()
        .map(|layer| layer.filter.words(layer.operation.out_groups))
        .collect();
    let mut order: Vec<usize> = (0..layers.len()).filter(|&i| words[i] > 0).collect();
    let reads = |layer: &Planned<'_>| u64::from(layer.runs) * u64::from(layer.operation.blocks);
    // Every word of a layer is read as often as any other of it.
    order.sort_by_key(|&i| (std::cmp::Reverse(reads(&layers[i])), words[i], i));
    let mut free = u64::from(limits.weight_words);
    let mut outside = 0;
    for i in order {
        let operation = &mut layers[i].operation;
        if words[i] <= free {
            free -= words[i];
        } else {
            operation.external = true;
            outside += words[i];
        }
    }
    Limits::check(Memory::ExternalWeights, outside, limits.external_words)?;
    let mut images = [Vec::new(), Vec::new()];
    for layer in layers.iter_mut() {
        let operation = &mut layer.operation;
        let image = &mut images[usize::from(operation.external)];
        // Both images have been held to their limits.
        operation.weights = (image.len() / folding.pe as usize) as u32;
        let before = image.len();
        layer
            .filter
            .pack(folding, operation.out_channels as usize, image);
        operation.weight_words = ((image.len() - before) / folding.pe as usize) as u32;
    }
    Ok(images)
}

fn place_channels(
    layers: &mut [Planned<'_>],
    limits: &Limits,
) -> Result<Vec<ChannelRecord>, CompileError> {
    let all = layers.iter().map(|layer| layer.records.len() as u64).sum();
    Limits::check(Memory::Channels, all, limits.channels)?;
    let mut channels = Vec::new();
    for layer in layers {
        layer.operation.channels = channels.len() as u32;
        channels.append(&mut layer.records);
    }
    Ok(channels)
}
