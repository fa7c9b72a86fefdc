//! The byte form of the parameters, so that a model file can carry those it was trained with.

use crate::params::{MAX_MIXES, MAX_SCALES, Mix, Params, ParamsError, Scale, Smoothing};

/// Version in the first byte.
const VERSION: u8 = 1;

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
    /// | 0 | 1 | version, 1 |
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
    /// | 57 | 7 | zero |
    ///
    /// Unused mixes and scales are zero.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = VERSION;
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
        for (scale, to) in self.scales().iter().zip(bytes[32..56].chunks_exact_mut(6)) {
            to[..4].copy_from_slice(&scale.k.to_le_bytes());
            to[4..].copy_from_slice(&scale.min_size.to_le_bytes());
        }
        bytes[56] = self.min_growth();
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
        if bytes[0] != VERSION {
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
            scales[i] = Scale {
                k: u32_at(bytes, at),
                min_size: u16_at(bytes, at + 4),
            };
            i += 1;
        }
        i = 16 + 4 * mix_count;
        while i < Self::BYTES {
            if i == 32 {
                i += 6 * scale_count;
            }
            if bytes[i] != 0 && i != 56 {
                return Err(ParamsError::Bytes);
            }
            i += 1;
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
        params.with_area(u32_at(bytes, 8), u32_at(bytes, 12))
    }
}
