//! How the scores of segments become the labels of pixels: the `LABL` section.

use fixed::types::U0F16;

use super::bytes::{u8_at, u16_at, zeros};
use super::error::{ModelError, ModelErrorKind, Part, ensure};
use super::format::{LABELLING_LEN, MAX_MAPS, tag};

/// How the scores of segments become the labels of pixels; [`labelling`](crate::labelling) has the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LabellingRule {
    /// How overlapping segments are combined.
    pub combination: Combination,
    /// Afterwards every superpixel of this map takes one class, so that the borders between labels follow those between
    /// superpixels. The index is that of the image's maps, which for proposals is that of the scale in the model's
    /// `PROP` section; below [`MAX_MAPS`].
    pub refinement: Option<u8>,
}

/// How overlapping segments are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Combination {
    /// A pixel takes the class of the best segment that covers it and is not inhibited.
    Paste {
        /// A segment is inhibited if at least this share of its pixels belongs to better ones; 0 inhibits none.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        inhibition: U0F16,
    },
    /// A pixel takes the class with the largest sum of weights over the segments that cover it.
    Vote {
        /// The weight is the score to this power, `1 ..= 4`.
        power: u8,
        /// How the weight depends on the segment's area.
        area: AreaFactor,
        /// The weight is multiplied by the segment's purity (its largest score) to this power, `0 ..= 4`.
        purity: u8,
    },
}

/// How the weight of a vote depends on the segment's area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AreaFactor {
    /// Not at all.
    One,
    /// Divided by the square root of the area.
    InverseRoot,
    /// Divided by the area.
    Inverse,
}

impl LabellingRule {
    /// What a model without an opinion gets.
    pub const DEFAULT: Self = Self {
        combination: Combination::Vote {
            power: 3,
            area: AreaFactor::InverseRoot,
            purity: 0,
        },
        refinement: None,
    };

    /// Pasting without inhibition.
    pub const PASTE: Self = Self {
        combination: Combination::Paste {
            inhibition: U0F16::ZERO,
        },
        refinement: None,
    };

    /// Largest power of the score and of the purity in a vote.
    pub const MAX_POWER: u8 = 4;

    /// Reads the content of a `LABL` section.
    ///
    /// # Errors
    /// A [`ModelError`] that names what [`format`](super::format) does not allow.
    pub const fn from_bytes(section: &[u8]) -> Result<Self, ModelError> {
        let part = Part::Section(tag::LABELLING);
        ensure!(section.len() == LABELLING_LEN, SectionLength, part);
        ensure!(zeros(section, 7, LABELLING_LEN), Reserved, part);
        let (power, area, purity) = (u8_at(section, 1), u8_at(section, 2), u8_at(section, 3));
        let inhibition = u16_at(section, 4);
        let combination = match u8_at(section, 0) {
            0 => {
                ensure!(power == 0 && area == 0 && purity == 0, Reserved, part);
                Combination::Paste {
                    inhibition: U0F16::from_bits(inhibition),
                }
            }
            1 => {
                ensure!(inhibition == 0, Reserved, part);
                ensure!(
                    power >= 1 && power <= Self::MAX_POWER && purity <= Self::MAX_POWER,
                    Labelling,
                    part
                );
                let area = match area {
                    0 => AreaFactor::One,
                    1 => AreaFactor::InverseRoot,
                    2 => AreaFactor::Inverse,
                    _ => return Err(ModelError::new(ModelErrorKind::Labelling, part)),
                };
                Combination::Vote {
                    power,
                    area,
                    purity,
                }
            }
            _ => return Err(ModelError::new(ModelErrorKind::Kind, part)),
        };
        let refinement = u8_at(section, 6);
        ensure!(refinement <= MAX_MAPS, Labelling, part);
        Ok(Self {
            combination,
            refinement: refinement.checked_sub(1),
        })
    }

    /// The content of the `LABL` section; [`from_bytes`](Self::from_bytes) refuses it if a field is out of range.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; LABELLING_LEN] {
        let refinement = match self.refinement {
            Some(map) => map.saturating_add(1),
            None => 0,
        };
        match self.combination {
            Combination::Paste { inhibition } => {
                let [low, high] = inhibition.to_bits().to_le_bytes();
                [0, 0, 0, 0, low, high, refinement, 0]
            }
            Combination::Vote {
                power,
                area,
                purity,
            } => {
                let area = match area {
                    AreaFactor::One => 0,
                    AreaFactor::InverseRoot => 1,
                    AreaFactor::Inverse => 2,
                };
                [1, power, area, purity, 0, 0, refinement, 0]
            }
        }
    }
}
