//! The byte form of the parameters, so that a model file can carry those it was trained with.

use crate::colour::ColourSpace;
use crate::combinatorial::Combinations;
use crate::diversity::Ranking;
use crate::params::{MAX_MIXES, MAX_SCALES, Mix, Params, ParamsError, Scale, Smoothing};
use crate::slic::Slic;

/// Where the part starts that version 1 does not have.
const EXTENSION: usize = 57;
/// Bit of [`Ranking::Level`] in the byte there; below are the bits of SLIC scales.
const BY_LEVEL: u8 = 1 << 4;
/// Bit of hierarchies by contours.
const CONTOURS: u8 = 1 << 5;

const fn space_number(space: ColourSpace) -> u8 {
    match space {
        ColourSpace::Rgb => 0,
        ColourSpace::Lab => 1,
        ColourSpace::Hsv => 2,
        ColourSpace::Grey => 3,
    }
}

/// Four spaces, the first in the lowest four bits.
fn pack_spaces(spaces: &[ColourSpace; 4]) -> [u8; 2] {
    let pair = |a, b| space_number(a) | space_number(b) << 4;
    let &[a, b, c, d] = spaces;
    [pair(a, b), pair(c, d)]
}

/// Reads what [`pack_spaces`] wrote; from `count` on, all must be RGB.
const fn unpack_spaces(bytes: [u8; 2], count: usize) -> Result<[ColourSpace; 4], ParamsError> {
    let mut spaces = [ColourSpace::Rgb; 4];
    let mut i = 0;
    while i < 4 {
        spaces[i] = match bytes[i / 2] >> (4 * (i % 2)) & 0xf {
            0 => ColourSpace::Rgb,
            _ if i >= count => return Err(ParamsError::Bytes),
            1 => ColourSpace::Lab,
            2 => ColourSpace::Hsv,
            3 => ColourSpace::Grey,
            _ => return Err(ParamsError::Bytes),
        };
        i += 1;
    }
    Ok(spaces)
}

const fn is_zero(bytes: &[u8; Params::BYTES], mut from: usize) -> bool {
    while from < Params::BYTES {
        if bytes[from] != 0 {
            return false;
        }
        from += 1;
    }
    true
}

