//! The parameters of proposals as people write them: names of ready-made ones, and TOML.
//!
//! ```toml
//! smoothing = "binomial3"                         # none, binomial3 or binomial5
//! scales = [                                      # one superpixel map each
//!   { k = 100, min_size = 40 },                   # by graph, in RGB
//!   { k = 300, min_size = 100, space = "lab" },   # rgb, lab, hsv or grey
//!   { slic = { spacing = 20, compactness = 20, iterations = 5 }, min_size = 50, space = "lab" },
//! ]
//! mixes = [[1, 1, 1, 1], [0, 1, 1, 1]]            # weights of colour, texture, size, fill
//! mix_spaces = ["lab"]                            # of the mixes, in order; rgb where the list ends
//! contours = true                                 # one more hierarchy per map: by boundary strength
//! pairs = 10                                      # levels of each hierarchy that give pairs of regions
//! triples = 4                                     # and triples
//! ranking = "level"                               # or area
//! max_superpixels = 768                           # of a map
//! max_segments = 1000                             # of an image
//! min_area = 1                                    # pixels of a proposal
//! max_area = 60000                                # no limit without it
//! min_growth = 24                                 # share of the smaller merged region, in 256ths
//! ```
//!
//! A field that is left out has its value in [`Params::DEFAULT`].

mod preset;

pub use preset::Preset;

use std::fmt;
use std::path::Path;

use cfm_model::bounded_file;
use cfm_proposals::combinatorial::Combinations;
use cfm_proposals::slic::Slic;
use cfm_proposals::{ColourSpace, Mix, Params, ParamsError, Ranking, Scale, Smoothing};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Why parameters cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}: {reason}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The values in the file make no sense.
    #[error("{path}: {source}")]
    Values {
        /// The file.
        path: String,
        /// Why.
        source: Box<ProposalConfigError>,
    },
    /// There are no such parameters.
    #[error("{name}: neither a TOML file nor one of {}", Preset::names())]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// A scale is made in no way or in two.
    #[error("scale {0} needs either k or slic")]
    Kind(usize),
    /// There are more colour spaces of mixes than mixes.
    #[error("mix_spaces lists {spaces} colour spaces for {mixes} mixes")]
    MixSpaces {
        /// Spaces given.
        spaces: usize,
        /// Mixes given.
        mixes: usize,
    },
    /// The proposals refuse the values.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// Everything that [`Params`] hold, for TOML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProposalConfig {
    /// Smoothing before the superpixels.
    pub smoothing: SmoothingConfig,
    /// Superpixel scales.
    pub scales: Vec<ScaleConfig>,
    /// Weights of colour, texture, size and fill in each grouping.
    pub mixes: Vec<[u8; 4]>,
    /// Colour spaces of the mixes, in order; RGB where the list ends.
    pub mix_spaces: Vec<SpaceConfig>,
    /// One more hierarchy per map, by boundary strength.
    pub contours: bool,
    /// Levels of each hierarchy that give pairs of regions.
    pub pairs: u8,
    /// Levels of each hierarchy that give triples of regions.
    pub triples: u8,
    /// Which proposals come first and are kept.
    pub ranking: RankingConfig,
    /// Most superpixels of a scale.
    pub max_superpixels: u16,
    /// Most segments of an image.
    pub max_segments: u16,
    /// Fewest pixels of a segment.
    pub min_area: u32,
    /// Most pixels of a segment; any number without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_area: Option<u32>,
    /// Merges that add a smaller share than this (of 256) are left out.
    pub min_growth: u8,
}

/// Smoothing before the superpixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmoothingConfig {
    /// None.
    None,
    /// 1-2-1 both ways.
    Binomial3,
    /// 1-4-6-4-1 both ways.
    Binomial5,
}

/// One superpixel scale: by graph, with `k`, or by `slic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleConfig {
    /// The threshold's constant: larger makes larger superpixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// Superpixels by gradient descent instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slic: Option<SlicConfig>,
    /// Pixels of the smallest superpixel.
    pub min_size: u16,
    /// Colour space.
    #[serde(default, skip_serializing_if = "SpaceConfig::is_rgb")]
    pub space: SpaceConfig,
}

/// How SLIC makes superpixels. See [`Slic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlicConfig {
    /// Distance of the initial centres, in pixels.
    pub spacing: u16,
    /// The colour distance that weighs as much as a distance of one spacing.
    pub compactness: u8,
    /// Steps.
    pub iterations: u8,
}

/// A colour space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpaceConfig {
    /// As the pixels come.
    #[default]
    Rgb,
    /// CIELAB.
    Lab,
    /// Hue, saturation, value.
    Hsv,
    /// Grey levels.
    Grey,
}

