//! Parts, and how much of one an engine may take.

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// A programmable part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Lattice ECP5 LFE5U-85F: 156 MULT18X18D, 208 EBR of 18 Kbit.
    #[serde(rename = "ecp5-85f")]
    Ecp5_85F,
    /// AMD Zynq-7020: 220 DSP48E1, 140 BRAM36, which are 280 blocks of 18 Kbit; 53200 look-up tables of six inputs, which
    /// count as 83000 of four: `boards/pynq-z2/synth.sh` finds 1.56 times fewer of them than an ECP5 needs of its own.
    #[serde(rename = "zynq-7020")]
    Zynq7020,
}

impl Target {
    /// The part of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ecp5_85F, Self::Zynq7020]
            .into_iter()
            .find(|target| target.name() == name)
    }

    /// The part's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecp5_85F => "ecp5-85f",
            Self::Zynq7020 => "zynq-7020",
        }
    }

    /// All of the part, at a clock that it reaches without effort.
    #[must_use]
    pub const fn budget(self) -> Budget {
        let (multipliers, block_rams, luts, clock_hz) = match self {
            Self::Ecp5_85F => (156, 208, 83_640, 50_000_000),
            Self::Zynq7020 => (220, 280, 83_000, 100_000_000),
        };
        Budget {
            target: self,
            multipliers,
            block_rams,
            luts,
            clock_hz,
            external_bits: 32,
            segments: 500,
            limits: Limits::FORMAT,
        }
    }
}

/// What an engine may take, and what it is to be fast at.
///
/// ```
/// use cfm_hardware::budget::{Budget, Target};
/// let budget: Budget = serde_json::from_str(r#"{"target": "zynq-7020", "multipliers": 100}"#)?;
/// assert_eq!(budget.target, Target::Zynq7020);
/// assert_eq!((budget.multipliers, budget.block_rams), (100, 280)); // what is left out is all of the part
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BudgetFile")]
pub struct Budget {
    /// The part.
    pub target: Target,
    /// Multipliers.
    pub multipliers: u32,
    /// Blocks of memory, of 18 Kbit.
    pub block_rams: u32,
    /// Look-up tables of four inputs.
    pub luts: u32,
    /// Clock in Hz.
    pub clock_hz: u64,
    /// Bits of weights that arrive from outside in a cycle.
    pub external_bits: u32,
    /// Segments of an image.
    pub segments: u32,
    /// Most words of the memories.
    pub limits: Limits,
}

/// A budget as people write it: all but the part may be left out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetFile {
    target: Target,
    multipliers: Option<u32>,
    block_rams: Option<u32>,
    luts: Option<u32>,
    clock_hz: Option<u64>,
    external_bits: Option<u32>,
    segments: Option<u32>,
    limits: Option<Limits>,
}

impl From<BudgetFile> for Budget {
    fn from(file: BudgetFile) -> Self {
        let all = file.target.budget();
        Self {
            target: file.target,
            multipliers: file.multipliers.unwrap_or(all.multipliers),
            block_rams: file.block_rams.unwrap_or(all.block_rams),
            luts: file.luts.unwrap_or(all.luts),
            clock_hz: file.clock_hz.unwrap_or(all.clock_hz),
            external_bits: file.external_bits.unwrap_or(all.external_bits),
            segments: file.segments.unwrap_or(all.segments),
            limits: file.limits.unwrap_or(all.limits),
        }
    }
}
