//! `scale * x + offset` for every channel: batch normalization, and arithmetic with constants.

use super::super::constant::Constant;
use super::super::error::Reason;

/// A scale and an offset for every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    pub scale: Vec<f64>,
    pub offset: Vec<f64>,
}

impl Affine {
    /// Changes nothing.
    pub fn identity(channels: usize) -> Self {
        Self {
            scale: vec![1.0; channels],
            offset: vec![0.0; channels],
        }
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        self.scale.iter().all(|&scale| scale == 1.0)
            && self.offset.iter().all(|&offset| offset == 0.0)
    }

    /// This one first, then `next`.
    pub fn then(&self, next: &Self) -> Self {
        let offsets = self.offset.iter().zip(&next.scale).zip(&next.offset);
        Self {
            scale: self
                .scale
                .iter()
                .zip(&next.scale)
                .map(|(a, b)| a * b)
                .collect(),
            offset: offsets
                .map(|((offset, scale), next)| offset * scale + next)
                .collect(),
        }
    }

    /// `y = (x - mean) / sqrt(variance + epsilon) * scale + bias`.
    pub fn batch_norm(parameters: [&[f32]; 4], epsilon: f32) -> Self {
        let [scale, bias, mean, variance] = parameters;
        let scale: Vec<f64> = scale
            .iter()
            .zip(variance)
            .map(|(&scale, &variance)| {
                f64::from(scale) / (f64::from(variance) + f64::from(epsilon)).sqrt()
            })
            .collect();
        let offset = bias.iter().zip(mean).zip(&scale);
        Self {
            offset: offset
                .map(|((&bias, &mean), scale)| f64::from(bias) - f64::from(mean) * scale)
                .collect(),
            scale,
        }
    }
}

/// The value of `constant` for each of `channels` channels, when it is broadcast over tensors of `rank` axes of which
/// the second is the channels'.
pub fn per_channel(constant: &Constant, channels: usize, rank: usize) -> Result<Vec<f64>, Reason> {
    let values = constant.floats()?;
    let misfit = || {
        format!(
            "a constant of shape {:?} is not one value per channel of {channels}",
            constant.dims
        )
    };
    if constant.dims.len() > rank {
        return Err(misfit());
    }
    let first = rank - constant.dims.len();
    let other = (constant.dims.iter().enumerate()).any(|(at, &dim)| first + at != 1 && dim != 1);
    match values {
        _ if other => Err(misfit()),
        [value] => Ok(vec![f64::from(*value); channels]),
        values if values.len() == channels => Ok(values.iter().map(|&v| v.into()).collect()),
        _ => Err(misfit()),
    }
}