/// Which proposals come first and are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RankingConfig {
    /// The largest are kept.
    Area,
    /// Those that were merged last come first.
    Level,
}

impl SpaceConfig {
    fn is_rgb(&self) -> bool {
        *self == Self::Rgb
    }
}

impl From<ColourSpace> for SpaceConfig {
    fn from(space: ColourSpace) -> Self {
        match space {
            ColourSpace::Rgb => Self::Rgb,
            ColourSpace::Lab => Self::Lab,
            ColourSpace::Hsv => Self::Hsv,
            ColourSpace::Grey => Self::Grey,
        }
    }
}

impl From<SpaceConfig> for ColourSpace {
    fn from(space: SpaceConfig) -> Self {
        match space {
            SpaceConfig::Rgb => Self::Rgb,
            SpaceConfig::Lab => Self::Lab,
            SpaceConfig::Hsv => Self::Hsv,
            SpaceConfig::Grey => Self::Grey,
        }
    }
}

impl Default for ProposalConfig {
    fn default() -> Self {
        Self::from(&Params::DEFAULT)
    }
}

impl From<&Params> for ProposalConfig {
    fn from(params: &Params) -> Self {
        let scale = |(index, &Scale { k, min_size }): (usize, &Scale)| {
            let slic = params.slic(index);
            ScaleConfig {
                k: slic.is_none().then_some(k),
                slic: slic.map(|slic| SlicConfig {
                    spacing: slic.spacing,
                    compactness: slic.compactness,
                    iterations: slic.iterations,
                }),
                min_size,
                space: params.scale_space(index).into(),
            }
        };
        let mixes = params.mixes();
        let mut mix_spaces: Vec<SpaceConfig> = (0..mixes.len())
            .map(|index| params.mix_space(index).into())
            .collect();
        while mix_spaces.last().is_some_and(SpaceConfig::is_rgb) {
            mix_spaces.pop();
        }
        Self {
            smoothing: match params.smoothing() {
                Smoothing::None => SmoothingConfig::None,
                Smoothing::Binomial3 => SmoothingConfig::Binomial3,
                Smoothing::Binomial5 => SmoothingConfig::Binomial5,
            },
            scales: params.scales().iter().enumerate().map(scale).collect(),
            mixes: mixes
                .iter()
                .map(|mix| [mix.colour, mix.texture, mix.size, mix.fill])
                .collect(),
            mix_spaces,
            contours: params.contours(),
            pairs: params.combinations().pairs,
            triples: params.combinations().triples,
            ranking: match params.ranking() {
                Ranking::Area => RankingConfig::Area,
                Ranking::Level => RankingConfig::Level,
            },
            max_superpixels: params.max_superpixels(),
            max_segments: params.max_segments(),
            min_area: params.min_area(),
            max_area: Some(params.max_area()).filter(|&area| area != u32::MAX),
            min_growth: params.min_growth(),
        }
    }
}

/// Most bytes of a file of parameters.
const MAX_FILE: u64 = 1 << 20;

