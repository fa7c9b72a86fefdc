//! What the proposals depend on, besides the image.

use core::fmt;

use crate::colour::ColourSpace;
use crate::combinatorial::Combinations;
use crate::diversity::Ranking;
use crate::slic::Slic;

pub use cfm_core::segment::MAX_SUPERPIXELS;

// A dendrogram's nodes, leaves and merges, are numbered in `u16`.
const _: () = assert!(MAX_SUPERPIXELS <= 1 << 15);

/// Most scales of one [`Params`].
pub const MAX_SCALES: usize = 4;

// A labelling rule can refine by the superpixels of any scale.
const _: () = assert!(MAX_SCALES <= cfm_core::model::format::MAX_MAPS as usize);

/// Most similarity mixes of one [`Params`].
pub const MAX_MIXES: usize = 4;

/// Largest [`Scale::k`].
pub const MAX_K: u32 = 1 << 20;

/// Smoothing before the superpixels, against noise and compression artefacts (Felzenszwalb and Huttenlocher 2004,
/// section 5 use a Gaussian of sigma 0.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Smoothing {
    /// The image as it is.
    None,
    /// Binomial 1-2-1 in both directions: sigma 0.71 pixels.
    Binomial3,
    /// Binomial 1-4-6-4-1 in both directions: sigma 1 pixel.
    Binomial5,
}

/// One superpixel scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scale {
    /// The constant k of the threshold function `k / |C|`, in grey levels (0 to 255 per channel, Euclidean distance
    /// over the channels) times pixels. Larger means larger superpixels. At most [`MAX_K`].
    pub k: u32,
    /// Superpixels below this many pixels are merged into a neighbour.
    pub min_size: u16,
}

/// How much each similarity counts when regions are grouped (Uijlings et al. 2013, section 3.2).
///
/// Weights are relative; 0 leaves a similarity out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mix {
    /// Intersection of the colour histograms.
    pub colour: u8,
    /// Intersection of the gradient-orientation histograms.
    pub texture: u8,
    /// Small regions merge early.
    pub size: u8,
    /// Regions that fill each other's gaps merge early.
    pub fill: u8,
}

impl Mix {
    /// Colour, texture, size and fill, equally.
    pub const COLOUR_TEXTURE_SIZE_FILL: Self = Self::new(1, 1, 1, 1);
    /// Texture, size and fill, equally.
    pub const TEXTURE_SIZE_FILL: Self = Self::new(0, 1, 1, 1);
    /// Colour, size and fill, equally.
    pub const COLOUR_SIZE_FILL: Self = Self::new(1, 0, 1, 1);
    /// Size and fill, equally: the cheapest mix that still makes compact regions.
    pub const SIZE_FILL: Self = Self::new(0, 0, 1, 1);

    /// The four weights.
    #[must_use]
    pub const fn new(colour: u8, texture: u8, size: u8, fill: u8) -> Self {
        Self {
            colour,
            texture,
            size,
            fill,
        }
    }

    const fn is_empty(self) -> bool {
        self.colour == 0 && self.texture == 0 && self.size == 0 && self.fill == 0
    }
}

/// Everything the proposals depend on besides the image. Always valid: the constructors refuse the rest.
///
/// The default suits road scenes of about 240 x 180 pixels: on CamVid at that size it makes some 930 proposals an
/// image, from three maps of about 450, 130 and 40 superpixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Params {
    smoothing: Smoothing,
    pub(crate) scales: [Scale; MAX_SCALES],
    scale_count: u8,
    mixes: [Mix; MAX_MIXES],
    mix_count: u8,
    max_superpixels: u16,
    max_segments: u16,
    min_area: u32,
    max_area: u32,
    min_growth: u8,
    pub(crate) slic: [Option<Slic>; MAX_SCALES],
    pub(crate) scale_spaces: [ColourSpace; MAX_SCALES],
    pub(crate) mix_spaces: [ColourSpace; MAX_MIXES],
    pub(crate) ranking: Ranking,
    pub(crate) contours: bool,
    pub(crate) combinations: Combinations,
}

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParamsError {
    /// Not 1 to [`MAX_SCALES`] scales.
    Scales,
    /// A scale's k is above [`MAX_K`].
    K,
    /// More than [`MAX_MIXES`] mixes.
    Mixes,
    /// All weights of a mix are zero.
    EmptyMix,
    /// The limit on superpixels is not 1 to [`MAX_SUPERPIXELS`].
    Superpixels,
    /// The limit on segments is zero.
    Segments,
    /// The smallest area is above the largest.
    Area,
    /// There is no such scale or mix.
    Index,
    /// The spacing of SLIC superpixels is zero.
    Spacing,
    /// More than [`MAX_LEVELS`](crate::combinatorial::MAX_LEVELS) levels are combined.
    Levels,
    /// The byte form has an unknown version, an unknown smoothing, or unused bytes that are not zero.
    Bytes,
}

