//! Why a file is not imported: always with the name of what is in the way.

use thiserror::Error;

use crate::quantize::QuantizeError;
use crate::shape::ShapeError;

/// Why an ONNX file is refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are no ONNX model, or a broken one.
    #[error("not a readable ONNX model: {0}")]
    Decode(String),
    /// The file as a whole is not of a kind that is read.
    #[error("{0}")]
    Model(String),
    /// A node cannot be represented.
    #[error("node {node} ({operator}): {reason}")]
    Node {
        /// Name of the node; that of its first output where it has none.
        node: String,
        /// Its operator, with the domain unless it is ONNX's own.
        operator: String,
        /// What is in the way.
        reason: String,
    },
    /// Backbone and head do not make a model together.
    #[error("head: {0}")]
    Head(String),
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The structure cannot be represented in integers, whatever the numbers.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
}

pub(super) type Result<T> = std::result::Result<T, ImportError>;

/// What is wrong with a node, or with a value that it reads, before the node's name is added.
pub(super) type Reason = String;
