//! Random weights, biases and multipliers.

use cfm_core::requantize::{MANTISSA_MAX, MANTISSA_MIN, SHIFT_MAX};

use super::moments::{Moments, rounded_log2};
use super::source::Source;
use crate::spec::{Channel, OutputScale};

/// What is known of a tensor whose values are multiplied with weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub(super) zero_point: i8,
    pub(super) moments: Moments,
}

/// Where a layer's outputs are to lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    zero_point: f64,
    low: f64,
    high: f64,
}

impl Aim {
    /// Logits, most of which do not saturate.
    pub(super) const LOGITS: Self = Self {
        zero_point: 0.0,
        low: -15_000.0,
        high: 15_000.0,
    };

    fn width(&self) -> f64 {
        (self.high - self.low).max(20.0)
    }

    fn middle(&self) -> f64 {
        (self.low + self.high) / 2.0
    }
}

impl From<OutputScale> for Aim {
    fn from(output: OutputScale) -> Self {
        Self {
            zero_point: output.zero_point.into(),
            low: output.low.into(),
            high: output.high.into(),
        }
    }
}

/// Parameters, and where the outputs are expected.
pub(super) struct Drawn {
    pub(super) weights: Vec<i8>,
    pub(super) channels: Vec<Channel>,
    pub(super) centre: f64,
    pub(super) deviation: f64,
}

/// How the weights of a filter are drawn.
#[derive(Debug, Clone, Copy)]
enum Weights {
    Uniform,
    Small,
    Sparse,
    /// All of them -127 or 127.
    Saturated,
    /// All of them the same extreme.
    Constant(i8),
    Zero,
}

impl Weights {
    fn random(source: &mut Source) -> Self {
        source.weighted(&[
            (32, Self::Uniform),
            (24, Self::Small),
            (12, Self::Sparse),
            (12, Self::Saturated),
            (1, Self::Constant(127)),
            (1, Self::Constant(-127)),
            (1, Self::Zero),
        ])
    }

    /// Of a single filter, where the dull ones do no harm.
    fn odd(source: &mut Source) -> Self {
        source.pick(&[
            Self::Uniform,
            Self::Saturated,
            Self::Constant(127),
            Self::Constant(-127),
            Self::Zero,
        ])
    }

    fn draw(self, source: &mut Source) -> i8 {
        match self {
            Self::Uniform => source.range(-127..=127),
            Self::Small => source.range(-12..=12),
            Self::Sparse if source.chance(4, 5) => 0,
            Self::Sparse => source.range(-127..=127),
            Self::Saturated => source.pick(&[-127, 127]),
            Self::Constant(value) => value,
            Self::Zero => 0,
        }
    }
}

/// How the multipliers of a layer are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mantissas {
    PowerOfTwo,
    General,
    Ends,
}

impl Mantissas {
    fn draw(self, source: &mut Source) -> u16 {
        match self {
            Self::PowerOfTwo => MANTISSA_MIN,
            Self::General => source.range(MANTISSA_MIN..=MANTISSA_MAX),
            Self::Ends => source.pick(&[MANTISSA_MIN, MANTISSA_MIN + 1, MANTISSA_MAX]),
        }
    }
}

/// How the biases of a layer are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Biases {
    /// The zero point folded in, and outputs moved to somewhere in their range.
    Centred,
    /// The zero point folded in, and little else.
    Folded,
    Zero,
    /// As far out as the accumulator's bound allows.
    Bound,
}

impl Biases {
    fn random(source: &mut Source) -> Self {
        source.weighted(&[
            (60, Self::Centred),
            (16, Self::Folded),
            (4, Self::Zero),
            (1, Self::Bound),
        ])
    }
}

/// Parameters for `outputs` filters of `filter_len` weights over `input`, scaled so that most outputs are within `aim`.
pub(super) fn random(
    source: &mut Source,
    filter_len: usize,
    outputs: u16,
    input: Input,
    aim: Aim,
) -> Drawn {
    let style = Weights::random(source);
    let mantissas = source.weighted(&[
        (5, Mantissas::PowerOfTwo),
        (4, Mantissas::General),
        (1, Mantissas::Ends),
    ]);
    let biases = Biases::random(source);
    let deviation = aim.width() * f64::from(source.range(15..=45)) / 100.0;
    let mut weights = Vec::with_capacity(filter_len * usize::from(outputs));
    let mut channels = Vec::with_capacity(usize::from(outputs));
    for _ in 0..outputs {
        let style = if source.chance(1, 10) {
            Weights::odd(source)
        } else {
            style
        };
        let biases = if source.chance(1, 20) {
            source.pick(&[Biases::Zero, Biases::Bound])
        } else {
            biases
        };
        let filter: Vec<i8> = (0..filter_len).map(|_| style.draw(source)).collect();
        let mantissa = mantissas.draw(source);
        channels.push(channel(
            source, &filter, input, aim, deviation, mantissa, biases,
        ));
        weights.extend(filter);
    }
    let centre = match biases {
        Biases::Centred => aim.middle(),
        _ => aim.zero_point,
    };
    Drawn {
        weights,
        channels,
        centre,
        deviation,
    }
}

fn channel(
    source: &mut Source,
    filter: &[i8],
    input: Input,
    aim: Aim,
    deviation: f64,
    mantissa: u16,
    biases: Biases,
) -> Channel {
    let sum: i64 = filter.iter().map(|&w| i64::from(w)).sum();
    let magnitude: i64 = filter.iter().map(|&w| i64::from(w).abs()).sum();
    let squares: i64 = filter.iter().map(|&w| i64::from(w) * i64::from(w)).sum();
    // The accumulator without a bias: its mean, and how far it typically is from there.
    let mean = input.moments.mean * sum as f64;
    let spread = (input.moments.deviation * (squares as f64).sqrt()).max(1.0);
    let folded = -i64::from(input.zero_point) * sum;
    // Beyond this the reader refuses the model.
    let room = (i64::from(i32::MAX) - 255 * magnitude).max(0);
    let (bias, typical) = match biases {
        Biases::Centred => {
            let part = f64::from(source.range(15..=85)) / 100.0;
            let steps = aim.low + (aim.high - aim.low) * part - aim.zero_point;
            ((steps * spread / deviation - mean) as i64, spread)
        }
        Biases::Folded => {
            let nudge = spread * f64::from(source.range(-100..=100)) / 80.0;
            let offset = mean + folded as f64;
            (folded + nudge as i64, spread.max(offset.abs()))
        }
        Biases::Zero => (0, spread.max(mean.abs())),
        Biases::Bound => {
            let bias = if source.chance(1, 2) { room } else { -room };
            (bias, room as f64)
        }
    };
    let natural = rounded_log2(typical * f64::from(mantissa) / deviation);
    let shift = match source.range(0..=59) {
        0 => 0,
        1 => i64::from(SHIFT_MAX),
        2 => source.range(0..=i64::from(SHIFT_MAX)),
        _ => natural + source.weighted(&[(1, -1), (4, 0), (1, 1)]),
    };
    Channel {
        bias: bias.clamp(-room, room) as i32,
        mantissa,
        shift: shift.clamp(0, SHIFT_MAX.into()) as u8,
    }
}