impl ParamsError {
    /// The error in words.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Scales => "there must be one to four scales",
            Self::K => "a scale's k is above 2^20",
            Self::Mixes => "there are more than four similarity mixes",
            Self::EmptyMix => "all weights of a similarity mix are zero",
            Self::Superpixels => "the limit on superpixels is zero or above what a map can hold",
            Self::Segments => "the limit on segments is zero",
            Self::Area => "the smallest area is above the largest",
            Self::Index => "there is no such scale or mix",
            Self::Spacing => "the spacing of SLIC superpixels is zero",
            Self::Levels => "more than 63 levels are combined",
            Self::Bytes => "the bytes are no proposal parameters of a known version",
        }
    }
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for ParamsError {}

const NO_SCALE: Scale = Scale { k: 0, min_size: 0 };
const NO_MIX: Mix = Mix::new(0, 0, 0, 0);

impl Default for Params {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The first `count` values; all of them if there are no more, which keeps the panic path out.
const fn first<T>(values: &[T], count: u8) -> &[T] {
    match values.split_at_checked(count as usize) {
        Some((first, _)) => first,
        None => values,
    }
}

impl Params {
    /// The default parameters.
    pub const DEFAULT: Self = Self {
        smoothing: Smoothing::None,
        scales: [
            Scale {
                k: 60,
                min_size: 20,
            },
            Scale {
                k: 200,
                min_size: 60,
            },
            Scale {
                k: 600,
                min_size: 150,
            },
            NO_SCALE,
        ],
        scale_count: 3,
        mixes: [Mix::COLOUR_TEXTURE_SIZE_FILL, NO_MIX, NO_MIX, NO_MIX],
        mix_count: 1,
        max_superpixels: 768,
        max_segments: 1024,
        min_area: 1,
        max_area: u32::MAX,
        min_growth: 48,
        slic: [None; MAX_SCALES],
        scale_spaces: [ColourSpace::Rgb; MAX_SCALES],
        mix_spaces: [ColourSpace::Rgb; MAX_MIXES],
        ranking: Ranking::Area,
        contours: false,
        combinations: Combinations::NONE,
    };

    /// Parameters for photographs of some 320 x 240 pixels: the best of what this crate has, in at most 1000 proposals.
    ///
    /// Two scales by graph, in RGB and Lab, and one of SLIC in Lab; hierarchies by colour in Lab and HSV with all
    /// other similarities, by texture, by size and fill, and by contours; pairs from the first 10 levels, triples from
    /// the first 4; ranked by level. On MSRC (320 x 213, validation split) the best of an image's proposals have a
    /// mean IoU of 0.846 with the segments that people drew, and 97.5 % of these segments are found at an IoU of 0.5:
    /// `cfm proposals DATASET --params scene`; `docs/proposals.md` of this crate has more.
    pub const SCENE: Self = Self {
        smoothing: Smoothing::Binomial3,
        scales: [
            Scale {
                k: 100,
                min_size: 40,
            },
            Scale {
                k: 300,
                min_size: 100,
            },
            Scale { k: 0, min_size: 50 },
            NO_SCALE,
        ],
        scale_count: 3,
        mixes: [
            Mix::COLOUR_TEXTURE_SIZE_FILL,
            Mix::COLOUR_TEXTURE_SIZE_FILL,
            Mix::TEXTURE_SIZE_FILL,
            Mix::SIZE_FILL,
        ],
        mix_count: 4,
        max_segments: 1000,
        min_growth: 24,
        slic: [
            None,
            None,
            Some(Slic {
                spacing: 20,
                compactness: 20,
                iterations: 5,
                min_size: 50,
            }),
            None,
        ],
        scale_spaces: [
            ColourSpace::Rgb,
            ColourSpace::Lab,
            ColourSpace::Lab,
            ColourSpace::Rgb,
        ],
        mix_spaces: [
            ColourSpace::Lab,
            ColourSpace::Hsv,
            ColourSpace::Rgb,
            ColourSpace::Rgb,
        ],
        ranking: Ranking::Level,
        contours: true,
        combinations: Combinations {
            pairs: 10,
            triples: 4,
        },
        ..Self::DEFAULT
    };

