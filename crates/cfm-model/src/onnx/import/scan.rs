//! A look at the bytes before they are decoded: how many entries there are.
//!
//! An entry of two bytes becomes a message of hundreds, so a file of megabytes could ask for gigabytes. This walks the
//! messages that are read and counts; it allocates nothing.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::error::{ImportError, Result};

/// Most messages and strings of a file.
pub const MAX_ENTRIES: usize = 1 << 18;

/// A message that is read, as far as other messages lie in it.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Leaf,
}

impl Kind {
    /// The kind of a length-delimited field.
    fn field(self, tag: u32) -> Self {
        match (self, tag) {
            (Self::Model, 7) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            (Self::Value, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => Self::Leaf,
        }
    }
}

/// Refuses bytes that are no messages, or far too many.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let mut entries = 0;
    scan(bytes, Kind::Model, &mut entries)?;
    if entries > MAX_ENTRIES {
        return Err(ImportError::Decode(format!(
            "it has more than {MAX_ENTRIES} entries"
        )));
    }
    Ok(())
}

fn scan(mut bytes: &[u8], kind: Kind, entries: &mut usize) -> Result<()> {
    let refuse = |error: DecodeError| ImportError::Decode(error.to_string());
    while !bytes.is_empty() && *entries <= MAX_ENTRIES {
        let (tag, wire) = decode_key(&mut bytes).map_err(refuse)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(refuse)?;
            continue;
        }
        let length = decode_varint(&mut bytes).map_err(refuse)?;
        let (field, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| bytes.split_at_checked(length))
            .ok_or_else(|| ImportError::Decode("it ends in the middle of an entry".to_owned()))?;
        *entries += 1;
        match kind.field(tag) {
            Kind::Leaf => {}
            // As deep as the kinds above, so no deep recursion.
            inner => scan(field, inner, entries)?,
        }
        bytes = rest;
    }
    Ok(())
}
