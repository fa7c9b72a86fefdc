//! Weights and channel records in the order in which the array reads them.

use cfm_core::model::{Conv2d, Parameters};
use cfm_core::requantize::MANTISSA_MIN;

use crate::folding::Folding;

/// A record of the channel memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Added to the accumulator.
    pub bias: i32,
    /// Mantissa of the multiplier.
    pub mantissa: u16,
    /// Shift of the multiplier.
    pub shift: u8,
}

impl ChannelRecord {
    /// What channels have that a word has to spare.
    pub(crate) const UNUSED: Self = Self {
        bias: 0,
        mantissa: MANTISSA_MIN,
        shift: 14,
    };

    /// Whether a rounding shift does, without a multiplier.
    #[must_use]
    pub const fn is_shift(&self) -> bool {
        self.mantissa == MANTISSA_MIN && self.shift >= 14
    }

    /// The two words of the record.
    #[must_use]
    pub const fn encode(self) -> [u32; 2] {
        [
            self.bias.cast_unsigned(),
            self.mantissa as u32 | (self.shift as u32) << 16,
        ]
    }
}

/// Where the weights of an operation come from.
#[derive(Debug, Clone)]
pub(crate) enum Filter<'m> {
    /// There are none: the operation needs no multiplier, or has its weights in the descriptor.
    None,
    /// A convolution with all its inputs, those of other groups with weight 0.
    Conv { conv: Conv2d<'m>, inputs: u32 },
    /// A depthwise convolution.
    Depthwise { conv: Conv2d<'m> },
    /// A fully connected layer; `slots[i]` is the layer's input that the engine reads as its i-th, if any.
    FullyConnected {
        parameters: Parameters<'m>,
        slots: Vec<Option<usize>>,
    },
}

impl Filter<'_> {
    /// Weight words of a block.
    pub(crate) fn words(&self, out_groups: u32) -> u64 {
        let per_group = match self {
            Self::None => 0,
            Self::Conv { conv, inputs } => taps(conv) * u64::from(*inputs),
            Self::Depthwise { conv } => taps(conv),
            Self::FullyConnected { slots, .. } => slots.len() as u64,
        };
        per_group * u64::from(out_groups)
    }

    /// Appends the weight words of a block: `[out group][kernel row][kernel column][input]`, unused channels 0.
    pub(crate) fn pack(&self, folding: Folding, outputs: usize, out: &mut Vec<u8>) {
        let pe = folding.pe as usize;
        let per_group = self.words(1) as usize;
        for group in 0..outputs.div_ceil(pe) {
            for at in 0..per_group {
                out.extend((group * pe..(group + 1) * pe).map(|o| {
                    if o < outputs {
                        self.weight(o, at).cast_unsigned()
                    } else {
                        0
                    }
                }));
            }
        }
    }

    /// Weight of output `o` in the `at`-th word of its group.
    fn weight(&self, o: usize, at: usize) -> i8 {
        match self {
            Self::None => 0,
            Self::Conv { conv, inputs } => {
                let inputs = *inputs as usize;
                let groups = usize::from(conv.groups).max(1);
                let group_inputs = (inputs / groups).max(1);
                let group = o / (conv.parameters.channels.len() / groups).max(1);
                let (tap, input) = (at / inputs, at % inputs);
                if input / group_inputs == group {
                    let at = tap * group_inputs + input % group_inputs;
                    conv.parameters.weight(o, at)
                } else {
                    0
                }
            }
            Self::Depthwise { conv } => conv.parameters.weight(o, at),
            Self::FullyConnected { parameters, slots } => match slots.get(at) {
                Some(Some(input)) => parameters.weight(o, *input),
                _ => 0,
            },
        }
    }
}

fn taps(conv: &Conv2d<'_>) -> u64 {
    let [rows, columns] = conv.window.kernel.map(u64::from);
    rows * columns
}

/// The records of a layer's channels, filled up to whole words.
pub(crate) fn records(
    parameters: &Parameters<'_>,
    folding: Folding,
) -> impl Iterator<Item = ChannelRecord> {
    let channels = parameters.channels;
    let used = channels.len() as u32;
    let all = (folding.groups(used) * folding.pe) as usize;
    channels
        .iter()
        .map(|channel| ChannelRecord {
            bias: channel.bias,
            mantissa: channel.mantissa,
            shift: channel.shift,
        })
        .chain(std::iter::repeat(ChannelRecord::UNUSED))
        .take(all)
}