    /// Parameters with these scales and mixes, the rest as in the default.
    ///
    /// Without mixes, the superpixels themselves are the only proposals.
    ///
    /// # Errors
    /// [`ParamsError::Scales`], [`ParamsError::K`], [`ParamsError::Mixes`] or [`ParamsError::EmptyMix`].
    pub const fn new(scales: &[Scale], mixes: &[Mix]) -> Result<Self, ParamsError> {
        if scales.is_empty() || scales.len() > MAX_SCALES {
            return Err(ParamsError::Scales);
        }
        if mixes.len() > MAX_MIXES {
            return Err(ParamsError::Mixes);
        }
        let mut params = Self::DEFAULT;
        params.scales = [NO_SCALE; MAX_SCALES];
        params.scale_count = scales.len() as u8;
        params.mixes = [NO_MIX; MAX_MIXES];
        params.mix_count = mixes.len() as u8;
        let mut i = 0;
        while i < scales.len() {
            if scales[i].k > MAX_K {
                return Err(ParamsError::K);
            }
            params.scales[i] = scales[i];
            i += 1;
        }
        i = 0;
        while i < mixes.len() {
            if mixes[i].is_empty() {
                return Err(ParamsError::EmptyMix);
            }
            params.mixes[i] = mixes[i];
            i += 1;
        }
        Ok(params)
    }

    /// The same with another smoothing.
    #[must_use]
    pub const fn with_smoothing(mut self, smoothing: Smoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// The same with at most `count` superpixels per map.
    ///
    /// Where a scale makes more, its smallest size is doubled until they fit; that of a SLIC scale after its spacing has
    /// grown so that its grid fits. The limit also bounds the memory.
    ///
    /// # Errors
    /// [`ParamsError::Superpixels`] when `count` is zero or above [`MAX_SUPERPIXELS`].
    pub const fn with_max_superpixels(mut self, count: u16) -> Result<Self, ParamsError> {
        if count == 0 || count > MAX_SUPERPIXELS {
            return Err(ParamsError::Superpixels);
        }
        self.max_superpixels = count;
        Ok(self)
    }

    /// The same with at most `count` proposals per image. See [`propose`](crate::propose) for which are kept.
    ///
    /// # Errors
    /// [`ParamsError::Segments`] when `count` is zero.
    pub const fn with_max_segments(mut self, count: u16) -> Result<Self, ParamsError> {
        if count == 0 {
            return Err(ParamsError::Segments);
        }
        self.max_segments = count;
        Ok(self)
    }

    /// The same with proposals of `min ..= max` pixels only.
    ///
    /// # Errors
    /// [`ParamsError::Area`] when `min` is above `max`.
    pub const fn with_area(mut self, min: u32, max: u32) -> Result<Self, ParamsError> {
        if min > max {
            return Err(ParamsError::Area);
        }
        self.min_area = min;
        self.max_area = max;
        Ok(self)
    }

    /// The same, with merges as proposals only where the smaller of the two merged regions has at least `share / 256`
    /// of the union's pixels.
    ///
    /// Else the union is all but equal to the larger region, which is a proposal already. 0 takes every merge. The
    /// smallest part of a pair or triple must have that share, too.
    #[must_use]
    pub const fn with_min_growth(mut self, share: u8) -> Self {
        self.min_growth = share;
        self
    }

    /// The smoothing before the superpixels.
    #[must_use]
    pub const fn smoothing(&self) -> Smoothing {
        self.smoothing
    }

    /// The superpixel scales; one map each.
    #[must_use]
    pub const fn scales(&self) -> &[Scale] {
        first(&self.scales, self.scale_count)
    }

    /// The similarity mixes; one hierarchy for each map and mix.
    #[must_use]
    pub const fn mixes(&self) -> &[Mix] {
        first(&self.mixes, self.mix_count)
    }

    /// Most superpixels of a map.
    #[must_use]
    pub const fn max_superpixels(&self) -> u16 {
        self.max_superpixels
    }

    /// Most proposals of an image.
    #[must_use]
    pub const fn max_segments(&self) -> u16 {
        self.max_segments
    }

    /// Smallest area of a proposal, in pixels.
    #[must_use]
    pub const fn min_area(&self) -> u32 {
        self.min_area
    }

    /// Largest area of a proposal, in pixels.
    #[must_use]
    pub const fn max_area(&self) -> u32 {
        self.max_area
    }

    /// Smallest share of the smaller merged region in a proposal, in 256ths.
    #[must_use]
    pub const fn min_growth(&self) -> u8 {
        self.min_growth
    }
}
