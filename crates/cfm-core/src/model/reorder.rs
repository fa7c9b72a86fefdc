//! Rewriting a model for kernels that read weights in another order.

use super::crc32::crc32;
use super::format::{CHECKED_FROM, HEADER_LEN, SECTION_ENTRY_LEN};
use super::weight_order::{QUAD, WeightOrder, halfword, join};
use super::{Model, Operation, Parameters, Path};
use crate::error::display_error;

/// Why a model cannot be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReorderError {
    /// The memory for the result is shorter than the model.
    OutputTooSmall,
    /// Layers of different shapes share weights.
    SharedWeights,
}

display_error!(ReorderError {
    OutputTooSmall => "the memory for the result is shorter than the model",
    SharedWeights => "layers of different shapes share weights, which cannot be in two orders",
});

/// Writes `model` to the start of `out` with its weights in `order`, and returns the file, which is as long as before.
/// Everything else stays as it is, and so does what the model computes. There and back again gives the same bytes.
///
/// # Errors
/// [`ReorderError`]; what `out` holds then means nothing.
pub fn reorder<'o>(
    model: &Model<'_>,
    order: WeightOrder,
    out: &'o mut [u8],
) -> Result<&'o [u8], ReorderError> {
    let bytes = model.bytes();
    let out = out
        .get_mut(..bytes.len())
        .ok_or(ReorderError::OutputTooSmall)?;
    out.copy_from_slice(bytes);
    if order == model.weight_order() {
        return Ok(out);
    }
    let section = model.sections.weights;
    let start = Span::of(bytes, section.bytes).start;
    for layer in layers(model) {
        let span = Span::of(bytes, layer.parameters.weights);
        let outputs = layer.parameters.channels.len();
        let offset = (span.start - start) as u32;
        let order = order.of_layer(layer.groups, outputs as u64, offset);
        if order == layer.parameters.order {
            continue;
        }
        let shared = layers(model).any(|other| {
            let place = Span::of(bytes, other.parameters.weights);
            let alike = layer.groups == other.groups && outputs == other.parameters.channels.len();
            span.overlaps(place) && !(span == place && alike)
        });
        if shared {
            return Err(ReorderError::SharedWeights);
        }
        if let Some(place) = out.get_mut(span.start..span.end) {
            match order {
                WeightOrder::Rows => rows(&layer.parameters, place),
                WeightOrder::Quads => quads(&layer.parameters, place),
            }
        }
    }
    let table = out.get_mut(HEADER_LEN..).unwrap_or(&mut []);
    for entry in table.chunks_exact_mut(SECTION_ENTRY_LEN) {
        if let Some(name) = entry.first_chunk_mut()
            && *name == section.order.section()
        {
            *name = order.section();
            break;
        }
    }
    let checksum = crc32(out.get(CHECKED_FROM..).unwrap_or(&[]));
    if let Some(field) = out.get_mut(12..16) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(out)
}

/// Weights with what decides about their order.
struct Weighted<'a> {
    groups: u16,
    parameters: Parameters<'a>,
}

fn layers<'a>(model: &Model<'a>) -> impl Iterator<Item = Weighted<'a>> {
    let backbone = model.layers().filter_map(|layer| match layer.operation {
        Operation::Conv2d(conv) => Some(Weighted {
            groups: conv.groups,
            parameters: conv.parameters,
        }),
        _ => None,
    });
    let head = Path::ALL.into_iter().flat_map(|path| {
        model.head().layers(path).map(|layer| Weighted {
            groups: 1,
            parameters: layer.parameters,
        })
    });
    backbone.chain(head)
}

/// A stretch of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// The place of `part`, which is a part of `whole`.
    fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Self {
            start,
            end: start + part.len(),
        }
    }

    const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

fn rows(parameters: &Parameters<'_>, out: &mut [u8]) {
    let filters = out.chunks_exact_mut(parameters.filter_len().max(1));
    for (filter, weights) in filters.enumerate() {
        for (at, weight) in weights.iter_mut().enumerate() {
            *weight = parameters.weight(filter, at).cast_unsigned();
        }
    }
}

fn quads(parameters: &Parameters<'_>, out: &mut [u8]) {
    let filter_len = parameters.filter_len();
    let quads = out.chunks_exact_mut((QUAD * filter_len).max(1));
    for (quad, out) in quads.enumerate() {
        for half in 0..QUAD / 2 {
            let first = QUAD * quad + 2 * half;
            for at in 0..filter_len {
                let pair = join(
                    parameters.weight(first, at),
                    parameters.weight(first + 1, at),
                );
                let place = halfword(half, at, filter_len);
                if let Some(halfword) = out.get_mut(place..place + 2) {
                    halfword.copy_from_slice(&pair);
                }
            }
        }
    }
}