impl ProposalConfig {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, names unknown fields, or holds values that make no sense.
    pub fn read(path: &Path) -> Result<Self, ProposalConfigError> {
        let name = || path.display().to_string();
        let text = bounded_file::read_text(path, MAX_FILE).map_err(|source| {
            ProposalConfigError::Read {
                path: name(),
                source,
            }
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ProposalConfigError::Parse {
            path: name(),
            reason: error.message().to_owned(),
        })?;
        match config.params() {
            Ok(_) => Ok(config),
            Err(source) => Err(ProposalConfigError::Values {
                path: name(),
                source: Box::new(source),
            }),
        }
    }

    /// The parameters as `cfm-proposals` takes them.
    ///
    /// # Errors
    /// [`ProposalConfigError::Kind`], [`ProposalConfigError::MixSpaces`], or [`ProposalConfigError::Params`] with
    /// whatever it refuses.
    pub fn params(&self) -> Result<Params, ProposalConfigError> {
        let scale = |(index, scale): (usize, &ScaleConfig)| match (scale.k, scale.slic) {
            (Some(_), None) | (None, Some(_)) => Ok(Scale {
                k: scale.k.unwrap_or(0),
                min_size: scale.min_size,
            }),
            _ => Err(ProposalConfigError::Kind(index)),
        };
        let scales = self.scales.iter().enumerate().map(scale);
        let scales = scales.collect::<Result<Vec<Scale>, _>>()?;
        let mixes: Vec<Mix> = self
            .mixes
            .iter()
            .map(|&[colour, texture, size, fill]| Mix::new(colour, texture, size, fill))
            .collect();
        if self.mix_spaces.len() > mixes.len() {
            return Err(ProposalConfigError::MixSpaces {
                spaces: self.mix_spaces.len(),
                mixes: mixes.len(),
            });
        }
        let mut params = Params::new(&scales, &mixes)?
            .with_smoothing(match self.smoothing {
                SmoothingConfig::None => Smoothing::None,
                SmoothingConfig::Binomial3 => Smoothing::Binomial3,
                SmoothingConfig::Binomial5 => Smoothing::Binomial5,
            })
            .with_max_superpixels(self.max_superpixels)?
            .with_max_segments(self.max_segments)?
            .with_area(self.min_area, self.max_area.unwrap_or(u32::MAX))?
            .with_min_growth(self.min_growth)
            .with_contours(self.contours)
            .with_combinations(Combinations {
                pairs: self.pairs,
                triples: self.triples,
            })?
            .with_ranking(match self.ranking {
                RankingConfig::Area => Ranking::Area,
                RankingConfig::Level => Ranking::Level,
            });
        for (index, scale) in self.scales.iter().enumerate() {
            if let Some(slic) = scale.slic {
                let slic = Slic {
                    spacing: slic.spacing,
                    compactness: slic.compactness,
                    iterations: slic.iterations,
                    min_size: scale.min_size,
                };
                params = params.with_slic(index, slic)?;
            }
            params = params.with_scale_space(index, scale.space.into())?;
        }
        for (index, &space) in self.mix_spaces.iter().enumerate() {
            params = params.with_mix_space(index, space.into())?;
        }
        Ok(params)
    }
}

/// The parameters of a name ([`Preset::name`]) or a TOML file (a path that ends in `.toml`).
///
/// # Errors
/// When there is no such preset, or as [`ProposalConfig::read`].
pub fn named(name: &str) -> Result<ProposalConfig, ProposalConfigError> {
    let path = Path::new(name);
    match Preset::ALL.iter().find(|preset| preset.name() == name) {
        Some(preset) => Ok(preset.config()),
        None if path.extension().is_some_and(|ending| ending == "toml") => {
            ProposalConfig::read(path)
        }
        None => Err(ProposalConfigError::Unknown {
            name: name.to_owned(),
        }),
    }
}

/// Reads a field that holds either the name of a [`Preset`] or a table of parameters: for
/// `#[serde(deserialize_with = "...")]`.
///
/// # Errors
/// When it holds neither.
pub fn named_or_table<'de, D: Deserializer<'de>>(field: D) -> Result<ProposalConfig, D::Error> {
    struct NamedOrTable;

    impl<'de> Visitor<'de> for NamedOrTable {
        type Value = ProposalConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "parameters of proposals, or one of {}", Preset::names())
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<ProposalConfig, E> {
            let preset = Preset::ALL.iter().find(|preset| preset.name() == name);
            let preset = preset.ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))?;
            Ok(preset.config())
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ProposalConfig, A::Error> {
            ProposalConfig::deserialize(MapAccessDeserializer::new(table))
        }
    }

    field.deserialize_any(NamedOrTable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Params, String> {
        let config: ProposalConfig =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        config.params().map_err(|error| error.to_string())
    }

    #[test]
    fn presets_are_valid_and_survive_toml() {
        for preset in Preset::ALL {
            let config = preset.config();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<ProposalConfig>(&text).unwrap(), config);
            let params = config.params().unwrap();
            assert_eq!(ProposalConfig::from(&params), config, "{}", preset.name());
            assert_eq!(named(preset.name()).unwrap(), config);
        }
        assert_eq!(Preset::Scene.config().params().unwrap(), Params::SCENE);
        assert_eq!(ProposalConfig::default().params().unwrap(), Params::DEFAULT);
    }

    #[test]
    fn a_field_may_hold_a_name() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Holder {
            #[serde(deserialize_with = "named_or_table")]
            proposals: ProposalConfig,
        }
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.proposals);
        for preset in Preset::ALL {
            let name = preset.name();
            let named = read(&format!("proposals = \"{name}\"")).unwrap();
            assert_eq!(named, preset.config());
            let spelled_out = toml::to_string(&Holder { proposals: named }).unwrap();
            assert_eq!(read(&spelled_out).unwrap(), preset.config());
        }
        for text in ["\"graf\"", "7", "{ scale = 3 }"] {
            let error = read(&format!("proposals = {text}"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("graph") || error.contains("scale"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_first_form_keeps_its_meaning() {
        let params = parsed(
            "smoothing = \"binomial5\"\nscales = [{ k = 7, min_size = 3 }]\nmixes = [[1, 2, 3, 4]]\n\
             max_superpixels = 90\nmax_segments = 80\nmin_growth = 5",
        );
        let expected = Params::new(&[Scale { k: 7, min_size: 3 }], &[Mix::new(1, 2, 3, 4)])
            .unwrap()
            .with_smoothing(Smoothing::Binomial5)
            .with_max_superpixels(90)
            .unwrap()
            .with_max_segments(80)
            .unwrap()
            .with_min_growth(5);
        assert_eq!(params.unwrap(), expected);
    }

    #[test]
    fn senseless_values_are_refused() {
        for (text, word) in [
            ("scales = []", "one to four"),
            ("scales = [{ min_size = 3 }]", "scale 0 needs either"),
            (
                "scales = [{ k = 3, min_size = 3 }, { k = 3, min_size = 3, slic = { spacing = 3, compactness = 1, iterations = 1 } }]",
                "scale 1 needs either",
            ),
            (
                "scales = [{ min_size = 3, slic = { spacing = 0, compactness = 1, iterations = 1 } }]",
                "spacing",
            ),
            ("scales = [{ k = 3000000, min_size = 3 }]", "2^20"),
            (
                "scales = [{ k = 3, min_size = 3, spice = \"lab\" }]",
                "spice",
            ),
            ("scales = [{ k = 3, min_size = 3, space = \"xyz\" }]", "xyz"),
            ("mixes = [[0, 0, 0, 0]]", "zero"),
            ("mixes = [[1, 0, 0]]", "4"),
            ("mix_spaces = [\"lab\", \"lab\"]", "2 colour spaces for 1"),
            ("max_segments = 0", "segments"),
            ("max_superpixels = 10000", "superpixels"),
            ("min_area = 5\nmax_area = 4", "area"),
            ("pairs = 64", "63"),
            ("rating = \"level\"", "rating"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn files_and_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "max_segments = 7").unwrap();
        assert_eq!(named(path.to_str().unwrap()).unwrap().max_segments, 7);
        for (content, word) in [
            ("max_segments = 0", "mine.toml: the limit"),
            ("max_segments = ", "mine.toml: "),
            ("segments = 3", "unknown field"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = named(path.to_str().unwrap()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = named("/nonexistent/x.toml").unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/x.toml: "), "{error}");
        let error = named("scenes").unwrap_err().to_string();
        assert!(error.contains("graph, slic, selective-search"), "{error}");
    }

    fn scale() -> impl Strategy<Value = ScaleConfig> {
        let slic = (1..99_u16, any::<u8>(), any::<u8>());
        let kind = prop_oneof![
            (0..1_u32 << 20).prop_map(|k| (Some(k), None)),
            slic.prop_map(|(spacing, compactness, iterations)| {
                let slic = SlicConfig {
                    spacing,
                    compactness,
                    iterations,
                };
                (None, Some(slic))
            })
        ];
        (kind, any::<u16>(), space()).prop_map(|((k, slic), min_size, space)| ScaleConfig {
            k,
            slic,
            min_size,
            space,
        })
    }

    fn space() -> impl Strategy<Value = SpaceConfig> {
        prop::sample::select(vec![
            SpaceConfig::Rgb,
            SpaceConfig::Lab,
            SpaceConfig::Hsv,
            SpaceConfig::Grey,
        ])
    }

    proptest! {
        /// Nothing that the byte form of the parameters holds is lost in TOML.
        #[test]
        fn toml_holds_everything(
            scales in prop::collection::vec(scale(), 1..=4),
            mixes in prop::collection::vec((1..=255_u8, any::<[u8; 3]>(), space()), 0..=4),
            contours: bool,
            (pairs, triples) in (0..=63_u8, 0..=63_u8),
            ranking in prop::sample::select(vec![RankingConfig::Area, RankingConfig::Level]),
            smoothing in prop::sample::select(vec![
                SmoothingConfig::None, SmoothingConfig::Binomial3, SmoothingConfig::Binomial5,
            ]),
            (max_superpixels, max_segments) in (1..=8192_u16, 1..=u16::MAX),
            (min_area, more) in (any::<u32>(), any::<u32>()),
            min_growth: u8,
        ) {
            let config = ProposalConfig {
                smoothing,
                scales,
                mix_spaces: mixes.iter().map(|&(.., space)| space).collect(),
                mixes: mixes.iter().map(|&(c, [t, s, f], _)| [c, t, s, f]).collect(),
                contours,
                pairs,
                triples,
                ranking,
                max_superpixels,
                max_segments,
                min_area,
                max_area: Some(min_area.saturating_add(more)),
                min_growth,
            };
            let params = config.params().unwrap();
            let text = toml::to_string(&ProposalConfig::from(&params)).unwrap();
            let again = toml::from_str::<ProposalConfig>(&text).unwrap().params().unwrap();
            prop_assert_eq!(again.to_bytes(), params.to_bytes());
        }
    }
}
