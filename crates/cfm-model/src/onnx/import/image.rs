//! The image: its size, and what a network takes for its pixels.

use crate::onnx::proto::DataType;
use crate::spec::InputSpec;

use super::error::{ImportError, Result};
use super::graph::Input;

/// What a float network takes for a pixel of value p in `0 ..= 255`: `(p / 255 * range - mean) / std`, channel by channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pixels {
    /// What white is before normalization: 1 as in PyTorch, or 255.
    pub white: f64,
    /// Mean of every channel.
    pub mean: [f64; 3],
    /// Standard deviation of every channel.
    pub std: [f64; 3],
}

impl Default for Pixels {
    /// `0 ..= 1`, as PyTorch's `ToTensor` makes them.
    fn default() -> Self {
        Self {
            white: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }
}

impl Pixels {
    /// The map from our image, `(p - 128) / 128`: scale and offset of every channel.
    pub(super) fn scale_and_offset(&self, channels: usize) -> (Vec<f64>, Vec<f64>) {
        let white = 128.0 * self.white / 255.0;
        let channels = || self.mean.iter().zip(&self.std).take(channels);
        (
            channels().map(|(_, std)| white / std).collect(),
            channels().map(|(mean, std)| (white - mean) / std).collect(),
        )
    }
}

/// The size of the image that `input` takes; `size` (rows, columns) stands in for lengths that are not fixed, or replaces
/// them.
pub fn image_size(input: &Input<'_>, size: Option<(u16, u16)>) -> Result<InputSpec> {
    let refuse = |what: String| Err(ImportError::Model(format!("input {}: {what}", input.name)));
    let [batch, channels, height, width] = *input.dims else {
        return refuse(format!(
            "its shape {:?} is not [1, channels, rows, columns]",
            input.dims
        ));
    };
    if let Some(batch) = batch.filter(|&batch| batch != 1) {
        return refuse(format!("a batch of {batch} images instead of 1"));
    }
    let narrow = |length: Option<i64>| length.and_then(|length| u16::try_from(length).ok());
    // Normalization is that of photographs; whoever takes pixels as they are may take any number of samples.
    let fits = |&channels: &u16| {
        matches!(channels, 1 | 3) || channels > 0 && input.elements == DataType::Uint8 as i32
    };
    let Some(channels) = narrow(channels).filter(fits) else {
        return refuse(format!("{channels:?} channels instead of 1 or 3"));
    };
    let (height, width) = match (size, narrow(height), narrow(width)) {
        (Some((height, width)), _, _) | (None, Some(height), Some(width)) => (height, width),
        _ => {
            return refuse(
                "the number of rows or columns is not fixed: say which one is meant".to_owned(),
            );
        }
    };
    Ok(InputSpec {
        height,
        width,
        channels,
    })
}
