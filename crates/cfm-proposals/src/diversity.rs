//! What makes the hierarchies of one image differ, and which of their regions come first.
//!
//! Several hierarchies that err differently together find more than any one of them (Uijlings et al. 2013, section
//! 3.2). They are the scales, each with its own kind of superpixels and colour space, times the mixes, each with its
//! own colour space.

use crate::colour::ColourSpace;
use crate::combinatorial::{Combinations, MAX_LEVELS};
use crate::params::{MAX_MIXES, MAX_SCALES, Params, ParamsError, Scale};
use crate::slic::Slic;

/// In what order proposals come, and which are kept when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ranking {
    /// The largest are kept, of equal areas the earlier ones; they come in the order in which they are found.
    ///
    /// There is room for pairs and triples ([`Params::with_combinations`]) of 64 superpixels on the average, as many as
    /// there are proposals. They get it in the same order, until one has none: that one and the later ones are left
    /// out, and do not take the place of single regions.
    #[default]
    Area,
    /// The best are kept and come first, where a region is the better the later it is merged.
    ///
    /// Going through a hierarchy from the whole image down, merge by merge, each one splits a region into two; the two
    /// have as their *level* how many were split so far, and the whole has level 0. A set of pixels that several
    /// hierarchies hold has its lowest level. Of equal levels, the hierarchies of earlier scales come first, of one
    /// scale those of earlier mixes, and of one hierarchy the child with the smallest superpixel id.
    ///
    /// A pair of regions ([`Params::with_combinations`]) counts 8 times its level, a triple 32 times: there are many
    /// of them, and fewer are right. They come after single regions of the same hierarchy and level; of one kind,
    /// those with the first child come first, and so do regions that were there earlier (a first child counts for its
    /// parent).
    ///
    /// Selective search ranks by the same position, but multiplies it with a random number (Uijlings et al. 2013,
    /// section 4.4). The superpixels of a map that is not grouped have their ids as levels.
    Level,
}

impl Params {
    /// The same with SLIC superpixels at scale `index`, instead of those by graph.
    ///
    /// # Errors
    /// [`ParamsError::Index`] or [`ParamsError::Spacing`].
    pub const fn with_slic(mut self, index: usize, slic: Slic) -> Result<Self, ParamsError> {
        if index >= self.scales().len() {
            return Err(ParamsError::Index);
        }
        if slic.spacing == 0 {
            return Err(ParamsError::Spacing);
        }
        self.slic[index] = Some(slic);
        self.scales[index] = Scale {
            k: 0,
            min_size: slic.min_size,
        };
        Ok(self)
    }

    /// The same with the superpixels of scale `index` made in a colour space.
    ///
    /// # Errors
    /// [`ParamsError::Index`].
    pub const fn with_scale_space(
        mut self,
        index: usize,
        space: ColourSpace,
    ) -> Result<Self, ParamsError> {
        if index >= self.scales().len() {
            return Err(ParamsError::Index);
        }
        self.scale_spaces[index] = space;
        Ok(self)
    }

    /// The same with the colour histograms of mix `index` in a colour space.
    ///
    /// # Errors
    /// [`ParamsError::Index`].
    pub const fn with_mix_space(
        mut self,
        index: usize,
        space: ColourSpace,
    ) -> Result<Self, ParamsError> {
        if index >= self.mixes().len() {
            return Err(ParamsError::Index);
        }
        self.mix_spaces[index] = space;
        Ok(self)
    }

    /// The same with another ranking.
    #[must_use]
    pub const fn with_ranking(mut self, ranking: Ranking) -> Self {
        self.ranking = ranking;
        self
    }

    /// How SLIC makes the superpixels of scale `index`; `None` if they are made by graph.
    #[must_use]
    pub const fn slic(&self, index: usize) -> Option<Slic> {
        if index < self.scales().len() && index < MAX_SCALES {
            self.slic[index]
        } else {
            None
        }
    }

    /// The colour space in which the superpixels of scale `index` are made.
    #[must_use]
    pub const fn scale_space(&self, index: usize) -> ColourSpace {
        if index < self.scales().len() && index < MAX_SCALES {
            self.scale_spaces[index]
        } else {
            ColourSpace::Rgb
        }
    }

    /// The colour space of mix `index`.
    #[must_use]
    pub const fn mix_space(&self, index: usize) -> ColourSpace {
        if index < self.mixes().len() && index < MAX_MIXES {
            self.mix_spaces[index]
        } else {
            ColourSpace::Rgb
        }
    }

    /// The same with one more hierarchy per map, after those of the mixes: by boundary strength, in the colour space of
    /// the scale ([`combinatorial::group`](crate::combinatorial::group)).
    #[must_use]
    pub const fn with_contours(mut self, contours: bool) -> Self {
        self.contours = contours;
        self
    }

    /// The same with pairs and triples of neighbouring regions of every hierarchy.
    ///
    /// Their members are stored explicitly: at most 64 ids for each of [`Params::max_segments`] on the average. Where
    /// that is not enough, combinations that come late are left out.
    ///
    /// # Errors
    /// [`ParamsError::Levels`].
    pub const fn with_combinations(
        mut self,
        combinations: Combinations,
    ) -> Result<Self, ParamsError> {
        if combinations.levels() > MAX_LEVELS {
            return Err(ParamsError::Levels);
        }
        self.combinations = combinations;
        Ok(self)
    }

    /// Whether there is a hierarchy by boundary strength.
    #[must_use]
    pub const fn contours(&self) -> bool {
        self.contours
    }

    /// Which pairs and triples are proposals.
    #[must_use]
    pub const fn combinations(&self) -> Combinations {
        self.combinations
    }

    /// The order of the proposals.
    #[must_use]
    pub const fn ranking(&self) -> Ranking {
        self.ranking
    }
}