const fn u16_at(bytes: &[u8; Params::BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

const fn u32_at(bytes: &[u8; Params::BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Params {
    /// Length of the byte form.
    pub const BYTES: usize = 64;

    /// The byte form, little-endian:
    ///
    /// | offset | size | content |
    /// |---|---|---|
    /// | 0 | 1 | version, 1 or 2 |
    /// | 1 | 1 | smoothing: 0 none, 1 binomial of 3, 2 binomial of 5 |
    /// | 2 | 1 | number of scales, 1 to 4 |
    /// | 3 | 1 | number of mixes, 0 to 4 |
    /// | 4 | 2 | most superpixels of a map |
    /// | 6 | 2 | most proposals |
    /// | 8 | 4 | smallest area in pixels |
    /// | 12 | 4 | largest area in pixels |
    /// | 16 | 4 x 4 | mixes: weights of colour, texture, size, fill |
    /// | 32 | 4 x 6 | scales: k (4 bytes), smallest size in pixels (2 bytes) |
    /// | 56 | 1 | smallest share of the smaller merged region, in 256ths |
    /// | 57 | 1 | bits 0 to 3: which scales are SLIC; bit 4: ranked by level; bit 5: hierarchies by contours |
    /// | 58 | 2 | colour spaces of the scales, 4 bits each, the first lowest: 0 RGB, 1 Lab, 2 HSV, 3 grey |
    /// | 60 | 2 | colour spaces of the mixes, likewise |
    /// | 62 | 1 | levels that give pairs, 0 to 63 |
    /// | 63 | 1 | levels that give triples, 0 to 63 |
    ///
    /// A SLIC scale has in place of k: spacing (2 bytes), compactness, iterations (1 byte each). Unused mixes and
    /// scales are zero. The version is 1 where everything from 57 on is zero, else 2.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[1] = match self.smoothing() {
            Smoothing::None => 0,
            Smoothing::Binomial3 => 1,
            Smoothing::Binomial5 => 2,
        };
        bytes[2] = self.scales().len() as u8;
        bytes[3] = self.mixes().len() as u8;
        bytes[4..6].copy_from_slice(&self.max_superpixels().to_le_bytes());
        bytes[6..8].copy_from_slice(&self.max_segments().to_le_bytes());
        bytes[8..12].copy_from_slice(&self.min_area().to_le_bytes());
        bytes[12..16].copy_from_slice(&self.max_area().to_le_bytes());
        for (mix, to) in self.mixes().iter().zip(bytes[16..32].chunks_exact_mut(4)) {
            to.copy_from_slice(&[mix.colour, mix.texture, mix.size, mix.fill]);
        }
        for (i, to) in (0..self.scales().len()).zip(bytes[32..56].chunks_exact_mut(6)) {
            let Scale { k, min_size } = self.scales()[i];
            to[..4].copy_from_slice(&k.to_le_bytes());
            to[4..].copy_from_slice(&min_size.to_le_bytes());
            if let Some(slic) = self.slic(i) {
                to[..2].copy_from_slice(&slic.spacing.to_le_bytes());
                to[2..4].copy_from_slice(&[slic.compactness, slic.iterations]);
            }
        }
        bytes[56] = self.min_growth();
        for i in 0..self.scales().len() {
            bytes[57] |= u8::from(self.slic(i).is_some()) << i;
        }
        if self.ranking() == Ranking::Level {
            bytes[57] |= BY_LEVEL;
        }
        if self.contours() {
            bytes[57] |= CONTOURS;
        }
        bytes[62] = self.combinations().pairs;
        bytes[63] = self.combinations().triples;
        bytes[58..60].copy_from_slice(&pack_spaces(&self.scale_spaces));
        bytes[60..62].copy_from_slice(&pack_spaces(&self.mix_spaces));
        bytes[0] = if is_zero(&bytes, EXTENSION) { 1 } else { 2 };
        bytes
    }

    /// Reads the byte form of [`Params::to_bytes`]. `const`, so that broken parameters can be a compile error.
    ///
    /// # Errors
    /// [`ParamsError::Bytes`] for an unknown version or smoothing and for unused bytes that are not zero; else as the
    /// constructors.
    pub const fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, ParamsError> {
        let scale_count = bytes[2] as usize;
        let mix_count = bytes[3] as usize;
        let version = if is_zero(bytes, EXTENSION) { 1 } else { 2 };
        if bytes[0] != version {
            return Err(ParamsError::Bytes);
        }
        let smoothing = match bytes[1] {
            0 => Smoothing::None,
            1 => Smoothing::Binomial3,
            2 => Smoothing::Binomial5,
            _ => return Err(ParamsError::Bytes),
        };
        if scale_count > MAX_SCALES {
            return Err(ParamsError::Scales);
        }
        if mix_count > MAX_MIXES {
            return Err(ParamsError::Mixes);
        }
        let mut mixes = [Mix::new(0, 0, 0, 0); MAX_MIXES];
        let mut i = 0;
        while i < mix_count {
            let at = 16 + 4 * i;
            mixes[i] = Mix::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
            i += 1;
        }
        let mut scales = [Scale { k: 0, min_size: 0 }; MAX_SCALES];
        i = 0;
        while i < scale_count {
            let at = 32 + 6 * i;
            let by_graph = bytes[57] & 1 << i == 0;
            scales[i] = Scale {
                k: if by_graph { u32_at(bytes, at) } else { 0 },
                min_size: u16_at(bytes, at + 4),
            };
            i += 1;
        }
        i = 16 + 4 * mix_count;
        while i < 56 {
            if i == 32 {
                i += 6 * scale_count;
            }
            if i < 56 && bytes[i] != 0 {
                return Err(ParamsError::Bytes);
            }
            i += 1;
        }
        if (bytes[57] & 0xf) >> scale_count != 0 || bytes[57] & !(0xf | BY_LEVEL | CONTOURS) != 0 {
            return Err(ParamsError::Bytes);
        }
        let params = match Self::new(scales.split_at(scale_count).0, mixes.split_at(mix_count).0) {
            Ok(params) => params.with_smoothing(smoothing).with_min_growth(bytes[56]),
            Err(error) => return Err(error),
        };
        let params = match params.with_max_superpixels(u16_at(bytes, 4)) {
            Ok(params) => params,
            Err(error) => return Err(error),
        };
        let params = match params.with_max_segments(u16_at(bytes, 6)) {
            Ok(params) => params,
            Err(error) => return Err(error),
        };
        let mut params = match params.with_area(u32_at(bytes, 8), u32_at(bytes, 12)) {
            Ok(params) => params,
            Err(error) => return Err(error),
        };
        i = 0;
        while i < scale_count {
            let at = 32 + 6 * i;
            if bytes[57] & 1 << i != 0 {
                let slic = Slic {
                    spacing: u16_at(bytes, at),
                    compactness: bytes[at + 2],
                    iterations: bytes[at + 3],
                    min_size: u16_at(bytes, at + 4),
                };
                params = match params.with_slic(i, slic) {
                    Ok(params) => params,
                    Err(error) => return Err(error),
                };
            }
            i += 1;
        }
        params.scale_spaces = match unpack_spaces([bytes[58], bytes[59]], scale_count) {
            Ok(spaces) => spaces,
            Err(error) => return Err(error),
        };
        params.mix_spaces = match unpack_spaces([bytes[60], bytes[61]], mix_count) {
            Ok(spaces) => spaces,
            Err(error) => return Err(error),
        };
        if bytes[57] & BY_LEVEL != 0 {
            params.ranking = Ranking::Level;
        }
        params
            .with_contours(bytes[57] & CONTOURS != 0)
            .with_combinations(Combinations {
                pairs: bytes[62],
                triples: bytes[63],
            })
    }
}
