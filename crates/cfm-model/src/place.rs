//! Where in a model something is.

use std::fmt;

use cfm_core::model::Path;

/// A layer with parameters: which one an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A layer of the backbone, from 0.
    Layer(usize),
    /// A fully connected layer of a path, from 0.
    FullyConnected(Path, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, index) = match *self {
            Self::Layer(index) => return write!(f, "layer {index}"),
            Self::FullyConnected(path, index) => (path, index),
        };
        let path = match path {
            Path::Segment => "segment",
            Path::Region => "region",
            Path::Joint => "joint",
        };
        write!(f, "{path} fully connected layer {index}")
    }
}
