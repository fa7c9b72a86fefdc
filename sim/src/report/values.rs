//! Which integers a layer computes: how often each of the 256, and how many are stuck at an end.

use cfm_core::model::Path;
use cfm_model::Place;
use serde::Serialize;

use crate::inspect::Inspection;
use crate::trace::Trace;

/// How often a layer's output takes each 8-bit value, over the image, or over all segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerValues {
    /// Which layer, as errors name it.
    pub layer: String,
    /// The integer that stands for zero.
    pub zero_point: i8,
    /// One quantization step is `2^exponent`.
    pub exponent: i8,
    /// Counts of -128, -127, ..., 127.
    #[serde(skip)]
    pub counts: Vec<u64>,
    /// How many values there are.
    pub total: u64,
    /// How many stand for zero.
    pub zeros: u64,
    /// How many are -128 or 127 without standing for zero: they may have been clipped.
    pub saturated: u64,
}

impl LayerValues {
    fn new<'v>(
        place: Place,
        zero_point: i8,
        exponent: i8,
        values: impl IntoIterator<Item = &'v [i8]>,
    ) -> Self {
        let mut counts = vec![0_u64; 256];
        for &value in values.into_iter().flatten() {
            counts[bin(value)] += 1;
        }
        let ends = [i8::MIN, i8::MAX];
        Self {
            layer: place.to_string(),
            zero_point,
            exponent,
            total: counts.iter().sum(),
            zeros: counts[bin(zero_point)],
            saturated: ends
                .into_iter()
                .filter(|&end| end != zero_point)
                .map(|end| counts[bin(end)])
                .sum(),
            counts,
        }
    }

    /// The share of values that stand for zero.
    #[must_use]
    pub fn zero_share(&self) -> f64 {
        self.zeros as f64 / self.total.max(1) as f64
    }

    /// The share of values at an end of the range.
    #[must_use]
    pub fn saturated_share(&self) -> f64 {
        self.saturated as f64 / self.total.max(1) as f64
    }
}

/// Where a value is counted.
fn bin(value: i8) -> usize {
    (i16::from(value) - i16::from(i8::MIN)) as usize
}

/// The values of all layers with 8-bit outputs, in the order of the model file: all but the classifier.
///
/// `scales` are zero point and exponent of the fully connected layers' outputs, in the same order.
#[must_use]
pub fn layer_values(
    inspection: &Inspection,
    scales: &[(Path, usize, i8, i8)],
    trace: &Trace,
) -> Vec<LayerValues> {
    let outputs = trace.tensors.iter().skip(1);
    let backbone = inspection.layers.iter().zip(outputs).enumerate();
    let backbone = backbone.map(|(at, (layer, values))| {
        let values = [&values[..]];
        LayerValues::new(Place::Layer(at), layer.zero_point, layer.exponent, values)
    });
    let hidden = scales.iter().enumerate();
    let hidden = hidden.map(|(at, &(path, index, zero_point, exponent))| {
        let values = trace.segments.iter();
        let values = values.filter_map(|segment| segment.hidden.get(at).map(|values| &values[..]));
        let place = Place::FullyConnected(path, index);
        LayerValues::new(place, zero_point, exponent, values)
    });
    backbone.chain(hidden).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_not_saturated() {
        let values = [-128_i8, -128, -127, 0, 127, 126];
        let place = Place::Layer(3);
        let relu = LayerValues::new(place, -128, -4, [&values[..], &values[..1]]);
        assert_eq!((relu.total, relu.zeros, relu.saturated), (7, 3, 1));
        assert_eq!(
            (relu.counts[0], relu.counts[1], relu.counts[255]),
            (3, 1, 1)
        );
        let linear = LayerValues::new(place, 0, -4, [&values[..]]);
        assert_eq!((linear.zeros, linear.saturated), (1, 3));
        assert_eq!(linear.layer, "layer 3");
        let nothing = LayerValues::new(place, 0, -4, []);
        assert_eq!(nothing.saturated_share(), 0.0);
    }
}
